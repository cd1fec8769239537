"""Users hold interpret-community's own type, on the way out and after a reload."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import is_regressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlflow_interpret import interpret_community
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.core.explanation import Explanation, TrainingContext
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.interpret_community import to_interpret_community, to_record
from mlflow_interpret.runtime.isolation import suppress_warnings

pytestmark = pytest.mark.skipif(
    not interpret_community.is_available(),
    reason='needs: pip install "mlflow-interpret[interpret]"',
)


def fitted(kind):
    if kind == "regression":
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        return RandomForestRegressor(4, max_depth=3, random_state=0).fit(X.to_numpy(), y), X, y
    load = load_iris if kind == "classes" else load_breast_cancer
    X, y = load(return_X_y=True, as_frame=True)
    X = X.iloc[:, :6]
    names = np.array(load().target_names)
    model = RandomForestClassifier(4, max_depth=3, random_state=0)
    return model.fit(X.to_numpy(), names[y]), X, names[y]


@pytest.fixture(scope="module", params=["regression", "binary", "classes"])
def pair(request):
    """Our explanation and TabularExplainer's own, of one model and the same rows."""
    with suppress_warnings():
        from interpret_community import TabularExplainer

    model, X, y = fitted(request.param)
    rows = X.to_numpy()[::40]
    classes = list(model.classes_) if hasattr(model, "classes_") else None
    with suppress_warnings():
        record = explain(
            TrainingContext(
                model, X.to_numpy(), y, evaluation_examples=rows, features=list(X), classes=classes
            ),
        )
        own = TabularExplainer(model, X.to_numpy(), features=list(X), classes=classes)
        return record, to_interpret_community(record), own.explain_global(rows)


def public(explanation):
    return {name for name in dir(explanation) if not name.startswith("_")}


class TestTo:
    def test_the_type_and_its_members_are_tabular_explainer_s(self, pair):
        from interpret_community.explanation.explanation import GlobalExplanation

        _, ours, own = pair
        assert isinstance(ours, GlobalExplanation)
        assert [base.__name__ for base in type(ours).__mro__] == [
            base.__name__ for base in type(own).__mro__
        ]
        assert public(own) <= public(ours)

    def test_values_are_tabular_explainer_s(self, pair):
        _, ours, own = pair
        np.testing.assert_allclose(ours.global_importance_values, own.global_importance_values)
        np.testing.assert_allclose(ours.local_importance_values, own.local_importance_values)
        np.testing.assert_allclose(
            np.ravel(ours.expected_values), np.ravel(own.expected_values), rtol=1e-9
        )
        assert ours.method == own.method
        assert ours.num_features == own.num_features

    def test_samples_of_the_documentation_work(self, pair):
        record, ours, own = pair
        assert ours.get_feature_importance_dict() == pytest.approx(
            own.get_feature_importance_dict()
        )
        assert ours.get_ranked_global_names() == own.get_ranked_global_names()
        np.testing.assert_allclose(ours.get_ranked_global_values(), own.get_ranked_global_values())
        assert list(ours.get_feature_importance_dict()) == [name for name, _ in record.ranked()]
        assert ours.get_ranked_local_names(top_k=2) == own.get_ranked_local_names(top_k=2)
        np.testing.assert_allclose(
            ours.get_ranked_local_values(top_k=2), own.get_ranked_local_values(top_k=2)
        )
        assert list(ours.features) == list(own.features)

    def test_classes_are_those_of_the_model(self, pair):
        record, ours, own = pair
        if record.task == "regression":
            assert not hasattr(ours, "get_ranked_per_class_names")
            return
        assert list(ours.classes) == list(own.classes) == list(record.classes)
        assert ours.num_classes == own.num_classes
        assert ours.get_ranked_per_class_names(top_k=3) == own.get_ranked_per_class_names(top_k=3)
        np.testing.assert_allclose(
            ours.get_ranked_per_class_values(), own.get_ranked_per_class_values()
        )

    def test_predictions_are_there(self, pair):
        record, ours, own = pair
        assert np.array_equal(ours.eval_y_predicted, own.eval_y_predicted)
        if record.task == "classification":
            np.testing.assert_allclose(
                ours.eval_y_predicted_proba, own.eval_y_predicted_proba, rtol=1e-12
            )

    def test_values_are_the_record_s_to_the_last_bit(self, pair):
        record, ours, _ = pair
        values = np.asarray(ours.global_importance_values)
        assert values.tobytes() == record.global_values.tobytes()
        assert np.asarray(ours.local_importance_values).tobytes() == record.local_values.tobytes()

    def test_a_record_without_rows_is_a_global_explanation(self, pair):
        record, _, _ = pair
        bare = to_interpret_community(
            replace(
                record,
                local_values=None,
                evaluation_rows=None,
                predicted=None,
                predicted_probabilities=None,
            )
        )
        assert list(bare.get_feature_importance_dict()) == [name for name, _ in record.ranked()]
        assert not hasattr(bare, "local_importance_values")

    def test_explanations_of_this_package_have_their_method(self, pair):
        record, ours, own = pair
        assert to_record(ours).details == record.details
        details = to_record(own).details
        assert details.to_json().keys() == {"notes", "directions"}
        assert [str(note) for note in details.notes] == ["Computed by the caller."]
        leading = own.get_ranked_global_names(3)
        assert [details.directions.get(name) for name in leading] == [
            record.details.directions.get(name) for name in leading
        ]


