"""Any model as a function of numbers, and its contributions by sampling."""

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
)
from mlflow_interpret.explaining.explainers.permutation_sampler import evaluations, shapley
from mlflow_interpret.explaining.model_adapter import ModelAdapter, Output
from mlflow_interpret.explaining.time_budget import Metered, OutOfTimeError

BLACK_BOX_ROWS = 200
BACKGROUND_ROWS = 1_000
_FEWEST_ROWS = 20
_PERMUTATIONS = 40
_EVALUATIONS = 100_000
"""Evaluations of the model that an explanation costs by default; a wide table has fewer."""
_EVALUATED_CELLS = 500_000_000
_FEWEST_WIDE_ROWS = 2
_FEW = 20
"""So many rows tell whether a decision function is the log-odds."""
_GROUND_SHARE = 0.15
"""Of the time that is left, for the outputs of the background rows."""
_FEWEST_GROUND = 5
_PREDICTIONS = 3
"""Of an explained row, beside those of rows that are mixed with it."""


class BlackBox:
    """A model that takes rows as numbers, each column's cells coded, and gives scores.

    Args:
        adapter: The model.
        scale: Which of its outputs.
        rows: The rows to explain.
        background: The background rows.
        meter: Keeps the calls of the model short where the time is limited.

    Attributes:
        rows: ``(n_rows, n_features)`` the rows to explain, coded.
        background: ``(n_background, n_features)`` the background rows, coded.
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
        self._like = rows
        self._coding = Encoding(rows.frame, background.frame)
        self.rows = self._coding.encode(rows.frame)
        self.background = self._coding.encode(background.frame)

    def output(self, numbers: FloatArray) -> FloatArray:
        """``(n, n_outputs)`` scores of coded rows, ``(n, 1)`` for a model without blocks.

        Raises:
            CannotExplainError: The model cannot predict such rows.
            OutOfTimeError: The budget is spent.
        """
        return self._meter.outputs(lambda some: self._scores(numbers[some]), len(numbers))

    def _scores(self, numbers: FloatArray) -> FloatArray:
        rows = self._like.restore(self._coding.decode(np.asarray(numbers, np.float64)))
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
        request.budget.keep(SAMPLING_SHARE)
        self._meter = Metered(request.budget)
        known = request.background
        known = known.subset(sample_rows(len(known), BACKGROUND_ROWS, self._seed))
        self._scale, output = callable_output(self._adapter, known)
        self._background, self._background_outputs = measured(
            self._adapter, output, known, self._meter, self._seed
        )
        width = known.frame.shape[1]
        allowed = min(_EVALUATIONS, _EVALUATED_CELLS // width)
        max_rows, wanted = _effort(width, plan.max_rows, allowed)
        if self._meter.is_limited:
            fewest = _FEWEST_WIDE_ROWS * (2 * evaluations(width, 1) + _PREDICTIONS)
            allowed = min(allowed, self._meter.affordable(self._adapter.name, fewest))
        _, self._n_permutations = _effort(width, plan.max_rows, allowed)
        is_reduced = self._n_permutations < wanted or len(self._background) < len(known)
        self._named_scale = self._name_scale()
        evaluated = evaluations(width, self._n_permutations) + _PREDICTIONS
        self._seconds_per_row = evaluated * self._meter.seconds_per_row
        self.info = ExplainerInfo(
            method="shap_permutation",
            implementation=f"mlflow-interpret, {self._n_permutations} pairs of permutations a row",
            max_rows=max_rows,
            background_rows=len(self._background),
            notes=(*self._rough(is_reduced), *notes_on(self._scale)),
            is_parallel=True,
            is_reduced=is_reduced,
        )

    def _name_scale(self) -> str:
        some = self._background.subset(np.arange(min(len(self._background), _FEW)))
        scores = self._background_outputs[: len(some)]
        scores = scores[:, 0] if self._adapter.output_names is None else scores
        return self._adapter.scale_of(self._scale, scores, some.original)

    @property
    def affordable_rows(self) -> int:  # noqa: D102
        if not self._meter.is_limited:
            return 0
        rows = self._meter.left / max(self._seconds_per_row, 1e-9)
        return int(min(max(rows, 0.0), self.info.max_rows))

    def _rough(self, is_reduced: bool) -> tuple[str, ...]:
        if self._n_permutations >= _PERMUTATIONS // 2:
            return ()
        why = "In the time" if is_reduced else "With so many columns"
        rough = (
            f"{why} only {self._n_permutations} permutations were tried for each row: the "
            "values are rough, and noise makes the importances of minor columns too large."
        )
        return (rough,)

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """Compute the attributions of a batch, always on the same scale.

        Raises:
            CannotExplainError: The model cannot predict such rows, or not to finite numbers.
            OutOfTimeError: The budget is spent.
        """
        box = BlackBox(self._adapter, self._scale, batch, self._background, self._meter)
        found = shapley(
            box.output,
            box.rows,
            box.background,
            self._n_permutations,
            self._seed,
            batch.numbers,
            self._background_outputs,
        )
        if not (np.isfinite(found.values).all() and np.isfinite(found.expected).all()):
            raise CannotExplainError(
                f"{self._adapter.name} predicts NaN or infinity for rows that mix the cells of "
                "two others"
            )
        single = self._adapter.output_names is None
        return Attributions(
            found.values[0] if single else found.values,
            found.expected,
            found.outputs[:, 0] if single else found.outputs,
            self._named_scale,
            found.errors[0] if single else found.errors,
        )


def measured(
    adapter: ModelAdapter, output: Output, rows: RowBatch, meter: Metered, seed: int
) -> tuple[RowBatch, FloatArray]:
    """The background rows whose outputs can be had in a part of the time, and these.

    They show what the model costs, too.

    Raises:
        CannotExplainError: The model cannot predict them, or too few in time.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    order = order if meter.is_limited else np.sort(order)
    try:
        found = meter.outputs(
            lambda some: _columns(output(rows.subset(order[some]).original)),
            len(rows),
            share=_GROUND_SHARE,
            at_least=_FEWEST_GROUND,
        )
    except OutOfTimeError:
        raise meter.too_slow(adapter.name, _FEWEST_GROUND) from None
    except Exception as error:
        raise CannotExplainError(
            f"{adapter.name} cannot predict the background rows", error
        ) from error
    kept = np.argsort(order[: len(found)])
    return rows.subset(order[kept]), found[kept]


