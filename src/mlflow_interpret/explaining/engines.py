"""The engines that compute contributions: TabularExplainer's fast ones and its kernel explainer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.models import Output, Predictor, per_class
from mlflow_interpret.explaining.pipelines import take_apart
from mlflow_interpret.explaining.tables import (
    Coding,
    Indices,
    Table,
    is_numeric,
    numbers,
    sample,
)
from mlflow_interpret.records import FloatArray

_logger = logging.getLogger(__name__)

KERNEL_ROWS = 20
LINEAR_ROWS = 2_000
TREE_ROWS = 1_000
_TREE_STEPS = 5_000_000_000
"""Work that a tree explanation may cost by default, in leaves x depth x features of a path: tree
SHAP's own measure, of which a core does some 10^9 a second."""

BACKGROUND_ROWS = 1_000
_SMALL_BACKGROUND = 30
LINEAR_BACKGROUND = 100  # shap's linear explainer would sample as many of its own choice
_ENGINEERED_CELLS = 20_000_000  # a vectorizer may make thousands of columns of one
_ALL_COALITIONS = 13  # with more features shap samples less than a fifth of them, and selects
_TOLERANCE = 1e-3
"""Of the contributions' size: by so much their sum may miss the model's output."""
_ROUNDING = 1e-6
"""The same of the output's size, for models that compute in single precision."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """What an engine computed for some rows.

    Attributes:
        method: interpret-community's name of the method.
        local_values: ``(n_classes, n_rows, n_features)``, for regression ``(n_rows, n_features)``.
        expected_values: ``(n_classes,)``, for regression ``(1,)``.
        scale: The model output that the values add up to.
        additivity_error: The largest absolute difference between that output and the values' sum.
        rows: The positions of the explained rows among those that were given.
        background_rows: How many background rows the method used, None for none.
        notes: What was approximated, in sentences.
    """

    method: str
    local_values: FloatArray
    expected_values: FloatArray
    scale: str
    additivity_error: float
    rows: Indices
    background_rows: int | None
    notes: tuple[str, ...] = ()


def contributions(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions:
    """Explain some of ``rows``, with the fastest engine that gives right values.

    Args:
        predictor: The model.
        rows: The rows to choose from.
        background: The rows that stand for "feature unknown".
        max_rows: At most so many rows, None for the engine's own cap.
        seed: Chooses the rows.

    Raises:
        CannotExplainError: No engine can explain this model on these rows.
    """
    explain = _pipeline if hasattr(predictor.model, "steps") else _fast
    result = explain(predictor, rows, background, max_rows, seed)
    if isinstance(result, Contributions):
        return result
    _logger.debug("No fast engine for %s: %s", predictor.name, result)
    return _kernel(predictor, rows, background, max_rows, seed, result)


def _pipeline(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    parts = take_apart(predictor, rows)
    if isinstance(parts, str):
        return parts
    limit = max(KERNEL_ROWS, _ENGINEERED_CELLS // max(len(parts.lineage.names), 1))
    chosen = sample(len(rows), limit if max_rows is None else max_rows, seed)
    rows, background = (
        rows.subset(chosen),
        background.subset(sample(len(background), LINEAR_BACKGROUND, seed)),
    )
    try:
        engineered = parts.engineer(rows), parts.engineer(background)
    except Exception as error:
        return f"the steps in front of {parts.last.name} failed: {one_line(error)}"
    result = _fast(parts.last, *engineered, max_rows, seed)
    if isinstance(result, str):
        return result
    local = parts.by_raw_column(result.local_values, rows.frame.shape[1])
    return replace(
        result, local_values=local, rows=chosen[result.rows], notes=(*parts.notes, *result.notes)
    )


def _fast(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    from interpret_community import TabularExplainer
    from interpret_community.shap.linear_explainer import LinearExplainer
    from interpret_community.shap.tree_explainer import TreeExplainer

    if not (is_numeric(rows.frame) and is_numeric(background.frame)):
        return "the rows hold other things than numbers"
    chosen = sample(len(background), LINEAR_BACKGROUND, seed)
    init = numbers(background.subset(chosen).frame)
    try:
        with _steady_numpy(seed):
            explainer = TabularExplainer(predictor.model, init)
        if not isinstance(explainer.explainer, (TreeExplainer, LinearExplainer)):
            return f"TabularExplainer has no fast engine for {predictor.name}"
        linear = isinstance(explainer.explainer, LinearExplainer)
        cap = LINEAR_ROWS if linear else _tree_rows(predictor.model)
        picked = sample(len(rows), cap if max_rows is None else max_rows, seed)
        table = rows.subset(picked)
        with _steady_numpy(seed):
            raw = explainer.explain_global(numbers(table.frame))
        local, expected = _by_class(predictor, raw)
    except Exception as error:
        _logger.debug("TabularExplainer failed for %s", predictor.name, exc_info=True)
        return f"TabularExplainer failed: {one_line(error)}"
    scale, difference = _scale(predictor, table, local, expected)
    if scale is None:
        return f"{raw.method} values add up to no output of the model (off by {difference:.3g})"
    return Contributions(
        method=raw.method,
        local_values=local,
        expected_values=expected,
        scale=scale,
        additivity_error=difference,
        rows=picked,
        background_rows=len(chosen) if linear else None,
    )


def _kernel(
    predictor: Predictor,
    rows: Table,
    background: Table,
    max_rows: int | None,
    seed: int,
    refusal: str,
) -> Contributions:
    from interpret_community import TabularExplainer

    scale, output = _callable_output(predictor, background)
    picked = sample(len(rows), KERNEL_ROWS if max_rows is None else max_rows, seed)
    limit = BACKGROUND_ROWS if len(background) > 100 else _SMALL_BACKGROUND
    chosen = sample(len(background), limit, seed)
    coding = Coding(rows.frame, background.frame)
    encoded = coding.encode(background.subset(chosen).frame)
    model = _BlackBox(predictor, output, coding, rows)
    with _steady_numpy(seed):
        explainer = TabularExplainer(model, encoded)
        explainer.explainer.show_progress = False
        raw = explainer.explain_global(coding.encode(rows.subset(picked).frame))
    local, expected = _by_class(predictor, raw)
    if not np.isfinite(local).all():
        raise CannotExplainError(
            f"the kernel explainer gave values that are not finite for {predictor.name}; "
            "does the model predict NaN or infinity?"
        )
    outputs = output(rows.subset(picked).original)
    summarized = len(chosen) > 100  # interpret-community then takes 10 k-means centres instead
    notes = [
        f"Kernel explainer, because {refusal}.",
    ]
    if rows.frame.shape[1] > _ALL_COALITIONS:
        notes.append("A row's small contributions may be 0, by kernel SHAP's selection with AIC.")
    if summarized:
        notes.append("The background is 10 k-means centres of the background rows.")
    if scale == "predicted label":
        notes.append("The model has no scores; its predicted labels are explained, as 0 and 1.")
    return Contributions(
        method=raw.method,
        local_values=local,
        expected_values=expected,
        scale=scale,
        additivity_error=_difference(local, expected, outputs),
        rows=picked,
        background_rows=len(chosen),
        notes=tuple(notes),
    )


class _BlackBox:
    """The model as TabularExplainer's kernel explainer wants one: numbers in, scores out."""

    def __init__(self, predictor: Predictor, output: Output, coding: Coding, like: Table) -> None:
        self._output = output
        self._coding = coding
        self._like = like
        if predictor.classes is not None:
            self.predict_proba = self._scores

    def _scores(self, numbers: Any) -> FloatArray:
        cells = np.atleast_2d(np.asarray(numbers, dtype=np.float64))
        return self._output(self._like.restore(self._coding.decode(cells)))

    def predict(self, numbers: Any) -> npt.NDArray[Any]:
        scores = self._scores(numbers)
        return scores.argmax(axis=1) if scores.ndim == 2 else scores


