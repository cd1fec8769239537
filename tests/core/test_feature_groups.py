"""Groups of features: checks, importances by independently summed contributions, and files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from explanations import explanation
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.errors import CannotExplainError, InvalidExplanationError, OptionError
from mlflow_interpret.core.feature_groups import resolve_groups
from mlflow_interpret.core.group_views import by_group, with_groups

NAMES = ("f0", "f1", "f2", "f3", "f4", "f5")
GROUPS = {"last": ["f5", "f3"], "f0": ["f1", "f0"]}


def summed(local):
    """The contributions of ``last``, ``f0`` and the columns in no group, by hand."""
    columns = [local[..., 3] + local[..., 5], local[..., 0] + local[..., 1]]
    return np.stack([*columns, local[..., 2], local[..., 4]], axis=-1)


@pytest.mark.parametrize("n_classes", [None, 2, 3])
def test_importances_are_means_of_absolute_sums_by_row(n_classes):
    record = explanation(n_classes=n_classes)
    groups = with_groups(record, GROUPS).groups
    assert groups.names == ("last", "f0", "f2", "f4")
    assert groups.columns == {"last": ("f3", "f5"), "f0": ("f0", "f1")}
    size = np.abs(summed(record.local_values))
    by_row = size if n_classes is None else size.mean(axis=0)
    np.testing.assert_allclose(groups.values, by_row.mean(axis=0))
    np.testing.assert_allclose(groups.errors, by_row.std(axis=0, ddof=1) / np.sqrt(40))
    if n_classes is None:
        assert groups.per_class_values is groups.per_class_errors is None
    else:
        np.testing.assert_allclose(groups.per_class_values, size.mean(axis=1))
        errors = size.std(axis=1, ddof=1) / np.sqrt(40)
        np.testing.assert_allclose(groups.per_class_errors, errors)


def test_columns_in_no_group_keep_their_importances_and_errors():
    record = explanation(n_classes=3)
    groups = with_groups(record, GROUPS).groups
    np.testing.assert_allclose(groups.values[2:], record.global_values[[2, 4]])
    np.testing.assert_allclose(groups.errors[2:], record.standard_errors()[[2, 4]])
    by_class = record.per_class_standard_errors()[:, [2, 4]]
    np.testing.assert_allclose(groups.per_class_errors[:, 2:], by_class)


def test_a_missing_contribution_stays_in_its_group():
    record = explanation()
    record.local_values[0, 5] = np.nan
    values = with_groups(record, GROUPS).groups.values
    np.testing.assert_array_equal(np.isnan(values), [True, False, False, False])


def test_a_single_row_has_no_errors():
    groups = with_groups(explanation(n_rows=1, n_classes=2), GROUPS).groups
    assert groups.errors is groups.per_class_errors is None


def test_a_function_and_a_dictionary_give_the_same_groups():
    group_of = {"f5": "last", "f3": "last", "f0": "f0", "f1": "f0"}
    by_function = resolve_groups(group_of.get, NAMES)
    assert by_function.columns == resolve_groups(GROUPS, NAMES).columns


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"a": ["f0", "street"]}, "got 'street' for 'a'"),
        ({"f0": ["f1", "f2"]}, "got the group 'f0', which is also a column outside"),
        (lambda name: 3, "got 3 for 'f0'"),
        (lambda name: "", "got the group name ''"),
        (lambda name: None, "got None for each column"),
        (lambda name: {}[name], "got KeyError for 'f0'"),
    ],
)
def test_groups_that_do_not_fit_the_columns_are_refused(given, problem):
    with pytest.raises(OptionError, match="^feature_groups must be .*") as caught:
        resolve_groups(given, NAMES)
    assert problem in str(caught.value)
    assert caught.value.argument == "feature_groups"


@pytest.mark.parametrize("columns", [["f0"], ["f0", "street"], 3])
def test_a_long_name_of_a_group_is_shortened(columns):
    """Checks with and without the names of the features give errors of the same length."""
    name = "group" * 1000
    with pytest.raises(OptionError, match=r"'(group)+g?r?o?u?p?\.\.\.") as caught:
        resolve_groups(
            {"a": ["f0"], name: columns} if columns == ["f0"] else {name: columns}, NAMES
        )
    assert len(str(caught.value)) < 350


def test_importances_alone_cannot_be_added_up():
    with pytest.raises(CannotExplainError, match="no contributions of single rows"):
        with_groups(replace(explanation(), local_values=None), GROUPS)


def test_groups_of_a_sample_of_the_rows_say_so():
    rows = {"rows": {"explained": 900, "available": 900, "kept": 40}}
    record = with_groups(replace(explanation(), details=Details.from_json(rows)), GROUPS)
    (note,) = record.details.notes
    assert str(note) == "Importances of groups are means over 40 of the explained rows."
    assert with_groups(explanation(), GROUPS).details.notes == ()


@pytest.mark.parametrize("n_classes", [None, 3])
@pytest.mark.parametrize("log_data", [True, False])
def test_files_hold_groups_with_all_digits(n_classes, log_data, tmp_path):
    record = with_groups(explanation(n_classes=n_classes), GROUPS)
    explanation_io.write(record if log_data else record.without_rows(), tmp_path)
    groups = explanation_io.read(tmp_path).groups
    assert groups.columns == record.groups.columns
    assert groups.names == record.groups.names
    for name in ("values", "errors", "per_class_values", "per_class_errors"):
        np.testing.assert_array_equal(getattr(groups, name), getattr(record.groups, name))
    table = json.loads((tmp_path / explanation_io.GROUPS).read_text())
    overall = json.loads((tmp_path / explanation_io.GLOBAL).read_text())
    assert table["columns"] == overall["columns"]
    assert sum(row[1] for row in table["data"]) == pytest.approx(1, abs=1e-3)
    assert [row[3] for row in table["data"]] == [1, 2, 3, 4]
    ranked = sorted(zip(record.groups.values, record.groups.names, strict=True), reverse=True)
    assert [row[0] for row in table["data"]] == [name for _, name in ranked]


def test_an_explanation_without_groups_has_no_entry_for_them(tmp_path):
    explanation_io.write(explanation(), tmp_path)
    assert "groups" not in json.loads((tmp_path / explanation_io.EXPLANATION).read_text())
    assert not (tmp_path / explanation_io.GROUPS).exists()
    assert explanation_io.read(tmp_path).groups is None


@pytest.mark.parametrize(
    "change",
    [
        {"names": ["last", "f0", "f2"]},
        {"names": ["last", "last", "f2", "f4"]},
        {"columns": {"last": "f3"}},
        {"columns": {"first": ["f3"]}},
        {"columns": {"last": ["street"], "f0": ["f0"]}},
        {"columns": {"last": ["f3"], "f0": ["f3"]}},
        {"names": ["last", "f0", "f2", "street"]},
        {"values": None},
        {"values": [[1.0, 2.0]]},
        {"standard_errors": ["x"] * 4},
        {"intervals": [1]},
    ],
)
def test_damaged_groups_are_refused(change, tmp_path):
    explanation_io.write(with_groups(explanation(), GROUPS), tmp_path)
    path = tmp_path / explanation_io.EXPLANATION
    content = json.loads(path.read_text())
    content["groups"] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidExplanationError, match=r"explanation\.json"):
        explanation_io.read(tmp_path)


def test_groups_have_no_direction_and_single_columns_keep_theirs():
    entries = {name: {"correlation": 0.9} for name in NAMES}
    record = replace(explanation(), details=Details(directions=entries))
    view = by_group(with_groups(record, GROUPS))
    assert set(view.details.directions) == {"f2", "f4"}
    assert view.features == ("last", "f0", "f2", "f4")
    assert view.local_values is None
