"""Runs are found by ids, objects, models and searches."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from logged_explanations import explanation, log
from mlflow_interpret.core.errors import ExplanationNotFoundError, OptionError, RunNotFoundError
from mlflow_interpret.core.options import Comparison
from mlflow_interpret.runtime.progress import nothing
from mlflow_interpret.stores.mlflow import search


@pytest.fixture
def explained(store):
    """Makes a run with an explanation."""

    def make(name="a", record=None, **tags):
        with mlflow.start_run(run_name=name, tags=tags) as run:
            log(record or explanation(), run.info.run_id, store)
        return run.info.run_id

    return make


def found(runs, store, **options):
    named = search.find_runs(runs, Comparison(**options), store, nothing)
    return [(run.info.run_id, name) for run, name, *_ in named]


def test_run_ids_runs_and_tables_of_runs(store, explained):
    first, second = explained("first"), explained("second")
    client = MlflowClient()
    wanted = [(first, "first"), (second, "second")]
    assert found([first, second], store) == wanted
    assert found((client.get_run(first), second), store) == wanted
    assert found(iter([first, second]), store) == wanted
    assert found(pd.DataFrame({"run_id": [first, second]}), store) == wanted
    assert found(pd.Series([first, second]), store) == wanted


def test_an_active_run_object_is_read_again(store):
    with mlflow.start_run() as run:
        log(explanation(), run.info.run_id, store)
    assert "mlflow_interpret.explanations" not in run.data.tags
    ((found_run, *_),) = search.named_runs([run], store, nothing)
    assert found_run.data.tags["mlflow_interpret.explanations"] == "1"


def test_model_versions(store, explained):
    first, second = explained("first"), explained("second")
    client = MlflowClient()
    client.create_registered_model("churn")
    versions = [
        client.create_model_version("churn", f"runs:/{run_id}/model", run_id)
        for run_id in (first, second)
    ]
    client.set_registered_model_alias("churn", "champion", "1")
    assert found(["models:/churn/2", first], store)[0] == (second, "models:/churn/2")
    assert found(["models:/churn@champion"], store) == [(first, "models:/churn@champion")]
    assert found(["models:/churn/latest"], store) == [(second, "models:/churn/latest")]
    assert found([versions[0]], store) == [(first, "models:/churn/1")]
    with pytest.raises(RunNotFoundError, match="'models:/churn/Production' is no model version"):
        found(["models:/churn/Production"], store)  # a stage, which would be the newest version
    client.create_model_version("churn", "file:///elsewhere")
    with pytest.raises(RunNotFoundError, match="'models:/churn/3' was registered without a run"):
        found(["models:/churn/3"], store)


def test_a_run_that_does_not_exist(store):
    with pytest.raises(RunNotFoundError, match="'nowhere' does not exist"):
        found(["nowhere"], store)


@pytest.mark.parametrize("runs", ["one run id", 3, object()])
def test_runs_must_be_a_list(store, runs):
    with pytest.raises(OptionError, match="^runs must be a list of .*, got "):
        found(runs, store)


def test_a_single_model_version_raises(store):
    version = ModelVersion("churn", "3", 0)
    with pytest.raises(
        OptionError, match="two or more runs to compare, got one: 'models:/churn/3'"
    ):
        found(version, store)


def test_a_table_without_run_ids(store):
    with pytest.raises(OptionError, match=r"^runs must have a column run_id .* shape \(2, 1\)\.$"):
        found(pd.DataFrame({"status": ["FINISHED", "FAILED"]}), store)


def test_an_order_without_a_search(store, explained):
    first, second = explained("first"), explained("second")
    order = ["attributes.start_time DESC"]
    with pytest.raises(OptionError, match="^order_by must be None where runs are given"):
        found([first, second], store, order_by=order)
    assert len(found([first], store, order_by=order, experiment_names=["test"])) == 3


@pytest.mark.parametrize("item", [None, 3, "", b"id"])
def test_items_must_be_runs(store, item):
    with pytest.raises(OptionError, match=r"^runs must hold run ids.*, got "):
        found([item], store)


def test_a_search_finds_runs_with_explanations(store, explained):
    first, second = explained("first", team="red"), explained("second", team="blue")
    with mlflow.start_run(run_name="nothing explained"):
        pass
    assert found(None, store) == [(first, "first"), (second, "second")]
    assert found(None, store, order_by=["attributes.start_time DESC"])[0][0] == second
    assert found(None, store, filter_string="tags.team = 'red'") == [(first, "first")]
    assert len(found(None, store, max_results=2)) == 2
    mlflow.set_experiment("elsewhere")
    third = explained("third")
    assert found(None, store) == [(third, "third")]
    assert len(found(None, store, experiment_names=["test", "elsewhere"])) == 3


def test_a_list_and_a_search_together(store, explained):
    first, second = explained("first", team="red"), explained("second", team="blue")
    both = found([second], store, filter_string="tags.team = 'red'")
    assert [run_id for run_id, _ in both] == [second, first]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experiment_names": ["no such"]}, "^experiment_names must be experiments in .*'no such'"),
        ({"filter_string": "nonsense"}, "^filter_string must be as for .*'nonsense'"),
        ({"order_by": ["nonsense"]}, r"^order_by must be as for .*\['nonsense'\]"),
        (
            {"filter_string": "nonsense", "order_by": ["attributes.start_time"]},
            "^filter_string must be as for",
        ),
        (
            {"filter_string": "tags.team = 'red'", "order_by": ["nonsense"]},
            "^order_by must be as for",
        ),
    ],
)
def test_invalid_searches_raise(store, options, message):
    with pytest.raises(OptionError, match=message):
        found(None, store, **options)


class TestLatest:
    """The baseline that is called "latest"."""

    def latest(self, run_id, store, model="DecisionTreeClassifier"):
        baseline = search.load_baseline("latest", run_id, model, store)
        return None if baseline is None else baseline.run_id

    def test_latest_is_the_latest_finished_run_of_the_experiment(self, store, explained):
        explained("first")
        second = explained("second")
        mlflow.set_experiment("elsewhere")
        explained("third")
        mlflow.set_experiment("test")
        with mlflow.start_run():
            pass
        failed = explained("failed")
        MlflowClient().set_terminated(failed, "FAILED")
        with mlflow.start_run() as run:
            assert self.latest(run.info.run_id, store) == second

    def test_a_run_with_the_same_class_of_model_is_preferred(self, store, explained):
        first = explained("first")
        other = explained("second", explanation(model_class="sklearn.svm.SVC"))
        with mlflow.start_run() as run:
            assert self.latest(run.info.run_id, store) == first
            assert self.latest(run.info.run_id, store, "Ridge") == other

    def test_a_run_is_not_its_own_baseline(self, store, explained):
        assert self.latest(explained("first"), store) is None


def test_a_baseline_by_name(store, explained):
    first = explained("first")
    assert search.load_baseline(first, "new", "x", store).run_id == first
    with mlflow.start_run() as run:
        pass
    with pytest.raises(ExplanationNotFoundError, match="it holds no explanation"):
        search.load_baseline(run.info.run_id, "new", "x", store)
