"""Remedies in messages work: each is run by a test."""

from __future__ import annotations

import ast
import asyncio
import logging
import re
import shlex
from importlib import metadata
from pathlib import Path

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from packaging.requirements import Requirement
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, SGDRegressor
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from mlflow_interpret import (
    CannotExplainError,
    ExplanationNotFoundError,
    RunNotFoundError,
    TrackingUnavailableError,
)
from mlflow_interpret.cli import main
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool

X, y = load_iris(return_X_y=True, as_frame=True)


def fit():
    DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)


def warning(caplog):
    """The only warning."""
    (text,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    return text


def run_command(text, **words):
    """Run the command at the end of a message, with words replaced, and return its output."""
    command = re.search(r"mlflow-interpret ([^,]*)", text.split("; log it later with:")[1])[1]
    for word, value in words.items():
        command = re.sub(rf"\b{word}\b", value, command)
    done = CliRunner().invoke(main, shlex.split(command))
    assert done.exit_code == 0, done.output
    return done.output


def is_explained(run_id, uri):
    tags = MlflowClient(uri).get_run(run_id).data.tags
    return tags.get("mlflow_interpret.status") == "complete"


def test_an_explanation_for_a_run_in_another_store_is_logged_by_the_command(
    store, other_store, caplog
):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        mlflow.set_tracking_uri(other_store)
        fit()
        mlflow.set_tracking_uri(store)
    text = warning(caplog)
    assert f"does not exist in {other_store}" in text
    assert "MLFLOW_TRACKING_URI" not in text  # the command would go to the other store
    mlflow.set_tracking_uri(other_store)
    run_command(text, URI=store)
    assert is_explained(run.info.run_id, store)
    assert spool.folders() == []


def test_an_explanation_that_a_store_refused_is_logged_by_the_command(store, tmp_path, caplog):
    mlflow_interpret.autolog(log_figures=False)
    in_the_way = tmp_path / "artifacts"
    in_the_way.write_text("a file where the store wants a folder")
    with mlflow.start_run() as run:
        fit()
    in_the_way.unlink()
    run_command(warning(caplog))
    assert is_explained(run.info.run_id, store)


def test_an_explanation_for_an_address_with_a_password_is_logged_by_the_command(store, caplog):
    mlflow_interpret.autolog(log_figures=False)
    with mlflow.start_run() as run:
        mlflow.set_tracking_uri("http://user:hunter2@127.0.0.1:9")  # nothing listens there
        fit()
        mlflow.set_tracking_uri(store)
    text = warning(caplog)
    assert "hunter2" not in text
    run_command(text, URI=store)
    assert is_explained(run.info.run_id, store)


def test_the_variable_names_a_folder_that_can_be_written(store, tmp_path, caplog, monkeypatch):
    mlflow_interpret.autolog(log_figures=False)
    (tmp_path / "artifacts").write_text("a file where the store wants a folder")
    (tmp_path / "spool").write_text("a file where the spool would be")
    with mlflow.start_run():
        fit()
        variable = re.search(r"environment variable (\w+)", warning(caplog))[1]
        monkeypatch.setenv(variable, str(tmp_path / "other spool"))
        fit()
    assert len(spool.folders()) == 1


@pytest.fixture
def other_store(store, tmp_path):
    """The URI of a second store."""
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    (tmp_path / "other.db").write_bytes((tmp_path / "mlflow.db").read_bytes())
    return uri


def last_status():
    return mlflow.last_active_run().data.tags["mlflow_interpret.status"]


def last_reason(store):
    return mlflow_store.status_of(mlflow.last_active_run().info.run_id, store)["reason"]


def test_the_spool_that_doctor_reports_is_emptied_by_its_command(store, tmp_path):
    mlflow_interpret.autolog(log_figures=False, silent=True)
    in_the_way = tmp_path / "artifacts"
    in_the_way.write_text("a file where the store wants a folder")
    with mlflow.start_run() as run:
        fit()
    in_the_way.unlink()
    report = CliRunner().invoke(main, ["doctor"]).output
    command = re.search(r"1 explanation waits.*?mlflow-interpret (\w+)", report, re.DOTALL)[1]
    assert CliRunner().invoke(main, [command]).exit_code == 0
    assert is_explained(run.info.run_id, store)


def test_another_store_is_named_by_the_function_or_the_variable(store, other_store, monkeypatch):
    mlflow_interpret.autolog(log_figures=False, silent=True)
    with mlflow.start_run() as run:
        fit()
    mlflow.set_tracking_uri(other_store)
    with pytest.raises(RunNotFoundError, match=r"mlflow.set_tracking_uri\(...\) or MLFLOW_TRACK"):
        mlflow_interpret.load_explanation(run.info.run_id)
    mlflow.set_tracking_uri("http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(TrackingUnavailableError, match=r"mlflow.set_tracking_uri\(\) or MLFLOW_T"):
        mlflow_interpret.load_explanation(run.info.run_id)
    mlflow.set_tracking_uri(store)
    assert mlflow_interpret.load_explanation(run.info.run_id)
    mlflow.set_tracking_uri(None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert mlflow_interpret.load_explanation(run.info.run_id)


def test_a_run_without_an_explanation_gets_one(store):
    with mlflow.start_run() as run:
        fit()
    with pytest.raises(
        ExplanationNotFoundError, match=r"log_explanation\(explanation, run_id=...\)"
    ):
        mlflow_interpret.load_explanation(run.info.run_id)
    model = DecisionTreeClassifier(max_depth=2).fit(X, y)
    explanation = mlflow_interpret.explain(model, X, silent=True)
    mlflow_interpret.log_explanation(explanation, run_id=run.info.run_id, log_figures=False)
    assert mlflow_interpret.load_explanation(run.info.run_id)
    with pytest.raises(ExplanationNotFoundError, match=r"mlflow_interpret.autolog\(\)"):
        mlflow_interpret.compare_runs([run.info.run_id])
    mlflow_interpret.autolog(log_figures=False, silent=True)
    with mlflow.start_run() as other:
        fit()
    assert mlflow_interpret.compare_runs([run.info.run_id, other.info.run_id])


def test_rows_changed_in_place_are_replaced_by_the_options(store):
    def fit_in_place():
        model = make_pipeline(StandardScaler(copy=False), LinearRegression())
        model.fit(X.to_numpy().copy(), y)

    mlflow_interpret.autolog(log_figures=False, silent=True)
    fit_in_place()
    assert "copy=False" in last_reason(store)
    rows = X.to_numpy()
    mlflow_interpret.autolog(
        log_figures=False, silent=True, evaluation_examples=rows, initialization_examples=rows
    )
    fit_in_place()
    assert last_status() == "complete"


def test_a_search_is_explained_with_refit(store):
    mlflow_interpret.autolog(log_figures=False, silent=True)
    search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, refit=False)
    search.fit(X, y)
    assert "use refit=True" in last_reason(store)
    search.set_params(refit=True).fit(X, y)
    assert last_status() == "complete"


def test_interactions_are_computed_on_request():
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)
    with pytest.raises(CannotExplainError, match="pass interactions=True to explain"):
        mlflow_interpret.explain(model, X, max_rows=5, silent=True).get_interactions()
    explanation = mlflow_interpret.explain(model, X, max_rows=5, interactions=True, silent=True)
    assert len(explanation.get_interactions()) == 6


@pytest.mark.parametrize("remedy", ["free_raw_data=False", "evaluation_examples"])
def test_rows_that_lightgbm_has_freed_are_kept_or_given(store, remedy):
    lightgbm = pytest.importorskip("lightgbm")
    mlflow_interpret.autolog(log_figures=False, silent=True)
    lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y).construct(), 2)
    assert remedy in last_reason(store)
    keeps = remedy == "free_raw_data=False"
    if not keeps:
        mlflow_interpret.autolog(log_figures=False, silent=True, evaluation_examples=X)
    data = lightgbm.Dataset(X, y, free_raw_data=not keeps).construct()
    lightgbm.train({"verbose": -1}, data, 2)
    assert last_status() == "complete"


