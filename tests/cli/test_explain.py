"""The command ``explain``: contributions of the rows in a file."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import mlflow_interpret
from conftest import tracking_to
from explained_runs import DIABETES, IRIS, PROGRESSION, SPECIES, log_run
from mlflow_interpret.api import explain_file, row_files
from mlflow_interpret.cli import main
from mlflow_interpret.interpret_community import to_record

pytestmark = pytest.mark.usefixtures("tracked_models")


@pytest.fixture(scope="module")
def linear(model_store):
    with tracking_to(model_store):
        return log_run(LinearRegression(), DIABETES, PROGRESSION)[0]


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.parquet"
    DIABETES.assign(id=range(len(DIABETES))).to_parquet(path, row_group_size=100)
    return path


def call(*arguments):
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def formula():
    coefficients = LinearRegression().fit(DIABETES, PROGRESSION).coef_
    return coefficients * (DIABETES - DIABETES.mean()).to_numpy()


def test_contributions_are_written_in_the_order_of_the_rows(linear, rows, tmp_path):
    target = tmp_path / "out.parquet"
    result = call(linear, rows, "-o", target)
    assert result.exit_code == 0, result.output
    assert "442 rows explained" in result.output
    assert "does not take were ignored: id" in result.output
    assert "by position" not in result.output
    written = pd.read_parquet(target)
    names = [f"contribution/{name}" for name in DIABETES]
    assert list(written) == ["prediction", "expected_value", *names]
    np.testing.assert_allclose(written[names], formula(), atol=1e-9)
    sums = written["expected_value"] + written[names].sum(axis=1)
    np.testing.assert_allclose(sums, written["prediction"])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "out.parquet", "rows.parquet"
    ]  # fmt: skip


def test_rows_are_explained_in_batches(linear, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "_READ_ROWS", 60)
    target, reports = tmp_path / "out.parquet", []
    explain_file.explain_file(
        linear, rows, target, report=lambda done, total: reports.append((done, total))
    )
    # Batches do not cross the row groups of 100 rows.
    assert reports[:3] == [(60, 442), (100, 442), (160, 442)]
    assert reports[-1] == (442, 442)
    assert pq.ParquetFile(target).metadata.num_row_groups == len(reports)
    contributions = pd.read_parquet(target).filter(like="contribution/")
    np.testing.assert_allclose(contributions, formula(), atol=1e-9)


def test_csv_files(linear, tmp_path):
    source, target = tmp_path / "rows.csv", tmp_path / "out.csv"
    DIABETES[DIABETES.columns[::-1]].to_csv(source, index=False)
    assert call(linear, source, "-o", target).exit_code == 0
    written = pd.read_csv(target)
    np.testing.assert_allclose(written.filter(like="contribution/"), formula(), atol=1e-9)


def test_cells_of_csv_files_have_the_types_of_the_training_rows(tmp_path):
    rows = pd.DataFrame({
        "zip": ["00501", "10001", "NA", "00501"] * 5,
        "level": pd.Categorical(["1", "2", "1", "2"] * 5),
        "place": ["a", None, "b", "a"] * 5,
    })  # fmt: skip
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge())
    run_id, _ = log_run(model, rows, np.arange(20.0))
    source, target = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.to_csv(source, index=False)
    result = call(run_id, source, "-o", target)
    assert result.exit_code == 0, result.output
    np.testing.assert_allclose(pd.read_csv(target)["prediction"], model.predict(rows))


@pytest.mark.parametrize(("cell", "is_read"), [("0.5", True), ("many", False)])
def test_cells_of_later_blocks_of_csv_files(linear, tmp_path, cell, is_read):
    source, target = tmp_path / "rows.csv", tmp_path / "out.csv"
    row = ",".join("0" * len(DIABETES.columns)) + "\n"
    last = row.replace("0", cell, 1)
    n = 2**20 // len(row) + 1  # more than a block, by which pyarrow infers types
    source.write_text(",".join(DIABETES) + "\n" + row * n + last)
    result = call(linear, source, "-o", target)
    assert result.exit_code == (0 if is_read else 1), result.output
    if is_read:
        change = np.diff(pd.read_csv(target)["prediction"].tail(2))
        expected = 0.5 * LinearRegression().fit(DIABETES, PROGRESSION).coef_[0]
        np.testing.assert_allclose(change, expected)
    else:
        assert re.match(r"Error: ROWS must be a readable csv file, .*'many'", result.output)
        assert not target.exists()


def test_several_classes_of_a_model_of_arrays(tmp_path):
    names = ("setosa", "versicolor", "virginica")
    model = RandomForestClassifier(3, random_state=0)
    run_id, _ = log_run(model, IRIS.to_numpy(), SPECIES, classes=names)
    source, target = tmp_path / "rows", tmp_path / "out.parquet"
    source.mkdir()
    IRIS[:70].to_parquet(source / "1.parquet")
    IRIS[70:].to_parquet(source / "2.parquet")
    result = call(run_id, source, "-o", target)
    assert result.exit_code == 0, result.output
    written = pd.read_parquet(target)
    explained = to_record(mlflow_interpret.explain_rows(run_id, IRIS.to_numpy()))
    assert written["prediction"].tolist() == model.predict(IRIS.to_numpy()).tolist()
    for i, name in enumerate(names):
        columns = written.filter(like=f"contribution/{name}/")
        np.testing.assert_allclose(columns, explained.local_values[i])
        np.testing.assert_allclose(written[f"expected_value/{name}"], explained.expected_values[i])


def test_columns_for_a_model_of_arrays(tmp_path):
    model = LinearRegression()
    run_id, stored = log_run(model, DIABETES.to_numpy()[:, :3], PROGRESSION)
    source, target = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    names = ["x0", "x1", "x2"]
    assert list(stored.features) == names
    rows = DIABETES.iloc[:, :3]

    rows.to_parquet(source)
    result = call(run_id, source, "-o", target)
    note = "columns were taken by position: x0 = age, x1 = sex, x2 = bmi."
    assert note in result.output
    assert note in json.loads(pq.read_schema(target).metadata[b"mlflow_interpret.notes"])[0]
    expected = model.predict(rows.to_numpy())
    np.testing.assert_allclose(pd.read_parquet(target)["prediction"], expected)

    rows.set_axis(names, axis=1)[names[::-1]].to_parquet(source)
    result = call(run_id, source, "-o", target, "--force")
    assert "position" not in result.output
    np.testing.assert_allclose(pd.read_parquet(target)["prediction"], expected)

    rows.set_axis(["age", "x0", "x1"], axis=1).to_parquet(source)
    result = call(run_id, source, "-o", target, "--force")
    assert "ROWS must have the 3 columns of the model, got a table without 'x2'" in result.output


def test_names_of_a_file_do_not_control_the_terminal(linear, tmp_path):
    source = tmp_path / "rows.csv"
    DIABETES[:3].assign(**{"\x1b]0;owned\x07x": 1}).to_csv(source, index=False)
    result = call(linear, source, "-o", tmp_path / "out.csv")
    assert "were ignored: \ufffd]0;owned\ufffdx" in result.output


def test_a_sample_of_a_large_file_is_in_the_order_of_the_file(rows, monkeypatch):
    monkeypatch.setattr(row_files, "_SAMPLE_CELLS", 100)
    monkeypatch.setattr(row_files, "_READ_ROWS", 30)
    sample = row_files.open_rows(rows, "rows").sample(["id", "bmi"], seed=0)
    assert len(sample) == 50
    assert sample["id"].is_monotonic_increasing
    assert sample["id"].max() > 300
    assert sample["bmi"].tolist() == DIABETES["bmi"][sample["id"]].tolist()


def test_equal_names_of_contributions_get_numbers(tmp_path):
    rows = IRIS.iloc[:, :2].set_axis(["x", "b/x"], axis=1)
    labels = np.array(["a", "a/b", "c"])[SPECIES]
    run_id, stored = log_run(RandomForestClassifier(3, random_state=0), rows, labels)
    source, target = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    stored.evaluation_rows.to_parquet(source)
    assert call(run_id, source, "-o", target).exit_code == 0
    written = pd.read_parquet(target).filter(like="contribution/")
    assert [name.removeprefix("contribution/") for name in written] == [
        "a/x", "a/b/x", "a/b/x.2", "a/b/b/x", "c/x", "c/b/x"
    ]  # fmt: skip
    np.testing.assert_allclose(written, np.hstack(stored.local_values))


def test_two_classes_have_the_contributions_to_the_second(tmp_path):
    run_id, stored = log_run(RandomForestClassifier(3, random_state=0), IRIS, SPECIES == 2)
    source, target = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    stored.evaluation_rows.to_parquet(source)
    assert call(run_id, source, "-o", target).exit_code == 0
    written = pd.read_parquet(target)
    np.testing.assert_allclose(written.filter(like="contribution/"), stored.local_values[1])
    assert written["prediction"].dtype == bool


def test_background_rows_of_a_file(rows, tmp_path):
    run_id, _ = log_run(LinearRegression(), DIABETES, PROGRESSION, log_data=False)
    target = tmp_path / "out.parquet"
    refused = call(run_id, rows, "-o", target)
    assert refused.exit_code == 1
    assert "Error: --initialization-examples must be the training rows" in refused.output
    assert not target.exists()
    text = tmp_path / "rows.csv"
    DIABETES.to_csv(text, index=False)
    for background in (rows, text):
        result = call(
            run_id, text, "-o", target, "--initialization-examples", background, "--force"
        )
        assert result.exit_code == 0
        assert ("types of the columns were inferred" in result.output) is (background == text)
        contributions = pd.read_parquet(target).filter(like="contribution/")
        np.testing.assert_allclose(contributions, formula(), atol=1e-9)


def test_an_existing_file_is_replaced_by_force_only(linear, rows, tmp_path):
    target = tmp_path / "out.parquet"
    target.write_text("precious")
    result = call(linear, rows, "-o", target)
    assert (result.exit_code, target.read_text()) == (1, "precious")
    assert f"--output must be a new file, got '{target}'" in result.output
    assert call(linear, rows, "-o", target, "--force").exit_code == 0
    assert len(pd.read_parquet(target)) == len(DIABETES)


def test_a_failure_leaves_no_file(linear, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "_READ_ROWS", 60)

    def fail(done, total):
        if done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain_file.explain_file(linear, rows, tmp_path / "out.parquet", report=fail)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["rows.parquet"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "ROWS must be a Parquet or CSV file, .* which does not exist"),
        (b"no Parquet", "ROWS must be a readable parquet file"),
        (DIABETES.drop(columns="bmi"), "ROWS must have the 10 columns .* a table without 'bmi'"),
        (DIABETES[:0], "ROWS must have at least one row, got none"),
    ],
)
def test_files_that_are_not_allowed(linear, tmp_path, content, problem):
    source = tmp_path / "rows.parquet"
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        content.to_parquet(source)
    result = call(linear, source, "-o", tmp_path / "out.parquet")
    assert result.exit_code == 1
    assert re.search(problem, result.output), result.output
