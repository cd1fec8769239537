"""Which raw columns each engineered column is made of, for the steps in front of a model.

AttributionResult of engineered columns may be summed up by raw column only where each engineered
column is a function of a single raw column of its own row. What is claimed here is therefore an
upper bound: a column depends on its sources at most, and where no bound is known for certain, the
answer is an error.

The bounds come from three places:

- A transformer that is given one column makes everything of it, whatever it does.
- scikit-learn's own transformers are known by their fitted attributes; those without a rule, such
  as PCA, make every column of all columns. So do KNNImputer and IterativeImputer even where no
  value was missing at fit: one may be later. A class that derives from one of theirs is not theirs.
- Of any other transformer only the plainest claim is tried: each column is made of the one with
  its name, or where the names do not tell, with its position. Such a claim is inferred, not known.

Then `verify` tries every bound on real rows. It refutes a wrong claim if the forbidden dependence
shows in these rows. A dependence that shows in rare rows only, as in
``np.where(income > 1e6, age, height)``, could escape it, so `Lineage.inferred` names the
transformers whose sources rest on it alone.
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
"""So many rows are tried at most: each trial transforms them once."""
_INFERENCE_ROWS = 30
"""Fewer rows say too little of a transformer that is not known."""
_SHUFFLES = 3
_WIDEST = 20_000
"""With more engineered columns, as of a HashingVectorizer, neither a check nor SHAP is feasible."""


class UnknownLineageError(MlflowInterpretError):
    """It is not known for certain what the engineered columns are made of; the message says why."""


@dataclass(frozen=True)
class Lineage:
    """What each engineered column is made of.

    Attributes:
        names: The engineered columns, as ``get_feature_names_out`` gives them where it can; unique.
        sources: For each engineered column the positions of the raw columns it can depend on.
        inferred: The classes of transformers whose sources were only tried on some rows.
    """

    names: tuple[str, ...]
    sources: tuple[frozenset[int], ...]
    inferred: tuple[str, ...] = ()

    @property
    def is_separable(self) -> bool:
        """Every engineered column is made of one raw column, or is a constant."""
        return not self.mixed

    @property
    def mixed(self) -> tuple[str, ...]:
        """The engineered columns that are made of several raw columns."""
        return tuple(n for n, one in zip(self.names, self.sources, strict=True) if len(one) > 1)


def lineage(steps: Sequence[tuple[str, Any]] | Any, rows: RowBatch) -> Lineage:
    """The raw columns behind each column that fitted transformers make.

    A lineage that is separable has been verified on ``rows``; a mixed one is of no use but for
    messages and has not.

    Args:
        steps: The steps in front of a pipeline's last one, or one transformer.
        rows: Some of the rows that the first step is given; some dozens at least.

    Raises:
        UnknownLineageError: It is not known, or not true on these rows.
    """
    given: Any = steps
    given = given.steps if type(given) is Pipeline else given
    chain = list(given) if isinstance(given, Sequence) else [("", given)]
    try:
        return _lineage(chain, rows.subset(sample_rows(len(rows), _ROWS, 0)))
    except UnknownLineageError:
        raise
    except Exception as error:  # a transformer, or rows, of a kind that nobody thought of
        raise UnknownLineageError("Its columns could not be traced", error) from error


def _lineage(chain: list[tuple[str, Any]], rows: RowBatch) -> Lineage:
    own = list(getattr(rows.template, "columns", rows.frame.columns))
    names = own if all(isinstance(name, str) for name in own) else list(rows.frame.columns)
    inferred: list[str] = []
    sources, names, _ = _chain(chain, _restored(rows, rows.frame), names, inferred)
    found = Lineage(distinct_names(names), tuple(sources), tuple(dict.fromkeys(inferred)))
    if found.is_separable:
        verify(partial(apply_steps, chain), rows, found)
    return found


def verify(transform: Callable[[Any], Any], rows: RowBatch, found: Lineage) -> None:
    """Shuffle raw columns in real rows and see that only what is made of them changes.

    Columns are shuffled in groups, for each binary digit of their position those with a 0 and
    those with a 1: any two columns are apart in some group, so 2 log2(n) groups try all pairs.

    Args:
        transform: Makes engineered rows of raw ones.
        rows: Raw rows.
        found: What is claimed.

    Raises:
        UnknownLineageError: An engineered column depends on other raw columns, or on other rows.
    """
    plain = _cells(transform(_restored(rows, rows.frame)))
    _equal(len(found.names), plain.shape[1], "The transformer's output on the same rows")
    half = len(rows) // 2
    if half:
        alone = _cells(transform(_restored(rows, rows.frame.iloc[:half])))
        _refuse(_changed(plain[:half], alone), found, "what other rows hold")
    raw = rows.frame.reset_index(drop=True)
    generator = np.random.default_rng(0)
    for group in _groups(raw.shape[1]):
        bound = np.array([not one & group for one in found.sources], dtype=bool)
        for _ in range(_SHUFFLES if bound.any() else 0):
            other = raw.take(generator.permutation(len(raw))).reset_index(drop=True)
            columns = {i: (other if i in group else raw).iloc[:, i] for i in range(raw.shape[1])}
            trial = pd.DataFrame(columns).set_axis(raw.columns, axis=1)
            cells = _cells(transform(_restored(rows, trial)))
            _refuse(bound & _changed(plain, cells), found, "raw columns it is not made of")


def _groups(n: int) -> Iterator[frozenset[int]]:
    for digit in range(max(n - 1, 0).bit_length()):
        for value in (0, 1):
            yield frozenset(i for i in range(n) if i >> digit & 1 == value)
    yield frozenset(range(n))  # constants


def _restored(rows: RowBatch, frame: pd.DataFrame) -> Any:
    return rows.restore(frame.copy())  # some transformers change their input in place


def _refuse(changed: npt.NDArray[np.bool_], found: Lineage, what: str) -> None:
    if changed.any():
        name = found.names[int(np.flatnonzero(changed)[0])]
        raise UnknownLineageError(f"The engineered column {name!r} depends on {what}.")


def _changed(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """``(n_columns,)``: the column has another value in some row, by more than rounding."""
    if before.shape != after.shape:
        raise UnknownLineageError("The number of engineered columns changes with the rows.")
    try:
        one, other = before.astype(np.float64), after.astype(np.float64)
    except (TypeError, ValueError):  # texts, categories, missing values of pandas
        return np.asarray((before.astype(str) != after.astype(str)).any(axis=0))
    size = np.where(np.isfinite(one), np.abs(one), 0.0).max(axis=0, initial=0.0)
    close = np.isclose(one, other, rtol=1e-6, atol=1e-12 * size, equal_nan=True)
    return np.asarray(~close.all(axis=0))


def _cells(output: Any) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = output.toarray() if sparse.issparse(output) else np.asarray(output)
    return array[:, None] if array.ndim == 1 else array


def _width(rows: Any) -> int:
    """The number of columns; a column of texts, as vectorizers take, is one."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) not in (1, 2):
        raise UnknownLineageError(f"A step gives no table but a {type(rows).__name__}.")
    return int(shape[1]) if len(shape) == 2 else 1


