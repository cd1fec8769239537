"""TabularExplainer: its fast engines for trees and linear models, and its kernel explainer."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import check_shapes, matching_scale
from mlflow_interpret.explaining.explainers.base import (
    SAMPLING_SHARE,
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
)
from mlflow_interpret.explaining.explainers.linear import MAX_ROWS as LINEAR_ROWS
from mlflow_interpret.explaining.explainers.permutation import (
    BACKGROUND_ROWS,
    BlackBox,
    callable_output,
    measured,
    notes_on,
)
from mlflow_interpret.explaining.explainers.tree_nodes import tree_notes
from mlflow_interpret.explaining.model_adapter import ModelAdapter, per_class
from mlflow_interpret.explaining.time_budget import Metered
from mlflow_interpret.runtime.isolation import seeded_numpy
from mlflow_interpret.runtime.optional_import import import_optional

_logger = logging.getLogger(__name__)

KERNEL_ROWS = 20
TREE_ROWS = 1_000
_SMALL_BACKGROUND = 30
_CENTRES = 10  # of k-means, with which interpret-community summarizes a large background
_FEWEST_ROWS = 2
_TREE_STEPS = 5_000_000_000
"""Work that a tree explanation may cost by default, in leaves x depth x features of a path: tree
SHAP's own measure, of which a core does some 10^9 a second."""
_ALL_COALITIONS = 13  # with more features shap samples less than a fifth of them, and selects


@register(priority=40)
class TabularFastExplainer(Explainer):
    """Explains trees and linear models by the explainers that TabularExplainer chooses."""

    engines = frozenset({"auto", "tabular"})

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: ARG003, D102
        return True

    def __init__(self, request: ExplainRequest) -> None:
        background = request.background
        if not is_numeric(background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._adapter, self._seed = request.adapter, request.plan.random_state
        # A linear model needs the mean of the background only; shap samples more than 100 rows.
        self._mean = numbers(background.frame).mean(axis=0, keepdims=True)
        name = type(self._explainer).__name__
        model = request.adapter.model
        if name == "LinearExplainer":
            self.info = ExplainerInfo(
                method="shap_linear",
                implementation=f"TabularExplainer, {name}",
                max_rows=LINEAR_ROWS,
                background_rows=len(background),
            )
        else:
            self.info = ExplainerInfo(
                method="shap_tree",
                implementation=f"TabularExplainer, {name}",
                max_rows=tree_rows(model),
                rows_in_full=tree_rows(model, _TREE_STEPS // 5),
                notes=tree_notes(model),
                is_parallel=True,
            )

    @cached_property
    def _explainer(self) -> Any:
        import_optional("interpret_community")  # without its side effects
        from interpret_community.shap.linear_explainer import LinearExplainer
        from interpret_community.shap.tree_explainer import TreeExplainer

        # The order of TabularExplainer; its next choice, the kernel explainer, calls the model.
        with seeded_numpy(self._seed):
            for kind, arguments in ((TreeExplainer, ()), (LinearExplainer, (self._mean,))):
                try:
                    return kind(self._adapter.model, *arguments)
                except Exception:
                    _logger.debug("No %s", kind.__name__, exc_info=True)
        raise CannotExplainError(f"TabularExplainer has no fast engine for {self._adapter.name}")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_explainer"}

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        explainer = self._explainer
        try:
            with seeded_numpy(self._seed):
                raw = explainer.explain_global(numbers(batch.frame))
            values, expected = _by_output(self._adapter, raw)
        except Exception as error:
            raise _failed(self._adapter, error) from error
        if scale is None:
            scale, outputs = matching_scale(self._adapter, batch, values, expected)
        else:
            outputs = self._adapter.output(scale)(batch.original)
        return Attributions(values, expected, outputs, scale)


def _failed(adapter: ModelAdapter, error: Exception) -> CannotExplainError:
    _logger.debug("TabularExplainer failed for %s", adapter.name, exc_info=error)
    return CannotExplainError("TabularExplainer failed", error)


@register(priority=10)
class KernelExplainer(Explainer):
    """Explains any model by TabularExplainer's kernel explainer."""

    engines = frozenset({"auto", "tabular", "kernel"})
    is_exact = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: ARG003, D102
        return True

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter, self._seed = request.adapter, request.plan.random_state
        request.budget.keep(SAMPLING_SHARE)
        self._meter = Metered(request.budget)
        known = request.background
        # interpret-community replaces more than 100 rows by 10 k-means centres.
        self._summarized = len(known) > 100
        n = BACKGROUND_ROWS if self._summarized else _SMALL_BACKGROUND
        known = known.subset(sample_rows(len(known), n, self._seed))
        self._scale, output = callable_output(self._adapter, known)
        self._background = known
        self._n_samples: int | str = "auto"
        if self._meter.is_limited:
            predicted, _ = measured(self._adapter, output, known, self._meter, self._seed)
            if len(predicted) < len(known):  # TabularExplainer predicts all of them several times
                self._background = predicted.subset(slice(_CENTRES))
                self._summarized = False
            self._n_samples = self._affordable_samples()
        self.info = ExplainerInfo(
            method="shap_kernel",
            implementation="TabularExplainer, KernelExplainer",
            max_rows=KERNEL_ROWS,
            background_rows=len(self._background),
            notes=self._notes(),
            is_parallel=True,
            is_reduced=self._n_samples != "auto" or len(self._background) < len(known),
        )

    def _affordable_samples(self) -> int | str:
        """Number of coalitions of a row, each of which is mixed with all centres."""
        width, n_centres = self._background.frame.shape[1], min(len(self._background), _CENTRES)
        fewest, usual = 2 * width, 2 * width + 2048  # that is shap's "auto"
        usual = min(usual, 2**width - 2) if width < _ALL_COALITIONS else usual
        fewest = min(fewest, usual)
        allowed = self._meter.affordable(self._adapter.name, _FEWEST_ROWS * fewest * n_centres)
        samples = allowed // (_FEWEST_ROWS * n_centres)
        return "auto" if samples >= usual else max(samples, fewest)

    def _notes(self) -> tuple[str, ...]:
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

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """Compute the attributions of a batch, always on the same scale.

        Raises:
            CannotExplainError: The model gives no finite outputs.
            OutOfTimeError: The budget is spent.
        """
        import_optional("interpret_community")  # without its side effects
        from interpret_community import TabularExplainer

        box = BlackBox(self._adapter, self._scale, batch, self._background, self._meter)
        with seeded_numpy(self._seed):
            explainer = TabularExplainer(_Numeric(box), box.background)
        explainer.explainer.show_progress = False
        explainer.explainer.nsamples = self._n_samples
        by_row = []
        for number, row in zip(batch.numbers, box.rows, strict=True):
            with seeded_numpy([self._seed, int(number)]):
                by_row.append(_by_output(self._adapter, explainer.explain_global(row[None, :])))
        values = np.concatenate([values for values, _ in by_row], axis=-2)
        if not np.isfinite(values).all():
            raise CannotExplainError(
                "the kernel explainer gave values that are not finite for "
                f"{self._adapter.name}; does the model predict NaN or infinity?"
            )
        outputs = box.output(box.rows)
        outputs = outputs[:, 0] if self._adapter.output_names is None else outputs
        return Attributions(values, by_row[0][1], outputs, self._scale)


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


def _by_output(adapter: ModelAdapter, raw: Any) -> tuple[FloatArray, FloatArray]:
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
