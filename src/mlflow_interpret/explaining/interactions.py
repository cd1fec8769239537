"""Compute the interactions of the leading features of an explanation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mlflow_interpret.core.details import Note, note_because
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.interactions import Interactions
from mlflow_interpret.core.statistics import FloatArray, rank, sample_rows
from mlflow_interpret.explaining.attributions import AttributionResult
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.base import Explainer, ExplainRequest
from mlflow_interpret.explaining.explainers.interaction_sampler import n_states, sample_interactions
from mlflow_interpret.explaining.explainers.permutation import BACKGROUND_ROWS, BlackBox
from mlflow_interpret.explaining.model_adapter import LOG_ODDS
from mlflow_interpret.explaining.requested_output import requested_outputs
from mlflow_interpret.explaining.time_budget import Budget, Metered, OutOfTimeError

_logger = logging.getLogger(__name__)

EXACT_ROWS = 200
SAMPLED_ROWS = 50
_MIN_ROWS = 10
_ROW_COST = 5
"""Interactions of a row cost some times as much as its attributions."""
_EVALUATIONS = 200_000
"""Default limit of the evaluations of the model, for sampled interactions of all rows."""
_CELLS = 20_000_000
"""Limit of the cells of the mixed rows in a call of the model."""
_MAX_PAIRS = 64
"""Limit of the pairs of coalitions for a row."""
_BUDGET_SHARE = 0.3
"""Share of a time budget that is left for interactions."""
_CHUNK_SECONDS = 0.5
_MAX_SECONDS = 30.0
"""Limit without a time budget; few models reach it."""
_NOISE = np.sqrt(2.0 / np.pi)
"""Mean absolute value of a normal error, relative to its standard deviation."""

_Compute = Callable[[RowBatch], "tuple[FloatArray, FloatArray | None]"]


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Sizes of the interactions of some rows, averaged over the outputs.

    Attributes:
        values: ``(n_rows, k, k)`` absolute interactions.
        errors: ``(n_rows, k, k)`` standard errors of the interactions, None if they are exact.
    """

    values: FloatArray
    errors: FloatArray | None


def compute_interactions(
    request: ExplainRequest,
    result: AttributionResult,
    rows: RowBatch,
    importances: FloatArray,
    names: tuple[str, ...],
) -> tuple[Interactions | None, tuple[str | Note, ...]]:
    """Compute the interactions that the plan asks for; failures become notes.

    Args:
        request: The model, its background rows and the options.
        result: The attributions.
        rows: The explained rows.
        importances: ``(F,)`` importances.
        names: ``(F,)`` feature names.

    Returns:
        The interactions, None if there are none, and notes for the status record.
    """
    if not request.plan.interactions:
        return None, ()
    columns = rank(importances)[: request.plan.interactions]
    if len(columns) < 2 or not len(rows):
        return None, ("Interactions were not computed: they need two features and a row.",)
    try:
        computation = _Computation(request, result, rows, columns)
        sizes = computation.run()
    except OutOfTimeError:
        note = "Interactions were not computed: the time budget was spent; pass a longer one."
        return None, (note,)
    except CannotExplainError as error:
        return None, (note_because("Interactions were not computed", error),)
    except Exception as error:
        _logger.debug("The interactions failed", exc_info=True)
        failure = CannotExplainError("the model or its explainer failed", error)
        return None, (note_because("Interactions were not computed", failure),)
    return _aggregate(sizes, tuple(names[i] for i in columns)), tuple(computation.notes(sizes))


def _aggregate(sizes: _Sizes, features: tuple[str, ...]) -> Interactions:
    values, n_rows = sizes.values.mean(axis=0), len(sizes.values)
    errors = None
    if n_rows > 1:
        errors = sizes.values.std(axis=0, ddof=1) / np.sqrt(n_rows)
    if sizes.errors is not None:
        # The absolute value of a noisy estimate is too large by the size of the noise at most.
        noise = _NOISE * sizes.errors.mean(axis=0)
        errors = noise if errors is None else np.hypot(errors, noise)
    return Interactions(features, values, errors, n_rows, sizes.errors is not None)


