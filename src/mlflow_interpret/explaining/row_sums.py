"""Sums over explained rows with a sample of them: the aggregates of partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.util import hash_array
from scipy import stats

from mlflow_interpret.core.feature_groups import FeatureGroups, GroupImportances
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions, by_output, concatenate, reorder
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.convergence import (
    LEVEL,
    interval_record,
    leading_features,
    leading_intervals,
)
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.histograms import Bins
from mlflow_interpret.explaining.importance_sums import ImportanceSums

SAMPLE_ROWS = 1_000
_HISTOGRAMS = 30


@dataclass(frozen=True, eq=False)
class RowSample:
    """A random sample of the explained rows: those with the smallest keys.

    Attributes:
        size: Largest number of rows.
        keys: ``(n,)`` random numbers, each of which depends on the number of the row only.
        numbers: ``(n,)`` numbers of the rows, ascending.
        frame: ``(n, F)`` the rows.
        attributions: Their attributions.
    """

    size: int
    keys: FloatArray
    numbers: Indices
    frame: pd.DataFrame
    attributions: Attributions

    def reduced(self) -> RowSample:
        """At most ``size`` rows, by ascending number."""
        sampled = np.argsort(self.keys, kind="stable")[: self.size]
        sampled = sampled[np.argsort(self.numbers[sampled])]
        return RowSample(
            self.size,
            self.keys[sampled],
            self.numbers[sampled],
            self.frame.iloc[sampled].reset_index(drop=True),
            reorder(self.attributions, sampled),
        )

    def merge(self, other: RowSample) -> RowSample:
        """The sample of the rows of both."""
        return RowSample(
            self.size,
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.numbers, other.numbers]),
            pd.concat([self.frame, other.frame], ignore_index=True),
            concatenate([self.attributions, other.attributions]),
        ).reduced()


@dataclass(frozen=True, eq=False)
class RowSums:
    """Sums over explained rows, histograms, and a sample: the aggregates of partitions.

    Attributes:
        n: Number of rows.
        scales: Names of the model outputs to which the batches add up.
        additivity_error: The largest difference between an output and the sum of its attributions.
        sums: Sums of the features.
        group_sums: Sums of the groups of features, None without groups.
        variance: Sum of the mean variance of the attributions of each row.
        largest: Sum of the largest absolute attribution of each row.
        bins: The bins of each feature.
        counts: For each feature ``(n_bins,)`` numbers of rows.
        bin_sums: For each feature ``(K, n_bins)`` sums of attributions.
        sample: Some of the rows.
    """

    n: int
    scales: frozenset[str | None]
    additivity_error: float
    sums: ImportanceSums
    group_sums: ImportanceSums | None
    variance: float
    largest: float
    bins: tuple[Bins, ...]
    counts: tuple[FloatArray, ...]
    bin_sums: tuple[FloatArray, ...]
    sample: RowSample

    @property
    def attributions(self) -> Attributions:  # noqa: D102
        return self.sample.attributions

    @property
    def numbers(self) -> Indices:  # noqa: D102
        return self.sample.numbers

    @property
    def sampling_error(self) -> float | None:  # noqa: D102
        if not self.sums.noise.any():
            return None
        return float(np.sqrt(self.variance / self.n) / (self.largest / self.n))

    def importances(self) -> FloatArray:  # noqa: D102
        return self.sums.importances()

    def errors(self) -> FloatArray | None:  # noqa: D102
        return self.sums.standard_errors(np.inf)

    def intervals(self, features: Sequence[str], n_available: int) -> list[dict[str, Any]]:  # noqa: D102
        return _intervals(features, self.sums, n_available)

    def group_importances(self, groups: FeatureGroups, n_available: int) -> GroupImportances:  # noqa: D102
        sums = self.group_sums
        assert sums is not None  # noqa: S101 - the collector has the groups of the inputs
        by_output = sums.importances()
        has_outputs = self.attributions.local_values.ndim == 3
        return GroupImportances(
            columns=groups.columns,
            names=groups.names,
            values=by_output.mean(axis=0),
            errors=sums.standard_errors(np.inf),
            per_class_values=by_output if has_outputs else None,
            per_class_errors=sums.output_errors() if has_outputs else None,
            intervals=interval_record(_intervals(groups.names, sums, n_available), n_available),
        )

    def has_converged(self, n_available: int) -> bool:  # noqa: D102
        return self.n == n_available

    def histograms(self, features: Sequence[str]) -> list[Mapping[str, Any]]:  # noqa: D102
        leading = leading_features(self.importances().mean(axis=0), _HISTOGRAMS)
        return [
            self.bins[i].histogram(features[i], self.counts[i], self.bin_sums[i]) for i in leading
        ]

    def merge(self, other: RowSums) -> RowSums:  # noqa: D102
        return RowSums(
            n=self.n + other.n,
            scales=self.scales | other.scales,
            additivity_error=max(self.additivity_error, other.additivity_error),
            sums=self.sums.merge(other.sums),
            group_sums=(
                None
                if self.group_sums is None or other.group_sums is None
                else self.group_sums.merge(other.group_sums)
            ),
            variance=self.variance + other.variance,
            largest=self.largest + other.largest,
            bins=self.bins,
            counts=tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
            bin_sums=tuple(a + b for a, b in zip(self.bin_sums, other.bin_sums, strict=True)),
            sample=self.sample.merge(other.sample),
        )


@dataclass(frozen=True, eq=False)
class SumCollector:
    """Aggregates a batch into `RowSums`.

    Attributes:
        bins: The bins of each feature.
        seed: Seed of the sample.
        sample_rows: Largest number of rows in the sample.
        groups: Groups of features, or None.
    """

    bins: tuple[Bins, ...]
    seed: int
    sample_rows: int
    groups: FeatureGroups | None = None

    def __call__(self, attributions: Attributions, batch: RowBatch) -> RowSums:
        """Aggregate the attributions of a batch."""
        local = by_output(attributions.local_values)
        errors = attributions.sampling_error
        errors = None if errors is None else by_output(errors)
        variance = 0.0 if errors is None else float((errors**2).mean(axis=(0, 2)).sum())
        histograms = [
            bins.sums(batch.frame.iloc[:, i], local[..., i]) for i, bins in enumerate(self.bins)
        ]
        sample = RowSample(
            size=self.sample_rows,
            keys=row_keys(self.seed, batch.numbers),
            numbers=batch.numbers,
            frame=batch.frame,
            attributions=replace(attributions, engineered=None),  # may have thousands of columns
        )
        return RowSums(
            n=len(batch),
            scales=frozenset([attributions.scale]),
            additivity_error=attributions.additivity_error,
            sums=ImportanceSums.of(local, errors),
            group_sums=self._group_sums(local, errors),
            variance=variance,
            largest=float(np.abs(local).max(axis=-1).mean(axis=0).sum()),
            bins=self.bins,
            counts=tuple(counts for counts, _ in histograms),
            bin_sums=tuple(sums for _, sums in histograms),
            sample=sample.reduced(),
        )

    def _group_sums(self, local: FloatArray, errors: FloatArray | None) -> ImportanceSums | None:
        if self.groups is None:
            return None
        # The errors of a group's columns are not independent; their sum is an upper bound.
        bound = None if errors is None else self.groups.sums(errors)
        return ImportanceSums.of(self.groups.sums(local), bound)


def _intervals(
    names: Sequence[str], sums: ImportanceSums, n_available: int
) -> list[dict[str, Any]]:
    # The correction for skewness of `half_widths` needs single rows, and is nothing for many.
    errors = sums.standard_errors(n_available)
    quantile = stats.norm.ppf((1.0 + LEVEL) / 2.0)
    half = None if errors is None else quantile * errors
    return leading_intervals(names, sums.importances().mean(axis=0), half)


def row_keys(seed: int, numbers: Indices) -> FloatArray:
    """A random number in [0, 1) for each row number: splitmix64 (Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        states = numbers.astype(np.uint64) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        states += np.uint64(0x9E3779B97F4A7C15)
    keys: FloatArray = hash_array(states).astype(np.float64) / 2.0**64
    return keys
