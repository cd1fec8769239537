"""Our explanation types have the interface and the values of interpret-community's."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import mlflow_interpret
from explanation_cases import made, regression
from mlflow_interpret import interpret_community
from mlflow_interpret.api.global_explanation import (
    GlobalExplanation,
    public_explanation,
    public_local_explanation,
)
from mlflow_interpret.api.local_explanation import LocalExplanation
from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.runtime import optional_import

needs_interpret_community = pytest.mark.skipif(
    not interpret_community.is_available(),
    reason='needs: pip install "mlflow-interpret[interpret]"',
)
RECORDS = {
    "regression": regression(),
    "two classes": made(),
    "three classes": made(classes=("a", "b", "c"), is_raw=True),
    "integer classes": made(classes=(3, 5), is_engineered=True),
    "two targets": replace(made(), task="regression", classes=None, targets=("up", "down")),
    "no rows": made(local_values=None, evaluation_rows=None, predicted=None,
                    predicted_probabilities=None, true_labels=None),
    "no expected values": replace(regression(), expected_values=None),
    "one feature": regression(features=1),
    "no values by class": made(per_class_values=None),
}  # fmt: skip


@pytest.fixture(params=RECORDS.values(), ids=RECORDS.keys())
def record(request):
    return request.param


def members(explanation):
    # The name is a serial number, and the two draw different tables for the selector.
    return {name for name in dir(explanation) if not name.startswith("_")} - {"name", "selector"}


def value_of(explanation, name, *arguments):
    member = getattr(explanation, name)
    return member(*arguments) if callable(member) else member


def assert_same(ours, theirs):
    """The same values in the same containers; an array may be a list of arrays."""
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif theirs is None or isinstance(theirs, str):
        assert ours == theirs
    else:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


DETAILED = {"data", "visualize", "to_interpret_community"}
WITH_MAPS = {"get_raw_explanation", "get_raw_feature_importances"}


@needs_interpret_community
class TestBothTypes:
    @pytest.mark.parametrize("kind", ["global", "local"])
    def test_members_are_the_same(self, record, kind):
        ours, theirs = both(record, kind)
        assert members(ours) - members(theirs) == {
            "get_group_importance_dict", "get_interactions", "to_frame", "to_interpret_community",
            "to_shap",
        }  # fmt: skip
        assert members(theirs) <= members(ours)

    @pytest.mark.parametrize("kind", ["global", "local"])
    def test_every_value_is_the_same(self, record, kind):
        ours, theirs = both(record, kind)
        for name in members(theirs) - DETAILED - WITH_MAPS:
            assert_same(value_of(ours, name), value_of(theirs, name))
            if name.startswith("get_") and name != "get_local_importance_rank":
                assert_same(value_of(ours, name, 2), value_of(theirs, name, 2))

    @pytest.mark.parametrize("kind", ["global", "local"])
    def test_the_data_of_dashboards_are_the_same(self, record, kind):
        ours, theirs = both(record, kind)
        assert_same(ours.data(), theirs.data())
        if record.local_values is None:
            return
        assert_same(ours.data(0), theirs.data(0))
        expected = theirs.data(-1)
        result = ours.data(-1)
        assert set(result) == set(expected)
        for mine, other in zip(result["mli"], expected["mli"], strict=True):
            assert mine["explanation_type"] == other["explanation_type"]
            assert set(mine) == set(other)
            assert_same(mine["value"] | {"perf": 0}, other["value"] | {"perf": 0})
            assert [p and p["predicted"] for p in mine["value"].get("perf", ())] == [
                p and p["predicted"] for p in other["value"].get("perf", ())
            ]
        # interpret-community gives one dictionary for all rows, which holds the last of them.
        assert len(result["specific"]) == len(expected["specific"])
        assert_same(result["specific"][-1]["values"], expected["specific"][-1]["values"])
        assert_same(result["specific"][0]["values"], np.asarray(record.evaluation_rows)[0])

    @pytest.mark.parametrize("top_k", [1, 3])
    def test_top_k_is_the_same(self, record, top_k):
        ours = GlobalExplanation(record, top_k)
        theirs = interpret_community.to_interpret_community(record, top_k)
        assert_same(ours.get_feature_importance_dict(), theirs.get_feature_importance_dict())
        assert_same(ours.global_importance_rank, theirs.global_importance_rank)
        assert_same(ours.global_importance_values, theirs.global_importance_values)
        if hasattr(theirs, "per_class_values"):
            assert_same(ours.per_class_values, theirs.per_class_values)
            assert_same(ours.per_class_rank, theirs.per_class_rank)
            assert_same(ours.get_ranked_per_class_names(), theirs.get_ranked_per_class_names())

    @pytest.mark.parametrize("as_matrix", [np.asarray, sparse.csr_matrix])
    @pytest.mark.parametrize("kind", ["global", "local"])
    def test_raw_features_are_summed_alike(self, kind, as_matrix):
        for record in (regression(), made()):
            ours, theirs = both(record, kind)
            maps = [
                as_matrix(np.array([[1.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])),
                as_matrix(np.eye(4)),
            ]
            np.testing.assert_allclose(
                ours.get_raw_feature_importances(maps), theirs.get_raw_feature_importances(maps)
            )
            raw = ours.get_raw_explanation(maps, ["a", "b", "c"])
            expected = theirs.get_raw_explanation(maps, ["a", "b", "c"])
            assert raw.is_raw
            assert raw.features == expected.features
            np.testing.assert_allclose(
                raw.local_importance_values, expected.local_importance_values
            )
            if kind == "global":
                assert raw.get_feature_importance_dict() == pytest.approx(
                    expected.get_feature_importance_dict()
                )

    def test_one_becomes_the_other(self, record):
        ours = GlobalExplanation(record)
        theirs = ours.to_interpret_community()
        assert isinstance(theirs, type(theirs))
        assert interpret_community.to_record(theirs) is record
        assert interpret_community.to_record(ours) is record
        assert ours.visualize() is not None

    def test_the_public_functions_return_interpret_community_s_type(self, record):
        assert type(public_explanation(record)).__name__ == "DynamicGlobalExplanation"


def both(record, kind):
    if kind == "global":
        return GlobalExplanation(record), interpret_community.to_interpret_community(record)
    if record.local_values is None:
        pytest.skip("a local explanation has local values")
    return LocalExplanation(record), interpret_community.to_local_interpret_community(record)


@pytest.fixture
def without_interpret_community(monkeypatch):
    """An interpret-community whose import fails, as beside a numpy that its shap cannot use."""
    reason = "interpret_community cannot be imported (TypeError: Converting np.inexact)"
    monkeypatch.setattr(interpret_community, "import_failure", lambda _: reason)

    def fail(name):
        raise ImportError(reason, name=name)

    monkeypatch.setattr(interpret_community, "import_optional", fail)


@pytest.mark.usefixtures("without_interpret_community")
class TestWithoutInterpretCommunity:
    def test_users_get_our_own_type(self, store):
        frame = pd.DataFrame({"a": [0.0, 1, 2, 3], "b": [1.0, 0, 1, 0]})
        from sklearn.linear_model import LinearRegression

        model = LinearRegression().fit(frame, frame["a"])
        explanation = mlflow_interpret.explain(model, frame)
        assert isinstance(explanation, mlflow_interpret.GlobalExplanation)
        run_id = mlflow_interpret.log_explanation(explanation)
        loaded = mlflow_interpret.load_explanation(run_id)
        assert isinstance(loaded, mlflow_interpret.GlobalExplanation)
        assert loaded.get_feature_importance_dict() == explanation.get_feature_importance_dict()
        assert loaded.local_importance_values == explanation.local_importance_values

    def test_a_local_explanation_is_our_own_type(self):
        assert isinstance(public_local_explanation(made()), LocalExplanation)

    def test_the_error_of_the_other_type_has_the_pip_command(self):
        message = r"np\.inexact.*pip install \"mlflow-interpret\[interpret\]\""
        with pytest.raises(CannotExplainError, match=message):
            GlobalExplanation(made()).to_interpret_community()


def test_importances_are_python_floats():
    explanation = GlobalExplanation(made())
    values = [
        *explanation.get_feature_importance_dict().values(),
        *explanation.get_ranked_global_values(),
        *explanation.get_ranked_per_class_values()[0],
        *explanation.get_ranked_local_values()[0][0],
        *explanation.expected_values,
    ]
    assert {type(value) for value in values} == {float}


def test_an_attribute_without_data_does_not_exist():
    explanation = GlobalExplanation(replace(regression(), evaluation_rows=None))
    for name in ("classes", "get_ranked_per_class_names", "per_class_values", "eval_data"):
        assert not hasattr(explanation, name)
        assert name not in dir(explanation)
    with pytest.raises(AttributeError, match="this regression explanation has no classes"):
        _ = explanation.classes


def test_an_explanation_is_pickled_and_described():
    explanation = GlobalExplanation(made(), top_k=2)
    again = pickle.loads(pickle.dumps(explanation))
    assert again.get_feature_importance_dict() == explanation.get_feature_importance_dict()
    assert repr(again).startswith("GlobalExplanation(method='shap_tree', model_task='classif")


def test_each_row_of_the_selector_is_a_row():
    table = GlobalExplanation(made()).selector
    assert len(table) == 7
    assert (table["Resid"] == 1).all()
    numbers = GlobalExplanation(regression())
    assert numbers.selector["Predicted"].tolist() == pytest.approx(
        np.round(numbers.eval_y_predicted, 3).tolist()
    )
    features = GlobalExplanation(made(local_values=None)).selector
    assert features["Name"].tolist() == ["column 0", "column 1", "column 2", "column 3"]


def test_wrong_feature_maps_are_named():
    explanation = GlobalExplanation(regression())
    with pytest.raises(OptionError, match=r"^feature_maps must be a list .* got ndarray"):
        explanation.get_raw_feature_importances(np.eye(4))
    with pytest.raises(OptionError, match=r"^feature_maps must hold weights of at least 0"):
        explanation.get_raw_feature_importances([-np.eye(4)])
    with pytest.raises(OptionError, match=r"^raw_feature_names must be 4 names, .* got 1"):
        explanation.get_raw_explanation([np.eye(4)], ["a"])


def test_a_package_that_fails_at_import_counts_as_absent(tmp_path, monkeypatch):
    package = tmp_path / "package_with_old_shap"
    package.mkdir()
    (package / "__init__.py").write_text("raise TypeError('Converting np.inexact not allowed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    reason = optional_import.import_failure("package_with_old_shap")
    assert reason == (
        "package_with_old_shap cannot be imported (TypeError: Converting np.inexact not allowed)"
    )
    with pytest.raises(ImportError, match="np.inexact"):
        optional_import.import_optional("package_with_old_shap")
    assert optional_import.import_failure("no_such_package") == "no_such_package is not installed"
