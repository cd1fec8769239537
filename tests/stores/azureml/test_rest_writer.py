"""Uploads over HTTP to the double: their content, and their behaviour with faults of the service."""

from __future__ import annotations

import json
import os
import socket
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from azureml_double import AzureMLDouble
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import asset_format, rest_writer
from mlflow_interpret.stores.azureml.workspace import AzureRun, AzureWorkspace, job_run

SECONDS = 60.0


def explanation(**changes) -> Explanation:
    values = np.array([[[1.0, -2.0], [3.0, 0.5], [0.0, 0.1]], [[1.5, 2.5], [0.2, 1.0], [0.3, 9.0]]])
    made = Explanation(
        method="shap_tree",
        task="classification",
        model_class="Model",
        features=("a", "b"),
        global_values=np.array([1.0, 2.0]),
        classes=("no", "yes"),
        per_class_values=np.abs(values).mean(axis=1),
        local_values=values,
        expected_values=np.array([0.4, 0.6]),
        evaluation_rows=pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", None]}),
        predicted=np.array(["no", "yes", "yes"]),
        predicted_probabilities=np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]),
        true_labels=np.array(["no", "no", "yes"]),
    )
    return replace(made, **changes)


@pytest.fixture
def double(monkeypatch) -> Iterator[AzureMLDouble]:
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture
def run_id(double) -> str:
    return double.create_run("an experiment")


@pytest.fixture
def run(double, run_id, tmp_path, monkeypatch) -> AzureRun:
    """The run of the job that this process belongs to."""
    environment = double.job_environment(run_id, tmp_path / "home")
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.01)
    return job_run(run_id)


def content(double, run_id, explanation_id, name):
    path = f"{asset_format.folder_of(explanation_id)}/{asset_format.file_of(name)}"
    return json.loads(double.read_artifact(run_id, path))


def test_an_upload_has_an_asset_its_files_and_a_tag(double, run_id, run):
    record = explanation()
    rest_writer.write(record, run, "a comment", SECONDS)
    (asset,) = double.assets
    assert asset["runid"] == run_id
    assert asset["properties"]["comment"] == "a comment"
    assert asset["properties"]["explanation_id"] == record.id
    assert asset["properties"]["version"] == "azureml.v8.model.explanation"
    assert asset["properties"]["experiment_id"] == double.runs[run_id]["experimentId"]
    assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
    prefix = f"ExperimentRun/{run_id}/explanation/{record.id[:8]}/"
    labels = [artifact["prefix"] for artifact in asset["artifacts"]]
    assert all(label.startswith(prefix) for label in labels)
    names = [label.removeprefix(prefix) for label in labels]
    folder = asset_format.folder_of(record.id)
    assert sorted(f"{folder}/{asset_format.file_of(name)}" for name in names) == double.artifacts(
        run_id
    )
    read = {name: content(double, run_id, record.id, name) for name in names}
    assert read["local_importance_values"] == record.local_values.tolist()
    assert read["eval_data_viz"] == [[1.0, "x"], [2.0, "y"], [3.0, None]]
    assert read["true_ys_viz"] == [0, 0, 1]
    assert read["ys_pred_viz"] == [0, 1, 1]
    assert read["global_names/0"] == ["b", "a"]
    assert read["global_values/0"] == [2.0, 1.0]
    assert double.unknown_requests == []


def test_the_engineered_view_is_uploaded_first(double, run):
    record = explanation(is_raw=True, engineered=explanation(is_engineered=True))
    heard = []
    rest_writer.write(record, run, None, SECONDS, report=lambda *counts: heard.append(counts))
    files = [len(asset["artifacts"]) for asset in double.assets]
    totals = [files[0]] * files[0] + [sum(files)] * files[1]
    assert heard == list(enumerate(totals))
    kinds = [(a["properties"]["is_raw"], a["properties"]["is_engineered"]) for a in double.assets]
    assert kinds == [("False", "True"), ("True", "False")]
    assert [asset["properties"]["comment"] for asset in double.assets] == [None, None]


def test_missing_values_are_null_and_importances_are_numbers(double, run_id, run):
    record = explanation(
        task="regression",
        classes=None,
        per_class_values=None,
        local_values=np.array([[1.0, np.nan], [np.inf, 2.0], [0.0, 1.0]]),
        expected_values=np.array(np.nan),
        evaluation_rows=pd.DataFrame({"a": [np.nan, 2.0, np.inf], "b": [1, 2, 3]}),
        predicted=np.array([0.5, np.nan, 1.0]),
        predicted_probabilities=None,
        true_labels=np.array([np.nan, 1.0, 2.0]),
    )
    rest_writer.write(record, run, None, SECONDS)
    read = {
        name: content(double, run_id, record.id, name)
        for name in ("eval_data_viz", "true_ys_viz", "ys_pred_viz", "local_importance_values")
    }
    assert read["eval_data_viz"] == [[None, 1.0], [2.0, 2.0], [None, 3.0]]
    assert read["true_ys_viz"] == [None, 1.0, 2.0]
    assert read["ys_pred_viz"] == [0.5, None, 1.0]
    assert read["local_importance_values"] == [[1.0, 0], [0, 2.0], [0.0, 1.0]]
    assert content(double, run_id, record.id, "expected_values") == [0]