def _columns(scores: FloatArray) -> FloatArray:
    return scores[:, None] if scores.ndim == 1 else scores


def notes_on(scale: str) -> tuple[str, ...]:
    """What is to be said of an output."""
    if scale == "predicted label":
        return ("The model has no scores; its predicted labels are explained, as 0 and 1.",)
    return ()


def _effort(width: int, max_rows: int | None, allowed: int) -> tuple[int, int]:
    """Rows, and pairs of permutations for each, that keep to the evaluations allowed."""
    one = max(evaluations(width, 1), 1)
    n_rows = _FEWEST_ROWS if max_rows is None else min(_FEWEST_ROWS, max_rows)
    permutations = int(np.clip(allowed // (n_rows * one), 2, _PERMUTATIONS))
    if max_rows is not None:
        return max_rows, permutations
    fitting = allowed // (one * permutations)
    return int(np.clip(fitting, _FEWEST_WIDE_ROWS, BLACK_BOX_ROWS)), permutations


def callable_output(adapter: ModelAdapter, background: RowBatch) -> tuple[str, Output]:
    """The first output of the model that works, tried on one row."""
    one = background.subset(np.arange(1)).original
    failure: Exception | None = None
    for scale, output in adapter.outputs():
        try:
            output(one)
        except Exception as error:
            failure = failure or error
            continue
        return scale, output
    if isinstance(failure, CannotExplainError):
        raise failure
    if failure is None:
        raise CannotExplainError(f"{adapter.name} has no outputs")
    raise CannotExplainError(f"{adapter.name} cannot predict the rows it was given", failure)
