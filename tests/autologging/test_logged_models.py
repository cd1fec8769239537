"""The importances of a run are metrics of MLflow's logged models, each of its own model."""

from __future__ import annotations

import logging

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.models import Model
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge, SGDRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeRegressor

import mlflow_interpret
from mlflow_interpret.autologging import kept
from mlflow_interpret.cli import main
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool
from mlflow_interpret.stores.mlflow import search
from mlflow_interpret.stores.mlflow.importances import load_importances

X, y = load_diabetes(return_X_y=True, as_frame=True)
X, y = X.iloc[:100, :4], y[:100]

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _fast_log_model(monkeypatch):
    """Do not look for the packages that a model needs, which takes seconds in another process."""
    monkeypatch.setattr("mlflow.models.infer_pip_requirements", lambda *_, **__: [])


def autolog(**options):
    mlflow_interpret.autolog(silent=True, log_figures=False, log_report=False, **options)


def exact(model, rows=X):
    """The importances of a linear model: mean distances of the rows from their mean."""
    distances = (rows - rows.mean()).abs().mean()
    return {f"importance/{name}": abs(c) * distances[name] for name, c in zip(rows, model.coef_)}


def importances(model_id):
    """The importances among the metrics of a logged model, by name."""
    metrics = MlflowClient().get_logged_model(model_id).metrics or []
    ours = [metric for metric in metrics if metric.key.startswith("importance")]
    assert len({metric.key for metric in ours}) == len(ours)  # one value each
    return {metric.key: metric.value for metric in ours if "share" not in metric.key}


def ids_of(run):
    """The ids of a run's logged models, in the order of logging."""
    client = MlflowClient()
    outputs = client.get_run(run.info.run_id).outputs.model_outputs
    models = [client.get_logged_model(output.model_id) for output in outputs]
    return [m.model_id for m in sorted(models, key=lambda model: model.creation_timestamp)]


def log(model):
    return mlflow.sklearn.log_model(model, name="by_hand", serialization_format="pickle").model_id


@pytest.mark.parametrize("is_first", [True, False])
def test_each_model_of_a_run_has_its_own_importances(store, is_first):
    if is_first:
        autolog()
    mlflow.sklearn.autolog()
    if not is_first:
        autolog()
    models = [Ridge(), Ridge()]
    with mlflow.start_run() as run:
        for model, labels in zip(models, (y, y**2), strict=True):
            model.fit(X, labels)
    ids, client = ids_of(run), MlflowClient()
    first, second = (importances(model_id) for model_id in ids)
    assert first == pytest.approx(exact(models[0]), rel=1e-9)
    assert second == pytest.approx(
        {name.replace("/", "-2/"): value for name, value in exact(models[1]).items()}, rel=1e-9
    )
    (dataset,) = client.get_run(run.info.run_id).inputs.dataset_inputs
    for metric in client.get_logged_model(ids[0]).metrics:
        assert (metric.dataset_name, metric.dataset_digest) == (
            dataset.dataset.name,
            dataset.dataset.digest,
        )
    for name in (*first, *second):  # a single point in the charts of the run
        assert len(client.get_metric_history(run.info.run_id, name)) == 1
    for model_id, values in zip(ids, (first, second), strict=True):
        explanation = mlflow_interpret.load_explanation(f"models:/{model_id}")
        assert max(explanation.global_importance_values) == max(values.values())


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_boosters_logged_by_mlflow(store, package):
    library = pytest.importorskip(package)
    autolog()
    getattr(mlflow, package).autolog(log_input_examples=False)
    with mlflow.start_run() as run:
        if package == "xgboost":  # MLflow creates the logged model before the training
            library.train({"nthread": 1}, library.DMatrix(X, y), 3)
        else:  # MLflow logs it after fit
            library.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1).fit(X, y)
    metrics = MlflowClient().get_run(run.info.run_id).data.metrics
    expected = {name: value for name, value in metrics.items() if name.startswith("importance/")}
    assert len(expected) == 4
    assert importances(ids_of(run)[-1]) == expected


def test_both_models_of_a_search(store):
    autolog()
    mlflow.sklearn.autolog(max_tuning_runs=0)
    with mlflow.start_run() as run:
        search = GridSearchCV(Ridge(), {"alpha": [1.0, 50.0]}, cv=2).fit(X, y)
    for model_id in ids_of(run):
        assert importances(model_id) == pytest.approx(exact(search.best_estimator_), rel=1e-9)


def test_a_model_is_logged_by_hand_in_its_run_and_outside(store):
    autolog()
    model = Ridge()
    with mlflow.start_run() as run:
        model.fit(X, y)
        inside = log(model)
    outside = log(model)
    mlflow.set_experiment("another")
    elsewhere = log(model)
    assert importances(inside) == importances(outside) == pytest.approx(exact(model), rel=1e-9)
    assert importances(elsewhere) == {}  # MLflow keeps metrics in the experiment of the run
    expected = mlflow_interpret.load_explanation(run.info.run_id).id
    for model_id in (inside, outside, elsewhere):
        assert mlflow_interpret.load_explanation(f"models:/{model_id}").id == expected


