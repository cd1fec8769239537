"""Aggregates of explained rows, which are merged batch by batch.

The loop over the rows reads importances, their errors and convergence from `KeptRows`, which holds
the attributions of all explained rows, or from `row_sums.RowSums`, whose size does not grow with
the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from mlflow_interpret.core.feature_groups import (
    FeatureGroups,
    GroupImportances,
    group_importances,
)
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions, concatenate, reorder
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.convergence import (
    has_converged,
    interval_record,
    intervals,
    row_importances,
    sampling_variance,
)
from mlflow_interpret.explaining.dataframes import Indices


class Aggregates(Protocol):
    """Results for the rows that were explained so far.

    Shapes: ``K`` outputs, 1 for a model with a single output; ``F`` features.
    """

    @property
    def n(self) -> int:
        """Number of explained rows."""

    @property
    def scales(self) -> frozenset[str | None]:
        """Names of the model outputs to which the batches add up."""

    @property
    def attributions(self) -> Attributions:
        """Attributions of the kept rows, by ascending row number."""

    @property
    def numbers(self) -> Indices:
        """``(n_kept,)`` numbers of the kept rows, ascending."""

    @property
    def additivity_error(self) -> float:
        """The largest difference between an output and the sum of its attributions."""

    @property
    def sampling_error(self) -> float | None:
        """Typical standard error of an attribution, relative to the largest one of its row.

        None for an explainer that does not sample coalitions.
        """

    def importances(self) -> FloatArray:
        """``(K, F)`` mean absolute attributions."""

    def errors(self) -> FloatArray | None:
        """``(F,)`` standard errors of the global importances.

        None if the kept rows are all explained rows: the errors follow from their attributions.
        """

    def intervals(self, features: Sequence[str], n_available: int) -> list[dict[str, Any]]:
        """Confidence intervals of the leading importances over ``n_available`` rows."""

    def has_converged(self, n_available: int) -> bool:
        """Whether the ranking of the leading features has converged."""

    def histograms(self, features: Sequence[str]) -> list[Mapping[str, Any]] | None:
        """Mean attributions by the values of the leading features; None if not collected."""

    def group_importances(self, groups: FeatureGroups, n_available: int) -> GroupImportances:
        """Importances of groups of features over ``n_available`` rows."""

    def merge(self, other: Any) -> Aggregates:
        """The aggregates of the rows of both."""


Collect = Callable[[Attributions, RowBatch], Aggregates]
"""Aggregates the attributions of one batch."""


def merge_all(aggregates: Iterable[Aggregates | None]) -> Aggregates | None:
    """Merge aggregates from left to right; None stands for no rows."""
    merged: Aggregates | None = None
    for part in aggregates:
        merged = part if merged is None else merged if part is None else merged.merge(part)
    return merged


@dataclass(frozen=True, eq=False)
class KeptRows:
    """The attributions of all explained rows: the aggregates of tables in memory.

    Attributes:
        batches: The attributions, in the order of explanation.
        order: ``(n,)`` numbers of the rows, in the same order.
    """

    batches: tuple[Attributions, ...]
    order: Indices

    @classmethod
    def collect(cls, attributions: Attributions, batch: RowBatch) -> KeptRows:
        """Keep the attributions of a batch."""
        return cls((attributions,), batch.numbers)

    @property
    def n(self) -> int:  # noqa: D102
        return len(self.order)

    @property
    def scales(self) -> frozenset[str | None]:  # noqa: D102
        return frozenset(batch.scale for batch in self.batches)

    @property
    def numbers(self) -> Indices:  # noqa: D102
        return np.sort(self.order)

    @cached_property
    def attributions(self) -> Attributions:  # noqa: D102
        return reorder(self._in_order, np.argsort(self.order))

    @cached_property
    def _in_order(self) -> Attributions:
        return concatenate(self.batches)

    @property
    def additivity_error(self) -> float:  # noqa: D102
        return self.attributions.additivity_error

    @property
    def sampling_error(self) -> float | None:  # noqa: D102
        errors = self.attributions.sampling_error
        if errors is None:
            return None
        typical = np.sqrt(np.mean(errors**2))
        size = np.abs(self.attributions.local_values).max(axis=-1).mean()
        return float(typical / size) if size > 0 else 0.0

    def importances(self) -> FloatArray:  # noqa: D102
        return np.atleast_2d(np.abs(self.attributions.local_values).mean(axis=-2))

    def errors(self) -> None:  # noqa: D102
        return None

    def intervals(self, features: Sequence[str], n_available: int) -> list[dict[str, Any]]:  # noqa: D102
        attributions = self.attributions
        return intervals(
            features, attributions.local_values, n_available, attributions.sampling_error
        )

    def has_converged(self, n_available: int) -> bool:  # noqa: D102
        attributions = self._in_order
        if attributions.engineered is not None and attributions.local_values.shape[-1] == 1:
            # A single raw column has no ranking, its engineered columns have: words of texts.
            return has_converged(row_importances(attributions.engineered.local_values), n_available)
        rows = row_importances(attributions.local_values)
        noise = sampling_variance(attributions.sampling_error)
        return has_converged(rows, n_available, noise)

    def histograms(self, features: Sequence[str]) -> None:  # noqa: ARG002, D102
        return None

    def group_importances(self, groups: FeatureGroups, n_available: int) -> GroupImportances:  # noqa: D102
        local, errors = self.attributions.local_values, self.attributions.sampling_error
        # The errors of a group's columns are not independent; their sum is an upper bound.
        bound = None if errors is None else groups.sums(errors)
        of = intervals(groups.names, groups.sums(local), n_available, bound)
        importances = group_importances(groups, local)
        return replace(importances, intervals=interval_record(of, n_available))

    def merge(self, other: KeptRows) -> KeptRows:  # noqa: D102
        order = np.concatenate([self.order, other.order])
        return KeptRows((*self.batches, *other.batches), order)
