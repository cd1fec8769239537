"""Any model as a function of numbers, and its contributions by sampling."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError, one_line
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.encoding import Encoding
from mlflow_interpret.explaining.explainers.base import Attributions
from mlflow_interpret.explaining.explainers.permutation_sampler import evaluations, shapley
from mlflow_interpret.explaining.model_adapter import ModelAdapter, Output
from mlflow_interpret.explaining.time_budget import Budget, Metered, OutOfTimeError

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
KEPT = 0.3
"""Of a budget: so much is left for a black box, though a pipeline was hard to take apart."""
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
                f"{self.adapter.name} cannot predict rows that mix the cells of two others: "
                f"{one_line(error)}"
            ) from error


class Sampled:
    """Sampled permutations, ready for any model.

    Args:
        adapter: The model.
        background: The rows that stand for "feature unknown".
        plan: Has the seed, and how many rows are to be explained.
        budget: The time there is: fewer background rows, permutations and rows where it is short.

    Raises:
        CannotExplainError: The model cannot predict the background rows, or not in time.
    """

    method = "shap_permutation"
    spreads = True

    def __init__(
        self, adapter: ModelAdapter, background: RowBatch, plan: Plan, budget: Budget
    ) -> None:
        self._predictor, self._seed = adapter, plan.random_state
        budget.keep(KEPT)
        self._meter = Metered(budget)
        ground = background.subset(sample_rows(len(background), BACKGROUND_ROWS, self._seed))
        self._scale, output = callable_output(adapter, ground)
        self._background, self._at_background = measured(
            adapter, output, ground, self._meter, plan.random_state
        )
        width = background.frame.shape[1]
        allowed = min(_EVALUATIONS, _EVALUATED_CELLS // width)
        self.ceiling, wanted = _effort(width, plan.max_rows, allowed)
        self.whole = self.ceiling
        if self._meter.is_limited:
            fewest = _FEWEST_WIDE_ROWS * (2 * evaluations(width, 1) + _PREDICTIONS)
            allowed = min(allowed, self._meter.affordable(adapter.name, fewest))
        _, self._n_permutations = _effort(width, plan.max_rows, allowed)
        self.shortened = self._n_permutations < wanted or len(self._background) < len(ground)
        self._named_scale = self._name_scale()
        evaluated = evaluations(width, self._n_permutations) + _PREDICTIONS
        self._seconds_per_row = evaluated * self._meter.seconds_per_row

    def _name_scale(self) -> str:
        some = self._background.subset(np.arange(min(len(self._background), _FEW)))
        scores = self._at_background[: len(some)]
        scores = scores[:, 0] if self._predictor.output_names is None else scores
        return self._predictor.scale_of(self._scale, scores, some.original)

    @property
    def engine(self) -> str:
        """As `Explainer` has it, like all that follows."""
        return f"mlflow-interpret, {self._n_permutations} pairs of permutations a row"

    @property
    def affordable_rows(self) -> int:
        """How many rows can be explained in the time that is left; 0 without a limit."""
        if not self._meter.is_limited:
            return 0
        left = self._meter.left / max(self._seconds_per_row, 1e-9)
        return int(min(max(left, 0.0), self.ceiling))

    @property
    def background_rows(self) -> int:  # noqa: D102
        return len(self._background)

    @property
    def notes(self) -> tuple[str, ...]:  # noqa: D102
        return (*self._rough(), *notes_on(self._scale))

    def _rough(self) -> tuple[str, ...]:
        if self._n_permutations >= _PERMUTATIONS // 2:
            return ()
        why = "In the time" if self.shortened else "With so many columns"
        rough = (
            f"{why} only {self._n_permutations} permutations were tried for each row: the "
            "values are rough, and noise makes the importances of minor columns too large."
        )
        return (rough,)

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """As `Explainer` has it; ``scale`` is always the same.

        Raises:
            CannotExplainError: The model cannot predict such rows, or not to finite numbers.
            OutOfTimeError: The budget is spent.
        """
        box = BlackBox(self._predictor, self._scale, rows, self._background, self._meter)
        found = shapley(
            box.output,
            box.rows,
            box.background,
            self._n_permutations,
            self._seed,
            rows.numbers,
            self._at_background,
        )
        if not (np.isfinite(found.values).all() and np.isfinite(found.expected).all()):
            raise CannotExplainError(
                f"{self._predictor.name} predicts NaN or infinity for rows that mix the cells of "
                "two others"
            )
        single = self._predictor.output_names is None
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
            f"{adapter.name} cannot predict the background rows: {one_line(error)}"
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
    reason = one_line(failure) if failure else "it has no outputs"
    raise CannotExplainError(f"{adapter.name} cannot predict the rows it was given: {reason}")
