"""The columns that each step of a pipeline computes its columns from.

There are three kinds of bounds:

- A transformer with a single input column computes all of its output from that column.
- scikit-learn's transformers are known by their fitted attributes. Those without a rule, such as
  PCA, compute every column from all columns. This includes KNNImputer and IterativeImputer, even if
  no value was missing at fit. Subclasses of other packages are not covered.
- For any other transformer, such as those of category_encoders and feature-engine, the bound is
  inferred: input columns of sample rows are shuffled, and the columns that change with a single
  input column belong to it. A column that does not change in these rows, such as that of a rare
  category, is recognized by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
)

from mlflow_interpret.explaining.batch import as_batch
from mlflow_interpret.explaining.column_shuffles import (
    WIDEST,
    ColumnShuffles,
    UnknownLineageError,
    observed_sources,
    refuse,
)
from mlflow_interpret.explaining.sklearn_compat import (
    column_transformer_inputs,
    one_hot_widths,
    select_columns,
)

Sources = list[frozenset[int]]

_INFERENCE_ROWS = 30
"""Minimal number of sample rows for an inferred bound."""
_WIDEST_SPARSE = 2**21
"""Limit of the columns of a sparse table; a HashingVectorizer has 2**20."""


@dataclass(frozen=True, eq=False)
class TracedStep:
    """A fitted step, applied to rows.

    Attributes:
        step: The step.
        rows: Its input.
        sources: For each of its columns, the positions of the input columns it can depend on.
        output: Its output.
    """

    step: Any
    rows: Any
    sources: Sources
    output: Any


def width(rows: Any) -> int:
    """The number of columns; 1 for one-dimensional input, as of vectorizers."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) not in (1, 2):
        raise UnknownLineageError(f"A step returns a {type(rows).__name__} instead of a table.")
    return int(shape[1]) if len(shape) == 2 else 1


def check_width(expected: int, actual: int, subject: str) -> None:
    """Check a number of columns; ``subject`` names them in the error.

    Raises:
        UnknownLineageError: There is another number of columns.
    """
    if expected != actual:
        raise UnknownLineageError(f"{subject} has {actual} columns, but {expected} were expected.")


def _transform(step: Any, rows: Any) -> Any:
    try:
        return step.transform(rows)
    except Exception as error:
        kind = type(step).__name__
        raise UnknownLineageError(f"{kind} fails on rows", error) from error


def is_step(step: Any) -> bool:
    """Whether a step changes the rows of a prediction: samplers change those of ``fit`` only."""
    is_sampler = hasattr(step, "fit_resample") and not hasattr(step, "transform")
    return step is not None and not isinstance(step, str) and not is_sampler


def apply_steps(steps: Iterable[tuple[str, Any]], rows: Any) -> Any:
    """Transform rows by fitted steps."""
    for _, step in steps:
        rows = _transform(step, rows) if is_step(step) else rows
    return rows


def trace_steps(
    steps: Iterable[tuple[str, Any]], rows: Any, inferred: list[str]
) -> Iterator[TracedStep]:
    """Apply fitted steps one after the other, and find the sources of their columns.

    Args:
        steps: The named steps.
        rows: Rows for the first step.
        inferred: Gets the classes of transformers whose sources were inferred.

    Raises:
        UnknownLineageError: The sources of a step are not known.
    """
    for _, step in steps:
        if is_step(step):
            traced = trace_step(step, rows, inferred)
            rows = traced.output
            yield traced


def merge(sources: Sources, step_sources: Sources) -> Sources:
    """The sources of a step's columns in front of the steps before it.

    Args:
        sources: The sources of the step's input columns.
        step_sources: For each column of the step, the positions of its input columns.
    """
    merged = {s: frozenset[int]().union(*(sources[i] for i in s)) for s in {*step_sources}}
    return [merged[s] for s in step_sources]