def _equal(expected: int, got: int, what: str) -> None:
    if expected != got:
        raise UnknownLineageError(f"{what} has {got} columns where {expected} were expected.")


def _transform(step: Any, rows: Any) -> Any:
    try:
        return step.transform(rows)
    except Exception as error:
        kind = type(step).__name__
        raise UnknownLineageError(f"{kind} fails on rows", error) from error


def _is_step(step: Any) -> bool:
    return step is not None and not isinstance(step, str)  # None and "passthrough" do nothing


def apply_steps(steps: Iterable[tuple[str, Any]], rows: Any) -> Any:
    """What fitted steps make of rows."""
    for _, step in steps:
        rows = _transform(step, rows) if _is_step(step) else rows
    return rows


def _chain(
    steps: Iterable[tuple[str, Any]], rows: Any, names: list[str], inferred: list[str]
) -> tuple[Sources, list[str], Any]:
    """The sources and names of the last step's columns, as positions in ``rows``; its output."""
    sources = _same(_width(rows))
    for _, step in steps:
        if _is_step(step):
            own, rows = _trace(step, rows, inferred)
            sources = [frozenset[int]().union(*(sources[i] for i in one)) for one in own]
            names = _names(step, names, own, rows)
    return sources, names, rows


def _names(step: Any, names: list[str], own: Sources, output: Any) -> list[str]:
    try:
        given = step.get_feature_names_out(names)
    except Exception:  # not all have names, and some want those of their own fit
        given = getattr(output, "columns", None)
    if given is None or len(given) != len(own):
        kind, alone = type(step).__name__.lower(), len(set(own)) == len(own)
        bases = [names[min(one)] if len(one) == 1 else kind for one in own]
        given = bases if alone else [f"{base}_{k}" for k, base in enumerate(bases)]
    return [str(name) for name in given]


def _trace(step: Any, rows: Any, inferred: list[str]) -> tuple[Sources, Any]:
    """What a transformer makes its columns of, as positions in ``rows``, and its output."""
    if not _is_step(step):
        return _same(_width(rows)), rows
    n_in = _width(rows)
    output = _transform(step, rows)
    n_out = _width(output)
    if n_out > _WIDEST:
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
    sources = _claimed(step, rows, output, inferred) if sources is None else sources
    _equal(len(sources), n_out, f"The output of {type(step).__name__}")
    return sources, output


