"""The rows that an engine explains: in a seeded order, until enough is known or no time is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from mlflow_interpret.core.details import Note, note_because
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.attributions import (
    AttributionResult,
    Attributions,
    concatenate,
    reorder,
)
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.convergence import by_row, has_converged, noise
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.base import Explainer
from mlflow_interpret.explaining.parallel import Workers
from mlflow_interpret.explaining.time_budget import Budget, OutOfTimeError, now

Stop = Literal["all rows", "settled", "max_rows", "time_budget"]
Fallback = Callable[[int], Explainer | None]
"""Gives an engine that explains many more than so many rows in the time that is left, if any."""

FIRST = 100
"""Rows after which it is first asked whether the ranking is settled; then at twice as many."""
RAISED = 10
"""So many times its ceiling an engine explains at most, if the ranking is open and time is left."""
_PROBE = 5
_FEW = 20
"""Where not even so many rows can be explained in time, another engine is thought of."""
_BLOCK_SECONDS = 1.0
_STRETCH = 0.8
"""Of a row's time has to be left for a second one, which makes error bars."""
_RESERVE = 0.1
"""Of the budget: for what follows on the rows."""


def run(
    engine: Explainer,
    rows: RowBatch,
    plan: Plan,
    budget: Budget,
    n_available: int,
    *,
    exact: bool = False,
    fallback: Fallback | None = None,
) -> AttributionResult:
    """Explain as many of ``rows`` as are needed, as the plan and the budget allow.

    A part of all rows is explained in batches until the ranking of the leading features is settled,
    the plan's ``max_rows`` or the engine's ceiling is reached, or the budget is spent. Sets that
    ``max_rows`` asks for as a whole, or that the engine explains in a second or so, are explained
    whole.

    Args:
        engine: It explains them.
        rows: The rows to choose from, a random sample of all where they are not all.
        plan: How many at most, the seed, and how many blocks at once.
        budget: The time that is left.
        n_available: How many rows there are.
        exact: The values have to add up to an output of the model.
        fallback: Asked where ``engine`` can explain a few rows only within the budget.

    Raises:
        CannotExplainError: The engine cannot explain them, not as exactly, or none in time.
    """
    state, stopped = _went(_Run(engine, rows, plan, budget, n_available, exact), fallback)
    engine, exact = state.engine, state.exact
    picked = state.order[: state.n_done]
    found = reorder(concatenate(state.blocks), np.argsort(picked))
    if exact and not found.adds_up:
        raise _no_sum(engine, found)
    partial = stopped == "time_budget" or engine.info.is_reduced
    return AttributionResult(
        method=engine.info.method,
        engine=engine.info.implementation,
        local_values=found.local_values,
        expected_values=found.expected_values,
        scale=str(found.scale),
        additivity_error=found.additivity_error,
        rows=np.sort(picked),
        background_rows=engine.info.background_rows,
        sampling_error=found.sampling_error,
        engineered=found.engineered,
        notes=(*engine.info.notes, *state.notes(stopped)),
        stopped=stopped,
        settled=state.has_converged(),
        partial=partial,
    )