def test_a_registered_version_has_the_explanation_of_its_model(store):
    autolog()
    models = [Ridge(), DecisionTreeRegressor(max_depth=2)]
    with mlflow.start_run():
        for model in models:
            model.fit(X, y)
        ids = [log(model) for model in models]
    for model_id, method in zip(ids, ("shap_linear", "shap_tree"), strict=True):
        version = mlflow.register_model(f"models:/{model_id}", "churn").version
        for uri in (f"models:/{model_id}", f"models:/churn/{version}"):
            assert mlflow_interpret.load_explanation(uri).method == method
            (compared,) = search.named_runs([uri], store, nothing)
            (importances,), _ = load_importances([compared], store, nothing)
            assert importances.method == method


def test_a_model_that_was_trained_again_has_the_later_importances(store):
    autolog()
    model = Ridge()
    with mlflow.start_run():
        model.fit(X[:50], y[:50])
        earlier, before = log(model), exact(model, X[:50])
        model.fit(X, y)
        later = log(model)
    assert importances(earlier) == pytest.approx(before, rel=1e-9)
    assert importances(later) == pytest.approx(
        {name.replace("/", "-2/"): value for name, value in exact(model).items()}, rel=1e-9
    )


def test_a_model_trained_in_batches_is_logged_before_its_run_ends(store):
    autolog()
    model = SGDRegressor(random_state=0)
    with mlflow.start_run():
        model.partial_fit(X[:50], y[:50])
        unfinished = log(model)
        model.partial_fit(X[50:], y[50:])
        finished = log(model)
    assert importances(unfinished) == {}
    assert importances(finished) == pytest.approx(exact(model), rel=1e-6)


def test_only_the_evaluation_rows_have_no_training_dataset(store):
    autolog(evaluation_examples=X[:20])
    mlflow.sklearn.autolog()
    with mlflow.start_run() as run:
        Ridge().fit(X, y)
    metrics = MlflowClient().get_logged_model(ids_of(run)[0]).metrics
    names = {m.key.partition("/")[0]: m.dataset_name for m in metrics}
    assert names["importance"] is None
    assert names["training_score"] == "dataset"


def test_a_server_that_refuses_is_one_warning_with_a_remedy(store, monkeypatch, caplog):
    log_batch = MlflowClient.log_batch

    def refuse(client, run_id, metrics=(), **others):
        if metrics and metrics[0].model_id is not None:
            raise mlflow.MlflowException("no room")
        return log_batch(client, run_id, metrics, **others)

    mlflow_interpret.autolog(log_figures=False, log_report=False)
    model = Ridge()
    with mlflow.start_run() as run, caplog.at_level(logging.WARNING, "mlflow_interpret"):
        model.fit(X, y)
        with monkeypatch.context() as patched:
            patched.setattr(MlflowClient, "log_batch", refuse)
            model_id = log(model)
    assert importances(model_id) == {}
    (text,) = [r.getMessage() for r in caplog.records if "logged model" in r.getMessage()]
    assert f"run {run.info.run_id}" in text
    assert "no room" in text
    remedy = text.partition("Log them with ")[2].rstrip(".")
    eval(remedy, {"mlflow_interpret": mlflow_interpret})
    values = {name.partition("/")[2]: value for name, value in importances(model_id).items()}
    expected = {name.partition("/")[2]: value for name, value in exact(model).items()}
    assert values == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("is_same_process", [True, False])
def test_a_kept_explanation_is_linked_to_its_models(store, monkeypatch, is_same_process):
    autolog()
    model, other = Ridge(), Ridge()
    with mlflow.start_run() as run:
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "log_batch", lambda *_, **__: 1 / 0)
            model.fit(X, y)
        first = log(model)
        if is_same_process:
            other.fit(X, y)  # logs what is kept
        else:
            kept._kept.clear()
            assert CliRunner().invoke(main, ["flush"]).exit_code == 0
        second = log(model) if is_same_process else None
    number = mlflow_store.explanations_of(mlflow.get_run(run.info.run_id))
    assert number == (2 if is_same_process else 1)
    for model_id in filter(None, (first, second)):
        assert importances(model_id) == pytest.approx(exact(model), rel=1e-9)
        tags = MlflowClient().get_logged_model(model_id).tags
        assert tags["mlflow_interpret.run_id"] == run.info.run_id
    assert spool.folders() == []


def test_mlflow_is_as_before_when_autolog_is_off():
    before = Model.__dict__["log"], MlflowClient.__dict__["get_metric_history"]
    autolog()
    assert Model.__dict__["log"] is not before[0]
    autolog()
    mlflow_interpret.autolog(disable=True)
    assert (Model.__dict__["log"], MlflowClient.__dict__["get_metric_history"]) == before
