"""Small real problems."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris

from .agreement import rows_of


@pytest.fixture(scope="module")
def iris():
    return rows_of(load_iris, 30, [0, 1, 2, 3])


@pytest.fixture(scope="module")
def cancer():
    return rows_of(load_breast_cancer, 30, [0, 1, 4, 21, 27])


@pytest.fixture(scope="module")
def diabetes():
    return rows_of(load_diabetes, 30, [2, 3, 8, 9])


@pytest.fixture(scope="module")
def shop():
    """Strings, numbers with gaps and a yes/no column, with a price that depends on their mix."""
    draw = np.random.default_rng(2)
    n = 30
    rows = pd.DataFrame(
        {
            "colour": draw.choice(["red", "green", "blue"], n),
            "size": draw.choice([1, 2, 5], n),
            "used": draw.choice([True, False], n),
            "weight": np.where(draw.random(n) < 0.2, np.nan, draw.normal(size=n)),
        }
    )
    weight = rows["weight"].fillna(0)
    price = rows["size"] * (2 + (rows["colour"] == "red")) - rows["used"] * rows["size"] + weight
    return rows, price


class Clock:
    """A clock that stands still until a test or a model advances it."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """A clock for time budgets."""
    return Clock()


@pytest.fixture(scope="session")
def dask_client():
    """A client of a Dask cluster of two worker processes."""
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options, silence_logs=50) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        yield client
