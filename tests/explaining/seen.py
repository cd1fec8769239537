"""Tables that transformers are tried on, and which raw columns their outputs are seen to change with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from packaging.version import parse as parse_version
from palmerpenguins import load_penguins
from scipy import sparse
from sklearn import __version__ as sklearn_release
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.column_lineage import lineage

from .agreement import with_gaps

ALL_PENGUINS = load_penguins()
PENGUINS = ALL_PENGUINS.drop(columns=["species", "year"])
FULL = PENGUINS.dropna().reset_index(drop=True)
SPECIES = ALL_PENGUINS["species"].to_numpy()
ISLAND, LENGTH, DEPTH, FLIPPER, MASS, SEX = range(6)
TEXT, NUMBERS = ["island", "sex"], list(PENGUINS.columns[1:5])
IRIS, KINDS = load_iris(return_X_y=True, as_frame=True)
WINE, CULTIVARS = load_wine(return_X_y=True, as_frame=True)
DIABETES, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
CANCER, MALIGNANT = load_breast_cancer(return_X_y=True, as_frame=True)
HOLES = with_gaps(DIABETES)


def polars():
    """The package, if the installed scikit-learn accepts its tables."""
    if parse_version(sklearn_release) < parse_version("1.8"):
        pytest.skip("scikit-learn before 1.8 does not take tables of polars 2")
    return pytest.importorskip("polars")


def table_of(X, n=80):
    """Some rows, as the engines get them."""
    picked = np.random.default_rng(1).permutation(X.shape[0])[:n]
    some = X.iloc[picked] if isinstance(X, pd.DataFrame) else X[picked.tolist()]
    return as_batch(some, feature_names(X, None), X)


def trace(transformer, X, y=None, n=80):
    """The lineage of a transformer once it is fitted."""
    transformer.fit(X, y)
    return lineage(transformer, table_of(X, n))


def dense(output):
    if sparse.issparse(output):
        return output.toarray()
    array = np.asarray(output)
    return array[:, None] if array.ndim == 1 else array


def differs(before, after):
    """``(n_columns,)``: by more than the rounding of sums over another memory layout."""
    try:
        one, other = before.astype(float), after.astype(float)
    except (TypeError, ValueError):
        one, other = (pd.DataFrame(cells).astype(str).to_numpy() for cells in (before, after))
        return (one != other).any(axis=0)
    return ~np.isclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True).all(axis=0)


def observed(transform, rows, tries=4):
    """For each engineered column the raw columns that it changes with, one at a time."""
    before = dense(transform(rows.original))
    found = [set() for _ in range(before.shape[1])]
    generator = np.random.default_rng(7)
    for j in range(rows.frame.shape[1]):
        for _ in range(tries):
            frame = rows.frame.reset_index(drop=True)
            order = generator.permutation(len(frame))
            frame.isetitem(j, frame.iloc[order, j].reset_index(drop=True))
            changed = differs(before, dense(transform(rows.restore(frame))))
            for k in np.flatnonzero(changed):
                found[k].add(j)
    return found
