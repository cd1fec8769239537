"""Every kind of table: the model gets its own container, types and cells, and nothing else.

The model in most of these tests accepts nothing but the container, columns and types of its fit and
the very cells that it saw, and gives each cell a worth of its own. Its contributions are known:
a cell's worth less the mean worth of the column's background cells.
"""

from __future__ import annotations

import datetime as dt
import decimal
import tracemalloc
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.dataframes import as_rows, take
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.runtime.isolation import suppress_warnings

N = 30
BACKGROUND = np.arange(5)


def is_polars(X):
    return hasattr(X, "get_columns")


def key(cell):
    return f"{type(cell).__name__}: {cell!r}"


def signature(X):
    if isinstance(X, pd.DataFrame):
        return type(X), type(X.columns), list(X.columns), list(X.columns.names), list(X.dtypes)
    return (type(X), X.schema) if is_polars(X) else (type(X), X.dtype, X.shape[1])


def columns_of(X):
    if isinstance(X, pd.DataFrame):
        return [X.iloc[:, i].tolist() for i in range(X.shape[1])]
    if is_polars(X):
        return [column.to_list() for column in X.get_columns()]
    cells = X.toarray() if sparse.issparse(X) else X
    return [cells[:, i].tolist() for i in range(cells.shape[1])]