def test_an_explanation_without_rows_has_no_files_of_rows(double, run_id, run):
    rest_writer.write(explanation().without_rows(), run, None, SECONDS)
    names = [path.rpartition("/")[2].partition(".")[0] for path in double.artifacts(run_id)]
    assert not any(name.endswith("_viz") or name.startswith("local") for name in names)
    (asset,) = double.assets
    assert (asset["properties"]["local"], asset["properties"]["num_examples"]) == ("False", "0")


def test_more_rows_than_studio_shows_are_sampled(tmp_path):
    rows = 5001
    record = explanation(
        task="regression",
        classes=None,
        per_class_values=None,
        local_values=np.arange(2.0 * rows).reshape(rows, 2),
        evaluation_rows=pd.DataFrame({"a": np.arange(rows), "b": 0}),
        predicted=np.arange(rows),
        predicted_probabilities=None,
        true_labels=None,
    )
    asset = asset_format.write(record, tmp_path, "run", None, 0)
    read = {
        name: json.loads((tmp_path / asset_format.file_of(name)).read_text())
        for name in asset.names
    }
    chosen = read["visualization_dict"]["indices"]
    assert len(set(chosen)) == 5000
    assert read["ys_pred_viz"] == chosen
    assert [row[0] for row in read["eval_data_viz"]] == chosen
    assert [row[0] / 2 for row in read["local_importance_viz"]] == chosen
    assert len(read["local_importance_values"]) == rows


def test_the_text_of_local_values_is_not_held_in_memory(tmp_path):
    values = np.random.default_rng(0).normal(size=(10, 200, 50))
    record = explanation(
        classes=tuple(range(10)),
        features=tuple(map(str, range(50))),
        global_values=np.abs(values).mean(axis=(0, 1)),
        per_class_values=np.abs(values).mean(axis=1),
        local_values=values,
        expected_values=np.ones(10),
    ).without_rows()
    record = replace(record, local_values=values)
    tracemalloc.start()
    try:
        asset_format.write(record, tmp_path, "run", None, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    text = (tmp_path / asset_format.file_of("local_importance_values")).stat().st_size
    assert text > 2 * values.nbytes
    assert peak < values.nbytes / 2


def test_a_sample_of_one_row_if_only_one_fits(tmp_path, monkeypatch):
    monkeypatch.setattr(asset_format, "_MAX_LOCAL_BYTES", 10)
    asset_format.write(explanation(), tmp_path, "run", None, 0)
    assert len(json.loads((tmp_path / "eval_data_viz.interpret.json").read_text())) == 1


STEPS = {
    "run": ("GET", r"/runs/[^/]+$"),
    "discovery": ("GET", "/discovery"),
    "names": ("POST", "/batch/metadata/"),
    "blob": ("PUT", "/explanation/.*/classes"),
    "asset": ("POST", "/assets$"),
    "tag": ("PATCH", "/runs/"),
}
TEMPORARY_FAULTS = [
    {"status": 429},
    {"status": 500},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"drop": True},
    {"lose_answer": True},
]


@pytest.mark.parametrize("fault", TEMPORARY_FAULTS, ids=lambda fault: "-".join(map(str, fault)))
@pytest.mark.parametrize("step", STEPS)
def test_a_temporary_fault_at_any_step_leads_to_one_complete_asset(
    double, run_id, run, step, fault
):
    active = double.fail(*STEPS[step], **fault, times=1)
    rest_writer.write(explanation(), run, None, SECONDS)
    assert active.hits == 1
    (asset,) = double.assets
    assert double.runs[run_id]["tags"] == {"model_explanation": "True"}
    explanation_id = asset["properties"]["explanation_id"]
    for artifact in asset["artifacts"]:
        name = artifact["prefix"].partition(f"{explanation_id[:8]}/")[2]
        content(double, run_id, explanation_id, name)


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("step", sorted(set(STEPS) - {"discovery"}))
def test_a_refusal_is_an_error_of_one_line_without_a_second_attempt(double, run, step, status):
    fault = double.fail(*STEPS[step], status=status)
    with pytest.raises(AzureMLError) as error:
        rest_writer.write(explanation(), run, None, SECONDS)
    signed = step != "blob"
    assert fault.hits == (2 if status == 401 and signed else 1)  # a job's token is refreshed once
    assert str(status) in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(secret in str(error.value) for secret in double.secrets)


