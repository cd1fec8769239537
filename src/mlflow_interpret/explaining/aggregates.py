"""What comes back from explained rows: sums, histograms and a sample, however many there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.dataframes import Indices

_BINS = 10


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of the values of one feature; one more is for missing values and all others.

    Attributes:
        edges: The upper ends of all bins but the last, of a numeric feature; else None.
        categories: The most frequent values of another feature; else none.
    """

    edges: FloatArray | None
    categories: tuple[Any, ...] = ()

    @classmethod
    def of(cls, column: pd.Series) -> Bins:
        """Bins of about as many of the given values each."""
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
            values = values[np.isfinite(values)]
            steps = np.linspace(0.0, 1.0, _BINS + 1)[1:-1]
            return cls(np.unique(np.quantile(values, steps)) if len(values) else np.zeros(0))
        counts = column.astype(str).value_counts()
        return cls(None, tuple(counts.index[:_BINS]))

    @property
    def labels(self) -> list[str]:
        """What each bin holds."""
        if self.edges is None:
            return [*map(str, self.categories), "other"]
        ends = [f"{edge:.6g}" for edge in self.edges]
        return [
            *(f"<= {end}" for end in ends),
            f"> {ends[-1]}" if ends else "all",
            "missing",
        ]

    def places(self, column: pd.Series) -> Indices:
        """``(n_rows,)`` bin of each value."""
        if self.edges is None:
            known = {value: place for place, value in enumerate(self.categories)}
            found = column.astype(str).map(known).to_numpy(dtype=np.float64, na_value=np.nan)
            places: Indices = np.nan_to_num(found, nan=len(self.categories)).astype(np.intp)
            return places
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        places = np.searchsorted(self.edges, values, side="left")
        return np.where(np.isnan(values), len(self.edges) + 1, places).astype(np.intp)


@dataclass(frozen=True, eq=False)
class Sample:
    """Some explained rows, those with the smallest keys of all.

    Attributes:
        keys: ``(n,)`` random numbers, which depend on the row's number alone.
        numbers: ``(n,)`` the rows' numbers.
        frame: ``(n, n_features)`` the rows.
        local_values: ``(n_outputs, n, n_features)`` contributions.
    """

    keys: FloatArray
    numbers: Indices
    frame: pd.DataFrame
    local_values: FloatArray

    def smallest(self, size: int) -> Sample:
        """At most ``size`` rows, in the order of their numbers."""
        kept = np.argsort(self.keys, kind="stable")[:size]
        kept = kept[np.argsort(self.numbers[kept])]
        return Sample(
            self.keys[kept],
            self.numbers[kept],
            self.frame.iloc[kept].reset_index(drop=True),
            self.local_values[:, kept],
        )

    def with_others(self, other: Sample, size: int) -> Sample:
        """The sample of both."""
        return Sample(
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.numbers, other.numbers]),
            pd.concat([self.frame, other.frame], ignore_index=True),
            np.concatenate([self.local_values, other.local_values], axis=1),
        ).smallest(size)


@dataclass(frozen=True, eq=False)
class Aggregates:
    """Aggregates over explained rows; ``K`` blocks, 1 without blocks, ``F`` features.

    Attributes:
        n: How many rows.
        absolute: ``(K, F)`` of the absolute contributions.
        squares: ``(F,)`` of the squared importances of single rows.
        noise: ``(F,)`` of the variances by what the engine samples, or zeros.
        spread: Of the mean variance of a row's contributions by sampling.
        largest: Of the rows' largest absolute contributions.
        expected: ``(K,)`` expected values, the same for all rows.
        missed: The largest difference between a row's output and the sum of its contributions.
        size: The largest sum of a row's absolute contributions.
        scales: The scales of the blocks.
        counts: For each feature the rows in each bin.
        by_bin: For each feature ``(K, n_bins)`` sums of contributions.
        sample: Some of the rows.
    """

    n: int
    absolute: FloatArray
    squares: FloatArray
    noise: FloatArray
    spread: float
    largest: float
    expected: FloatArray
    missed: float
    size: float
    scales: frozenset[str | None]
    counts: list[FloatArray]
    by_bin: list[FloatArray]
    sample: Sample

    def importances(self) -> FloatArray:
        """``(K, F)`` mean absolute contributions."""
        return self.absolute / self.n

    def errors(self, available: float = math.inf) -> FloatArray | None:
        """``(F,)`` standard errors of the global importances.

        They are those of `Explanation.standard_errors`, or, with ``available``, as means over so
        many rows; see `settling.standard_errors`.
        """
        drawn = self.n / available
        within = self.noise / self.n
        if self.n < 2:
            return np.sqrt(within) if self.n == available else None
        mean = self.absolute.mean(axis=0) / self.n
        variance = np.maximum(self.squares / self.n - mean**2, 0.0) * self.n / (self.n - 1)
        errors: FloatArray = np.sqrt(((1.0 - drawn) * variance + drawn * within) / self.n)
        return errors


