"""The raw columns from which each engineered column is computed.

Attributions of engineered columns can be summed up by raw column only if each engineered column is
a function of a single raw column of the same row. The sources of a column are an upper bound: the
column depends on no other raw columns. If no bound is known, an error is raised.

There are three kinds of bounds:

- A transformer with a single input column computes all of its output from that column.
- scikit-learn's transformers are known by their fitted attributes. Those without a rule, such as
  PCA, compute every column from all columns. This includes KNNImputer and IterativeImputer, even if
  no value was missing at fit. Subclasses of other packages are not covered.
- For any other transformer, such as those of category_encoders and feature-engine, the bound is
  inferred: input columns of sample rows are shuffled, and the columns that change with a single
  input column belong to it. A column that does not change in these rows, such as that of a rare
  category, is recognized by its name.

`verify` checks every bound on sample rows. A dependence that shows in rare rows only, as in
``np.where(income > 1e6, age, height)``, may remain undetected. `Lineage.inferred` therefore names
the transformers with inferred bounds, which are checked on more rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
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

from mlflow_interpret.core.explanation import distinct_names
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.column_shuffles import (
    WIDEST,
    ColumnShuffles,
    Flags,
    UnknownLineageError,
    halves,
    observed_sources,
    representative_rows,
)
from mlflow_interpret.explaining.sklearn_compat import (
    column_transformer_inputs,
    one_hot_widths,
    select_columns,
)

Sources = list[frozenset[int]]

_ROWS = 100
"""Size of the random sample of rows; each check transforms them once."""
_INFERENCE_ROWS = 30
"""Minimal number of sample rows for an inferred bound."""
_VERIFICATION_ROWS = 1_000
"""Size of the random sample on which inferred bounds are verified."""
_VERIFICATION_CELLS = 1_000_000
"""Limit of the engineered cells of that sample."""
_WIDEST_SPARSE = 2**21
"""Limit of the columns of a sparse table; a HashingVectorizer has 2**20."""


@dataclass(frozen=True)
class Lineage:
    """The sources of engineered columns.

    Attributes:
        names: Unique names of the engineered columns, from ``get_feature_names_out`` if possible.
        sources: For each engineered column, the positions of the raw columns it can depend on.
        inferred: Classes of transformers whose sources were inferred from sample rows.
    """

    names: tuple[str, ...]
    sources: tuple[frozenset[int], ...]
    inferred: tuple[str, ...] = ()

    @property
    def is_separable(self) -> bool:
        """Whether every engineered column has a single source, or is a constant."""
        return all(len(sources) < 2 for sources in set(self.sources))

    @property
    def mixed(self) -> tuple[str, ...]:
        """The engineered columns with several sources."""
        pairs = zip(self.names, self.sources, strict=True)
        return tuple(name for name, sources in pairs if len(sources) > 1)


def lineage(steps: Sequence[tuple[str, Any]] | Any, rows: RowBatch) -> Lineage:
    """Find the raw columns from which fitted transformers compute each column.

    A separable lineage is verified on ``rows``. Any other one is needed for messages only.

    Args:
        steps: The steps in front of a pipeline's last one, or a single transformer.
        rows: Some dozens of rows for the first step.

    Raises:
        UnknownLineageError: The sources are not known, or contradict the sample rows.
    """
    front: Any = steps
    front = front.steps if type(front) is Pipeline else front
    chain = list(front) if isinstance(front, Sequence) else [("", front)]
    try:
        return _lineage(chain, rows)
    except UnknownLineageError:
        raise
    except Exception as error:  # an unforeseen kind of transformer or rows
        raise UnknownLineageError("Its columns could not be traced", error) from error


def _lineage(chain: list[tuple[str, Any]], rows: RowBatch) -> Lineage:
    labels = list(getattr(rows.template, "columns", rows.frame.columns))
    names = labels if all(isinstance(name, str) for name in labels) else list(rows.frame.columns)
    inferred: list[str] = []
    sample = representative_rows(rows, _ROWS)
    sources, names, _ = _chain(chain, sample.restore(sample.frame.copy()), names, inferred)
    result = Lineage(distinct_names(names), tuple(sources), tuple(dict.fromkeys(inferred)))
    if result.is_separable:
        if inferred:
            limit = min(_VERIFICATION_ROWS, max(_ROWS, _VERIFICATION_CELLS // len(names)))
            sample = representative_rows(rows, limit)
        verify(partial(apply_steps, chain), sample, result)
    return result


def verify(transform: Callable[[Any], Any], rows: RowBatch, claim: Lineage) -> None:
    """Shuffle raw columns of rows and check that only the columns with these sources change.

    Columns are shuffled in the `halves` of their positions, which check all pairs of columns.

    Args:
        transform: Computes engineered rows from raw ones.
        rows: Raw rows.
        claim: The lineage to check.

    Raises:
        UnknownLineageError: An engineered column depends on other raw columns, or on other rows.
    """
    shuffles = ColumnShuffles(transform, rows)
    _equal(len(claim.names), shuffles.n_outputs, "The transformer's output on the same rows")
    _refuse(shuffles.depends_on_other_rows(), claim.names, "other rows")
    n = rows.frame.shape[1]
    for group in itertools.chain(*halves(n), [frozenset(range(n))]):  # the last one for constants
        bound = np.array([not sources & group for sources in claim.sources], dtype=bool)
        if bound.any():
            cause = "raw columns that are not its sources"
            _refuse(bound & shuffles.changed(group), claim.names, cause)


def _refuse(flags: Flags, names: Sequence[str], cause: str) -> None:
    if flags.any():
        name = names[int(np.flatnonzero(flags)[0])]
        raise UnknownLineageError(f"The engineered column {name!r} depends on {cause}.")


def _width(rows: Any) -> int:
    """The number of columns; 1 for one-dimensional input, as of vectorizers."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) not in (1, 2):
        raise UnknownLineageError(f"A step returns a {type(rows).__name__} instead of a table.")
    return int(shape[1]) if len(shape) == 2 else 1