class TestFrom:
    def test_the_record_of_an_explanation_of_this_package_is_returned(self, pair):
        record, ours, _ = pair
        assert to_record(ours) is record

    def test_labels_that_come_later_join_the_record(self, pair):
        record, ours, _ = pair
        labels = ["late"] * len(record.evaluation_rows)
        joined = to_record(ours, labels)
        assert joined.true_labels.tolist() == labels
        assert joined.details == record.details
        assert joined.id == record.id
        assert joined.local_values is record.local_values

    @pytest.mark.parametrize("labels", [["one"], [], [[1, 2]] * 4])
    def test_labels_of_another_number_are_refused_by_their_argument(self, pair, labels):
        for explanation in pair[1:]:
            with pytest.raises(OptionError, match=r"^true_ys must be one label for each of the"):
                to_record(explanation, labels)

    def test_tabular_explainer_s_own_round_trips(self, pair):
        record, _, own = pair
        found = to_record(own)
        assert found.task == record.task
        assert found.features == record.features
        assert found.classes == record.classes
        assert found.method == "shap_tree"
        assert found.id == own.id
        assert found.evaluation_rows.shape == record.evaluation_rows.shape
        assert list(found.evaluation_rows) == list(record.features)
        assert found.predicted.tolist() == record.predicted.tolist()
        assert found.details.to_json()["notes"]
        again = to_interpret_community(found)
        assert again.get_feature_importance_dict() == own.get_feature_importance_dict()
        assert np.array_equal(again.local_importance_values, own.local_importance_values)
        assert again.get_ranked_global_names() == own.get_ranked_global_names()
        if record.task == "classification":
            assert again.get_ranked_per_class_names() == own.get_ranked_per_class_names()

    def test_tabular_explainer_s_own_can_be_stored(self, pair, tmp_path):
        _, _, own = pair
        explanation_io.write(to_record(own), tmp_path)
        read = to_interpret_community(explanation_io.read(tmp_path))
        assert read.get_feature_importance_dict() == own.get_feature_importance_dict()
        assert np.array_equal(read.local_importance_values, own.local_importance_values)

    @pytest.mark.parametrize("model", [LinearRegression(), LogisticRegression(max_iter=1000)])
    def test_the_linear_explainer_s_round_trips(self, model, tmp_path):
        from interpret_community import TabularExplainer

        X, y = load_iris(return_X_y=True)
        model.fit(X, y)
        with suppress_warnings():
            own = TabularExplainer(model, X[:50]).explain_global(X[:20])
        found = to_record(own, y[:20])
        assert found.features == tuple(str(name) for name in own.features)
        assert found.true_labels.tolist() == y[:20].tolist()
        assert found.task == ("regression" if is_regressor(model) else "classification")
        explanation_io.write(found, tmp_path)
        assert explanation_io.read(tmp_path).global_values.tolist() == found.global_values.tolist()

    def test_a_mimic_explanation_has_no_local_values_and_round_trips(self):
        from interpret_community.mimic import MimicExplainer
        from interpret_community.mimic.models import LinearExplainableModel

        X, y = load_diabetes(return_X_y=True, as_frame=True)
        model = LinearRegression().fit(X, y)
        with suppress_warnings():
            own = MimicExplainer(
                model, X, LinearExplainableModel, features=list(X)
            ).explain_global()
        found = to_record(own)
        assert found.features == tuple(X)
        assert to_interpret_community(found).get_feature_importance_dict() == (
            own.get_feature_importance_dict()
        )

    def test_repeated_names_are_distinguished(self, tmp_path):
        model, X, _ = fitted("regression")
        from interpret_community import TabularExplainer

        with suppress_warnings():
            own = TabularExplainer(
                model, X.to_numpy(), features=["a", "a", "", *list(X)[3:]]
            ).explain_global(X.to_numpy()[:5])
        found = to_record(own)
        assert len(set(found.features)) == X.shape[1]
        assert all(found.features)
        explanation_io.write(found, tmp_path)
        assert explanation_io.read(tmp_path).features == found.features

    def test_sparse_local_values_are_left_out_with_a_note(self):
        from interpret_community.explanation.explanation import (
            _create_global_explanation,
            _create_local_explanation,
        )

        common = {"method": "m", "features": ["a", "b"], "num_features": 2, "model_task": "x",
                  "classification": False}  # fmt: skip
        local = _create_local_explanation(
            local_importance_values=sparse.csr_matrix([[1.0, 0.0]]), **common
        )
        own = _create_global_explanation(
            local_explanation=local,
            global_importance_values=np.array([1.0, 0.0]),
            global_importance_rank=np.array([0, 1]),
            **common,
        )
        found = to_record(own)
        assert found.local_values is None
        assert any("Sparse" in note for note in found.details.to_json()["notes"])

    @pytest.mark.parametrize("thing", [None, {"a": 1.0}, pd.Series([1.0]), "explanation"])
    def test_anything_else_is_refused_by_its_type(self, thing):
        with pytest.raises(CannotExplainError, match=f"got {type(thing).__name__}"):
            to_record(thing)


def regression_record(**more):
    values = {
        "method": "shap_tree",
        "task": "regression",
        "model_class": None,
        "features": ("a", "b"),
        "global_values": np.array([2.0, 1.0]),
    }
    return Explanation(**{**values, **more})


def test_several_targets_become_classes_of_interpret_community():
    record = regression_record(
        targets=("up", "down"),
        local_values=np.arange(12.0).reshape(2, 3, 2),
        per_class_values=np.ones((2, 2)),
        expected_values=np.zeros(2),
    )
    explanation = to_interpret_community(record)
    assert explanation.classes == ["up", "down"]
    assert np.shape(explanation.local_importance_values) == (2, 3, 2)
    assert len(explanation.get_ranked_per_class_names()) == 2


def test_true_labels_of_several_targets_are_accepted():
    record = regression_record(
        targets=("up", "down"), evaluation_rows=pd.DataFrame(np.ones((3, 2)))
    )
    explanation = to_interpret_community(replace(record, per_class_values=np.ones((2, 2))))
    labels = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(to_record(explanation, labels).true_labels, labels)
    with pytest.raises(OptionError, match="one label for each of the 3 explained rows"):
        to_record(explanation, np.ones((3, 5)))
