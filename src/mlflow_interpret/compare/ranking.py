"""In which order runs have their most important features, and what runs are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlflow_interpret.compare.tables import ranks
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray, shares
from mlflow_interpret.core.text import truncate

MOST_RUNS = 20
"""Runs that one figure shows."""

_NAME = 32  # characters of a run's name
_COLOURS = 7  # c0 to c6, of the figures and of the page
_COLOURED = 2 * _COLOURS  # lines; the second half is dashed


@dataclass(frozen=True, eq=False)
class Order:
    """The drawn features' order in each run.

    Attributes:
        features: The ``F`` drawn features.
        places: ``(N, F)`` places of the features in each run, NaN where a run lacks one.
        ranks: ``(N, F)`` their ranks among all features of the run.
        colours: What each line looks like: ``c0`` to ``c6``, with ``dashed`` behind for a second
            round, for those that move most; an empty text for the others.
    """

    features: tuple[str, ...]
    places: FloatArray
    ranks: FloatArray
    colours: tuple[str, ...]

    @property
    def deepest(self) -> int:
        """The last place that a feature has in a run: runs may lack features of others."""
        return int(np.nanmax(self.places, initial=0))


def order_in_runs(runs: Sequence[Importances], top_k: int) -> Order:
    """The order of the ``top_k`` features with the largest mean share in the drawn runs."""
    drawn, table = top_shares(runs, top_k)
    found = [_ranks_of(run) for run in drawn]
    ranked = pd.DataFrame(found, dtype=float).reindex(columns=table.index)
    places = ranked.rank(axis=1, method="first").to_numpy()
    moved = _spread(places)
    looks = [f"c{i % _COLOURS}{' dashed' * (i // _COLOURS)}" for i in range(_COLOURED)]
    most = np.argsort(-moved, kind="stable")[:_COLOURED].tolist()
    colours = {line: look for line, look in zip(most, looks, strict=False) if moved[line] > 0}
    return Order(
        tuple(table.index),
        places,
        ranked.to_numpy(),
        tuple(colours.get(line, "") for line in range(len(table))),
    )


def labels_of(runs: Sequence[Importances]) -> list[str]:
    """What the runs are called, in full where it fits, with part of the id where names repeat."""
    names = [truncate(run.run_name or run.run_id, _NAME) for run in runs]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [
        f"{name[: _NAME - 9]} {run.run_id[:8]}" if name in repeated else name
        for name, run in zip(names, runs, strict=True)
    ]


def by_share(runs: Sequence[Importances]) -> pd.DataFrame:
    """``(F, N)`` shares, the features with the largest mean first; NaN where a run lacks one."""
    columns = [pd.Series(shares(run.values), index=list(run.features)) for run in runs]
    table = pd.concat(columns, axis=1)
    table.columns = range(len(runs))
    order = table.fillna(0).mean(axis=1).sort_values(ascending=False, kind="stable").index
    return table.loc[order]


def top_shares(
    runs: Sequence[Importances], top_k: int
) -> tuple[Sequence[Importances], pd.DataFrame]:
    """The drawn runs, and the shares of the ``top_k`` features with the largest mean in them."""
    drawn = runs[:MOST_RUNS]
    return drawn, by_share(drawn).iloc[:top_k]


def _ranks_of(run: Importances) -> dict[str, float]:
    return dict(zip(run.features, ranks(run.values).tolist(), strict=True))


def _spread(places: FloatArray) -> FloatArray:
    """How many places each line moves at most."""
    low, high = (np.where(np.isnan(places), fill, places) for fill in (np.inf, -np.inf))
    spread: FloatArray = np.maximum(high.max(axis=0) - low.min(axis=0), 0)
    return spread
