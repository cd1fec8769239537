"""The loop over the rows: in a seeded order, until the ranking converges or the time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from mlflow_interpret.core.details import Note, note_because
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.explaining.aggregates import Aggregates, merge_all
from mlflow_interpret.explaining.attributions import AttributionResult, Attributions
from mlflow_interpret.explaining.explainers.base import Explainer
from mlflow_interpret.explaining.parallel import RowTask, Workers
from mlflow_interpret.explaining.row_sources import Positions, RowSource
from mlflow_interpret.explaining.time_budget import Budget, OutOfTimeError

StopReason = Literal["all rows", "settled", "max_rows", "time_budget"]
Fallback = Callable[[int], Explainer | None]
"""Gives an explainer that explains many more rows than a number in the remaining time, if any."""

FIRST_CHECK = 100
"""Number of rows after which convergence is checked first; then at each doubling."""
EXTENSION = 10
"""Factor by which the default number of rows is exceeded at most, if the ranking has not converged
and time remains."""
_PROBE_ROWS = 5
_PROBE_FEW = 2
_FEW_ROWS = 20
"""If the budget allows fewer rows, the fallback explainer is considered."""
_BATCH_SECONDS = 1.0
_MIN_REMAINING = 0.8
"""Share of the time for a row that must remain for a second row, which error bars need."""
_RESERVE = 0.1
"""Share of the budget for what follows on the explained rows."""
_MIN_SECONDS = 1e-9


def run(
    explainer: Explainer,
    source: RowSource,
    plan: Plan,
    budget: Budget,
    *,
    exact: bool = False,
    fallback: Fallback | None = None,
) -> AttributionResult:
    """Explain as many rows of a source as are needed, within the plan and the budget.

    Rows of a table in memory are explained in batches until the ranking of the leading features
    has converged, the plan's ``max_rows`` or the explainer's is reached, or the budget is spent.
    Tables that ``max_rows`` covers as a whole, or that the explainer explains in a second or so,
    are explained in full. Partitions are explained in full, or as far as ``max_rows`` says.

    Args:
        explainer: Explains the rows.
        source: The rows.
        plan: The number of rows, the seed, and the number of workers.
        budget: The remaining time.
        exact: Whether the attributions must add up to an output of the model.
        fallback: Asked for another explainer if ``explainer`` is too slow for the budget.

    Raises:
        CannotExplainError: The explainer cannot explain the rows, not exactly, or none in time.
    """
    scheduler, stopped = _explain_rows(
        RowScheduler(explainer, source, plan, budget, exact), fallback
    )
    return scheduler.result(stopped)


class RowScheduler:
    """Explains the rows of a source with one explainer.

    Args:
        explainer: Explains the rows.
        source: The rows.
        plan: The number of rows, the seed, and the number of workers.
        budget: The remaining time.
        exact: Whether the attributions must add up to an output of the model.
        reason: Note that says why this explainer was chosen, or empty.

    Attributes:
        limit: Number of rows that are explained without a reason to stop earlier.
        extended_limit: Number of rows at which the loop ends although the ranking is open.
        aggregates: Results for the explained rows, None before the first.
        seconds_per_row: Measured cost of a row.
    """

    def __init__(
        self,
        explainer: Explainer,
        source: RowSource,
        plan: Plan,
        budget: Budget,
        exact: bool,
        reason: str = "",
    ) -> None:
        self.explainer, self.source, self.plan, self.budget = explainer, source, plan, budget
        self.exact, self.reason = exact, reason
        self.limit, in_full = self._limits()
        self.is_explained_in_full = source.is_partitioned or (
            self.limit == source.n_available <= in_full
        )
        # More rows than the default only if the user has said how long it may take.
        is_extended = plan.max_rows is None and budget.seconds is not None
        self.extended_limit = (
            min(source.n_rows, EXTENSION * self.limit) if is_extended else self.limit
        )
        self.positions: Positions = source.select(self.limit, plan.random_state)
        self.workers = Workers(explainer, plan.n_jobs)
        self.aggregates: Aggregates | None = None
        self.scale: str | None = None
        self.probed_scale: str | None = None
        self.seconds_per_row = 0.0

    def _limits(self) -> tuple[int, int]:
        """The number of rows to explain, and the size of a table that is explained in full."""
        n_rows, max_rows = self.source.n_rows, self.plan.max_rows
        if max_rows is not None:
            return min(n_rows, max_rows), max_rows
        info = self.explainer.info
        return n_rows if self.source.is_partitioned else min(
            n_rows, info.max_rows
        ), info.rows_in_full

    @property
    def n_done(self) -> int:
        """Number of explained rows."""
        return 0 if self.aggregates is None else self.aggregates.n

    # Probing

    def probe(self) -> None:
        """Explain a few rows to learn the scale of the outputs and the cost of a row."""
        if self.source.is_partitioned:
            self._probe_head()
        else:
            self._probe_rows()

    def _probe_head(self) -> None:
        """Explain the first rows of partitions, which are explained again where they lie."""
        head = self.source.head()
        # An explainer that is not exact takes long for each row.
        head = head if self.exact else head.subset(slice(0, _PROBE_FEW))
        start = self.budget.now()
        attributions = self.explainer.explain(head)
        self._check_probe(attributions, start, len(head))

    def _probe_rows(self) -> None:
        """Explain the first rows of a table."""
        sizes = (_PROBE_ROWS,) if self.budget.seconds is None else (1, _PROBE_ROWS - 1)
        probes: list[Aggregates] = []
        for size in sizes:
            stop = min(self.n_done + size, self.extended_limit)
            if stop == self.n_done:
                break
            if probes:
                if self.budget.remaining < _MIN_REMAINING * self.seconds_per_row:
                    break
                stop = min(stop, self.n_done + max(1, self._affordable(size)))
            start, n_rows = self.budget.now(), stop - self.n_done
            # The sum of a single row may equal the wrong output by chance, so the second batch
            # finds the scale anew.
            probes += self._explain(self.n_done, stop, None)
            self._add(probes[-1])
            self._check_probe(probes[-1].attributions, start, n_rows)
        if probes[0].scales != probes[-1].scales:
            probes[:1] = self._explain(0, probes[0].n, self.scale)
            self.aggregates = merge_all(probes)

    def _check_probe(self, attributions: Attributions, start: float, n_rows: int) -> None:
        self.seconds_per_row = (self.budget.now() - start) / n_rows
        self.scale = self.probed_scale = attributions.scale
        self._check_additivity(attributions)

    def _check_additivity(self, attributions: Attributions) -> None:
        if self.exact and not attributions.adds_up:
            raise CannotExplainError(
                f"{self.explainer.info.method} values add up to no output of the model "
                f"(off by {attributions.additivity_error:.3g})"
            )

    def with_fallback(self, fallback: Fallback) -> RowScheduler:
        """The scheduler of the fallback, probed, if this explainer is too slow for the budget."""
        n_rows = self.n_done + self._affordable(self.limit)
        explainer = fallback(n_rows) if n_rows < min(_FEW_ROWS, self.limit) else None
        if explainer is None:
            return self
        reason = (
            f"Within the time budget {self.explainer.info.method} could have explained {n_rows} "
            f"rows; {explainer.info.method} explains more of them, less exactly."
        )
        scheduler = RowScheduler(
            explainer, self.source, self.plan, self.budget, exact=False, reason=reason
        )
        try:
            scheduler.probe()
        except (CannotExplainError, OutOfTimeError):
            return self
        return scheduler

    # The loop

    def run(self) -> StopReason:
        """Explain the rows that follow the probe."""
        while self.n_done < self.extended_limit:
            if not self.is_explained_in_full and self.has_converged():
                return "settled"
            if not self._explain_up_to(self._next_check()):
                return "time_budget"
        return "all rows" if self.n_done == self.source.n_available else "max_rows"

    def has_converged(self) -> bool:
        """Whether the ranking has converged; a few rows cannot tell, unless they are all."""
        if self.aggregates is None or self.n_done < min(FIRST_CHECK, self.source.n_available):
            return False
        return self.aggregates.has_converged(self.source.n_available)

    def _next_check(self) -> int:
        """Number of rows after which convergence is checked next."""
        if self.is_explained_in_full:
            return self.limit
        stop = FIRST_CHECK
        while stop <= self.n_done:
            stop *= 2
        return min(stop, self.limit if self.n_done < self.limit else self.extended_limit)

    def _explain_up_to(self, stop: int) -> bool:
        """Explain rows up to a position; False if the budget does not allow it."""
        while self.n_done < stop:
            start, size = self.n_done, min(stop - self.n_done, self._affordable(stop - self.n_done))
            if size < 1:
                return False
            work = self.seconds_per_row * (self.limit - start)
            n_jobs = self.workers.count(min(work, self.budget.remaining))
            size, batch_size = self._batch_size(size, n_jobs)
            began = self.budget.now()
            for aggregates in self._explain(start, start + size, self.scale, batch_size, n_jobs):
                self._add(aggregates)
            if self.n_done != start + size:
                raise CannotExplainError("its partitions changed while they were explained")
            self.seconds_per_row = (self.budget.now() - began) / (self.n_done - start)
        return True

    def _explain(
        self,
        start: int,
        stop: int,
        scale: str | None,
        batch_size: int | None = None,
        n_jobs: int = 1,
    ) -> Iterator[Aggregates]:
        """Explain rows of the selection; the arguments are those of `RowSource.explain`."""
        task = RowTask(self.explainer, self.source.collect, scale)
        positions = self.positions[start:stop]
        batch_size = stop - start if batch_size is None else batch_size
        return self.source.explain(task, self.workers, positions, batch_size, n_jobs)

    def _affordable(self, n_rows: int) -> int:
        """Number of rows that the budget allows."""
        if self.budget.seconds is None:
            return n_rows
        remaining = self.budget.remaining - _RESERVE * self.budget.seconds
        return int(max(remaining, 0.0) / max(self.seconds_per_row, _MIN_SECONDS))

    def _batch_size(self, n_rows: int, n_jobs: int) -> tuple[int, int]:
        """The number of rows to explain next, and of those in a batch.

        A batch takes some seconds at most, and there is one for each worker.
        """
        if self.source.is_partitioned:
            return n_rows, n_rows
        seconds = _BATCH_SECONDS
        if self.budget.seconds is not None:
            seconds = min(seconds, _RESERVE * self.budget.seconds)
        batch_size = max(1, int(seconds / max(self.seconds_per_row, _MIN_SECONDS)))
        if n_jobs == 1:
            return min(n_rows, batch_size), batch_size
        return n_rows, max(1, min(batch_size, -(-n_rows // n_jobs)))

    def _add(self, aggregates: Aggregates) -> None:
        self.aggregates = merge_all([self.aggregates, aggregates])
        self.scale = aggregates.attributions.scale
        if self.plan.progress is not None:
            self.plan.progress(self.n_done, self._expected_rows())

    def _expected_rows(self) -> int:
        """Number of rows at the end, unless the ranking converges earlier."""
        affordable = self.n_done + self._affordable(self.extended_limit)
        return max(self.n_done, min(self.extended_limit, affordable))

    # The result

    def result(self, stopped: StopReason) -> AttributionResult:
        """The attributions of the explained rows.

        Raises:
            CannotExplainError: They do not add up to an output of the model as they must.
        """
        aggregates = self.aggregates
        if aggregates is None:
            raise CannotExplainError("there are no rows to explain")
        attributions, info = aggregates.attributions, self.explainer.info
        # The sums of partitions were checked at the probe: a breach in one row of millions is
        # reported, and not a reason to explain all of them by sampling.
        if not self.source.is_partitioned:
            self._check_additivity(attributions)
        scales = aggregates.scales | {self.probed_scale}
        return AttributionResult(
            method=info.method,
            engine=info.implementation,
            local_values=attributions.local_values,
            expected_values=attributions.expected_values,
            # Outputs that differ from the raw score in some rows only still have a link function.
            scale=str(self.probed_scale) if len(scales) == 1 else "raw prediction",
            additivity_error=aggregates.additivity_error,
            rows=aggregates.numbers,
            background_rows=info.background_rows,
            sampling_error=attributions.sampling_error,
            engineered=attributions.engineered,
            notes=(*info.notes, *self._notes(stopped)),
            stopped=stopped,
            has_converged=self.has_converged(),
            partial=stopped == "time_budget" or info.is_reduced or self._is_rough(),
            aggregates=aggregates,
            attribution_check=info.attribution_check,
            explainer=self.explainer,
        )

    def _is_rough(self) -> bool:
        """Whether the default limit left rows out before the ranking was stable."""
        is_limited = self.plan.max_rows is None and self.n_done < self.source.n_available
        return is_limited and not self.has_converged()

    def _notes(self, stopped: StopReason) -> Iterator[str | Note]:
        if self.reason:
            yield self.reason
        if stopped == "time_budget":
            yield (
                f"The time budget of {self.budget.seconds:.3g} s was spent after {self.n_done} of "
                f"{self.limit} rows; the standard errors say how far the importances may be off."
            )
        if self.workers.failure is not None:
            yield note_because("Explained in this process", self.workers.failure)


def _explain_rows(
    scheduler: RowScheduler, fallback: Fallback | None
) -> tuple[RowScheduler, StopReason]:
    """Explain the rows; returns the scheduler that has explained them."""
    try:
        scheduler.probe()
        if fallback is not None:
            scheduler = scheduler.with_fallback(fallback)
        return scheduler, scheduler.run()
    except OutOfTimeError:
        if scheduler.aggregates is None:
            raise scheduler.budget.too_short("the model", scheduler.seconds_per_row) from None
        return scheduler, "time_budget"
