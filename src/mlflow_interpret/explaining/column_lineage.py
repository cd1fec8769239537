"""The raw columns from which each engineered column is computed.

Attributions of engineered columns can be summed up by raw column only if each engineered column is
a function of a single raw column of the same row. The sources of a column are an upper bound: the
column depends on no other raw columns. If no bound is known, an error is raised.

`step_sources` has the bounds of single steps. `verify` checks every bound on sample rows. A
dependence that shows in rare rows only, as in ``np.where(income > 1e6, age, height)``, may remain
undetected. `Lineage.inferred` therefore names the transformers with inferred bounds, which are
checked on more rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from mlflow_interpret.core.explanation import distinct_names
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.column_names import column_names
from mlflow_interpret.explaining.column_shuffles import (
    ColumnShuffles,
    UnknownLineageError,
    halves,
    refuse,
    representative_rows,
)
from mlflow_interpret.explaining.step_sources import (
    apply_steps,
    check_width,
    merge,
    same,
    trace_steps,
    width,
)

_ROWS = 100
"""Size of the random sample of rows; each check transforms them once."""
_VERIFICATION_ROWS = 1_000
"""Size of the random sample on which inferred bounds are verified."""
_VERIFICATION_CELLS = 1_000_000
"""Limit of the engineered cells of that sample."""


@dataclass(frozen=True)
class Lineage:
    """The sources of engineered columns.

    Attributes:
        names: Unique names of the engineered columns, from ``get_feature_names_out`` if possible.
        sources: For each engineered column, the positions of the raw columns it can depend on.
        inferred: Classes of transformers whose sources were inferred from sample rows.
        unnamed: Classes of transformers that name no columns; these are numbered.
    """

    names: tuple[str, ...]
    sources: tuple[frozenset[int], ...]
    inferred: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()

    @property
    def is_separable(self) -> bool:
        """Whether every engineered column has a single source, or is a constant."""
        return all(len(sources) < 2 for sources in set(self.sources))

    @property
    def mixed(self) -> tuple[str, ...]:
        """The engineered columns with several sources."""
        pairs = zip(self.names, self.sources, strict=True)
        return tuple(name for name, sources in pairs if len(sources) > 1)


def lineage(steps: Sequence[tuple[str, Any]] | Any, rows: RowBatch) -> Lineage:
    """Find the raw columns from which fitted transformers compute each column.

    A separable lineage is verified on ``rows``. Any other one is needed for messages only.

    Args:
        steps: The steps in front of a pipeline's last one, or a single transformer.
        rows: Some dozens of rows for the first step.

    Raises:
        UnknownLineageError: The sources are not known, or contradict the sample rows.
    """
    front: Any = steps
    front = front.steps if type(front) is Pipeline else front
    chain = list(front) if isinstance(front, Sequence) else [("", front)]
    try:
        return _lineage(chain, rows)
    except UnknownLineageError:
        raise
    except Exception as error:  # an unforeseen kind of transformer or rows
        raise UnknownLineageError("Its columns could not be traced", error) from error


def _lineage(chain: list[tuple[str, Any]], rows: RowBatch) -> Lineage:
    labels = list(getattr(rows.template, "columns", rows.frame.columns))
    names = labels if all(isinstance(name, str) for name in labels) else list(rows.frame.columns)
    inferred: list[str] = []
    sample = representative_rows(rows, _ROWS)
    original = sample.restore(sample.frame.copy())
    sources = same(width(original))
    unnamed: list[str] = []
    for traced in trace_steps(chain, original, inferred):
        sources = merge(sources, traced.sources)
        names = column_names(traced, names, unnamed)
    kinds = tuple(dict.fromkeys(inferred)), tuple(dict.fromkeys(unnamed))
    result = Lineage(distinct_names(names), tuple(sources), *kinds)
    if result.is_separable:
        if inferred:
            limit = min(_VERIFICATION_ROWS, max(_ROWS, _VERIFICATION_CELLS // len(names)))
            sample = representative_rows(rows, limit)
        verify(partial(apply_steps, chain), sample, result)
    return result


def verify(transform: Callable[[Any], Any], rows: RowBatch, claim: Lineage) -> None:
    """Shuffle raw columns of rows and check that only the columns with these sources change.

    Columns are shuffled in the `halves` of their positions, which check all pairs of columns.

    Args:
        transform: Computes engineered rows from raw ones.
        rows: Raw rows.
        claim: The lineage to check.

    Raises:
        UnknownLineageError: An engineered column depends on other raw columns, or on other rows.
    """
    shuffles = ColumnShuffles(transform, rows)
    check_width(len(claim.names), shuffles.n_outputs, "The transformer's output on the same rows")
    refuse(shuffles.depends_on_other_rows(), claim.names, "other rows")
    n = rows.frame.shape[1]
    for group in itertools.chain(*halves(n), [frozenset(range(n))]):  # the last one for constants
        bound = np.array([not sources & group for sources in claim.sources], dtype=bool)
        if bound.any():
            cause = "raw columns that are not its sources"
            refuse(bound & shuffles.changed(group), claim.names, cause)
