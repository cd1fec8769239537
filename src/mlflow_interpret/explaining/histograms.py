"""Histograms of the values of features, with the mean attributions in each bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.dataframes import Indices

_BINS = 10


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of the values of one feature; the last bin holds missing or other values.

    Attributes:
        edges: Upper ends of all bins but the last two, for a numeric feature; else None.
        categories: The most frequent values, for a feature that is not numeric; else empty.
    """

    edges: FloatArray | None
    categories: tuple[Any, ...] = ()

    @classmethod
    def of(cls, column: pd.Series) -> Bins:
        """Bins that hold about the same number of the given values each."""
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            values = values[np.isfinite(values)]
            quantiles = np.linspace(0.0, 1.0, _BINS + 1)[1:-1]
            return cls(np.unique(np.quantile(values, quantiles)) if len(values) else np.zeros(0))
        counts = column.astype(str).value_counts()
        return cls(None, tuple(counts.index[:_BINS]))

    @property
    def labels(self) -> list[str]:
        """A label for each bin."""
        if self.edges is None:
            return [*map(str, self.categories), "other"]
        ends = [f"{edge:.6g}" for edge in self.edges]
        return [
            *(f"<= {end}" for end in ends),
            f"> {ends[-1]}" if ends else "all",
            "missing",
        ]

    def assign(self, column: pd.Series) -> Indices:
        """``(n_rows,)`` number of the bin of each value."""
        if self.edges is None:
            known = {value: index for index, value in enumerate(self.categories)}
            numbers = column.astype(str).map(known).fillna(len(self.categories))
            return np.asarray(numbers, dtype=np.intp)
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        indices = np.searchsorted(self.edges, values, side="left")
        return np.where(np.isnan(values), len(self.edges) + 1, indices)

    def sums(self, column: pd.Series, local: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(n_bins,)`` numbers of rows and ``(K, n_bins)`` sums of their attributions.

        Args:
            column: ``(n_rows,)`` values of the feature.
            local: ``(K, n_rows)`` attributions of the feature.
        """
        indices, n_bins = self.assign(column), len(self.labels)
        counts = np.bincount(indices, minlength=n_bins).astype(np.float64)
        sums = [np.bincount(indices, weights=output, minlength=n_bins) for output in local]
        return counts, np.stack(sums)

    def histogram(self, feature: str, counts: FloatArray, sums: FloatArray) -> dict[str, Any]:
        """The histogram of a feature as plain JSON values.

        Args:
            feature: Name of the feature.
            counts: ``(n_bins,)`` numbers of rows.
            sums: ``(K, n_bins)`` sums of attributions.
        """
        return {
            "feature": feature,
            "values": self.labels,
            "rows": counts.astype(int).tolist(),
            "mean_contributions": [
                [float(total / n) if n else None for total, n in zip(output, counts, strict=True)]
                for output in sums
            ],
        }
