"""Every option is checked; messages have the argument, the allowed values and the given one."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from mlflow_interpret.core.errors import MlflowInterpretError, OptionError
from mlflow_interpret.core.options import MAX_METRICS, Options

ROWS = np.zeros((3, 2))


class Run:
    """Looks like an azureml.core.Run."""

    id = "run"
    experiment = "experiment"


class Workspace:
    """Looks like an azureml.core.Workspace."""

    subscription_id = resource_group = name = service_context = "x"


class MLClient:
    """Looks like an azure.ai.ml.MLClient."""

    subscription_id = resource_group_name = workspace_name = workspaces = "x"


ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


class Model:
    def fit(self, X, y):
        return self

    def predict(self, X):
        return X


def test_defaults_are_allowed():
    options = Options()
    assert options.top_k <= MAX_METRICS < 50
    assert options.evaluation_rows is options.evaluation_labels is None


def test_options_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Options().top_k = 3


REFUSED = {
    "log_description": [None, 1, "yes"],
    "metrics": ["shares", [], ["importance", "x"], None, 3],
    "max_rows": [0, -1, 1.5, "5", True],
    "n_jobs": [0, 1.5, "2", True],
    "time_budget": [0, -1.0, float("inf"), float("nan"), "60", "default", True],
    "top_k": [0, 31, None, 2.0, True],
    "random_state": [-1, 2**32, None, 0.0, np.random.RandomState(0), False],
    "visualization_points": [-1, 20_001, 1.5, "all", True],
    "upload_timeout": [0, -1.0, float("inf"), float("nan"), "60", None, True],
    "baseline": ["", 5, b"latest", ["latest"]],
    "comment": [5, "c" * 1001, ["a"]],
    "model_id": ["", 3],
    "log_figures": [None, 1, "yes"],
    "log_report": [None, 1, "yes"],
    "log_data": [None, 0],
    "background": [None, "yes"],
    "disable": [None, 0],
    "exclusive": ["True"],
    "silent": [1],
    "disable_for_unsupported_versions": [None],
    "extra_tags": [["a"], {1: "a"}, "a=b"],
    "engine": ["tree", "", None, 1, ["auto"]],
    "interactions": [None, "yes", 1, 31, -2, 2.5],
    "output": ["probabilities", "", None, 1, ["raw"], True],
    "estimators": ["Model", Run, [Run], ["Model"], [Model()], [Model, None], {"a": Model}],
    "feature_groups": [
        "a",
        ["a"],
        {},
        {"a": []},
        {"a": "b"},
        {"a": [1]},
        {"a": {"b": "c"}},
        {1: ["b"]},
        {" ": ["b"]},
        {"a": ["c"], "b": ["c"]},
        {"a": ["c", "c"]},
    ],
    "features": ["age", [], ["a", 1], ["a", "b", "a"], 3, {"a": "b"}],
    "classes": ["yes", ["yes"], [], 2, {"a": 1, "b": 2}],
    "evaluation_examples": ["rows", np.zeros(3), np.zeros((0, 2)), [[1, 2]], (np.zeros(2), [1, 2])],
    "initialization_examples": ["rows", np.zeros((2, 2, 2)), np.zeros((2, 0)), (ROWS, [1, 2, 3])],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in REFUSED.items() for v in vs])
def test_a_wrong_value_is_refused_by_the_name_of_its_argument(name, value):
    with pytest.raises(OptionError, match=rf"^{name} must be .*, got .*\.$") as caught:
        Options(**{name: value})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MlflowInterpretError)
    assert len(str(caught.value)) < 300


ALLOWED = {
    "log_description": [True, False],
    "metrics": ["importance", "share", ["share", "importance"], ("importance",)],
    "max_rows": [None, 1, 10**9, np.int64(5)],
    "n_jobs": [None, 1, 8, -1, -2, np.int64(2)],
    "time_budget": [None, "auto", 0.1, 30, np.float32(3)],
    "top_k": [1, MAX_METRICS, np.int32(3)],
    "random_state": [0, 2**32 - 1],
    "visualization_points": [None, 0, 1, 20_000, np.int64(7)],
    "upload_timeout": [0.1, 5, np.float32(3)],
    "baseline": [None, "latest", "models:/a@b", "0" * 32],
    "comment": [None, "", "c" * 1000],
    "model_id": [None, "m-0123456789abcdef"],
    "log_figures": [True, False],
    "log_report": [True, False],
    "log_data": [True, False],
    "background": [True, False],
    "disable": [True],
    "exclusive": [True],
    "silent": [True],
    "disable_for_unsupported_versions": [True],
    "extra_tags": [None, {}, {"a": "b"}],
    "engine": ["auto", "kernel", "tabular"],
    "interactions": [False, True, 2, 30, np.int64(5)],
    "output": ["auto", "probability", "log-odds", "raw"],
    "estimators": [None, [], [Model], (Model, Model)],
    "feature_groups": [None, {"a": ["b"]}, {"a": ("a", "b")}, str.upper],
    "features": [None, ["a"], ("a", "b"), np.array(["a", "b"]), pd.Index(["a", "b"])],
    "classes": [None, [0, 1], ("no", "yes"), np.array([1, 2, 3])],
    "evaluation_examples": [
        None,
        ROWS,
        pd.DataFrame(ROWS),
        sparse.csr_matrix(ROWS),
        (ROWS, [0, 1, 0]),
        (pd.DataFrame(ROWS), pd.Series([0, 1, 0])),
    ],
    "initialization_examples": [None, ROWS, pd.DataFrame(ROWS)],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(n, v) for n, vs in ALLOWED.items() for v in vs],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_allowed_value_is_kept(name, value):
    assert getattr(Options(**{name: value}), name) is value


def test_every_option_is_tested_here():
    names = {field.name for field in fields(Options)}
    assert names - {"azureml"} == set(ALLOWED) == set(REFUSED)  # that one is checked by its store


def test_rows_and_labels_come_apart():
    labels = [0, 1, 0]
    options = Options(evaluation_examples=(ROWS, labels))
    assert options.evaluation_rows is ROWS
    assert options.evaluation_labels is labels
    assert Options(evaluation_examples=ROWS).evaluation_rows is ROWS
    assert Options(evaluation_examples=ROWS).evaluation_labels is None


def test_the_repeated_name_is_shown():
    with pytest.raises(OptionError, match="'b' more than once"):
        Options(features=["a", "b", "c", "b"])


def test_the_given_value_is_shortened():
    with pytest.raises(OptionError, match=r"got 'ccc.*\.\.\.\.$") as caught:
        Options(comment="c" * 5000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ((pd.DataFrame({"a": [12345.5]}),), "a tuple of 1"),
        ([[12345.5, 2.0]], "a list of 1"),
        ({"a": [12345.5]}, "a dict of 1"),
        (pd.Series([12345.5]), r"Series of shape \(1,\)"),
        ((np.full(3, 12345.5), [1, 2, 3]), r"ndarray of shape \(3,\)"),
        ("no such folder", "'no such folder'"),
    ],
)
@pytest.mark.parametrize("name", ["evaluation_examples", "initialization_examples"])
def test_no_error_quotes_rows(name, given, shown):
    if name == "initialization_examples" and isinstance(given, tuple):
        shown = f"a tuple of {len(given)}"
    with pytest.raises(OptionError, match=f"got {shown}") as caught:
        Options(**{name: given})
    assert "12345" not in str(caught.value)


def test_the_shape_of_wrong_rows_is_shown():
    with pytest.raises(OptionError, match=r"got ndarray of shape \(3,\)"):
        Options(initialization_examples=np.zeros(3))
