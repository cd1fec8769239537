"""The raw columns from which each engineered column is computed.

Attributions of engineered columns can be summed up by raw column only if each engineered column is
a function of a single raw column of the same row. The sources of a column are an upper bound: the
column depends on no other raw columns. If no bound is known, an error is raised.

There are three kinds of bounds:

- A transformer with a single input column computes all of its output from that column.
- scikit-learn's transformers are known by their fitted attributes. Those without a rule, such as
  PCA, compute every column from all columns. This includes KNNImputer and IterativeImputer, even if
  no value was missing at fit. Subclasses of other packages are not covered.
- For any other transformer a simple bound is tried: each output column depends on the input column
  with the same name or, without names, the same position. Such a bound is inferred.

`verify` checks every bound on sample rows. A dependence that shows in rare rows only, as in
``np.where(income > 1e6, age, height)``, may remain undetected. `Lineage.inferred` therefore names
the transformers with inferred bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
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

from mlflow_interpret.core.errors import MlflowInterpretError
from mlflow_interpret.core.explanation import distinct_names
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.sklearn_compat import (
    column_transformer_inputs,
    one_hot_widths,
    select_columns,
)

Sources = list[frozenset[int]]

_ROWS = 100
"""Limit of the sample rows; each check transforms them once."""
_INFERENCE_ROWS = 30
"""Minimal number of sample rows for an inferred bound."""
_SHUFFLES = 3
_WIDEST = 20_000
"""Limit of the columns of a dense table."""
_WIDEST_SPARSE = 2**21
"""Limit of the columns of a sparse table; a HashingVectorizer has 2**20."""


class UnknownLineageError(MlflowInterpretError):
    """The sources of the engineered columns are not known; the message gives the reason."""


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
        return _lineage(chain, rows.subset(sample_rows(len(rows), _ROWS, 0)))
    except UnknownLineageError:
        raise
    except Exception as error:  # an unforeseen kind of transformer or rows
        raise UnknownLineageError("Its columns could not be traced", error) from error


def _lineage(chain: list[tuple[str, Any]], rows: RowBatch) -> Lineage:
    labels = list(getattr(rows.template, "columns", rows.frame.columns))
    names = labels if all(isinstance(name, str) for name in labels) else list(rows.frame.columns)
    inferred: list[str] = []
    sources, names, _ = _chain(chain, _restored(rows, rows.frame), names, inferred)
    result = Lineage(distinct_names(names), tuple(sources), tuple(dict.fromkeys(inferred)))
    if result.is_separable:
        verify(partial(apply_steps, chain), rows, result)
    return result


def verify(transform: Callable[[Any], Any], rows: RowBatch, claim: Lineage) -> None:
    """Shuffle raw columns of sample rows and check that only the columns with these sources change.

    Columns are shuffled in groups: for each binary digit of the position, those with a 0 and those
    with a 1. Any two columns are separated by some group, so 2 log2(n) groups check all pairs.

    Args:
        transform: Computes engineered rows from raw ones.
        rows: Raw rows.
        claim: The lineage to check.

    Raises:
        UnknownLineageError: An engineered column depends on other raw columns, or on other rows.
    """
    plain = _cells(transform(_restored(rows, rows.frame)))
    _equal(len(claim.names), plain.shape[1], "The transformer's output on the same rows")
    half = len(rows) // 2
    if half:
        alone = _cells(transform(_restored(rows, rows.frame.iloc[:half])))
        _refuse(_changed(plain[:half], alone), claim, "other rows")
    raw = rows.frame.reset_index(drop=True)
    generator = np.random.default_rng(0)
    for group in _groups(raw.shape[1]):
        bound = np.array([not sources & group for sources in claim.sources], dtype=bool)
        for _ in range(_SHUFFLES if bound.any() else 0):
            other = raw.take(generator.permutation(len(raw))).reset_index(drop=True)
            columns = {i: (other if i in group else raw).iloc[:, i] for i in range(raw.shape[1])}
            trial = pd.DataFrame(columns).set_axis(raw.columns, axis=1)
            cells = _cells(transform(_restored(rows, trial)))
            _refuse(bound & _changed(plain, cells), claim, "raw columns that are not its sources")


def _groups(n: int) -> Iterator[frozenset[int]]:
    for digit in range(max(n - 1, 0).bit_length()):
        for value in (0, 1):
            yield frozenset(i for i in range(n) if i >> digit & 1 == value)
    yield frozenset(range(n))  # constants


def _restored(rows: RowBatch, frame: pd.DataFrame) -> Any:
    return rows.restore(frame.copy())  # some transformers change their input in place


def _refuse(changed: npt.NDArray[np.bool_], claim: Lineage, cause: str) -> None:
    if changed.any():
        name = claim.names[int(np.flatnonzero(changed)[0])]
        raise UnknownLineageError(f"The engineered column {name!r} depends on {cause}.")


def _changed(before: Any, after: Any) -> npt.NDArray[np.bool_]:
    """``(n_columns,)``: whether a column changes in some row by more than rounding."""
    if before.shape != after.shape:
        raise UnknownLineageError("The number of engineered columns changes with the rows.")
    if sparse.issparse(before):
        size = abs(before).max(axis=0).toarray().ravel()
        difference = (before - sparse.csr_matrix(after)).tocoo()
        is_large = np.abs(difference.data) > 1e-6 * size[difference.col]
        changed = np.zeros(before.shape[1], dtype=bool)
        changed[difference.col[is_large]] = True
        return changed
    try:
        old, new = before.astype(np.float64), after.astype(np.float64)
    except (TypeError, ValueError):  # text, categories, missing values of pandas
        return np.asarray((before.astype(str) != after.astype(str)).any(axis=0))
    size = np.where(np.isfinite(old), np.abs(old), 0.0).max(axis=0, initial=0.0)
    close = np.isclose(old, new, rtol=1e-6, atol=1e-12 * size, equal_nan=True)
    return np.asarray(~close.all(axis=0))


def _cells(output: Any) -> Any:
    if sparse.issparse(output) and output.shape[1] > _WIDEST:
        return sparse.csr_matrix(output, dtype=np.float64)
    array: npt.NDArray[Any] = output.toarray() if sparse.issparse(output) else np.asarray(output)
    return array[:, None] if array.ndim == 1 else array


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
    return step is not None and not isinstance(step, str)  # not None or "passthrough"


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
    if n_out > (_WIDEST_SPARSE if sparse.issparse(output) else _WIDEST):
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
    kind = type(step).__name__
    is_skrub = type(step).__module__.startswith("skrub.")
    mapping = getattr(step, "input_to_outputs_", None) if is_skrub else None
    is_inferred = mapping is None and not (is_skrub and isinstance(step, OneToOneFeatureMixin))
    input_of = {label: name for name, labels in (mapping or {}).items() for label in labels}
    before, after = _labels(rows), _labels(output)
    origins = [input_of.get(name, name) for name in after]
    if before and after and set(origins) <= set(before):
        sources = [frozenset({before.index(name)}) for name in origins]
    elif mapping is None and _width(rows) == _width(output):
        sources = _same(_width(rows))
    else:
        raise UnknownLineageError(f"The sources of the columns of {kind} are not known.")
    if is_inferred:
        cells = as_batch(rows, [str(i) for i in range(_width(rows))], rows).frame.astype(str)
        if len(cells) < _INFERENCE_ROWS or (cells.nunique() < 2).any():
            raise UnknownLineageError(
                f"The sample rows vary too little to infer the sources of the columns of {kind}."
            )
        inferred.append(kind)
    return sources


def _labels(rows: Any) -> list[str]:
    """The names of the columns; empty if they have none, or if names repeat."""
    names = [str(name) for name in getattr(rows, "columns", ())]
    return names if len(set(names)) == len(names) else []
