"""TabularExplainer: its fast engines for trees and linear models, and its kernel explainer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.errors import CannotExplainError, one_line
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import check_shapes, matching_scale
from mlflow_interpret.explaining.explainers.base import Attributions
from mlflow_interpret.explaining.explainers.linear import LINEAR_ROWS
from mlflow_interpret.explaining.explainers.permutation import (
    BACKGROUND_ROWS,
    KEPT,
    BlackBox,
    callable_output,
    measured,
    notes_on,
)
from mlflow_interpret.explaining.explainers.tree_nodes import tree_notes
from mlflow_interpret.explaining.model_adapter import ModelAdapter, per_class
from mlflow_interpret.explaining.time_budget import Budget, Metered

_logger = logging.getLogger(__name__)

KERNEL_ROWS = 20
TREE_ROWS = 1_000
_SMALL_BACKGROUND = 30
_CENTRES = 10  # of k-means, with which interpret-community summarizes a large background
_FEWEST_ROWS = 2
_TREE_STEPS = 5_000_000_000
"""Work that a tree explanation may cost by default, in leaves x depth x features of a path: tree
SHAP's own measure, of which a core does some 10^9 a second."""
_WHOLE_STEPS = _TREE_STEPS // 5
_ALL_COALITIONS = 13  # with more features shap samples less than a fifth of them, and selects


