"""The rows that a prepared engine explains: which, in what order, and together."""

from __future__ import annotations

import numpy as np

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.explaining.contributions import Contributions, is_sum
from mlflow_interpret.explaining.prepared import Block, Prepared, joined, reordered
from mlflow_interpret.explaining.tables import Table, sample
from mlflow_interpret.records import Plan


def run(engine: Prepared, rows: Table, plan: Plan, *, exact: bool = False) -> Contributions:
    """Explain a seeded sample of ``rows``.

    Args:
        engine: It explains them.
        rows: The rows to choose from.
        plan: How many at most, and the seed.
        exact: The values have to add up to an output of the model.

    Raises:
        CannotExplainError: The engine cannot explain them, or not as exactly.
    """
    limit = engine.ceiling if plan.max_rows is None else plan.max_rows
    picked = sample(len(rows), limit, plan.random_state)
    order = np.random.default_rng(plan.random_state).permutation(len(picked))
    blocks = [engine.explain(rows.subset(picked[order]))]
    found = reordered(joined(blocks), np.argsort(order))
    if exact and not _adds_up(found):
        raise CannotExplainError(
            f"{engine.method} values add up to no output of the model (off by {found.missed:.3g})"
        )
    return Contributions(
        method=engine.method,
        engine=engine.engine,
        local_values=found.local_values,
        expected_values=found.expected_values,
        scale=str(found.scale),
        additivity_error=found.missed,
        rows=picked,
        background_rows=engine.background_rows,
        sampling_error=found.sampling_error,
        engineered=found.engineered,
        notes=engine.notes,
    )


def _adds_up(block: Block) -> bool:
    return block.scale is not None and is_sum(block.local_values, block.outputs, block.missed)
