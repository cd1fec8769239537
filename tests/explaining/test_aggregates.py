"""Tests of aggregates: they do not depend on the batches."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from mlflow_interpret.explaining.aggregates import KeptRows, merge_all
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.histograms import Bins
from mlflow_interpret.explaining.row_sums import SumCollector, row_keys

draw = np.random.default_rng(0)
FRAME = pd.DataFrame({"number": draw.normal(size=20), "word": draw.choice(list("abc"), 20)})
VALUES, ERRORS = draw.normal(size=(2, 20, 2)), draw.random((2, 20, 2))
NUMBERS, EXPECTED = np.arange(20), np.array([0.5, 0.25])
CUTS = pytest.mark.parametrize("cuts", [[], [1], [7, 8], [3, 11, 19]])


def collect_batches(collect, cuts, numbers=NUMBERS):
    """Aggregate the rows in batches that end at ``cuts``."""
    return merge_all(
        collect(
            Attributions(
                VALUES[:, rows],
                EXPECTED,
                VALUES[:, rows].sum(axis=2).T + EXPECTED,
                "probability",
                ERRORS[:, rows],
            ),
            RowBatch(FRAME.iloc[rows].reset_index(drop=True), FRAME[:0], numbers=rows),
        )
        for rows in np.split(numbers, cuts)
    )


@CUTS
def test_sums_do_not_depend_on_the_batches(cuts):
    bins = tuple(Bins.of(FRAME[name]) for name in FRAME)
    aggregates = collect_batches(SumCollector(bins, seed=3, sample_rows=5), cuts)
    assert aggregates.n == 20
    assert aggregates.scales == {"probability"}
    np.testing.assert_allclose(aggregates.importances(), np.abs(VALUES).mean(axis=1))
    deviation = np.abs(VALUES).mean(axis=0).std(axis=0, ddof=1)
    np.testing.assert_allclose(aggregates.errors(), deviation / np.sqrt(20))
    kept = np.sort(np.argsort(row_keys(3, np.arange(20)))[:5])
    np.testing.assert_array_equal(aggregates.numbers, kept)
    np.testing.assert_array_equal(aggregates.attributions.local_values, VALUES[:, kept])
    pd.testing.assert_frame_equal(aggregates.sample.frame, FRAME.iloc[kept].reset_index(drop=True))
    for histogram in aggregates.histograms(("number", "word")):
        assert sum(histogram["rows"]) == 20


@CUTS
def test_sampled_rows_are_sorted(cuts):
    order = draw.permutation(20)
    aggregates = collect_batches(KeptRows.collect, cuts, order)
    np.testing.assert_array_equal(aggregates.numbers, np.arange(20))
    np.testing.assert_array_equal(aggregates.attributions.local_values, VALUES)
    np.testing.assert_allclose(aggregates.importances(), np.abs(VALUES).mean(axis=1))


def test_sums_and_kept_rows_agree():
    bins = tuple(Bins.of(FRAME[name]) for name in FRAME)
    sums = collect_batches(SumCollector(bins, 0, 5), [7])
    rows = collect_batches(KeptRows.collect, [7])
    assert sums.sampling_error == pytest.approx(rows.sampling_error)
    assert sums.additivity_error == pytest.approx(rows.additivity_error)
    for by_sums, by_rows in zip(
        sums.intervals(list(FRAME), 1_000), rows.intervals(list(FRAME), 1_000), strict=True
    ):
        assert by_sums["feature"] == by_rows["feature"]
        # Those of rows have quantiles of Student's t and a correction for skewness.
        assert by_rows["low"] < by_sums["low"] < by_sums["high"] < by_rows["high"]


def test_the_size_of_sums_does_not_depend_on_the_number_of_rows():
    bins = tuple(Bins.of(FRAME[name]) for name in FRAME)
    sums = collect_batches(SumCollector(bins, 0, 5), [7])
    doubled = merge_all([sums, sums])
    assert doubled.n == 40
    assert len(pickle.dumps(doubled)) < 1.05 * len(pickle.dumps(sums))


def test_no_rows_add_nothing():
    aggregates = collect_batches(KeptRows.collect, [])
    assert merge_all([None, None]) is None
    assert merge_all([None, aggregates, None]) is aggregates


def test_row_keys_are_those_of_splitmix64():
    """Published values of the generator for the seed 0, whose first states are these numbers."""
    step = 0x9E3779B97F4A7C15
    numbers = np.array([0, step], dtype=np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    np.testing.assert_allclose(row_keys(0, numbers), np.array(expected) / 2.0**64, rtol=1e-15)
