"""Explanations are read back to the last bit, without pickles."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from palmerpenguins import load_penguins

from explanation_cases import made
from mlflow_interpret.core import explanation_io, json_files
from mlflow_interpret.core.background import Background
from mlflow_interpret.core.background_io import BACKGROUND
from mlflow_interpret.core.details import Details, RowCounts, as_notes
from mlflow_interpret.core.errors import ExplanationNotFoundError
from mlflow_interpret.core.explanation import Explanation

ODD_NAMES = (
    "plain",
    "with space",
    "a/b\\c",
    "../up",
    "quote'\"`",
    "<script>alert(1)</script>",
    "Größe 年齢 🙂",
    "line\nbreak\ttab",
    "\x00\x1f",
    "n" * 10_000,
    "probability_0",
    "predicted",
    "index",
    "__index_level_0__",
)
if pd.__version__ < "3":  # later ones have no columns of such names
    ODD_NAMES += ("half of a pair \ud800",)
ARRAYS = ("global_values", "per_class_values", "local_values", "expected_values",
          "predicted_probabilities")  # fmt: skip
LABELS = ("predicted", "true_labels")
PLAIN = ("method", "task", "model_class", "features", "classes", "is_raw", "is_engineered", "id",
         "details")  # fmt: skip


def regression(features=("a", "b"), **more):
    width = len(features)
    local = np.random.default_rng(0).normal(size=(3, width))
    values = {
        "method": "shap_tree",
        "task": "regression",
        "model_class": "sklearn.Model",
        "features": tuple(features),
        "global_values": np.abs(local).mean(axis=0),
        "local_values": local,
        "expected_values": np.array([0.1 + 0.2]),
        "evaluation_rows": pd.DataFrame(local * 7, columns=list(features)),
        "predicted": local.sum(axis=1),
        "true_labels": np.array([1.5, -0.0, 1 / 3]),
        "details": Details(
            rows=RowCounts(explained=3), notes=as_notes(["a", "ä"]), extra={"nothing": None}
        ),
    }
    return Explanation(**{**values, **more})


def classification(classes=("a", "b", "c"), **more):
    n = len(classes)
    local = np.random.default_rng(0).normal(size=(n, 4, 2))
    per_class = np.abs(local).mean(axis=1)
    values = {
        "task": "classification",
        "classes": tuple(classes),
        "global_values": per_class.mean(axis=0),
        "per_class_values": per_class,
        "local_values": local,
        "expected_values": np.linspace(0, 1, n) / 3,
        "evaluation_rows": None,
        "predicted": np.array([classes[i % n] for i in range(4)]),
        "true_labels": np.array([classes[-1 - i % n] for i in range(4)]),
        "predicted_probabilities": np.full((4, n), 1 / n),
    }
    return regression(**{**values, **more})


def again(explanation, folder):
    folder.mkdir(exist_ok=True)
    explanation_io.write(explanation, folder)
    return explanation_io.read(folder)


def same_bits(one, other):
    if one is None or other is None:
        return one is other
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    # Any NaN is as good as another; all else, the sign of zero too, has to be the same.
    nan = np.isnan(one)
    return (
        one.shape == other.shape
        and np.array_equal(nan, np.isnan(other))
        and one[~nan].tobytes() == other[~nan].tobytes()
    )


def assert_same(read, written):
    for name in PLAIN:
        assert getattr(read, name) == getattr(written, name), name
    for name in ARRAYS:
        assert same_bits(getattr(read, name), getattr(written, name)), name
    for name in LABELS:
        one, other = getattr(read, name), getattr(written, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one, other)
            assert [type(a) for a in one.tolist()] == [type(b) for b in other.tolist()], name
    if written.evaluation_rows is None:
        assert read.evaluation_rows is None
    else:
        pd.testing.assert_frame_equal(
            read.evaluation_rows, written.evaluation_rows.reset_index(drop=True), check_exact=True
        )


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=64)
ONCE = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@ONCE
@given(
    local=hnp.arrays(np.float64, (3, 2), elements=NUMBERS),
    values=hnp.arrays(np.float64, 2, elements=NUMBERS),
    expected=hnp.arrays(np.float64, st.sampled_from([(), (1,)]), elements=NUMBERS),
)
def test_numbers_of_a_regression_are_read_back(local, values, expected, tmp_path):
    written = regression(local_values=local, global_values=values, expected_values=expected)
    assert_same(again(written, tmp_path / "e"), written)


@ONCE
@given(local=hnp.arrays(np.float64, (3, 4, 2), elements=NUMBERS))
def test_numbers_of_a_classification_are_read_back(local, tmp_path):
    per_class = local[:, 0, :]
    written = classification(local_values=local, per_class_values=per_class)
    assert_same(again(written, tmp_path / "e"), written)


@pytest.mark.parametrize("make", [regression, classification])
@pytest.mark.parametrize(
    "without",
    [
        (),
        ("local_values",),
        ("evaluation_rows",),
        ("predicted",),
        ("true_labels",),
        ("predicted_probabilities",),
        ("expected_values", "model_class"),
        ("local_values", "evaluation_rows", "predicted", "true_labels", "predicted_probabilities"),
    ],
    ids=lambda names: ", ".join(names) or "nothing",
)
def test_missing_parts_stay_missing(make, without, tmp_path):
    written = make(**dict.fromkeys(without))
    assert_same(again(written, tmp_path), written)


@pytest.mark.parametrize(
    "classes", [(0, 1), (10, 20, 30), (False, True), ("no", "yes"), (1.0, 2.5)], ids=str
)
def test_labels_keep_their_type(classes, tmp_path):
    written = classification(classes)
    read = again(written, tmp_path)
    assert_same(read, written)
    assert [type(label) for label in read.classes] == [type(label) for label in classes]


@pytest.mark.parametrize("names", [ODD_NAMES, *[(name, "other") for name in ODD_NAMES]])
def test_odd_feature_names_are_read_back(names, tmp_path):
    folder = tmp_path / "explanation"
    written = regression(names)
    assert_same(again(written, folder), written)
    assert all(path.suffix in {".json", ".parquet"} for path in folder.rglob("*"))


@ONCE
@given(names=st.lists(st.text(max_size=30), min_size=1, max_size=6, unique=True))
@example(names=["a", "a\x00"])
def test_any_feature_names_are_read_back(names, tmp_path):
    written = regression(names)
    assert_same(again(written, tmp_path / "e"), written)


def test_rows_of_real_data_are_read_back(tmp_path):
    rows = load_penguins().head(40)
    rows = rows.assign(
        species=rows["species"].astype("category"),
        year=rows["year"].astype("Int64"),
        heavy=rows["body_mass_g"] > 4000,
        seen=pd.to_datetime("2009-11-01") + pd.to_timedelta(range(40), unit="D"),
    ).iloc[::2]
    written = regression(tuple(rows), evaluation_rows=rows, local_values=None)
    read = again(written, tmp_path).evaluation_rows
    for name in rows:
        assert read[name].isna().tolist() == rows[name].isna().tolist()
        assert read[name].dropna().tolist() == rows[name].dropna().tolist()
    for name in ("species", "year", "heavy", "seen", "body_mass_g"):
        assert read[name].dtype.kind == rows[name].dtype.kind
    assert isinstance(read["species"].dtype, pd.CategoricalDtype)


def test_mixed_cells_become_text_and_the_other_columns_stay(tmp_path):
    rows = pd.DataFrame(
        {
            "mixed": pd.Series([1, "one", None], dtype=object),
            "complex": [1j, 2j, 3j],
            "number": [1.5, np.nan, -0.0],
            "whole": [1, 2, 3],
            "words": pd.Series(["x", None, "\ud800"], dtype=object),
            "date": [dt.date(2020, 1, 1)] * 3,
        }
    )
    read = again(regression(tuple(rows), evaluation_rows=rows), tmp_path).evaluation_rows
    assert read["mixed"].tolist()[:2] == ["1", "one"]
    assert pd.isna(read["mixed"][2])
    assert read["complex"][0] == "1j"
    assert same_bits(read["number"], rows["number"])
    assert read["whole"].tolist() == [1, 2, 3]
    assert read["words"][0] == "x"
    assert str(read["date"][0]) == "2020-01-01"


def test_sparse_columns_are_read_back_as_numbers(tmp_path):
    rows = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 0.0, 2.5]), "b": [1, 2, 3]})
    read = again(regression(evaluation_rows=rows), tmp_path).evaluation_rows
    assert read["a"].tolist() == [0.0, 0.0, 2.5]
    assert read["b"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("make", [regression, classification])
def test_files_are_open_formats_and_json_is_strict(make, tmp_path):
    folder = tmp_path / "explanation"
    folder.mkdir()
    worst = np.array([np.nan, np.inf])
    explanation_io.write(make(global_values=worst, expected_values=worst[1:]), folder)
    files = {path.name for path in folder.iterdir()}
    allowed = {explanation_io.EXPLANATION, explanation_io.GLOBAL, explanation_io.PER_CLASS, explanation_io.LOCAL, explanation_io.ROWS,
               explanation_io.PREDICTIONS}  # fmt: skip
    assert files <= allowed
    assert {
        explanation_io.EXPLANATION,
        explanation_io.GLOBAL,
        explanation_io.LOCAL,
        explanation_io.PREDICTIONS,
    } <= files

    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    for path in folder.iterdir():
        content = path.read_bytes()
        if path.suffix == ".json":
            json.loads(content.decode("utf-8"), parse_constant=refuse)
        else:
            assert content[:4] == content[-4:] == b"PAR1"
        assert b"pickle" not in content.lower()


def test_tables_are_ranked_and_hold_every_feature(tmp_path):
    written = classification()
    explanation_io.write(written, tmp_path)
    table = json.loads((tmp_path / explanation_io.GLOBAL).read_text("utf-8"))
    assert table["columns"] == [
        "feature",
        "share",
        "importance",
        "rank",
        "standard_error",
        "direction",
    ]
    for row, (feature, importance) in zip(table["data"], written.ranked(), strict=True):
        assert row[0] == feature
        assert row[2] == float(f"{importance:.4g}")
    assert [row[3] for row in table["data"]] == [1, 2]
    assert sum(row[1] for row in table["data"]) == pytest.approx(1, abs=1e-4)
    table = json.loads((tmp_path / explanation_io.PER_CLASS).read_text("utf-8"))
    assert table["columns"] == ["class", "feature", "importance", "rank", "direction"]
    assert len(table["data"]) == 6
    for label, feature, importance, *_ in table["data"]:
        c, f = written.classes.index(label), written.features.index(feature)
        assert importance == float(f"{written.per_class_values[c, f]:.4g}")
    for label in written.classes:
        rows = [row for row in table["data"] if row[0] == label]
        assert [row[3] for row in rows] == [1, 2]
        assert rows[0][2] >= rows[1][2]


def test_details_of_numpy_and_times_are_written_as_plain_values(tmp_path):
    path = tmp_path / "a.json"
    json_files.write_json(
        path,
        {"n": np.int64(3), "x": np.float32(0.5), "b": np.bool_(True), "t": dt.date(2020, 1, 2)},
    )
    expected = {"n": 3, "x": 0.5, "b": True, "t": "2020-01-02"}
    assert json.loads(path.read_text("utf-8")) == expected


def test_json_is_readable(tmp_path):
    json_files.write_json(tmp_path / "a.json", {"name": "Größe 年齢"})
    assert "Größe 年齢" in (tmp_path / "a.json").read_text("utf-8")


def test_a_folder_without_an_explanation_raises(tmp_path):
    with pytest.raises(ExplanationNotFoundError, match=f"{tmp_path.name} holds no explanation"):
        explanation_io.read(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path):
    explanation_io.write(regression(), tmp_path)
    path = tmp_path / explanation_io.EXPLANATION
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "format": 99}))
    with pytest.raises(ExplanationNotFoundError, match=r"format 99 .* upgrade mlflow-interpret"):
        explanation_io.read(tmp_path)


class TestSeveralTargets:
    def test_a_regression_is_read_back_with_its_targets(self, tmp_path):
        local = np.random.default_rng(1).normal(size=(2, 3, 2))
        record = regression(
            targets=("up", "down"),
            local_values=local,
            per_class_values=np.abs(local).mean(axis=1),
            expected_values=np.array([0.5, 1.5]),
            predicted=local.sum(axis=2).T,
            true_labels=np.arange(6.0).reshape(3, 2),
        )
        explanation_io.write(record, tmp_path)
        found = explanation_io.read(tmp_path)
        assert found.targets == found.output_names == ("up", "down")
        assert found.classes is None
        for name in ("local_values", "per_class_values", "predicted", "true_labels"):
            np.testing.assert_array_equal(getattr(found, name), getattr(record, name))
        table = pd.read_json(tmp_path / explanation_io.PER_CLASS, orient="split")
        assert list(table) == ["target", "feature", "importance", "rank", "direction"]
        assert set(table["target"]) == {"up", "down"}

    def test_labels_of_several_columns_are_read_back(self, tmp_path):
        labels = np.array([["a", "yes"], ["b", "no"], ["a", "no"], ["b", "yes"]])
        record = classification(
            ("x: a", "x: b", "y: no", "y: yes"),
            targets=("x", "y"),
            predicted=labels,
            true_labels=labels[::-1],
        )
        explanation_io.write(record, tmp_path)
        found = explanation_io.read(tmp_path)
        assert found.output_names == ("x: a", "x: b", "y: no", "y: yes")
        assert found.predicted.tolist() == labels.tolist()
        assert found.true_labels.tolist() == labels[::-1].tolist()

    def test_one_label_for_several_outputs_is_read_back(self, tmp_path):
        local = np.zeros((2, 3, 2))
        record = regression(targets=("low", "high"), local_values=local, predicted=np.zeros((3, 2)))
        explanation_io.write(record, tmp_path)
        np.testing.assert_array_equal(explanation_io.read(tmp_path).true_labels, record.true_labels)


class TestEngineeredView:
    def test_the_engineered_view_is_read_back_with_the_raw_view(self, tmp_path):
        engineered = regression(("a_0", "a_1", "b"), is_engineered=True)
        explanation_io.write(regression(is_raw=True, engineered=engineered), tmp_path)
        found = explanation_io.read(tmp_path)
        assert found.is_raw
        assert found.engineered.is_engineered
        assert found.engineered.id == engineered.id
        np.testing.assert_array_equal(found.engineered.local_values, engineered.local_values)

    def test_without_rows_both_views_have_none(self, tmp_path):
        record = regression(engineered=regression(("a_0", "b_0"))).without_rows()
        explanation_io.write(record, tmp_path)
        assert not list(tmp_path.rglob("*.parquet"))
        assert explanation_io.read(tmp_path).engineered.local_values is None


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        ([[1], [2, 3], None], pa.list_(pa.int64())),
        (["a", "b", None], pa.dictionary(pa.int32(), pa.string())),
        ([dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc)] * 3, pa.timestamp("us", "UTC")),
    ],
    ids=str,
)
def test_rows_of_unknown_arrow_types_are_read_back(cells, dtype, tmp_path):
    column = pd.array(pa.array(cells, dtype), dtype=pd.ArrowDtype(dtype))
    explanation_io.write(regression(("a",), evaluation_rows=pd.DataFrame({"a": column})), tmp_path)
    found = explanation_io.read(tmp_path).evaluation_rows["a"]
    assert len(found) == 3
    first = found[0]
    assert (first.tolist() if isinstance(first, np.ndarray) else first) == cells[0]


@pytest.mark.parametrize("rows", [True, False])
def test_standard_errors_by_class_are_read_back(rows, tmp_path):
    record = made() if rows else made().without_rows()
    explanation_io.write(record, tmp_path)
    found = explanation_io.read(tmp_path)
    assert (found.per_class_errors is None) == rows  # else computed again from the rows
    errors = record.per_class_standard_errors()
    np.testing.assert_array_equal(found.per_class_standard_errors(), errors)


def test_standard_errors_stay_without_rows(tmp_path):
    record = regression()
    errors = record.standard_errors()
    explanation_io.write(record.without_rows(), tmp_path)
    np.testing.assert_array_equal(explanation_io.read(tmp_path).standard_errors(), errors)
    table = pd.read_json(tmp_path / explanation_io.GLOBAL, orient="split").set_index("feature")
    np.testing.assert_allclose(table.loc[["a", "b"], "standard_error"], errors, rtol=0.05)


class TestBackground:
    """The rows with which further rows are explained in the same way."""

    @staticmethod
    def rows():
        return pd.DataFrame(
            {"a": np.array([1.5, np.nan], "float32"), "b": pd.Categorical(["x", "y"], ["y", "x"])}
        )

    @pytest.mark.parametrize("columns", [None, ("A", "B"), (0, 1), (("n", "a"), ("n", "b"))])
    @pytest.mark.parametrize("weights", [None, np.array([0.5, 1.5])])
    def test_it_is_read_back(self, tmp_path, columns, weights):
        written = Background(
            ("a", "b"), "dataframe", columns, rows=self.rows(), weights=weights, n_drawn=7
        )
        read = again(regression(background=written), tmp_path).background
        assert (read.names, read.container, read.columns, read.is_given, read.n_drawn) == (
            ("a", "b"), "dataframe", columns, False, 7
        )  # fmt: skip
        pd.testing.assert_frame_equal(read.rows, written.rows)
        assert same_bits(read.weights, weights)

    def test_a_column_may_have_the_name_of_the_weights(self, tmp_path):
        rows = self.rows().set_axis(["sample_weight", "b"], axis=1)
        names = tuple(rows)
        written = Background(names, "dataframe", rows=rows, weights=np.array([0.5, 1.5]))
        read = again(regression(names, background=written), tmp_path).background
        pd.testing.assert_frame_equal(read.rows, rows)

    def test_without_rows_only_its_columns_are_kept(self, tmp_path):
        written = Background(("a", "b"), "array", rows=self.rows(), is_given=True, n_drawn=2)
        read = again(regression(background=written).without_rows(), tmp_path).background
        assert (read.rows, read.container, read.is_given) == (None, "array", True)
        assert not (tmp_path / BACKGROUND).exists()