def _callable_output(predictor: Predictor, background: Table) -> tuple[str, Output]:
    """The first output of the model that works, tried on one row."""
    one = background.subset(np.arange(1)).original
    failure: Exception | None = None
    for scale, output in predictor.outputs():
        try:
            output(one)
        except Exception as error:
            failure = failure or error
            continue
        return scale, output
    if isinstance(failure, CannotExplainError):
        raise failure
    reason = one_line(failure) if failure else "it has no outputs"
    raise CannotExplainError(f"{predictor.name} cannot predict the rows it was given: {reason}")


def _by_class(predictor: Predictor, raw: Any) -> tuple[FloatArray, FloatArray]:
    """One block of values for each class; engines give binary models a single one."""
    local: FloatArray = np.asarray(raw.local_importance_values, dtype=np.float64)
    expected: FloatArray = np.atleast_1d(np.asarray(raw.expected_values, dtype=np.float64))
    if predictor.classes is None:
        if local.ndim == 3 and len(local) <= 2:
            local = local[-1]  # a model of one output column; with two blocks, the first is negated
        if local.ndim != 2:
            raise CannotExplainError(f"contributions of shape {local.shape} for a regression")
        return local, expected
    n_classes = len(predictor.classes)
    if local.ndim == 2 or (local.ndim == 3 and len(local) == 1):
        positive = local if local.ndim == 2 else local[0]
        local = np.stack([-positive, positive])
    if len(expected) == 1:
        expected = per_class(expected, n_classes)[0]
    if local.ndim != 3 or len(local) != n_classes or len(expected) != n_classes:
        raise CannotExplainError(f"contributions of shape {local.shape} for {n_classes} classes")
    return local, expected


def _scale(
    predictor: Predictor, rows: Table, local: FloatArray, expected: FloatArray
) -> tuple[str | None, float]:
    """The model output that the values add up to, and by how much they miss it."""
    best = float("inf")
    for scale, output in predictor.outputs():
        try:
            outputs = output(rows.original)
        except Exception:  # noqa: S112 - a model without this output; the next one is tried
            continue
        difference = _difference(local, expected, outputs)
        size = np.abs(local).sum(axis=-1).max(initial=0.0)
        if difference <= _TOLERANCE * size + _ROUNDING * np.abs(outputs).max(initial=0.0):
            return scale, difference
        best = min(best, difference)
    return None, best


def _difference(local: FloatArray, expected: FloatArray, outputs: FloatArray) -> float:
    sums = local.sum(axis=-1) + (expected[:, None] if local.ndim == 3 else expected)
    difference = np.abs((sums.T if local.ndim == 3 else sums) - outputs).max(initial=0.0)
    return float(difference) if np.isfinite(difference) else float("inf")


def _tree_rows(model: Any) -> int:
    """How many rows of a tree ensemble are explained in seconds, by its leaves and depth."""
    trees = getattr(model, "estimators_", [model])
    inner = [getattr(tree, "tree_", None) for tree in np.ravel(np.asarray(trees, dtype=object))]
    steps = sum(
        tree.n_leaves * tree.max_depth * min(tree.max_depth, model.n_features_in_)
        for tree in inner
        if tree is not None
    )
    if not steps:
        return TREE_ROWS
    return int(np.clip(_TREE_STEPS // steps, KERNEL_ROWS, TREE_ROWS))


@contextmanager
def _steady_numpy(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, which shap draws from, and leave it as it was."""
    state = np.random.get_state()  # noqa: NPY002 - shap knows no other generator
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
