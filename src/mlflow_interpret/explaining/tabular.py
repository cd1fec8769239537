"""TabularExplainer: its fast engines for trees and linear models, and its kernel explainer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.blackbox import BACKGROUND_ROWS, BlackBox
from mlflow_interpret.explaining.coding import is_numeric, numbers
from mlflow_interpret.explaining.contributions import (
    Contributions,
    check_shapes,
    difference,
    matching_scale,
)
from mlflow_interpret.explaining.models import AVERAGE_PATH, Predictor, per_class
from mlflow_interpret.explaining.tables import Table, sample
from mlflow_interpret.records import FloatArray

_logger = logging.getLogger(__name__)

KERNEL_ROWS = 20
LINEAR_ROWS = 2_000
TREE_ROWS = 1_000
_SMALL_BACKGROUND = 30
_TREE_STEPS = 5_000_000_000
"""Work that a tree explanation may cost by default, in leaves x depth x features of a path: tree
SHAP's own measure, of which a core does some 10^9 a second."""
_ALL_COALITIONS = 13  # with more features shap samples less than a fifth of them, and selects

TREES_NOTE = (
    "Tree SHAP in its path-dependent form: an unknown feature is averaged over the training rows "
    "that reached the same node, not over all background rows."
)


def fast(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    """The contributions by TabularExplainer's tree or linear engine, or why there are none."""
    from interpret_community import TabularExplainer
    from interpret_community.shap.linear_explainer import LinearExplainer
    from interpret_community.shap.tree_explainer import TreeExplainer

    if not (is_numeric(rows.frame) and is_numeric(background.frame)):
        return "the rows hold other things than numbers"
    # All that a linear model's values need of the background is its mean. Given more than 100 rows,
    # shap would take some of them.
    init = numbers(background.frame).mean(axis=0, keepdims=True)
    try:
        with _steady_numpy(seed):
            explainer = TabularExplainer(predictor.model, init)
        if not isinstance(explainer.explainer, (TreeExplainer, LinearExplainer)):
            return f"TabularExplainer has no fast engine for {predictor.name}"
        linear = isinstance(explainer.explainer, LinearExplainer)
        cap = LINEAR_ROWS if linear else tree_rows(predictor.model)
        picked = sample(len(rows), cap if max_rows is None else max_rows, seed)
        table = rows.subset(picked)
        with _steady_numpy(seed):
            raw = explainer.explain_global(numbers(table.frame))
        local, expected = _by_block(predictor, raw)
    except Exception as error:
        _logger.debug("TabularExplainer failed for %s", predictor.name, exc_info=True)
        return f"TabularExplainer failed: {one_line(error)}"
    scale, missed = matching_scale(predictor, table, local, expected)
    if scale is None:
        return f"{raw.method} values add up to no output of the model (off by {missed:.3g})"
    notes = [] if linear else [TREES_NOTE]
    if scale == AVERAGE_PATH:
        notes.append("Rows are more normal, the longer the path; the score follows from it.")
    return Contributions(
        method=raw.method,
        engine=f"TabularExplainer, {type(explainer.explainer).__name__}",
        local_values=local,
        expected_values=expected,
        scale=scale,
        additivity_error=missed,
        rows=picked,
        background_rows=len(background) if linear else None,
        notes=tuple(notes),
    )


def kernel(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions:
    """The contributions by TabularExplainer's kernel explainer.

    Raises:
        CannotExplainError: The model gives no finite outputs.
    """
    from interpret_community import TabularExplainer

    picked = sample(len(rows), KERNEL_ROWS if max_rows is None else max_rows, seed)
    summarized = len(background) > 100  # interpret-community then takes 10 k-means centres instead
    chosen = sample(len(background), BACKGROUND_ROWS if summarized else _SMALL_BACKGROUND, seed)
    box = BlackBox(predictor, rows.subset(picked), background.subset(chosen))
    with _steady_numpy(seed):
        explainer = TabularExplainer(_Numeric(box), box.background)
        explainer.explainer.show_progress = False
        raw = explainer.explain_global(box.rows)
    local, expected = _by_block(predictor, raw)
    if not np.isfinite(local).all():
        raise CannotExplainError(
            f"the kernel explainer gave values that are not finite for {predictor.name}; "
            "does the model predict NaN or infinity?"
        )
    notes = list(box.notes)
    if rows.frame.shape[1] > _ALL_COALITIONS:
        notes.append("A row's small contributions may be 0, by kernel SHAP's selection with AIC.")
    if summarized:
        notes.append("The background is 10 k-means centres of the background rows.")
    outputs = box.output(box.rows)
    return Contributions(
        method=raw.method,
        engine="TabularExplainer, KernelExplainer",
        local_values=local,
        expected_values=expected,
        scale=box.scale,
        additivity_error=difference(
            local, expected, outputs[:, 0] if predictor.blocks is None else outputs
        ),
        rows=picked,
        background_rows=len(chosen),
        notes=tuple(notes),
    )


class _Numeric:
    """The model as TabularExplainer's kernel explainer wants one: numbers in, scores out."""

    def __init__(self, box: BlackBox) -> None:
        self._box = box
        if box.predictor.blocks is not None:
            self.predict_proba = self._scores

    def _scores(self, numbers: Any) -> FloatArray:
        return self._box.output(np.atleast_2d(np.asarray(numbers, dtype=np.float64)))

    def predict(self, numbers: Any) -> npt.NDArray[Any]:
        scores = self._scores(numbers)
        return scores[:, 0] if self._box.predictor.blocks is None else scores.argmax(axis=1)


def _by_block(predictor: Predictor, raw: Any) -> tuple[FloatArray, FloatArray]:
    """One block of values for each class or target; engines give binary models a single one."""
    local: FloatArray = np.asarray(raw.local_importance_values, dtype=np.float64)
    expected: FloatArray = np.atleast_1d(np.asarray(raw.expected_values, dtype=np.float64))
    if predictor.blocks is None:
        if local.ndim == 3 and len(local) <= 2:
            local = local[-1]  # a model of one output column; with two blocks, the first is negated
        check_shapes(predictor, local, expected)
        return local, expected
    local = local[None] if local.ndim == 2 else local
    n_classes = [len(labels) for labels in predictor.labels or ()]
    padded = len(n_classes) * max(n_classes, default=0)
    if len(n_classes) > 1 and len(local) == len(expected) == padded:
        # Trees of several targets: shap pads to as many classes for each, and shares 1 among them.
        kept = [t * max(n_classes) + i for t, n in enumerate(n_classes) for i in range(n)]
        local, expected = local[kept] * len(n_classes), expected[kept] * len(n_classes)
    elif set(n_classes) == {2}:
        if len(local) == len(n_classes):
            local = np.stack([-local, local], axis=1).reshape(-1, *local.shape[1:])
        if len(expected) == len(n_classes):
            expected = per_class(expected[None], n_classes)[0]
    check_shapes(predictor, local, expected)
    return local, expected


def tree_rows(model: Any) -> int:
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