def _equal(expected: int, actual: int, subject: str) -> None:
    if expected != actual:
        raise UnknownLineageError(f"{subject} has {actual} columns, but {expected} were expected.")


def _transform(step: Any, rows: Any) -> Any:
    try:
        return step.transform(rows)
    except Exception as error:
        kind = type(step).__name__
        raise UnknownLineageError(f"{kind} fails on rows", error) from error


def _is_step(step: Any) -> bool:
    """Whether a step changes the rows of a prediction: samplers change those of ``fit`` only."""
    is_sampler = hasattr(step, "fit_resample") and not hasattr(step, "transform")
    return step is not None and not isinstance(step, str) and not is_sampler


def apply_steps(steps: Iterable[tuple[str, Any]], rows: Any) -> Any:
    """Transform rows by fitted steps."""
    for _, step in steps:
        rows = _transform(step, rows) if _is_step(step) else rows
    return rows


def _chain(
    steps: Iterable[tuple[str, Any]], rows: Any, names: list[str], inferred: list[str]
) -> tuple[Sources, list[str], Any]:
    """The sources (positions in ``rows``) and names of the last step's columns, and its output."""
    sources = _same(_width(rows))
    for _, step in steps:
        if _is_step(step):
            step_sources, rows = _trace(step, rows, inferred)
            merged = {s: frozenset[int]().union(*(sources[i] for i in s)) for s in {*step_sources}}
            sources = [merged[s] for s in step_sources]
            names = _names(step, names, step_sources, rows)
    return sources, names, rows