def _same(n: int) -> Sources:
    return [frozenset({i}) for i in range(n)]


def _containers(step: Any, rows: Any, inferred: list[str]) -> Sources | None:
    """The rules for transformers made of transformers."""
    if isinstance(step, Pipeline):
        return _chain(step.steps, rows, [""] * _width(rows), inferred)[0]
    if isinstance(step, ColumnTransformer):
        return _column_transformer(step, rows, inferred)
    if isinstance(step, FeatureUnion):
        parts = [child for _, child in step.transformer_list if child != "drop"]
        return [one for child in parts for one in _trace(child, rows, inferred)[0]]
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
        key = positions[0] if np.isscalar(columns) else positions  # a scalar asks for a 1-D column
        own, _ = _trace(child, select_columns(rows, key), inferred)
        sources.extend(frozenset(positions[i] for i in one) for one in own)
    return sources


def _rules(step: Any, n_in: int, n_out: int) -> Sources | None:
    """The rules for scikit-learn's transformers; None for a function, which can do anything."""
    if isinstance(step, FunctionTransformer):
        func, plain = step.func, not step.kw_args
        each = func is None or (plain and isinstance(func, np.ufunc) and func.nin == 1)
        return _same(n_in) if each else None
    if isinstance(step, SelectorMixin):
        return [frozenset({int(i)}) for i in step.get_support(indices=True)]
    if isinstance(step, PolynomialFeatures):
        return [frozenset(np.flatnonzero(powers).tolist()) for powers in step.powers_]
    if isinstance(step, MissingIndicator):
        return [frozenset({int(i)}) for i in step.features_]
    if isinstance(step, SimpleImputer):
        return _imputer(step, n_in, n_out)
    if isinstance(step, OneHotEncoder):
        return _blocks(one_hot_widths(step))
    if isinstance(step, KBinsDiscretizer) and step.encode != "ordinal":
        return _blocks(step.n_bins_)
    # SplineTransformer, and TargetEncoder with several classes, make equally many of each column.
    # Normalizer alone carries the mixin and mixes: it divides a row by its length.
    even = isinstance(step, (OneToOneFeatureMixin, SplineTransformer, KBinsDiscretizer))
    if even and not isinstance(step, Normalizer):
        return _blocks([n_out // n_in] * n_in)
    return [frozenset(range(n_in))] * n_out


def _blocks(widths: Iterable[int]) -> Sources:
    return [frozenset({i}) for i, width in enumerate(widths) for _ in range(int(width))]


def _imputer(step: Any, n_in: int, n_out: int) -> Sources:
    indicator = getattr(step, "indicator_", None)
    marked = [] if indicator is None else [int(i) for i in indicator.features_]
    kept = list(range(n_in))
    if n_out - len(marked) != n_in:  # columns without any value at fit are left out
        kept = np.flatnonzero(~np.asarray(pd.isna(step.statistics_))).tolist()
    return [frozenset({i}) for i in (*kept, *marked)]


def _claimed(step: Any, rows: Any, output: Any, inferred: list[str]) -> Sources:
    """What a transformer without a rule seems to do, which `verify` then tries.

    skrub's column-wise transformers tell what they made of each column; that is not inferred.
    """
    kind = type(step).__name__
    skrub = type(step).__module__.startswith("skrub.")
    told = getattr(step, "input_to_outputs_", None) if skrub else None
    inferring = told is None and not (skrub and isinstance(step, OneToOneFeatureMixin))
    made_of = {new: old for old, several in (told or {}).items() for new in several}
    before, after = _labels(rows), _labels(output)
    origins = [made_of.get(name, name) for name in after]
    if before and after and set(origins) <= set(before):
        sources = [frozenset({before.index(name)}) for name in origins]
    elif told is None and _width(rows) == _width(output):
        sources = _same(_width(rows))
    else:
        raise UnknownLineageError(f"{kind} does not tell what it makes its columns of.")
    if inferring:
        cells = as_batch(rows, [str(i) for i in range(_width(rows))], rows).frame.astype(str)
        if len(cells) < _INFERENCE_ROWS or (cells.nunique() < 2).any():
            raise UnknownLineageError(f"The sample rows vary too little to see what {kind} does.")
        inferred.append(kind)
    return sources


def _labels(rows: Any) -> list[str]:
    """The columns' names; none where they have none or not all are different."""
    names = [str(name) for name in getattr(rows, "columns", ())]
    return names if len(set(names)) == len(names) else []