@dataclass(eq=False)
class _Run:
    engine: Explainer
    rows: RowBatch
    plan: Plan
    budget: Budget
    n_available: int
    exact: bool
    outrun: str = ""
    blocks: list[Attributions] = field(init=False, default_factory=list)
    n_done: int = field(init=False, default=0)
    seconds_per_row: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        chosen = self.engine.info.max_rows if self.plan.max_rows is None else self.plan.max_rows
        self.limit = min(len(self.rows), chosen)
        whole = self.engine.info.rows_in_full if self.plan.max_rows is None else self.plan.max_rows
        self.complete = self.limit == self.n_available <= whole
        # More than the default only where somebody said how long it may take.
        raised = self.plan.max_rows is None and self.budget.seconds is not None
        self.farthest = min(len(self.rows), RAISED * self.limit) if raised else self.limit
        self.order = _order(len(self.rows), self.limit, self.plan.random_state)
        self.workers = Workers(self.engine, self.plan.n_jobs)

    def go(self) -> Stop:
        """Explain the rows after those of `probe`."""
        while self.n_done < self.farthest:
            if self._is_enough():
                return "settled"
            if not self._explain_up_to(self._next_stop()):
                return "time_budget"
        return "all rows" if self.n_done == self.n_available else "max_rows"

    def notes(self, stopped: Stop) -> tuple[str | Note, ...]:
        notes: list[str | Note] = []
        if self.outrun:
            notes.append(self.outrun)
        if stopped == "time_budget":
            notes.append(
                f"The time budget of {self.budget.seconds:.3g} s was spent after {self.n_done} of "
                f"{self.limit} rows; the standard errors say how far the importances may be off."
            )
        if self.workers.failure is not None:
            notes.append(note_because("Explained in this process", self.workers.failure))
        return tuple(notes)

    def probe(self) -> None:
        """The first rows, which tell the scale and the cost of the others."""
        sizes = (_PROBE,) if self.budget.seconds is None else (1, _PROBE - 1)
        for size in sizes:
            stop = min(self.n_done + size, self.farthest)
            if stop == self.n_done:
                break
            if self.blocks:
                if self.budget.left < _STRETCH * self.seconds_per_row:
                    break
                stop = min(stop, self.n_done + max(1, self._fitting(size)))
            began = now()
            # A single row may add up to the wrong output by chance, so the second block is asked
            # anew.
            self.blocks.append(self.engine.explain(self._rows(self.n_done, stop)))
            self.seconds_per_row = (now() - began) / (stop - self.n_done)
            self._count(stop)
            if self.exact and not self.blocks[-1].adds_up:
                raise _no_sum(self.engine, self.blocks[-1])
        scale = self.blocks[-1].scale
        if len(self.blocks) > 1 and self.blocks[0].scale != scale:
            self.blocks[0] = self.engine.explain(self._rows(0, 1), scale)

    def with_fallback(self, fallback: Fallback) -> _Run:
        """This run, or a probed one of the fallback if this one is too slow for the budget."""
        n_rows = self.n_done + self._fitting(self.limit)
        other = fallback(n_rows) if n_rows < min(_FEW, self.limit) else None
        if other is None:
            return self
        outrun = (
            f"Within the time budget {self.engine.info.method} could have explained {n_rows} rows; "
            f"{other.info.method} explains more of them, less exactly."
        )
        run = replace(self, engine=other, exact=False, outrun=outrun)
        try:
            run.probe()
        except (CannotExplainError, OutOfTimeError):
            return self
        return run

    def has_converged(self) -> bool:
        """Whether the ranking is settled; a few rows cannot tell, unless they are all."""
        if self.n_done < min(FIRST, self.n_available):
            return False
        found = concatenate(self.blocks)
        within = noise(found.sampling_error)
        return has_converged(by_row(found.local_values), self.n_available, within)

    def _is_enough(self) -> bool:
        return not self.complete and self.has_converged()

    def _next_stop(self) -> int:
        if self.complete:
            return self.limit
        stop = FIRST
        while stop <= self.n_done:
            stop *= 2
        last = self.limit if self.n_done < self.limit else self.farthest
        return min(stop, last)

    def _explain_up_to(self, stop: int) -> bool:
        """Whether they were explained, all of them."""
        while self.n_done < stop:
            size = min(stop - self.n_done, self._fitting(stop - self.n_done))
            if size < 1:
                return False
            work = self.seconds_per_row * (self.limit - self.n_done)
            n_jobs = self.workers.count(min(work, self.budget.left))
            began, start = now(), self.n_done
            size, tables = self._tables(size, n_jobs)
            for block in self.workers.explain(tables, self.blocks[-1].scale, n_jobs):
                self.blocks.append(block)
                self._count(self.n_done + block.outputs.shape[0])
            self.seconds_per_row = (now() - began) / (self.n_done - start)
        return True

    def _fitting(self, wanted: int) -> int:
        """How many more rows the budget allows."""
        if self.budget.seconds is None:
            return wanted
        left = self.budget.left - _RESERVE * self.budget.seconds
        return int(max(left, 0.0) / max(self.seconds_per_row, 1e-9))

    def _tables(self, size: int, n_jobs: int) -> tuple[int, list[RowBatch]]:
        """The next rows, in a block for each worker at least, of some seconds at most."""
        longest = _BLOCK_SECONDS
        if self.budget.seconds is not None:
            longest = min(longest, _RESERVE * self.budget.seconds)
        each = max(1, int(longest / max(self.seconds_per_row, 1e-9)))
        if n_jobs == 1:
            size = min(size, each)
            return size, [self._rows(self.n_done, self.n_done + size)]
        each = max(1, min(each, -(-size // n_jobs)))
        ends = range(self.n_done, self.n_done + size, each)
        last = self.n_done + size
        return size, [self._rows(start, min(start + each, last)) for start in ends]

    def _rows(self, start: int, stop: int) -> RowBatch:
        return self.rows.subset(self.order[start:stop])

    def _count(self, n_done: int) -> None:
        self.n_done = n_done
        if self.plan.progress is not None:
            self.plan.progress(n_done, max(self.limit, n_done))


def _went(state: _Run, fallback: Fallback | None) -> tuple[_Run, Stop]:
    """The run that has explained the rows, and why it stopped."""
    try:
        state.probe()
        if fallback is not None:
            state = state.with_fallback(fallback)
        return state, state.go()
    except OutOfTimeError:
        if not state.blocks:
            raise state.budget.too_short("the model", state.seconds_per_row) from None
        return state, "time_budget"


def _order(n: int, limit: int, seed: int) -> Indices:
    """All row numbers: a seeded sample of ``limit`` of them in a random order, then the others."""
    picked = sample_rows(n, limit, seed)
    generator = np.random.default_rng(seed)
    others = np.setdiff1d(np.arange(n), picked)
    return np.concatenate([generator.permutation(picked), generator.permutation(others)])


def _no_sum(engine: Explainer, block: Attributions) -> CannotExplainError:
    return CannotExplainError(
        f"{engine.info.method} values add up to no output of the model "
        f"(off by {block.additivity_error:.3g})"
    )