class Later(RegressorMixin, BaseEstimator):
    async def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X):
        return self.mean_ + np.asarray(X)[:, 0]


class Odd(Later):
    def fit(self, **kwargs):
        self.mean_ = 1.0
        return self


def test_explain_now_explains_what_is_not_observed(store, caplog, monkeypatch):
    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog(log_figures=False)
    model = asyncio.run(Later().fit(X, y))
    assert "afterwards with mlflow_interpret.explain_now(model, X)" in caplog.text
    assert is_explained(mlflow_interpret.explain_now(model, X), store)
    caplog.clear()
    model = Odd().fit(n=1)
    assert "or call mlflow_interpret.explain_now(model, X)" in caplog.text
    assert is_explained(mlflow_interpret.explain_now(model, X), store)
    caplog.clear()
    model = SGDRegressor().partial_fit(X, y)
    assert "mlflow_interpret.explain_now(model)" in caplog.text
    assert is_explained(mlflow_interpret.explain_now(model), store)
    with pytest.raises(CannotExplainError, match="pass X, its training rows"):
        mlflow_interpret.explain_now(model.__class__())


def test_the_estimators_of_a_cross_validation_are_explained(caplog, monkeypatch, store):
    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog()
    cross_validate(DecisionTreeClassifier(), X, y, cv=2)
    assert "mlflow_interpret.cross_explain(model, X, y)" in caplog.text
    result = mlflow_interpret.cross_explain(DecisionTreeClassifier(), X, y, cv=2)
    assert is_explained(result.run_id, store)


