"""Attributions of any model by sampling permutations of its features."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import Encoding
from mlflow_interpret.explaining.explainers.base import (
    SAMPLING_SHARE,
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.permutation_sampler import evaluations, sample_shapley
from mlflow_interpret.explaining.model_adapter import PREDICTED_LABEL, ModelAdapter, Output
from mlflow_interpret.explaining.requested_output import output_notes, requested_outputs
from mlflow_interpret.explaining.time_budget import Metered, OutOfTimeError

BLACK_BOX_ROWS = 200
BACKGROUND_ROWS = 1_000
_MIN_ROWS = 20
_PERMUTATIONS = 40
_EVALUATIONS = 100_000
"""Default limit of the evaluations of the model; fewer for a wide table, by the next constant."""
_EVALUATED_CELLS = 500_000_000
_MIN_WIDE_ROWS = 2
_CHECKED_ROWS = 20
"""Number of rows that show whether a decision function is the log-odds."""
_BACKGROUND_SHARE = 0.15
"""Share of the remaining time for the predictions of the background rows."""
_MIN_BACKGROUND_ROWS = 5
_PREDICTIONS = 3
"""Predictions of an explained row itself, in addition to those of its mixtures."""


class BlackBox:
    """A model as a function from encoded rows to scores.

    Args:
        adapter: The model.
        scale: Name of the output.
        rows: The rows to explain.
        background: The background rows.
        meter: Limits the size of a call if the time is limited.

    Attributes:
        rows: ``(n_rows, n_features)`` the encoded rows to explain.
        background: ``(n_background, n_features)`` the encoded background rows.
    """

    def __init__(
        self,
        adapter: ModelAdapter,
        scale: str,
        rows: RowBatch,
        background: RowBatch,
        meter: Metered,
    ) -> None:
        self.adapter = adapter
        self._meter = meter
        self._output = adapter.output(scale)
        self._batch = rows
        self._encoding = Encoding(rows.frame, background.frame)
        self.rows = self._encoding.encode(rows.frame)
        self.background = self._encoding.encode(background.frame)

    def output(self, encoded: FloatArray) -> FloatArray:
        """``(n, n_outputs)`` scores of ``(n, n_features)`` encoded rows.

        Raises:
            CannotExplainError: The model cannot predict such rows.
            OutOfTimeError: The budget is spent.
        """
        return self._meter.outputs(lambda chunk: self._scores(encoded[chunk]), len(encoded))

    def _scores(self, encoded: FloatArray) -> FloatArray:
        rows = self._batch.restore(self._encoding.decode(np.asarray(encoded, np.float64)))
        try:
            return _columns(self._output(rows))
        except Exception as error:
            raise CannotExplainError(
                f"{self.adapter.name} cannot predict rows that mix the cells of two others", error
            ) from error


@register(priority=20)
class PermutationExplainer(Explainer):
    """Explains any model by sampling permutations of its features.

    A short time budget reduces the background rows, the permutations and the explained rows.
    """

    is_exact = False

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: ARG003, D102
        return True

    def __init__(self, request: ExplainRequest) -> None:
        plan = request.plan
        self._adapter, self._seed = request.adapter, plan.random_state
        request.budget.reserve(SAMPLING_SHARE)
        self._meter = Metered(request.budget)
        background = request.background
        background = background.subset(sample_rows(len(background), BACKGROUND_ROWS, self._seed))
        self._scale, output = callable_output(self._adapter, background, plan.output)
        self._background, self._background_outputs = predict_background(
            self._adapter, output, background, self._meter, self._seed
        )
        width = background.frame.shape[1]
        allowed = min(_EVALUATIONS, _EVALUATED_CELLS // width)
        max_rows, wanted = _effort(width, plan.max_rows, allowed)
        if self._meter.is_limited:
            fewest = _MIN_WIDE_ROWS * (2 * evaluations(width, 1) + _PREDICTIONS)
            allowed = min(allowed, self._meter.affordable(self._adapter.name, fewest))
        _, self._n_permutations = _effort(width, plan.max_rows, allowed)
        is_reduced = self._n_permutations < wanted or len(self._background) < len(background)
        self._named_scale = self._name_scale()
        evaluated = evaluations(width, self._n_permutations) + _PREDICTIONS
        self._seconds_per_row = evaluated * self._meter.seconds_per_row
        self.info = ExplainerInfo(
            method="shap_permutation",
            implementation=f"mlflow-interpret, {self._n_permutations} pairs of permutations a row",
            max_rows=max_rows,
            background_rows=len(self._background),
            notes=(
                *self._precision_notes(is_reduced),
                *notes_on(self._scale),
                *output_notes(plan.output, self._scale, self._adapter),
                *weight_notes(self._background),
            ),
            is_parallel=True,
            is_reduced=is_reduced,
        )

    def _name_scale(self) -> str:
        rows = self._background.subset(np.arange(min(len(self._background), _CHECKED_ROWS)))
        scores = self._background_outputs[: len(rows)]
        scores = scores[:, 0] if self._adapter.output_names is None else scores
        return self._adapter.scale_of(self._scale, scores, rows.original)

    @property
    def affordable_rows(self) -> int:  # noqa: D102
        if not self._meter.is_limited:
            return 0
        rows = self._meter.remaining / max(self._seconds_per_row, 1e-9)
        return int(min(max(rows, 0.0), self.info.max_rows))

    def _precision_notes(self, is_reduced: bool) -> tuple[str, ...]:
        if self._n_permutations >= _PERMUTATIONS // 2:
            return ()
        reason = "the time budget" if is_reduced else "the number of columns"
        note = (
            f"Because of {reason}, only {self._n_permutations} permutations were tried for each "
            "row: the values are rough, and noise makes the importances of minor columns too large."
        )
        return (note,)

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """Compute the attributions of a batch, always on the same scale.

        Raises:
            CannotExplainError: The model cannot predict such rows, or predicts NaN or infinity.
            OutOfTimeError: The budget is spent.
        """
        box = BlackBox(self._adapter, self._scale, batch, self._background, self._meter)
        sampled = sample_shapley(
            box.output,
            box.rows,
            box.background,
            self._n_permutations,
            self._seed,
            batch.numbers,
            self._background_outputs,
            self._background.weights,
        )
        if not (np.isfinite(sampled.values).all() and np.isfinite(sampled.expected).all()):
            raise CannotExplainError(
                f"{self._adapter.name} predicts NaN or infinity for rows that mix the cells of "
                "two others"
            )
        single = self._adapter.output_names is None
        return Attributions(
            sampled.values[0] if single else sampled.values,
            sampled.expected,
            sampled.outputs[:, 0] if single else sampled.outputs,
            self._named_scale,
            sampled.errors[0] if single else sampled.errors,
        )


def predict_background(
    adapter: ModelAdapter, output: Output, rows: RowBatch, meter: Metered, seed: int
) -> tuple[RowBatch, FloatArray]:
    """Predict as many background rows as a share of the remaining time allows.

    The calls also measure the cost of the model.

    Args:
        adapter: The model.
        output: One of its outputs.
        rows: The background rows.
        meter: Limits the calls.
        seed: Chooses the rows if there is no time for all.

    Returns:
        The predicted rows, and their ``(n_rows, n_outputs)`` outputs.

    Raises:
        CannotExplainError: The model cannot predict them, or too few in time.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    order = order if meter.is_limited else np.sort(order)
    try:
        outputs = meter.outputs(
            lambda chunk: _columns(output(rows.subset(order[chunk]).original)),
            len(rows),
            share=_BACKGROUND_SHARE,
            at_least=_MIN_BACKGROUND_ROWS,
        )
    except OutOfTimeError:
        raise meter.too_slow(adapter.name, _MIN_BACKGROUND_ROWS) from None
    except Exception as error:
        raise CannotExplainError(
            f"{adapter.name} cannot predict the background rows", error
        ) from error
    ascending = np.argsort(order[: len(outputs)])
    return rows.subset(order[ascending]), outputs[ascending]