def trace_step(step: Any, rows: Any, inferred: list[str]) -> TracedStep:
    """Apply a fitted transformer, or ``"passthrough"``, and find the sources of its columns.

    The arguments and the error are those of `trace_steps`.
    """
    if not is_step(step):
        return TracedStep(step, rows, same(width(rows)), rows)
    n_in = width(rows)
    output = _transform(step, rows)
    n_out = width(output)
    if n_out > (_WIDEST_SPARSE if sparse.issparse(output) else WIDEST):
        raise UnknownLineageError(
            f"{n_out} columns of {type(step).__name__} are too many to check."
        )
    if n_in < 2:
        return TracedStep(step, rows, [frozenset(range(n_in))] * n_out, output)
    if type(step).__module__.startswith("sklearn."):
        sources = _containers(step, rows, inferred)
        sources = _rules(step, n_in, n_out) if sources is None else sources
    else:
        sources = None
    sources = _guess(step, rows, output, inferred) if sources is None else sources
    check_width(len(sources), n_out, f"The output of {type(step).__name__}")
    return TracedStep(step, rows, sources, output)


def same(n: int) -> Sources:
    """The sources of columns that are those of the input."""
    return [frozenset({i}) for i in range(n)]


def _containers(step: Any, rows: Any, inferred: list[str]) -> Sources | None:
    """The rules for transformers that contain transformers; None for other transformers."""
    if isinstance(step, Pipeline):
        sources = same(width(rows))
        for traced in trace_steps(step.steps, rows, inferred):
            sources = merge(sources, traced.sources)
        return sources
    if isinstance(step, ColumnTransformer):
        return _column_transformer(step, rows, inferred)
    if isinstance(step, FeatureUnion):
        parts = [child for _, child in step.transformer_list if child != "drop"]
        return [columns for child in parts for columns in trace_step(child, rows, inferred).sources]
    if type(step).__name__ == "FrozenEstimator":  # new in scikit-learn 1.6
        return trace_step(step.estimator, rows, inferred).sources
    return None


def _column_transformer(step: Any, rows: Any, inferred: list[str]) -> Sources:
    sources: Sources = []
    for _, child, positions, selected in selections(step, rows):
        traced = trace_step(child, selected, inferred)
        sources.extend(frozenset(positions[i] for i in columns) for columns in traced.sources)
    return sources


def selections(step: Any, rows: Any) -> Iterator[tuple[str, Any, list[int], Any]]:
    """The parts of a ColumnTransformer: name, transformer, positions and rows of its columns."""
    inputs = column_transformer_inputs(step)
    for name, child, columns in step.transformers_:
        positions = inputs[name]
        if positions and child != "drop":
            # A scalar selects a 1-D column.
            key = positions[0] if np.isscalar(columns) else positions
            yield name, child, list(positions), select_columns(rows, key)