def _names(step: Any, names: list[str], sources: Sources, output: Any) -> list[str]:
    try:
        labels = step.get_feature_names_out(names)
    except Exception:  # some transformers have no names, and some require those of their fit
        labels = getattr(output, "columns", None)
    if labels is None or len(labels) != len(sources):
        kind = type(step).__name__.lower()
        base_of = {s: names[min(s)] if len(s) == 1 else kind for s in set(sources)}
        bases = [base_of[columns] for columns in sources]
        is_unique = len(base_of) == len(sources)
        labels = bases if is_unique else [f"{base}_{k}" for k, base in enumerate(bases)]
    return [str(label) for label in labels]


def _trace(step: Any, rows: Any, inferred: list[str]) -> tuple[Sources, Any]:
    """The sources of a transformer's columns as positions in ``rows``, and its output."""
    if not _is_step(step):
        return _same(_width(rows)), rows
    n_in = _width(rows)
    output = _transform(step, rows)
    n_out = _width(output)
    if n_out > (_WIDEST_SPARSE if sparse.issparse(output) else WIDEST):
        raise UnknownLineageError(
            f"{n_out} columns of {type(step).__name__} are too many to check."
        )
    if n_in < 2:
        return [frozenset(range(n_in))] * n_out, output
    if type(step).__module__.startswith("sklearn."):
        sources = _containers(step, rows, inferred)
        sources = _rules(step, n_in, n_out) if sources is None else sources
    else:
        sources = None
    sources = _guess(step, rows, output, inferred) if sources is None else sources
    _equal(len(sources), n_out, f"The output of {type(step).__name__}")
    return sources, output


def _same(n: int) -> Sources:
    return [frozenset({i}) for i in range(n)]


def _containers(step: Any, rows: Any, inferred: list[str]) -> Sources | None:
    """The rules for transformers that contain transformers; None for other transformers."""
    if isinstance(step, Pipeline):
        return _chain(step.steps, rows, [""] * _width(rows), inferred)[0]
    if isinstance(step, ColumnTransformer):
        return _column_transformer(step, rows, inferred)
    if isinstance(step, FeatureUnion):
        parts = [child for _, child in step.transformer_list if child != "drop"]
        return [columns for child in parts for columns in _trace(child, rows, inferred)[0]]
    if type(step).__name__ == "FrozenEstimator":  # new in scikit-learn 1.6
        return _trace(step.estimator, rows, inferred)[0]
    return None


def _column_transformer(step: Any, rows: Any, inferred: list[str]) -> Sources:
    inputs = column_transformer_inputs(step)
    sources: Sources = []
    for name, child, columns in step.transformers_:
        positions = inputs[name]
        if not positions or child == "drop":
            continue
        key = positions[0] if np.isscalar(columns) else positions  # a scalar selects a 1-D column
        child_sources, _ = _trace(child, select_columns(rows, key), inferred)
        sources.extend(frozenset(positions[i] for i in columns) for columns in child_sources)
    return sources


def _rules(step: Any, n_in: int, n_out: int) -> Sources | None:
    """The rules for scikit-learn's transformers; None for a function, which has no rule."""
    if isinstance(step, FunctionTransformer):
        func = step.func
        is_unary = isinstance(func, np.ufunc) and func.nin == 1 and not step.kw_args
        return _same(n_in) if func is None or is_unary else None
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
    n_in = _width(rows)
    batch = as_batch(rows, [str(i) for i in range(n_in)], rows)
    if len(batch) < _INFERENCE_ROWS or (batch.frame.astype(str).nunique(dropna=False) < 2).any():
        raise UnknownLineageError(
            f"The sample rows vary too little to infer the sources of the columns of "
            f"{kind.__name__}."
        )
    shuffles = ColumnShuffles(partial(_transform, step), batch, seed=1)
    names = after or [str(k) for k in range(shuffles.n_outputs)]
    _refuse(shuffles.depends_on_other_rows(), names, "other rows")
    inferred.append(kind.__name__)
    return _completed(observed_sources(shuffles, n_in), n_in, before, after)


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
