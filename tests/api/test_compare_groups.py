"""Runs are compared by groups of columns."""

from __future__ import annotations

from dataclasses import replace

import mlflow
import numpy as np
import pytest

import mlflow_interpret
from explanations import explanation as artificial
from logged_explanations import log
from mlflow_interpret import ExplanationNotFoundError, OptionError
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.group_views import with_groups

GROUPS = {"last": ["f3", "f5"], "first": ["f0", "f1"]}
SINGLE = {"f2", "f4"}


@pytest.fixture
def logged(store):
    """Log records to new runs."""

    def log_all(*records):
        ids = []
        for record in records:
            with mlflow.start_run() as run:
                log(record, run.info.run_id, store, report=False)
            ids.append(run.info.run_id)
        return ids

    return log_all


def by_run(comparison, column="importance"):
    """A column of the table by run and feature."""
    return comparison.table.pivot(index="feature", columns="run_id", values=column)


def size_of(local, columns):
    return np.abs(sum(local[..., i] for i in columns))


def test_groups_are_computed_from_rows_or_read_as_logged(logged):
    with_rows = artificial(n_classes=3)
    doubled = replace(with_rows, id="2", local_values=2 * with_rows.local_values)
    aggregates = with_groups(doubled, GROUPS).without_rows()
    first, second = logged(with_rows, aggregates)
    comparison = mlflow_interpret.compare_runs([first, second], feature_groups=GROUPS)
    table = by_run(comparison)
    assert set(table.index) == {*GROUPS, *SINGLE}
    size = size_of(with_rows.local_values, [3, 5])
    assert table.loc["last", first] == pytest.approx(size.mean())
    assert table.loc["last", second] == pytest.approx(2 * size.mean())
    errors = by_run(comparison, "standard_error").loc["last"]
    error = size.mean(axis=0).std(ddof=1) / np.sqrt(40)
    assert errors.to_dict() == pytest.approx({first: error, second: 2 * error})
    labelled = mlflow_interpret.compare_runs([first, second], label="c1", feature_groups=GROUPS)
    assert by_run(labelled).loc["last", first] == pytest.approx(size[1].mean())
    assert by_run(labelled).loc["last", second] == pytest.approx(2 * size[1].mean())
    assert by_run(labelled).loc["f2", first] == with_rows.per_class_values[1, 2]


def test_importances_that_cannot_be_added_up_are_left_out(logged, caplog):
    record = artificial()
    ids = logged(record, replace(record, id="2"), replace(record.without_rows(), id="3"))
    comparison = mlflow_interpret.compare_runs(ids, feature_groups=GROUPS)
    assert list(comparison.skipped) == [ids[2]]
    assert "do not add up to that of their group" in comparison.skipped[ids[2]]
    assert "do not add up" in caplog.text
    single = {"alone": ["f0"]}  # is no sum
    comparison = mlflow_interpret.compare_runs(ids, feature_groups=single)
    assert by_run(comparison).loc["alone"].tolist() == [record.global_values[0]] * 3
    with pytest.raises(ExplanationNotFoundError, match="do not add up to that of their group"):
        mlflow_interpret.compare_runs(ids[1:], feature_groups=GROUPS)


def test_a_sample_of_the_rows_counts_as_such(logged):
    rows = {"rows": {"explained": 900, "available": 900, "kept": 40, "source": "rows"}}
    record = replace(artificial(), details=Details.from_json(rows))
    ids = logged(record, replace(record, id="2"))
    assert mlflow_interpret.compare_runs(ids).runs["rows"].tolist() == [900, 900]
    comparison = mlflow_interpret.compare_runs(ids, feature_groups=GROUPS)
    assert comparison.runs["rows"].tolist() == [40, 40]


def test_other_columns_of_a_group_are_marked(logged):
    record = artificial()
    names = ("f0", "f1", "f2", "f3", "f4", "other")
    ids = logged(record, replace(record, id="2", features=names))
    comparison = mlflow_interpret.compare_runs(ids, feature_groups=GROUPS)
    assert "other columns in last: 0 more, 1 missing" in comparison.runs["marks"][1]
    table = by_run(comparison)
    assert table.loc["last", ids[1]] == record.global_values[3]


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ({"a": ["f0", "street"]}, "'street', which none has"),
        (lambda name: None, "no group of a column"),
        ({"f0": ["f1", "f2"]}, "the group 'f0', which is also a column"),
        ({"a": []}, "for 'a'"),
    ],
)
def test_groups_that_do_not_fit_are_refused(logged, groups, problem):
    ids = logged(artificial(), replace(artificial(), id="2"))
    with pytest.raises(OptionError, match="^feature_groups must be .*") as caught:
        mlflow_interpret.compare_runs(ids, feature_groups=groups)
    assert problem in str(caught.value)