class _Computation:
    """The interactions of some columns: exact if the explainer has them, else sampled.

    Args:
        request: The model, its background rows and the options.
        result: The attributions.
        rows: The explained rows.
        columns: ``(k,)`` columns.
    """

    def __init__(
        self,
        request: ExplainRequest,
        result: AttributionResult,
        rows: RowBatch,
        columns: Indices,
    ) -> None:
        self._request, self._result, self._columns = request, result, columns
        # Rows in a random order, as the time budget may end the loop.
        self._rows = rows.subset(np.random.default_rng(request.plan.random_state).permutation(
            len(rows)
        ))  # fmt: skip
        self._reason: CannotExplainError | None = None
        self._n_coalitions = 0
        self._most_rows = EXACT_ROWS  # in a chunk

    def run(self) -> _Sizes:
        """Compute the interactions of as many rows as the limits and the time budget allow.

        Raises:
            CannotExplainError: The model has no such interactions.
            OutOfTimeError: The time budget ended before the first row.
        """
        budget = self._request.budget
        budget.reserve(_BUDGET_SHARE)
        explainer = self._result.explainer
        if explainer is not None:
            try:
                return self._of_rows(self._exact(explainer), self._exact_limit(explainer), budget)
            except CannotExplainError as error:
                self._reason = error
        compute, limit = self._sampled()
        return self._of_rows(compute, limit, budget)

    def notes(self, sizes: _Sizes) -> Iterator[str | Note]:
        """Notes for the status record."""
        if self._reason is not None:
            yield note_because(
                f"Interactions are interventional ones of {len(sizes.values)} rows, estimated from "
                f"{self._n_coalitions} sampled coalitions a row",
                self._reason,
            )
        elif not sizes.values.any():
            yield (
                "The interactions are 0: on this scale, the output is a sum of functions of single "
                "features."
            )

    def _exact(self, explainer: Explainer) -> _Compute:
        def compute(rows: RowBatch) -> tuple[FloatArray, None]:
            try:
                return explainer.interactions(rows, self._columns), None
            except CannotExplainError:
                raise
            except Exception as error:
                _logger.debug("The exact interactions failed", exc_info=True)
                raise CannotExplainError("the exact interactions failed", error) from error

        return compute

    def _exact_limit(self, explainer: Explainer) -> int:
        limit = int(np.clip(explainer.info.capacity // _ROW_COST, _MIN_ROWS, EXACT_ROWS))
        return EXACT_ROWS if explainer.is_additive else limit

    def _sampled(self) -> tuple[_Compute, int]:
        request, columns = self._request, self._columns
        adapter, seed = request.adapter, request.plan.random_state
        picked = sample_rows(len(request.background), BACKGROUND_ROWS, seed)
        background = request.background.subset(picked)
        scale = self._result.scale
        if scale == LOG_ODDS:  # of the decision function, or of the probabilities
            scale, _ = next(requested_outputs(LOG_ODDS, adapter, background))
        adapter.output(scale)  # raises if the model has no function for this scale
        meter = Metered(request.budget)
        limit = min(SAMPLED_ROWS, len(self._rows))
        n_evaluations = 2 * n_states(len(columns))  # for a pair of coalitions
        width = background.frame.shape[1]
        n_pairs = min(_EVALUATIONS // limit, _CELLS // width) // n_evaluations
        n_pairs = int(np.clip(n_pairs, 2, _MAX_PAIRS))
        self._n_coalitions = 2 * n_pairs
        self._most_rows = max(1, _CELLS // (n_pairs * n_evaluations * width))

        def compute(rows: RowBatch) -> tuple[FloatArray, FloatArray]:
            box = BlackBox(adapter, scale, rows, background, meter)
            seeds = [(seed, int(number)) for number in rows.numbers]
            return sample_interactions(
                box.output, box.rows, box.background, columns, n_pairs, seeds, background.weights
            )

        return compute, limit

    def _of_rows(self, compute: _Compute, limit: int, budget: Budget) -> _Sizes:
        """The sizes of the interactions of the first rows, in chunks that take a short time."""
        limit = min(limit, len(self._rows))
        values: list[FloatArray] = []
        errors: list[FloatArray] = []
        start, size = 0, 1
        end = budget.now() + min(budget.remaining, _MAX_SECONDS)
        while start < limit and (budget.now() < end or not values):
            rows = self._rows.subset(slice(start, min(start + size, limit)))
            began = budget.now()
            try:
                chunk, chunk_errors = compute(rows)
            except OutOfTimeError:
                if not values:
                    raise
                break
            if not np.isfinite(chunk).all():
                raise CannotExplainError("they are not finite")
            values.append(np.abs(chunk).mean(axis=0))
            if chunk_errors is not None:
                errors.append(chunk_errors.mean(axis=0))
            start += len(rows)
            seconds = max((budget.now() - began) / len(rows), 1e-6)
            size = int(min(_CHUNK_SECONDS, end - budget.now()) / seconds)
            size = min(max(size, 1), self._most_rows)
        return _Sizes(np.concatenate(values), np.concatenate(errors) if errors else None)