def test_a_booster_of_a_fold_is_explained(caplog, monkeypatch):
    lightgbm = pytest.importorskip("lightgbm")
    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog()
    settings = {"verbose": -1, "objective": "regression"}
    data = lightgbm.Dataset(X, y)
    folds = lightgbm.cv(settings, data, 2, nfold=2, stratified=False, return_cvbooster=True)
    assert "pass the Booster of a fold to mlflow_interpret.explain(booster, X)" in caplog.text
    assert mlflow_interpret.explain(folds["cvbooster"].boosters[0], X, silent=True)


def test_a_class_with_predict_around_an_estimator_is_explained(caplog, monkeypatch):
    class Distance:
        def __init__(self, neighbors):
            self.neighbors = neighbors

        def predict(self, X):
            return self.neighbors.kneighbors(X)[0].mean(axis=1)

    monkeypatch.setattr("mlflow_interpret.runtime.messages._informed", set())
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog()
    model = NearestNeighbors().fit(X.to_numpy())
    assert "class with predict around it" in caplog.text
    assert mlflow_interpret.explain(Distance(model), X.to_numpy()[:40], max_rows=5, silent=True)


def test_an_explanation_without_rows_is_drawn_as_importances(store):
    mlflow_interpret.autolog(log_figures=False, silent=True, log_data=False)
    fit()
    run_id = mlflow.last_active_run().info.run_id
    display = mlflow_interpret.ExplanationDisplay.from_run(run_id)
    with pytest.raises(ExplanationNotFoundError, match=r"plot_importances\(\)"):
        display.plot_beeswarm()
    assert display.plot_importances()


def test_extras_hold_the_packages_that_messages_miss():
    names: dict[str, set[str]] = {}
    for text in metadata.requires("mlflow-interpret") or ():
        requirement = Requirement(text)
        for extra in metadata.metadata("mlflow-interpret").get_all("Provides-Extra") or ():
            if f'"{extra}"' in str(requirement.marker):
                names.setdefault(extra, set()).add(requirement.name)
    assert {"azure-identity", "azure-storage-blob"} <= names["azure"]  # both need azure-core
    assert "interpret-community" in names["interpret"]