class Strict(RegressorMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.like_ = signature(X)
        self.worths_ = [
            {k: float(n**2) for n, k in enumerate(dict.fromkeys(map(key, cells)))}
            for cells in columns_of(X)
        ]
        return self

    def worth(self, X):
        pairs = zip(self.worths_, columns_of(X))
        return np.array([[worths[key(cell)] for cell in cells] for worths, cells in pairs]).T

    def predict(self, X):
        assert signature(X) == self.like_, (signature(X), self.like_)
        return self.worth(X).sum(axis=1)


def explained(model, X, y=None, max_rows=6, **context):
    with suppress_warnings():
        return explain(TrainingContext(model, X, y, **context), Plan(max_rows))


def assert_exact(X, max_rows=6):
    model = Strict().fit(X)
    background = take(X, BACKGROUND[: X.shape[0]])
    found = explained(model, X, max_rows=max_rows, initialization_examples=background)
    rows = take(X, sample_rows(X.shape[0], max_rows, 0))
    truth = model.worth(rows) - model.worth(background).mean(axis=0)
    np.testing.assert_allclose(found.local_values, truth, atol=1e-8)
    np.testing.assert_allclose(found.predicted, model.worth(rows).sum(axis=1))
    assert len(set(found.features)) == X.shape[1]
    return found


def cycle(*values):
    """The values in an order without a pattern that a second column could share."""
    return [values[i % 7 % len(values)] for i in range(N)]


def arrow(kind, *values):
    return pd.array(pa.array(cycle(*values), kind), dtype=pd.ArrowDtype(kind))


def dates(*values, zone=None):
    return pd.Series(pd.to_datetime(cycle(*values))).dt.tz_localize(zone)


DAYS = dt.date(2020, 1, 1), dt.date(2021, 2, 3)
TIMES = dt.datetime(2020, 1, 1, 3, 4), dt.datetime(2021, 2, 3)
WORDS = "red", "green", "", "a b"

COLUMNS = {
    "strings": lambda: pd.Series(cycle(*WORDS)),
    "objects": lambda: pd.Series(cycle(*WORDS, None), dtype=object),
    "booleans": lambda: cycle(True, False, False),
    "categories": lambda: pd.Categorical(cycle(*WORDS, None)),
    "ordered": lambda: pd.Categorical(cycle("a", "b"), ["z", "b", "a"], ordered=True),
    "categories of numbers": lambda: pd.Categorical(cycle(5, 7, 9)),
    "categories of booleans": lambda: pd.Categorical(cycle(True, False)),
    "categories of dates": lambda: pd.Categorical(dates("2020-01-01", "2021-01-01")),
    "intervals": lambda: pd.cut(pd.Series(cycle(1, 2, 3, 4)), 3),
    "dates": lambda: dates("2020-01-01 00:00:00.0", "1999-12-31 23:59:59.5", None),
    "dates in seconds": lambda: dates("2020-01-01", None).astype("datetime64[s]"),
    "zone": lambda: dates("2020-03-29 01:59", "2020-10-25 04:00", None, zone="Europe/Berlin"),
    "UTC": lambda: dates("2020-03-29", "2020-10-25", zone="UTC"),
    "durations": lambda: pd.to_timedelta(cycle(1, 2.5, None), unit="h"),
    "periods": lambda: pd.PeriodIndex(cycle("2020-01", "2020-02"), freq="M"),
    "Int64": lambda: pd.array(cycle(1, 2, None), dtype="Int64"),
    "Int8 without gaps": lambda: pd.array(cycle(1, 2), dtype="Int8"),
    "Int64, large": lambda: pd.array(cycle(2**60, 2**60 + 1, None), dtype="Int64"),
    "Float32": lambda: pd.array(cycle(1.5, 2, None), dtype="Float32"),
    "boolean": lambda: pd.array(cycle(True, False, None), dtype="boolean"),
    "boolean without gaps": lambda: pd.array(cycle(True, False), dtype="boolean"),
    "string": lambda: pd.array(cycle(*WORDS, None), dtype="string"),
    "string of Arrow": lambda: pd.array(cycle(*WORDS, None), dtype="string[pyarrow]"),
    "Arrow integers": lambda: arrow(pa.int64(), 1, 2, None),
    "Arrow integers without gaps": lambda: arrow(pa.int32(), 1, 2),
    "Arrow floats": lambda: arrow(pa.float64(), 1.5, 2.0, None),
    "Arrow booleans": lambda: arrow(pa.bool_(), True, False, None),
    "Arrow strings": lambda: arrow(pa.string(), *WORDS, None),
    "Arrow times": lambda: arrow(pa.timestamp("us"), *TIMES, None),
    "Arrow times in a zone": lambda: arrow(pa.timestamp("us", "UTC"), *TIMES),
    "Arrow dates": lambda: arrow(pa.date32(), *DAYS, None),
    "Arrow durations": lambda: arrow(pa.duration("us"), dt.timedelta(1), dt.timedelta(2), None),
    "Arrow decimals": lambda: arrow(pa.decimal128(9, 2), decimal.Decimal("1.50"), None),
    "Arrow bytes": lambda: arrow(pa.binary(), b"a", b"b", None),
    "Arrow dictionary": lambda: arrow(pa.dictionary(pa.int32(), pa.string()), "a", "b", None),
    "Arrow lists": lambda: arrow(pa.list_(pa.int64()), [1], [1, 2], None),
    "sparse": lambda: pd.arrays.SparseArray(cycle(0.0, 0.0, 1.0, 2.0)),
    "half precision": lambda: np.array(cycle(1, 2, 3), dtype=np.float16),
    "unsigned, large": lambda: np.array(cycle(2**64 - 1, 2**63, 1), dtype=np.uint64),
    "integers, large": lambda: np.array(cycle(2**60, 2**60 + 1, -(2**60))),
    "integers, huge": lambda: pd.Series(cycle(2**80, 2**80 + 1, 3), dtype=object),
    "complex": lambda: np.array(cycle(1j, 2, 3)),
    "infinite": lambda: cycle(np.inf, -np.inf, 1.0),
    "gaps": lambda: cycle(np.nan, 2.0, 1.0),
    "all missing": lambda: [np.nan] * N,
    "all None": lambda: pd.Series([None] * N, dtype=object),
    "constant": lambda: [3] * N,
    "mixed": lambda: pd.Series(cycle(1, "1", True, None, 1.0), dtype=object),
    "decimals": lambda: pd.Series(cycle(decimal.Decimal(1), decimal.Decimal(2)), dtype=object),
    "days": lambda: pd.Series(cycle(*DAYS, None), dtype=object),
    "UUIDs": lambda: pd.Series(cycle(uuid.UUID(int=1), uuid.UUID(int=2)), dtype=object),
    "tuples": lambda: pd.Series(cycle((1, 2), (3,)), dtype=object),
    "lists": lambda: pd.Series(cycle([1, 2], [3]), dtype=object),
    "dictionaries": lambda: pd.Series(cycle({"a": 1}, {"b": 2}), dtype=object),
    "arrays": lambda: pd.Series(cycle(np.arange(2), np.arange(3)), dtype=object),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_type_of_column(kind):
    found = assert_exact(pd.DataFrame({"a": COLUMNS[kind](), "b": np.arange(N) % 5 * 1.0}))
    assert bool(found.global_values[0]) == (kind not in {"all missing", "all None", "constant"})


NUMBERS = np.random.default_rng(0).integers(0, 4, (N, 3))

ARRAYS = {
    **{
        kind: NUMBERS.astype(kind)
        for kind in ("f8", "f4", "f2", "i8", "i1", "u1", "?", "O", "U5", "S5", "c16", ">f8", ">i4")
    },
    "days": NUMBERS.astype("i8").astype("M8[D]"),
    "hours": NUMBERS.astype("m8[h]"),
    "Fortran": np.asfortranarray(NUMBERS.astype("f4")),
    "every second column": np.repeat(NUMBERS, 2, axis=1)[:, ::2],
    "gaps": np.where(NUMBERS == 0, np.nan, NUMBERS),
    "objects": np.array(
        [list(row) for row in zip(cycle("a", None), cycle(1, 2), cycle(*DAYS))], dtype=object
    ),
    "lists": np.array([list(row) for row in zip(cycle("a", "b"), cycle(1, 2))], dtype=object),
}
for position in range(N):
    ARRAYS["lists"][position, 0] = [position % 3]


@pytest.mark.parametrize("kind", ARRAYS)
def test_every_type_of_array(kind):
    assert assert_exact(ARRAYS[kind]).features[0] == "x0"


def test_an_array_that_cannot_be_written_to():
    X = NUMBERS.astype(float)
    X.setflags(write=False)
    assert_exact(X)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_a_structured_array_is_refused(shape):
    X = np.zeros(shape, dtype=[("age", "i4"), ("size", "f8")])
    with pytest.raises(CannotExplainError, match="X is a structured array.*pass a DataFrame"):
        as_rows(X)


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(CannotExplainError, match="X is not a table of rows and columns"):
        as_rows([[1, 2], [3]])


def test_a_list_of_texts_and_numbers_keeps_its_numbers():
    X = [list(row) for row in zip(cycle("a", "b"), cycle(1, 2, 3))]
    y = [row[1] * 2.0 for row in X]
    model = make_pipeline(OneHotEncoder(), LinearRegression()).fit(X, y)
    found = explained(model, X, y)
    assert found.ranked()[0][0] == "x1"
    np.testing.assert_allclose(found.predicted, found.true_labels)


FORMATS = [f"{f}_{kind}" for f in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")
           for kind in ("matrix", "array")]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("dtype", ["f4", "i8", "?"])
def test_every_kind_of_sparse_table(kind, dtype):
    assert_exact(getattr(sparse, kind)(NUMBERS.astype(dtype)))


def test_cells_that_a_sparse_table_holds_in_parts_or_as_zeros():
    place = np.r_[np.arange(N), np.arange(N), [0]], np.r_[NUMBERS[:, 0] % 3, NUMBERS[:, 0] % 3, 1]
    assert_exact(sparse.coo_matrix((np.r_[np.ones(2 * N), 0.0], place), shape=(N, 3)))


PLAIN = pd.DataFrame(NUMBERS.astype(float), columns=list("abc"))


class Subclass(pd.DataFrame):
    _metadata = ["source"]  # noqa: RUF012 - as pandas wants it

    @property
    def _constructor(self):
        return Subclass


FRAMES = {
    "of two levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["u", "v"]),
    "repeated": ["a", "a", "b"],
    "all the same": ["a"] * 3,
    "empty": ["", "a", " "],
    "very long": ["n" * 50_000, "n" * 49_999, "b"],
    "very long and repeated": ["n" * 50_000] * 3,
    "integers": [2, 0, 1],
    "a range": pd.RangeIndex(5, 8),
    "dates": pd.date_range("2020", periods=3),
    "categories": pd.CategoricalIndex(list("abc")),
    "intervals": pd.interval_range(0, 3),
    "with a name": pd.Index(list("abc"), name="columns"),
    "missing": [np.nan, "b", None],
    "of several types": [1, "1", 2.5],
    "odd": ["a\nb", "ü/ö:\U0001f600", "\0"],
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_column_name(kind):
    assert all(assert_exact(PLAIN.set_axis(FRAMES[kind], axis=1)).features)


@pytest.mark.parametrize(
    "index",
    [
        pd.Index([1] * N),
        pd.Index(range(N, 0, -1), name="a"),
        pd.date_range("2020", periods=N),
        pd.MultiIndex.from_product([range(3), range(N // 3)], names=["a", None]),
    ],
    ids=["repeated", "named as a column", "dates", "levels"],
)
def test_every_kind_of_index(index):
    assert_exact(PLAIN.set_axis(index, axis=0))


def test_attributes_and_the_class_of_a_frame_are_the_user_s():
    seen = []

    class Watching(Strict):
        def predict(self, X):
            seen.append((X.attrs, X.source))
            return super().predict(X)

    X = Subclass(PLAIN)
    X.attrs["day"], X.source = dt.date(2020, 1, 1), "survey"
    found = explained(Watching().fit(X), X)
    assert all(one == (X.attrs, "survey") for one in seen)
    assert seen
    assert type(found.evaluation_rows) is pd.DataFrame
    assert not found.evaluation_rows.attrs  # Parquet takes only some of them


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_few_rows(n_rows):
    assert_exact(PLAIN.head(n_rows))
    assert_exact(sparse.csc_array(PLAIN.to_numpy()[:n_rows]))


@pytest.mark.parametrize("column", ["strings", "gaps", "zone", "Int64"])
def test_a_single_column(column):
    assert_exact(pd.DataFrame({"a": COLUMNS[column]()}))


@pytest.mark.parametrize(
    "rows",
    [
        PLAIN.head(1),
        PLAIN.tail(4)[["c", "a", "b"]],
        PLAIN.head(3).astype(int),
        PLAIN.head(3).astype("Float64"),
        PLAIN.to_numpy()[:3],
        PLAIN.to_numpy(dtype=object)[:3],
        PLAIN.to_numpy()[:3].tolist(),
        sparse.csr_array(PLAIN.to_numpy()[:3]),
    ],
    ids=["one", "order", "integers", "nullable", "array", "objects", "list", "sparse"],
)
def test_rows_to_explain_of_another_container_reach_the_model_as_the_training_rows_do(rows):
    model = Strict().fit(PLAIN)
    found = explained(model, PLAIN, evaluation_examples=rows)
    assert len(found.local_values) == (rows.shape[0] if hasattr(rows, "shape") else len(rows))


def test_a_cell_that_the_training_type_cannot_hold_stays_what_it_is():
    X = pd.DataFrame({"a": cycle(1, 2, 3), "b": cycle(True, False), "c": cycle(0.5, 1.5)})
    rows = pd.DataFrame({"a": [1.5, np.nan], "b": [2, 0], "c": [1, 0]})
    boosting = HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=2)
    for model in (boosting, make_pipeline(FunctionTransformer(abs), boosting)):
        found = explained(model.fit(X, X["a"]), X, evaluation_examples=rows)
        pd.testing.assert_frame_equal(found.evaluation_rows, rows)
        np.testing.assert_allclose(found.predicted, model.predict(rows))


def test_categories_that_the_training_did_not_see():
    X = pd.DataFrame({"a": pd.Categorical(cycle("x", "y")), "b": cycle(1.0, 2.0, 3.0)})
    rows = pd.DataFrame({"a": pd.Categorical(["z", "x"]), "b": [1.0, 5.0]})
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["a"]), remainder="passthrough"
    )
    for last in (LinearRegression(), KNeighborsRegressor()):
        model = make_pipeline(encoder, last).fit(X, X["b"])
        found = explained(model, X, evaluation_examples=rows)
        np.testing.assert_allclose(found.predicted, model.predict(rows))


def polars_columns(pl):
    big, words = [2**60, 2**60 + 1, None], ["red", "", None]
    return {
        "integers": pl.Series(cycle(1, 2)),
        "integers with gaps": pl.Series(cycle(1, 2, None)),
        "small integers with gaps": pl.Series(cycle(1, None), dtype=pl.UInt8),
        "large integers with gaps": pl.Series(cycle(*big)),
        "huge integers": pl.Series(cycle(2**100, 1, None), dtype=pl.Int128),
        "single precision": pl.Series(cycle(0.1, 0.5, None), dtype=pl.Float32),
        "not a number": pl.Series(cycle(0.1, float("nan"))),
        "booleans": pl.Series(cycle(True, False, None)),
        "strings": pl.Series(cycle(*words)),
        "categories": pl.Series(cycle(*words), dtype=pl.Categorical),
        "enum": pl.Series(cycle("a", "b", None), dtype=pl.Enum(["b", "a", "z"])),
        "dates": pl.Series(cycle(*DAYS, None)),
        "times": pl.Series(cycle(*TIMES, None)).cast(pl.Datetime("ns")),
        "zone": pl.Series(cycle(*TIMES)).dt.replace_time_zone("Europe/Berlin"),
        "durations": pl.Series(cycle(dt.timedelta(1), dt.timedelta(hours=2), None)),
        "hours": pl.Series(cycle(dt.time(1), dt.time(2), None)),
        "decimals": pl.Series(cycle(decimal.Decimal("1.50"), decimal.Decimal("2.25"), None)),
        "bytes": pl.Series(cycle(b"a", b"b", None)),
        "lists": pl.Series(cycle([1], [1, 2], None)),
        "structs": pl.Series(cycle({"a": 1}, {"a": 2})),
        "nothing": pl.Series([None] * N),
        "objects": pl.Series(cycle(uuid.UUID(int=1), uuid.UUID(int=2)), dtype=pl.Object),
    }


def test_every_type_of_polars_column():
    pl = pytest.importorskip("polars")
    for kind, column in polars_columns(pl).items():
        try:
            assert_exact(pl.DataFrame({"": column, "number": np.arange(N) % 5 * 1.0}))
        except Exception as error:
            raise AssertionError(kind) from error


def test_polars_numbers_with_gaps_are_numbers():
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({"a": cycle(1, 2, None), "b": cycle(0.5, None, 2.5, 3.0)})
    found = explained(HistGradientBoostingRegressor(max_iter=3).fit(X.to_numpy(), range(N)), X)
    assert found.evaluation_rows["a"].isna().any()
    assert found.method == "shap_tree"
    assert str(found.evaluation_rows["a"].dtype) == "Int64"


LABELS = {
    "series": lambda y: pd.Series(y, index=range(N, 0, -1)),
    "frame": lambda y: pd.DataFrame({"y": y}),
    "list": list,
    "tuple": tuple,
    "column": lambda y: np.array(y)[:, None],
    "objects": lambda y: np.array(y, dtype=object),
    "categories": lambda y: pd.Series(pd.Categorical(y)),
    "nullable": lambda y: pd.Series(pd.array(y)),
    "polars": lambda y: pytest.importorskip("polars").Series(y),
    "polars frame": lambda y: pytest.importorskip("polars").DataFrame({"y": y}),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("labels", [("no", "yes"), (0, 1), (False, True)], ids=str)
def test_every_kind_of_labels(kind, labels):
    plain = [labels[int(value > 1)] for value in PLAIN["a"]]
    model = LogisticRegression().fit(PLAIN, plain)
    found = explained(model, PLAIN, LABELS[kind](plain))
    assert found.true_labels.tolist() == [plain[i] for i in found.evaluation_rows.index]


def peak_of(model, X, y, max_rows):
    """The bytes that explaining takes at its peak, on top of the table."""
    explained(model, take(X, np.arange(50)), max_rows=2)  # imports do not count
    tracemalloc.start()
    try:
        found = explained(model, X, y, max_rows=max_rows)
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("container", ["array", "Fortran", "objects", "frame", "types", "polars"])
def test_a_million_rows_are_not_copied(container):
    cells = np.random.default_rng(0).normal(size=(1_000_000, 10)).astype("f4")
    model = LinearRegression().fit(cells[:100].astype(float), cells[:100, 0])
    frame = pd.DataFrame(cells, copy=False).add_prefix("c")
    if container in {"frame", "types"}:
        model.fit(frame[:100], cells[:100, 0])
    X = {
        "array": lambda: cells,
        "Fortran": lambda: np.asfortranarray(cells),
        "objects": lambda: cells[:200_000].astype(object),
        "frame": lambda: frame,
        "types": lambda: frame.assign(c1=frame["c1"] > 0, c2=frame["c2"].astype("Float32")),
        "polars": lambda: pytest.importorskip("polars").from_numpy(cells),
    }[container]()
    size = X.shape[0] * 10 * 4  # at least
    found, peak = peak_of(model, X, np.arange(X.shape[0]), 50)
    assert found.details.rows.available == X.shape[0]
    assert found.ranked()[0][0] == found.features[0]
    candidates = sample_rows(X.shape[0], 3_000, 0)
    assert np.array_equal(found.true_labels, candidates[sample_rows(3_000, 50, 0)])
    assert peak < size / 2


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "bsr_matrix"])
def test_a_large_sparse_table_is_neither_densified_nor_copied(kind):
    shape, draw = (100_000, 10_000), np.random.default_rng(0)
    n_cells = 3_000_000 if kind != "bsr_matrix" else 100_000
    place = [draw.integers(0, size, n_cells, dtype=np.int32) for size in shape]
    X = getattr(sparse, kind)((draw.normal(size=n_cells).astype("f4"), tuple(place)), shape=shape)
    model = SGDClassifier(random_state=0, max_iter=1, tol=None)
    model.fit(X.tocsr()[:50], [0, 1] * 25)
    y = np.arange(shape[0]) % 2
    rows, peak = peak_of_sample(X)
    assert rows.shape == (1_000, shape[1])
    assert peak < (20_000_000 if kind != "bsr_matrix" else 40_000_000)
    if kind == "csr_array":
        found, peak = peak_of(model, X, y, 5)
        assert found.local_values.shape == (2, 5, shape[1])
        assert peak < 400_000_000  # dense, the table is ten times as much


def peak_of_sample(X):
    tracemalloc.start()
    try:
        return take(X, sample_rows(X.shape[0], 1_000, 0)), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("container", ["array", "frame"])
@pytest.mark.parametrize("model", [Ridge(), RandomForestRegressor(3)], ids=["linear", "forest"])
def test_ten_thousand_columns(model, container):
    cells = np.random.default_rng(0).normal(size=(60, 10_000))
    X = cells if container == "array" else pd.DataFrame(cells).add_prefix("column ")
    found = explained(model.fit(X, cells[:, 4321] * 10), X, max_rows=3)
    if isinstance(model, Ridge):
        truth = model.coef_ * np.diff(cells[found.evaluation_rows.index], axis=0)
        np.testing.assert_allclose(np.diff(found.local_values, axis=0), truth, atol=1e-8)
    else:
        assert found.ranked()[0][0].endswith("4321")
