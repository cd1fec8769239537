"""Explainers of interpret-community: those for trees and linear models, and the kernel explainer.

The only module that uses interpret-community's explainers. They are used for ``engine="tabular"``
and ``engine="kernel"``, and for models that reject rows which mix the cells of two others.
"""

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
from mlflow_interpret.explaining.explainers.additivity import attributions_of, split_by_output
from mlflow_interpret.explaining.explainers.base import (
    SAMPLING_SHARE,
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.linear import MAX_ROWS as LINEAR_ROWS
from mlflow_interpret.explaining.explainers.permutation import (
    BACKGROUND_ROWS,
    BlackBox,
    callable_output,
    notes_on,
    predict_background,
)
from mlflow_interpret.explaining.explainers.shap_trees import TREE_STEPS, tree_rows
from mlflow_interpret.explaining.model_adapter import (
    LOG_ODDS,
    PROBABILITY_LOG_ODDS,
    ModelAdapter,
)
from mlflow_interpret.explaining.requested_output import output_notes
from mlflow_interpret.explaining.sklearn_trees import tree_notes
from mlflow_interpret.explaining.time_budget import Metered
from mlflow_interpret.runtime.isolation import seeded_numpy
from mlflow_interpret.runtime.optional_import import import_optional

_logger = logging.getLogger(__name__)

KERNEL_ROWS = 20
_SMALL_BACKGROUND = 30
_CENTRES = 10
"""Number of k-means centres by which interpret-community replaces a large background."""
_MIN_ROWS = 2
_ALL_COALITIONS = 13
"""With more features shap samples less than a fifth of the coalitions, and selects features."""


@register(priority=40)
class TabularFastExplainer(Explainer):
    """Explains trees and linear models by the explainers that TabularExplainer chooses."""

    engines = frozenset({"tabular"})

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: ARG003, D102
        return True

    def __init__(self, request: ExplainRequest) -> None:
        background = request.background
        if not is_numeric(background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._adapter, self._seed = request.adapter, request.plan.random_state
        # A linear model needs the mean of the background only; shap samples more than 100 rows.
        cells = numbers(background.frame)
        self._mean = np.average(cells, axis=0, weights=background.weights)[None]
        name = type(self._explainer).__name__
        model = request.adapter.model
        self.is_interventional = name == "LinearExplainer"
        if self.is_interventional:
            self.info = ExplainerInfo(
                method="shap_linear",
                implementation=f"TabularExplainer, {name}",
                max_rows=LINEAR_ROWS,
                background_rows=len(background),
                notes=weight_notes(background),
            )
        else:
            self.info = ExplainerInfo(
                method="shap_tree",
                implementation=f"TabularExplainer, {name}",
                max_rows=tree_rows(model),
                rows_in_full=tree_rows(model, TREE_STEPS // 5),
                notes=(*tree_notes(model), *weight_notes(background, of_trees=True)),
                is_parallel=True,
            )

    @cached_property
    def _explainer(self) -> Any:
        _import_interpret_community()
        from interpret_community.shap.linear_explainer import LinearExplainer
        from interpret_community.shap.tree_explainer import TreeExplainer

        # The order of TabularExplainer; its next choice, the kernel explainer, calls the model.
        with seeded_numpy(self._seed):
            for kind, arguments in ((TreeExplainer, ()), (LinearExplainer, (self._mean,))):
                try:
                    return kind(self._adapter.model, *arguments)
                except Exception:
                    _logger.debug("No %s", kind.__name__, exc_info=True)
        raise CannotExplainError(
            f"TabularExplainer has no explainer for trees or linear models of {self._adapter.name}"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_explainer"}

    def outputs(self, batch: RowBatch, scale: str | None) -> FloatArray:  # noqa: D102
        if scale is None:
            return super().outputs(batch, scale)
        return self._adapter.output(scale)(batch.original)

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        explainer = self._explainer
        try:
            with seeded_numpy(self._seed):
                raw = explainer.explain_global(numbers(batch.frame))
            values, expected = _split(self._adapter, raw)
        except Exception as error:
            _logger.debug("TabularExplainer failed for %s", self._adapter.name, exc_info=True)
            raise CannotExplainError("TabularExplainer failed", error) from error
        return attributions_of(self._adapter, batch, values, expected, scale)


def _import_interpret_community() -> Any:
    """Import interpret-community.

    Raises:
        CannotExplainError: It is not installed, or its import fails, as beside versions of numpy or
            shap that it does not support.
    """
    try:
        return import_optional("interpret_community")
    except ImportError as error:
        raise CannotExplainError(
            'engine="tabular" and engine="kernel" need interpret-community; install it with '
            f'pip install "mlflow-interpret[interpret]", or use engine="auto" ({error})'
        ) from None


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
        request.budget.reserve(SAMPLING_SHARE)
        self._meter = Metered(request.budget)
        background = request.background
        _import_interpret_community()
        # interpret-community replaces more than 100 rows by 10 k-means centres.
        self._summarized = len(background) > 100
        n = BACKGROUND_ROWS if self._summarized else _SMALL_BACKGROUND
        background = background.subset(sample_rows(len(background), n, self._seed))
        requested = request.plan.output
        self._scale, output = callable_output(self._adapter, background, requested)
        is_log_odds = requested == LOG_ODDS or self._scale == PROBABILITY_LOG_ODDS
        self._named_scale = LOG_ODDS if is_log_odds else self._scale
        self._background = background
        self._n_samples: int | str = "auto"
        if self._meter.is_limited:
            predicted, _ = predict_background(
                self._adapter, output, background, self._meter, self._seed
            )
            if len(predicted) < len(background):  # TabularExplainer predicts them several times
                self._background = predicted.subset(slice(_CENTRES))
                self._summarized = False
            self._n_samples = self._affordable_samples()
        self.info = ExplainerInfo(
            method="shap_kernel",
            implementation="TabularExplainer, KernelExplainer",
            max_rows=KERNEL_ROWS,
            background_rows=len(self._background),
            notes=(*self._notes(), *output_notes(requested, self._scale, self._adapter)),
            is_parallel=True,
            is_reduced=self._n_samples != "auto" or len(self._background) < len(background),
        )

    def _affordable_samples(self) -> int | str:
        """Number of coalitions of a row, each of which is mixed with all centres."""
        width, n_centres = self._background.frame.shape[1], min(len(self._background), _CENTRES)
        fewest, usual = 2 * width, 2 * width + 2048  # that is shap's "auto"
        usual = min(usual, 2**width - 2) if width < _ALL_COALITIONS else usual
        fewest = min(fewest, usual)
        allowed = self._meter.affordable(self._adapter.name, _MIN_ROWS * fewest * n_centres)
        samples = allowed // (_MIN_ROWS * n_centres)
        return "auto" if samples >= usual else max(samples, fewest)

    def _notes(self) -> tuple[str, ...]:
        notes = list(notes_on(self._scale))
        if self._background.weights is not None:
            notes.append("The background rows are not weighted by the sample_weight of fit.")
        if self._n_samples != "auto":
            notes.append(
                f"Because of the time budget, only {self._n_samples} coalitions were tried for "
                "each row."
            )
        if self._background.frame.shape[1] > _ALL_COALITIONS:
            notes.append(
                "Small contributions of a row may be 0: kernel SHAP selects features by AIC."
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
        interpret_community = _import_interpret_community()
        box = BlackBox(self._adapter, self._scale, batch, self._background, self._meter)
        with seeded_numpy(self._seed):
            explainer = interpret_community.TabularExplainer(_EncodedModel(box), box.background)
        explainer.explainer.show_progress = False
        explainer.explainer.nsamples = self._n_samples
        by_row = []
        for number, row in zip(batch.numbers, box.rows, strict=True):
            with seeded_numpy([self._seed, int(number)]):
                by_row.append(_split(self._adapter, explainer.explain_global(row[None, :])))
        values = np.concatenate([values for values, _ in by_row], axis=-2)
        if not np.isfinite(values).all():
            raise CannotExplainError(
                "the kernel explainer gave values that are not finite for "
                f"{self._adapter.name}; does the model predict NaN or infinity?"
            )
        outputs = box.output(box.rows)
        outputs = outputs[:, 0] if self._adapter.output_names is None else outputs
        return Attributions(values, by_row[0][1], outputs, self._named_scale)


class _EncodedModel:
    """A model of encoded rows, with the methods that interpret-community expects."""

    def __init__(self, box: BlackBox) -> None:
        self._box = box
        if box.adapter.output_names is not None:
            self.predict_proba = self._scores

    def _scores(self, encoded: Any) -> FloatArray:
        return self._box.output(np.atleast_2d(np.asarray(encoded, dtype=np.float64)))

    def predict(self, encoded: Any) -> npt.NDArray[Any]:
        scores = self._scores(encoded)
        return scores[:, 0] if self._box.adapter.output_names is None else scores.argmax(axis=1)


def _split(adapter: ModelAdapter, explanation: Any) -> tuple[FloatArray, FloatArray]:
    """The values of an explanation of interpret-community, by output of the model."""
    values, expected = explanation.local_importance_values, explanation.expected_values
    return split_by_output(adapter, values, expected)