def _columns(scores: FloatArray) -> FloatArray:
    return scores[:, None] if scores.ndim == 1 else scores


def notes_on(scale: str) -> tuple[str, ...]:
    """Notes on an output, for the status record."""
    if scale == PREDICTED_LABEL:
        return ("The model has no scores; its predicted labels are explained, as 0 and 1.",)
    return ()


def _effort(width: int, max_rows: int | None, allowed: int) -> tuple[int, int]:
    """Numbers of rows, and of pairs of permutations for each, within the allowed evaluations."""
    per_pair = max(evaluations(width, 1), 1)
    n_rows = _MIN_ROWS if max_rows is None else min(_MIN_ROWS, max_rows)
    permutations = int(np.clip(allowed // (n_rows * per_pair), 2, _PERMUTATIONS))
    if max_rows is not None:
        return max_rows, permutations
    affordable = allowed // (per_pair * permutations)
    return int(np.clip(affordable, _MIN_WIDE_ROWS, BLACK_BOX_ROWS)), permutations


def callable_output(
    adapter: ModelAdapter, background: RowBatch, requested: str = "auto"
) -> tuple[str, Output]:
    """The first output of the model that succeeds on one row.

    Args:
        adapter: The model.
        background: Rows, of which the first is predicted.
        requested: The option ``output``.

    Raises:
        CannotExplainError: The model has no such output.
    """
    row = background.subset(np.arange(1)).original
    failure: Exception | None = None
    for scale, output in requested_outputs(requested, adapter, background):
        try:
            output(row)
        except Exception as error:
            failure = failure or error
            continue
        return scale, output
    if isinstance(failure, CannotExplainError):
        raise failure
    if failure is None:
        raise CannotExplainError(f"{adapter.name} has no outputs")
    raise CannotExplainError(f"{adapter.name} cannot predict the rows it was given", failure)