# The remedies in messages, by the folder that names them, and the tests that try them: of this
# module, or of another file.
BACKGROUND = "autologging/test_background.py::test_flush_"
EXTRAS = "test_extras_hold_the_packages_that_messages_miss"
GETS_ONE = "test_a_run_without_an_explanation_gets_one"
NOW = "test_explain_now_explains_what_is_not_observed"
STORE = "test_another_store_is_named_by_the_function_or_the_variable"
FREED = "test_rows_that_lightgbm_has_freed_are_kept_or_given"
REMEDIES = {
    ("api", "mlflow_interpret.autolog()"): GETS_ONE,
    ("api", "mlflow_interpret.log_explanation(result.explanation)"): (
        "api/test_cross_explain.py::test_a_result_that_cannot_be_logged_is_returned"
    ),
    ("api", "interactions=True"): "test_interactions_are_computed_on_request",
    ("api", "log_data=True"): "api/test_conversions.py::test_values_of_shap_add_up",
    ("api", "pip install"): "api/test_conversions.py::test_the_plots_of_shap_work",
    ("api", "log_data=False"): "test_an_explanation_without_rows_is_drawn_as_importances",
    ("autologging", "log_data=False"): f"{BACKGROUND}reports_pending_fits_without_rows",
    ("autologging", "copy=False"): "test_rows_changed_in_place_are_replaced_by_the_options",
    ("autologging", "mlflow_interpret.explain_now(model)"): NOW,
    ("autologging", "mlflow_interpret.explain_now(model, X)"): NOW,
    ("autologging", "mlflow_interpret.explain(model, X)"): (
        "test_a_class_with_predict_around_an_estimator_is_explained"
    ),
    ("autologging", "mlflow_interpret.cross_explain(model, X, y)"): (
        "test_the_estimators_of_a_cross_validation_are_explained"
    ),
    ("autologging", "evaluation_examples"): (
        "autologging/test_dask_training.py::test_native_training_on_a_cluster_needs_examples"
    ),
    ("autologging", "mlflow_interpret.explain(booster, X)"): (
        "test_a_booster_of_a_fold_is_explained"
    ),
    ("autologging", "mlflow_interpret.log_explanation(mlflow_interpret.load_explanation( )"): (
        "autologging/test_logged_models.py::test_a_server_that_refuses_is_one_warning_with_a_remedy"
    ),
    ("autologging", "mlflow-interpret flush"): (
        "test_an_explanation_that_a_store_refused_is_logged_by_the_command"
    ),
    ("doctor", "MLFLOW_TRACKING_URI"): STORE,
    ("doctor", "mlflow-interpret flush"): (
        "test_the_spool_that_doctor_reports_is_emptied_by_its_command"
    ),
    ("doctor", "pip install"): EXTRAS,
    ("doctor", "pip uninstall"): "test_doctor.py::test_an_interpret_community_that_fails_at_import",
    ("explaining", "raw=True"): (
        "autologging/test_texts.py::test_words_are_metrics_and_the_raw_view_is_loaded"
    ),
    ("explaining", "pip install"): EXTRAS,
    ("explaining", "refit=True"): "test_a_search_is_explained_with_refit",
    ("explaining", "free_raw_data=False"): FREED,
    ("explaining", "evaluation_examples"): FREED,
    ("interpret_community", "pip install"): EXTRAS,
    ("stores.azureml", "pip install"): EXTRAS,
    ("stores.azureml", "mlflow_interpret.log_explanation()"): (
        "stores/azureml/test_rest_writer.py::test_another_upload_after_a_refusal"
    ),
    ("stores.azureml", "mlflow-interpret push"): (
        "api/test_push.py::test_a_push_after_a_fault_at_any_request"
    ),
    ("stores.drawing", "mlflow-interpret flush"): (
        "stores/test_drawing.py::test_a_store_that_fails_is_one_warning_and_the_drawings_can_be_flushed"
    ),
    ("stores.mlflow", "MLFLOW_TRACKING_URI"): STORE,
    ("stores.mlflow", "mlflow.set_tracking_uri()"): STORE,
    ("stores.mlflow", "mlflow_interpret.autolog()"): GETS_ONE,
    ("stores.mlflow", "mlflow_interpret.log_explanation(explanation, run_id=...)"): GETS_ONE,
    ("stores.spool", "MLFLOW_INTERPRET_SPOOL"): (
        "test_the_variable_names_a_folder_that_can_be_written"
    ),
}
# Names that a message mentions, and variables that only the code reads.
NO_REMEDIES = {
    ("autologging", "MLFLOW_AUTOLOGGING_TESTING"),
    ("autologging", "MLFLOW_RUN_ID"),
    ("explaining", "refit=False"),
    ("report", "log_data=False"),
    ("stores.azureml", "MLFLOW_RUN_ID"),
    ("stores.azureml", "MLFLOW_TRACKING_TOKEN"),
}
PATTERN = re.compile(
    r"mlflow-interpret (?:flush|push|show|doctor|compare)|pip (?:un)?install|MLFLOW_[A-Z_]+"
    r"|mlflow_interpret\.\w+\([^)]*\)|mlflow\.\w+\(\)|\b[a-z_]+=(?:True|False)"
    r"|(?<=in )(?:evaluation|initialization)_examples"
)


def folder(module):
    """The part of a module's name that moves of code within its folder leave."""
    return ".".join(module.split(".")[: 2 if module.startswith("stores.") else 1])


def messages(tree):
    """The texts of a module without docstrings; a part that is computed is a space."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else " " for part in node.values]
            yield "".join(map(str, parts))


def test_every_remedy_is_tried_by_a_test():
    tests, source = Path(__file__).parent, Path(mlflow_interpret.__file__).parent
    found = set()
    for path in source.rglob("*.py"):
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        if not module.startswith("cli."):  # help texts
            for text in messages(ast.parse(path.read_text("utf-8"))):
                found |= {(folder(module), remedy) for remedy in PATTERN.findall(text)}
    assert found - NO_REMEDIES - set(REMEDIES) == set(), "without a test"
    assert {*REMEDIES, *NO_REMEDIES} - found == set(), "no message names it"
    for test in REMEDIES.values():
        file, _, name = test.rpartition("::")
        assert f"def {name}" in (tests / (file or Path(__file__).name)).read_text("utf-8")
