"""After each fit, how the ranking moved against a baseline: for people, charts and alarms."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Lasso, Ridge

import mlflow_interpret
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.options import Options
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool

NAMES = {f"importance_shift/{name}" for name in ("spearman", "kendall", "top_k_overlap")}


@pytest.fixture(scope="module")
def rows():
    return load_diabetes(return_X_y=True, as_frame=True)


@pytest.fixture
def fit(store, rows):
    """Fits in a run of its own and gives the run as it is then."""

    def fit(model=None, X=None):
        with mlflow.start_run() as run:
            (model or RandomForestRegressor(5, random_state=0)).fit(
                rows[0] if X is None else X, rows[1]
            )
        return mlflow.get_run(run.info.run_id)

    return fit


def status(run, number=None):
    return mlflow_store.status_of(run.info.run_id, mlflow.get_tracking_uri(), number)


def shifted(run):
    return {name: value for name, value in run.data.metrics.items() if "shift" in name}


def test_the_comparison_is_in_metrics_and_in_the_status_record(fit, rows):
    mlflow_interpret.autolog(silent=True)
    first = fit()
    assert shifted(first) == {}
    assert "baseline" not in status(first)
    mlflow_interpret.autolog(silent=True, baseline=first.info.run_id)
    same = fit()
    assert shifted(same) == dict.fromkeys(NAMES, 1.0)
    assert status(same)["baseline"]["riser"] is None
    assert status(same)["baseline"]["marks"] == []
    X = rows[0].assign(bmi=rows[0]["bmi"].sample(frac=1, random_state=0).to_numpy())
    moved = fit(X=X)
    assert shifted(moved)["importance_shift/spearman"] < 1
    record = status(moved)["baseline"]
    assert record["faller"]["feature"] == "bmi"
    assert record["run_id"] == first.info.run_id
    assert any(mark.startswith("other rows") for mark in record["marks"])
    named = status(moved)["metrics"]
    assert {*named["features"], *named["shares"]} == set(moved.data.metrics) - NAMES


def test_latest_is_the_previous_run(fit, caplog):
    caplog.set_level(logging.INFO, "mlflow_interpret")
    mlflow_interpret.autolog(baseline="latest")
    first = fit()
    assert shifted(first) == {}
    assert status(first)["baseline_missing"].startswith("no other finished run")
    second, third = fit(), fit()
    assert status(second)["baseline"]["run_id"] == first.info.run_id
    assert status(third)["baseline"]["run_id"] == second.info.run_id
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    messages = [record.message for record in caplog.records if "Explained" in record.message]
    assert ["Spearman 1.00 to run" in message for message in messages] == [False, True, True]
    assert f"to run {second.info.run_id[:8]}. Run {third.info.run_id}" in messages[2]


def test_a_registered_model_with_another_class(fit):
    mlflow_interpret.autolog(silent=True)
    first = fit()
    client = MlflowClient()
    client.create_registered_model("diabetes")
    client.create_model_version("diabetes", "runs:/x/model", first.info.run_id)
    client.set_registered_model_alias("diabetes", "champion", "1")
    mlflow_interpret.autolog(silent=True, baseline="models:/diabetes@champion")
    record = status(fit(Ridge()))["baseline"]
    assert record["run_id"] == first.info.run_id
    assert record["marks"] == ["other model: Ridge", "other method: shap_linear"]


@pytest.mark.parametrize("wanted", ["nowhere", "models:/none@champion", "models:/", "unexplained"])
def test_a_baseline_that_cannot_be_read_is_one_warning(fit, caplog, wanted):
    if wanted == "unexplained":
        with mlflow.start_run() as run:
            wanted = run.info.run_id
    mlflow_interpret.autolog(baseline=wanted)
    run = fit()
    assert run.data.tags["mlflow_interpret.status"] == "complete"
    assert run.info.status == "FINISHED"
    assert shifted(run) == {}
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert run.info.run_id in warning
    assert repr(wanted) in warning
    assert "Name a run or model version that holds an explanation." in warning
    assert status(run)["baseline"] is None
    assert status(run)["baseline_missing"]


def alarm(run):
    """The unchanged example of the documentation."""
    text = (Path(__file__).parents[2] / "docs" / "comparing.md").read_text("utf-8")
    (recipe,) = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Exit" in block
    ]
    exec(recipe, {"mlflow": mlflow, "run_id": run.info.run_id})


def test_the_recipe_for_an_alarm(fit, rows):
    mlflow_interpret.autolog(silent=True)
    first = fit(Ridge())
    mlflow_interpret.autolog(silent=True, baseline=first.info.run_id)
    alarm(fit(Ridge()))
    X = rows[0].assign(bmi=rows[0]["bmi"].sample(frac=1, random_state=0).to_numpy())
    constant = fit(Lasso(1e6))
    assert shifted(constant) == {"importance_shift/top_k_overlap": 0.0}
    strange = fit(X=rows[0].add_prefix("another "))
    assert shifted(strange) == {}
    assert "shares no feature with" in status(strange)["baseline"]["marks"][-1]
    assert "name another run" not in status(strange)["baseline"]["marks"][-1]
    for run in (fit(X=X), constant, strange):
        with pytest.raises(SystemExit, match="ranking has changed"):
            alarm(run)


def test_a_second_fit_in_a_run_has_its_own_group_and_names_stay_few(fit, rows):
    mlflow_interpret.autolog(silent=True)
    first = fit()
    mlflow_interpret.autolog(silent=True, baseline=first.info.run_id)
    with mlflow.start_run() as run:
        for _ in range(4):
            Ridge().fit(*rows)
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert {f"importance_shift-2/{name}" for name in ("spearman", "kendall")} <= set(metrics)
    assert sum(name.startswith("importance_share") for name in metrics) == 30
    assert len(metrics) == 60


def test_rows_that_are_not_logged_are_compared(fit):
    mlflow_interpret.autolog(silent=True)
    first = fit()
    mlflow_interpret.autolog(silent=True, baseline=first.info.run_id, log_data=False)
    assert status(fit())["baseline"]["marks"] == []


def test_an_explanation_that_is_logged_by_hand(fit, rows):
    mlflow_interpret.autolog(silent=True)
    first = fit()
    mlflow_interpret.autolog(disable=True)
    explanation = mlflow_interpret.explain(Ridge().fit(*rows), rows[0])
    run_id = mlflow_interpret.log_explanation(explanation, baseline=first.info.run_id)
    assert set(mlflow.get_run(run_id).data.metrics) >= NAMES


def test_an_entry_of_the_spool_holds_the_baseline(fit, rows, tmp_path):
    entry = spool.Entry.of(Options(baseline="latest"), "sqlite:///x", None)
    mlflow_interpret.autolog(silent=True)
    record = mlflow_store.load(fit().info.run_id, None, mlflow.get_tracking_uri())
    assert spool.entry_of(spool.keep(record, entry)) == entry


@pytest.mark.parametrize("wrong", ["", 3, b"latest", object()])
def test_an_invalid_baseline_raises_at_once(wrong):
    with pytest.raises(OptionError, match="^baseline must be a run id, a model version"):
        mlflow_interpret.autolog(baseline=wrong)
