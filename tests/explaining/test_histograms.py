"""Tests of the bins of histograms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlflow_interpret.explaining.histograms import Bins


def test_missing_and_unknown_values_have_their_own_bins():
    numbers = Bins.of(pd.Series([1.0, 2.0, 3.0, np.nan]))
    assert numbers.labels[-1] == "missing"
    assert numbers.assign(pd.Series([np.nan]))[0] == len(numbers.labels) - 1
    words = Bins.of(pd.Series(["a", "b", "a"]))
    assert words.labels == ["a", "b", "other"]
    assert words.assign(pd.Series(["c", "a", None])).tolist() == [2, 0, 2]