class Fast:
    """TabularExplainer's tree or linear engine, ready for a model.

    Raises:
        CannotExplainError: It has none for this model, or not for such background rows.
    """

    def __init__(self, adapter: ModelAdapter, background: RowBatch, seed: int) -> None:
        if not is_numeric(background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._predictor, self._seed = adapter, seed
        # All that a linear model's values need of the background is its mean. Given more than 100
        # rows, shap would take some of them.
        self._init = numbers(background.frame).mean(axis=0, keepdims=True)
        self._n_background = len(background)
        self._name = type(self._explainer).__name__
        self._linear = self._name == "LinearExplainer"

    shortened = False

    @property
    def spreads(self) -> bool:
        """As `Explainer` has it, like all that follows."""
        return not self._linear

    @property
    def method(self) -> str:  # noqa: D102
        return "shap_linear" if self._linear else "shap_tree"

    @property
    def engine(self) -> str:  # noqa: D102
        return f"TabularExplainer, {self._name}"

    @property
    def ceiling(self) -> int:  # noqa: D102
        return LINEAR_ROWS if self._linear else tree_rows(self._predictor.model)

    @property
    def whole(self) -> int:  # noqa: D102
        return LINEAR_ROWS if self._linear else tree_rows(self._predictor.model, _WHOLE_STEPS)

    @property
    def background_rows(self) -> int | None:  # noqa: D102
        return self._n_background if self._linear else None

    @property
    def notes(self) -> tuple[str, ...]:  # noqa: D102
        return () if self._linear else tree_notes(self._predictor.model)

    @cached_property
    def _explainer(self) -> Any:
        from interpret_community.shap.linear_explainer import LinearExplainer
        from interpret_community.shap.tree_explainer import TreeExplainer

        # As TabularExplainer chooses; its next choice, the kernel explainer, calls the model.
        with _steady_numpy(self._seed):
            for kind, arguments in ((TreeExplainer, ()), (LinearExplainer, (self._init,))):
                try:
                    return kind(self._predictor.model, *arguments)
                except Exception:
                    _logger.debug("No %s", kind.__name__, exc_info=True)
        raise CannotExplainError(f"TabularExplainer has no fast engine for {self._predictor.name}")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_explainer"}

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:
        """As `Explainer` has it."""
        if not is_numeric(rows.frame):
            raise CannotExplainError(NOT_NUMBERS)
        explainer = self._explainer
        try:
            with _steady_numpy(self._seed):
                raw = explainer.explain_global(numbers(rows.frame))
            local, expected = _by_block(self._predictor, raw)
        except Exception as error:
            raise _failed(self._predictor, error) from error
        if scale is None:
            scale, outputs = matching_scale(self._predictor, rows, local, expected)
        else:
            outputs = self._predictor.output(scale)(rows.original)
        return Attributions(local, expected, outputs, scale)


def _failed(adapter: ModelAdapter, error: Exception) -> CannotExplainError:
    _logger.debug("TabularExplainer failed for %s", adapter.name, exc_info=error)
    return CannotExplainError(f"TabularExplainer failed: {one_line(error)}")


class Kernel:
    """TabularExplainer's kernel explainer, ready for a model."""

    method = "shap_kernel"
    engine = "TabularExplainer, KernelExplainer"
    ceiling = whole = KERNEL_ROWS

    spreads = True

    def __init__(
        self, adapter: ModelAdapter, background: RowBatch, plan: Plan, budget: Budget
    ) -> None:
        self._predictor, self._seed = adapter, plan.random_state
        budget.keep(KEPT)
        self._meter = Metered(budget)
        # Of more than 100 rows interpret-community takes 10 k-means centres.
        self._summarized = len(background) > 100
        n = BACKGROUND_ROWS if self._summarized else _SMALL_BACKGROUND
        ground = background.subset(sample_rows(len(background), n, self._seed))
        self._scale, output = callable_output(adapter, ground)
        self._background = ground
        self._n_samples: int | str = "auto"
        if self._meter.is_limited:
            known, _ = measured(adapter, output, ground, self._meter, self._seed)
            if len(known) < len(ground):  # TabularExplainer asks for all of them several times
                self._background = known.subset(slice(_CENTRES))
                self._summarized = False
            self._n_samples = self._affordable_samples()
        self.shortened = self._n_samples != "auto" or len(self._background) < len(ground)

    def _affordable_samples(self) -> int | str:
        """How many coalitions of a row can be tried, all rows being mixed with each centre."""
        width, n_ground = self._background.frame.shape[1], min(len(self._background), _CENTRES)
        fewest, usual = 2 * width, 2 * width + 2048  # that is shap's "auto"
        usual = min(usual, 2**width - 2) if width < _ALL_COALITIONS else usual
        fewest = min(fewest, usual)
        allowed = self._meter.affordable(self._predictor.name, _FEWEST_ROWS * fewest * n_ground)
        samples = allowed // (_FEWEST_ROWS * n_ground)
        return "auto" if samples >= usual else max(samples, fewest)

    @property
    def background_rows(self) -> int:
        """As `Explainer` has it, like all that follows."""
        return len(self._background)

    @property
    def notes(self) -> tuple[str, ...]:  # noqa: D102
        notes = list(notes_on(self._scale))
        if self._n_samples != "auto":
            notes.append(f"In the time only {self._n_samples} coalitions were tried for each row.")
        if self._background.frame.shape[1] > _ALL_COALITIONS:
            notes.append(
                "A row's small contributions may be 0, by kernel SHAP's selection with AIC."
            )
        if self._summarized:
            notes.append("The background is 10 k-means centres of the background rows.")
        return tuple(notes)

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """As `Explainer` has it; ``scale`` is always the same.

        Raises:
            CannotExplainError: The model gives no finite outputs.
            OutOfTimeError: The budget is spent.
        """
        from interpret_community import TabularExplainer

        box = BlackBox(self._predictor, self._scale, rows, self._background, self._meter)
        with _steady_numpy(self._seed):
            explainer = TabularExplainer(_Numeric(box), box.background)
        explainer.explainer.show_progress = False
        explainer.explainer.nsamples = self._n_samples
        found = []
        for number, row in zip(rows.numbers, box.rows, strict=True):
            with _steady_numpy([self._seed, int(number)]):
                found.append(_by_block(self._predictor, explainer.explain_global(row[None, :])))
        local = np.concatenate([values for values, _ in found], axis=-2)
        if not np.isfinite(local).all():
            raise CannotExplainError(
                "the kernel explainer gave values that are not finite for "
                f"{self._predictor.name}; does the model predict NaN or infinity?"
            )
        outputs = box.output(box.rows)
        outputs = outputs[:, 0] if self._predictor.output_names is None else outputs
        return Attributions(local, found[0][1], outputs, self._scale)


class _Numeric:
    """The model as TabularExplainer's kernel explainer wants one: numbers in, scores out."""

    def __init__(self, box: BlackBox) -> None:
        self._box = box
        if box.adapter.output_names is not None:
            self.predict_proba = self._scores

    def _scores(self, numbers: Any) -> FloatArray:
        return self._box.output(np.atleast_2d(np.asarray(numbers, dtype=np.float64)))

    def predict(self, numbers: Any) -> npt.NDArray[Any]:
        scores = self._scores(numbers)
        return scores[:, 0] if self._box.adapter.output_names is None else scores.argmax(axis=1)


def _by_block(adapter: ModelAdapter, raw: Any) -> tuple[FloatArray, FloatArray]:
    """One block of values for each class or target; engines give binary models a single one."""
    local: FloatArray = np.asarray(raw.local_importance_values, dtype=np.float64)
    expected: FloatArray = np.atleast_1d(np.asarray(raw.expected_values, dtype=np.float64))
    if adapter.output_names is None:
        if local.ndim == 3 and len(local) <= 2:
            local = local[-1]  # a model of one output column; with two blocks, the first is negated
        check_shapes(adapter, local, expected)
        return local, expected
    local = local[None] if local.ndim == 2 else local
    n_classes = [len(labels) for labels in adapter.labels or ()]
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
    check_shapes(adapter, local, expected)
    return local, expected


def tree_rows(model: Any, most: int = _TREE_STEPS) -> int:
    """How many rows of a tree ensemble cost ``most`` steps, by its leaves and depth."""
    trees = getattr(model, "estimators_", [model])
    inner = [getattr(tree, "tree_", None) for tree in np.ravel(np.asarray(trees, dtype=object))]
    steps = sum(
        tree.n_leaves * tree.max_depth * min(tree.max_depth, model.n_features_in_)
        for tree in inner
        if tree is not None
    )
    if not steps:
        return TREE_ROWS
    return int(np.clip(most // steps, KERNEL_ROWS, TREE_ROWS))


@contextmanager
def _steady_numpy(seed: int | list[int]) -> Iterator[None]:
    """Seed numpy's global generator, which shap draws from, and leave it as it was."""
    state = np.random.get_state()  # noqa: NPY002 - shap knows no other generator
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