def _rules(step: Any, n_in: int, n_out: int) -> Sources | None:
    """The rules for scikit-learn's transformers; None for a function, which has no rule."""
    if isinstance(step, FunctionTransformer):
        func = step.func
        is_unary = isinstance(func, np.ufunc) and func.nin == 1 and not step.kw_args
        return same(n_in) if func is None or is_unary else None
    if isinstance(step, SelectorMixin):
        return [frozenset({int(i)}) for i in step.get_support(indices=True)]
    if isinstance(step, PolynomialFeatures):
        return [frozenset(np.flatnonzero(powers).tolist()) for powers in step.powers_]
    if isinstance(step, MissingIndicator):
        return [frozenset({int(i)}) for i in step.features_]
    if isinstance(step, SimpleImputer):
        return _imputer(step, n_in, n_out)
    if isinstance(step, OneHotEncoder):
        return _repeat_sources(one_hot_widths(step))
    if isinstance(step, KBinsDiscretizer) and step.encode != "ordinal":
        return _repeat_sources(step.n_bins_)
    # SplineTransformer, and TargetEncoder with several classes, return the same number of columns
    # for each input. Normalizer has the mixin, but divides each row by its length.
    is_even = isinstance(step, (OneToOneFeatureMixin, SplineTransformer, KBinsDiscretizer))
    if is_even and not isinstance(step, Normalizer):
        return _repeat_sources([n_out // n_in] * n_in)
    return [frozenset(range(n_in))] * n_out


def _repeat_sources(widths: Iterable[int]) -> Sources:
    """The sources of a transformer that returns ``widths[i]`` columns for input column ``i``."""
    return [frozenset({i}) for i, width in enumerate(widths) for _ in range(int(width))]


def _imputer(step: Any, n_in: int, n_out: int) -> Sources:
    indicator = getattr(step, "indicator_", None)
    indicated = [] if indicator is None else [int(i) for i in indicator.features_]
    imputed = list(range(n_in))
    if n_out - len(indicated) != n_in:  # columns without any value at fit are dropped
        imputed = np.flatnonzero(~np.asarray(pd.isna(step.statistics_))).tolist()
    return [frozenset({i}) for i in (*imputed, *indicated)]


def _guess(step: Any, rows: Any, output: Any, inferred: list[str]) -> Sources:
    """The sources of a transformer without a rule, which `verify` checks.

    skrub's column-wise transformers have an attribute with their sources; these are not inferred.
    """
    kind = type(step)
    before, after = _labels(rows), _labels(output)
    if kind.__module__.startswith("skrub."):
        mapping = getattr(step, "input_to_outputs_", {})
        input_of = {label: name for name, labels in mapping.items() for label in labels}
        origins = [input_of.get(name, name) for name in after]
        is_known = bool(mapping) or isinstance(step, OneToOneFeatureMixin)
        if is_known and before and after and set(origins) <= set(before):
            return [frozenset({before.index(name)}) for name in origins]
    n_in = width(rows)
    batch = as_batch(rows, [str(i) for i in range(n_in)], rows)
    if len(batch) < _INFERENCE_ROWS or (batch.frame.astype(str).nunique(dropna=False) < 2).any():
        raise UnknownLineageError(
            f"The sample rows vary too little to infer the sources of the columns of "
            f"{kind.__name__}."
        )
    shuffles = ColumnShuffles(partial(_transform, step), batch, seed=1)
    names = after or [str(k) for k in range(shuffles.n_outputs)]
    refuse(shuffles.depends_on_other_rows(), names, "other rows")
    inferred.append(kind.__name__)
    after = after or _feature_names(step, shuffles.n_outputs)
    return _completed(observed_sources(shuffles, n_in), n_in, before, after)


def _feature_names(step: Any, n: int) -> list[str]:
    """The names of the columns of an array that a step returns; empty if it has no such names."""
    try:
        names = [str(name) for name in step.get_feature_names_out()]
    except Exception:  # a transformer of another package
        return []
    return names if len(names) == n else []


def _completed(
    observed: Sequence[frozenset[int] | None], n_in: int, before: list[str], after: list[str]
) -> Sources:
    """The observed sources, and for columns that did not change those that their names tell.

    The name of a column starts with that of its source. If several names fit, the closest columns
    with a known source decide. Without names, as many columns as before are in the same order. Any
    other column counts as a constant: if it is none in the explained rows, the attributions do not
    add up, and the pipeline is explained as a whole.
    """
    completed: Sources = []
    for k, sources in enumerate(observed):
        if sources is not None:
            completed.append(sources)
        elif before and after:
            candidates = {i for i, label in enumerate(before) if after[k].startswith(label)}
            if len(candidates) > 1:
                left, right = observed[:k][::-1], observed[k + 1 :]
                closest = [next((s for s in side if s is not None), None) for side in (left, right)]
                candidates &= frozenset[int]().union(*(s for s in closest if s is not None))
            completed.append(frozenset(candidates if len(candidates) == 1 else ()))
        else:
            completed.append(frozenset({k} if len(observed) == n_in else ()))
    return completed


def _labels(rows: Any) -> list[str]:
    """The names of the columns; empty if they have none, or if names repeat."""
    names = [str(name) for name in getattr(rows, "columns", ())]
    return names if len(set(names)) == len(names) else []
