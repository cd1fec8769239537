"""Order of the most important features in each run, and the labels of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlflow_interpret.compare.tables import feature_ranks
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray, shares
from mlflow_interpret.core.text import truncate

MAX_DRAWN_RUNS = 20
"""Number of runs that a figure or a page shows at most."""

_LABEL_LENGTH = 32  # characters of a run's label


@dataclass(frozen=True, eq=False)
class FeatureOrder:
    """Order of the drawn features in each run.

    Attributes:
        features: The ``F`` drawn features.
        positions: ``(N, F)`` positions of the features among the drawn ones in each of ``N`` runs,
            from 1; NaN where a run lacks a feature.
        ranks: ``(N, F)`` ranks among all features of the run.
    """

    features: tuple[str, ...]
    positions: FloatArray
    ranks: FloatArray

    @property
    def last_position(self) -> int:
        """The largest position; smaller than ``F`` if each run lacks some features."""
        return int(np.nanmax(self.positions, initial=0))

    def position_changes(self) -> FloatArray:
        """``(F,)`` differences between the largest and the smallest position of each feature."""
        missing = np.isnan(self.positions)
        largest = np.where(missing, -np.inf, self.positions).max(axis=0)
        smallest = np.where(missing, np.inf, self.positions).min(axis=0)
        changes: FloatArray = np.maximum(largest - smallest, 0)
        return changes


def order_in_runs(runs: Sequence[Importances], top_k: int) -> FeatureOrder:
    """The order of the ``top_k`` features with the largest mean share in the drawn runs."""
    drawn_runs, table = top_shares(runs, top_k)
    ranks = pd.DataFrame([_ranks_by_feature(run) for run in drawn_runs], dtype=float)
    ranks = ranks.reindex(columns=table.index)
    positions = ranks.rank(axis=1, method="first").to_numpy()
    return FeatureOrder(tuple(table.index), positions, ranks.to_numpy())


def _ranks_by_feature(run: Importances) -> dict[str, float]:
    return dict(zip(run.features, feature_ranks(run.values).tolist(), strict=True))


def run_labels(runs: Sequence[Importances]) -> list[str]:
    """Short labels of the runs: the names, with part of the id if a name occurs twice."""
    names = [truncate(run.run_name or run.run_id, _LABEL_LENGTH) for run in runs]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [
        f"{name[: _LABEL_LENGTH - 9]} {run.run_id[:8]}" if name in repeated else name
        for name, run in zip(names, runs, strict=True)
    ]


def share_table(runs: Sequence[Importances]) -> pd.DataFrame:
    """``(F, N)`` shares, sorted by falling mean share; NaN where a run lacks a feature."""
    columns = [pd.Series(shares(run.values), index=list(run.features)) for run in runs]
    table = pd.concat(columns, axis=1)
    table.columns = range(len(runs))
    order = table.fillna(0).mean(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order]


def top_shares(
    runs: Sequence[Importances], top_k: int
) -> tuple[Sequence[Importances], pd.DataFrame]:
    """The drawn runs, and the shares of the ``top_k`` features with the largest mean in them."""
    drawn_runs = runs[:MAX_DRAWN_RUNS]
    return drawn_runs, share_table(drawn_runs).iloc[:top_k]