def aggregate(block: Attributions, frame: pd.DataFrame, numbers: Indices, keys: FloatArray,
           bins: list[Bins], size: int) -> Aggregates:  # fmt: skip
    """The sums over one block of rows.

    Args:
        block: The rows' contributions.
        frame: ``(n_rows, n_features)`` the rows.
        numbers: ``(n_rows,)`` their numbers.
        keys: ``(n_rows,)`` their keys.
        bins: The bins of each feature.
        size: Rows of the sample.
    """
    local = block.local_values if block.local_values.ndim == 3 else block.local_values[None]
    absolute = np.abs(local)
    by_row = absolute.mean(axis=0)
    error = block.sampling_error
    variance = np.zeros((1, *by_row.shape))
    if error is not None:
        variance = (error if error.ndim == 3 else error[None]) ** 2
    places = [one.places(frame.iloc[:, i]) for i, one in enumerate(bins)]
    lengths = [len(one.labels) for one in bins]
    return Aggregates(
        n=len(frame),
        absolute=absolute.sum(axis=1),
        squares=(by_row**2).sum(axis=0),
        noise=variance.mean(axis=0).sum(axis=0),
        spread=float(variance.mean(axis=(0, 2)).sum()),
        largest=float(absolute.max(axis=-1).mean(axis=0).sum()),
        expected=np.asarray(block.expected_values, dtype=np.float64),
        missed=block.additivity_error,
        size=float(absolute.sum(axis=-1).max(initial=0.0)),
        scales=frozenset([block.scale]),
        counts=[
            np.bincount(place, minlength=length).astype(np.float64)
            for place, length in zip(places, lengths, strict=True)
        ],
        by_bin=[
            np.stack([np.bincount(place, weights=one[:, i], minlength=length) for one in local])
            for i, (place, length) in enumerate(zip(places, lengths, strict=True))
        ],
        sample=Sample(keys, numbers, frame, local).smallest(size),
    )


def merge(size: int, a: Aggregates | None, b: Aggregates | None) -> Aggregates | None:
    """The sums over the rows of both; None for no rows.

    Args:
        size: Rows of the sample.
        a: Of some rows.
        b: Of others.
    """
    if a is None or b is None:
        return b if a is None else a
    return Aggregates(
        n=a.n + b.n,
        absolute=a.absolute + b.absolute,
        squares=a.squares + b.squares,
        noise=a.noise + b.noise,
        spread=a.spread + b.spread,
        largest=a.largest + b.largest,
        expected=a.expected,
        missed=max(a.missed, b.missed),
        size=max(a.size, b.size),
        scales=a.scales | b.scales,
        counts=[x + y for x, y in zip(a.counts, b.counts, strict=True)],
        by_bin=[x + y for x, y in zip(a.by_bin, b.by_bin, strict=True)],
        sample=a.sample.with_others(b.sample, size),
    )


def histograms(
    sums: Aggregates, bins: list[Bins], names: tuple[str, ...], top: int
) -> list[Mapping[str, Any]]:
    """Mean contributions by the values of the most important features, as plain JSON values."""
    leading = np.argsort(-sums.importances().mean(axis=0), kind="stable")[:top]
    return [
        {
            "feature": names[i],
            "values": bins[i].labels,
            "rows": sums.counts[i].astype(int).tolist(),
            "mean_contributions": [
                [
                    float(total / n) if n else None
                    for total, n in zip(one, sums.counts[i], strict=True)
                ]
                for one in sums.by_bin[i]
            ],
        }
        for i in leading
    ]