@pytest.mark.parametrize("step", STEPS)
def test_another_upload_after_a_refusal_leads_to_one_asset(double, run_id, run, step):
    record = explanation()
    double.fail(*STEPS[step], status=403)
    if step != "discovery":  # the endpoint itself is used instead
        with pytest.raises(AzureMLError):
            rest_writer.write(record, run, None, SECONDS)
    double.heal()
    for _ in range(2):
        rest_writer.write(record, run, None, SECONDS)
    (asset,) = double.assets
    found = content(double, run_id, asset["properties"]["explanation_id"], "features")
    assert found == ["a", "b"]
    assert double.runs[run_id]["tags"] == {"model_explanation": "True"}


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}, {"hang": 600.0}])
@pytest.mark.parametrize("step", ["names", "blob", "asset"])
def test_a_permanent_fault_ends_at_the_deadline(double, run, step, fault, monkeypatch):
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.5)
    permanent = double.fail(*STEPS[step], **fault)
    with pytest.raises(AzureMLError, match="given up within 3 seconds") as error:
        rest_writer.write(explanation(), run, None, 3.0)
    assert permanent.hits
    assert not any(secret in str(error.value) for secret in double.secrets)


def test_the_error_of_a_refused_connection_names_the_host(run, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    elsewhere = replace(run, workspace=replace(run.workspace, endpoint=closed))
    with pytest.raises(
        AzureMLError, match=r"^Finding the run failed: 127\.0\.0\.1 does not answer"
    ):
        rest_writer.write(explanation(), elsewhere, None, SECONDS)


def test_a_wait_that_ends_after_the_deadline_is_not_started(double, run, monkeypatch):
    fault = double.fail(*STEPS["names"], status=429, headers={"Retry-After": "120"})
    waits = []
    monkeypatch.setattr(
        "azure.core.pipeline.transport.HttpTransport.sleep", lambda _, wait: waits.append(wait)
    )
    with pytest.raises(AzureMLError, match="429"):
        rest_writer.write(explanation(), run, None, SECONDS)
    assert waits == []
    assert fault.hits == 1


def test_the_list_of_services_is_found_without_the_discovery_variable(double, run):
    without_discovery = replace(run, workspace=replace(run.workspace, discovery=None))
    rest_writer.write(explanation(), without_discovery, None, SECONDS)
    assert len(double.assets) == 1
    assert any(request.path.startswith("/rp/workspaces/") for request in double.requests)


def test_passwords_of_netrc_are_not_sent(double, run_id, run, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password planted\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    rest_writer.write(explanation(), run, None, SECONDS)
    sent = [request.headers.get("authorization") for request in double.requests]
    assert set(sent) == {None, f"Bearer {run.workspace.token}"}
    blobs = [r for r in double.requests if r.host.endswith("blob.core.windows.net")]
    assert blobs
    assert all("authorization" not in request.headers for request in blobs)


def test_a_workspace_without_known_services_is_an_error():
    workspace = AzureWorkspace("s", "group", "space", "t0ken", endpoint=None)
    with pytest.raises(AzureMLError, match="are not known"):
        rest_writer.write(explanation(), AzureRun(workspace, "exp", "run"), None, SECONDS)


def test_an_upload_to_a_run_without_room_for_the_tag_succeeds(double, run_id, run):
    double.runs[run_id]["tags"].update({f"mine {i}": "x" for i in range(50)})
    record = explanation()
    assert rest_writer.write(record, run, None, SECONDS) == rest_writer.UploadedExplanation(
        record.id, tagged=False
    )
    assert [asset["runid"] for asset in double.assets] == [run_id]
    del double.runs[run_id]["tags"]["mine 0"]
    assert rest_writer.write(record, run, None, SECONDS) == rest_writer.UploadedExplanation(
        record.id, tagged=True
    )
    assert len(double.assets) == 1


def test_a_tag_that_is_refused_for_another_reason_is_an_error(double, run):
    double.fail("PATCH", "/runs/", status=403)
    with pytest.raises(AzureMLError, match="Tagging the run failed.*403"):
        rest_writer.write(explanation(), run, None, SECONDS)


@pytest.mark.parametrize("refusal", [{}, {"status": 403}])
def test_of_two_simultaneous_assets_the_first_remains(double, run_id, run, monkeypatch, refusal):
    """Each upload registers its asset before it sees the other one."""
    if refusal:  # the identity may not delete assets
        double.fail("DELETE", "/assets/", **refusal)
    record, register, second = explanation(), rest_writer._Writer._register, []

    def after_another(self, asset, explanation_id):
        if not second:
            second.append(None)
            second.append(rest_writer.write(record, run, None, SECONDS).explanation_id)
        register(self, asset, explanation_id)

    monkeypatch.setattr(rest_writer._Writer, "_register", after_another)
    found = rest_writer.write(record, run, None, SECONDS).explanation_id
    assert found == second[1] != record.id
    ids = [asset["properties"]["explanation_id"] for asset in double.assets]
    assert ids == ([found, record.id] if refusal else [found])
