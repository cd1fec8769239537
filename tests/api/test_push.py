"""Uploads cut off at each of their requests, and finished by a later push."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
from click.testing import CliRunner

import mlflow_interpret
from azureml_double import AzureMLDouble
from azureml_state import ids, state
from logged_explanations import log
from mlflow_interpret.cli import main
from mlflow_interpret.core.errors import AzureMLError, ExplanationNotFoundError, RunNotFoundError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.azureml import asset_format, blobs
from mlflow_interpret.stores.azureml.http import HttpClient


def regression(n_features: int = 2, **changes) -> Explanation:
    generator = np.random.default_rng(n_features)
    local = generator.normal(size=(3, n_features))
    values = {
        "method": "shap_tree",
        "task": "regression",
        "model_class": "Model",
        "features": tuple(f"feature {i}" for i in range(n_features)),
        "global_values": np.abs(local).mean(axis=0),
        "local_values": local,
        "expected_values": np.array(0.5),
        "evaluation_rows": pd.DataFrame(generator.normal(size=(3, n_features))),
        "predicted": np.arange(3.0),
    }
    return Explanation(**{**values, **changes})


@pytest.fixture(scope="module")
def double() -> Iterator[AzureMLDouble]:
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture(autouse=True)
def _quick(double, tmp_path, monkeypatch):
    """The double's proxy and certificate, and short waits."""
    environment = double.laptop_environment(tmp_path / "home")
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._ATTEMPTS", 2)
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.001)
    yield
    double.heal()


@pytest.fixture
def job(double, tmp_path, monkeypatch):
    """A function that makes this process the job of a new Azure ML run; it returns the run id."""

    def become() -> str:
        run_id = double.create_run("an experiment")
        for name, value in double.job_environment(run_id, tmp_path / "home").items():
            if name.startswith("AZUREML_"):
                monkeypatch.setenv(name, value)
        return run_id

    return become


@pytest.fixture
def logged(store) -> str:
    """An MLflow run with an explanation of two views, whose upload never ran."""
    with mlflow.start_run() as run:
        pass
    engineered = regression(3, is_engineered=True).without_rows()
    record = regression(is_raw=True, engineered=engineered)
    log(record, run.info.run_id, store, top_k=5, figures=False, state="pending", comment="a, b")
    return run.info.run_id


@pytest.fixture
def clean(double, job, logged):
    """The state of the service after an upload without faults, and the requests of the upload."""
    run_id = job()
    before = len(double.requests)
    mlflow_interpret.push(logged)
    sent = double.requests[before:]
    result = state(double, run_id)
    views = [(names["is_raw"], names["is_engineered"]) for names, _, _ in result["assets"]]
    assert views == [("False", "True"), ("True", "False")]
    assert all(len(labels) == len(files) > 5 for _, labels, files in result["assets"])
    assert result["tags"] == {"model_explanation": "True"}
    return result, sent


class KilledError(BaseException):
    """The end of the process: nothing more is sent, caught or written."""


def kill(monkeypatch, position: int, *, carried_out: bool) -> None:
    """End the process at a request, before it is sent or before its response."""
    original, sent = requests.adapters.HTTPAdapter.send, []

    def send(self, *arguments, **options):
        sent.append(None)
        if len(sent) <= position:
            return original(self, *arguments, **options)
        if carried_out:
            original(self, *arguments, **options)
        raise KilledError

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


def hurry(monkeypatch, position: int) -> None:
    """Wait a tenth of a second for the response to one request, which hangs for longer."""
    original, sent = requests.adapters.HTTPAdapter.send, []

    def send(self, *arguments, **options):
        sent.append(None)
        if len(sent) == position + 1:
            options["timeout"] = 0.1
        return original(self, *arguments, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


SERVICE_FAULTS = {
    "500": {"status": 500},
    "503": {"status": 503},
    "429": {"status": 429},
    "connection lost": {"drop": True},
    "answer lost": {"lose_answer": True},
    "hang": {"hang": 60.0},
}
QUICK = {"answer lost", "killed after"}  # they leave the most partial states
FAULTS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.exhaustive)
    for name in [*SERVICE_FAULTS, "killed before", "killed after"]
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_push_after_a_fault_at_any_request_has_the_result_of_a_clean_upload(
    double, job, logged, store, clean, fault, monkeypatch, capsys
):
    expected, sent = clean
    if fault not in QUICK:  # a second attempt would meet the same fault
        monkeypatch.setattr("mlflow_interpret.stores.azureml.http._ATTEMPTS", 1)
    for position, request in enumerate(sent):
        where = f"{fault} at {request.method} {request.path}"
        run_id = job()
        with monkeypatch.context() as patch:
            if fault in SERVICE_FAULTS:
                if fault == "hang":
                    hurry(patch, position)
                trouble = double.fail("*", "/", **SERVICE_FAULTS[fault], skip=position)
                begun = len(double.requests)
                with pytest.raises(AzureMLError):
                    mlflow_interpret.push(logged)
                assert trouble.hits, where
                assert mlflow_store.status_of(logged, store)["azureml"]["state"] == "failed", where
                double.heal()
                served(double, begun + trouble.passed + trouble.hits)
            else:
                kill(patch, position, carried_out=fault == "killed after")
                with pytest.raises(KilledError):
                    mlflow_interpret.push(logged)
        found = mlflow_interpret.push(logged)
        assert state(double, run_id) == expected, where
        status = mlflow_store.status_of(logged, store)
        assert (status["status"], status["azureml"]["state"]) == ("complete", "uploaded"), where
        assert status["azureml"]["explanation_id"] == found[0] == ids(double, run_id)[-1], where
    with capsys.disabled():
        print(f"\n{len(sent)} requests x {fault}: {len(sent)} uploads cut off and pushed")


def served(double: AzureMLDouble, requests_in_all: int) -> None:
    """Wait for requests that hung: the service carries them out although no client waits."""
    deadline = time.monotonic() + 30
    while len(double.requests) < requests_in_all and time.monotonic() < deadline:
        time.sleep(0.005)


def test_a_push_of_an_uploaded_explanation_changes_nothing(double, job, logged, store):
    run_id = job()
    first = mlflow_interpret.push(logged)
    before, record = state(double, run_id), mlflow_store.status_of(logged, store)
    begun = len(double.requests)
    assert mlflow_interpret.push(logged) == first
    assert state(double, run_id) == before
    assert mlflow_store.status_of(logged, store) == record
    sent = [request.method for request in double.requests[begun:]]
    assert set(sent) == {"GET", "PATCH"}  # only the tag is written


def test_a_simultaneous_upload_by_another_process_makes_no_second_asset(
    double, job, logged, monkeypatch
):
    """Both have found no asset; the other process is first."""
    run_id = job()
    original, pushed = blobs.upload, []

    def upload(*arguments):
        if not pushed:
            pushed.append(None)
            pushed.extend(mlflow_interpret.push(logged))
        return original(*arguments)

    monkeypatch.setattr(blobs, "upload", upload)
    found = mlflow_interpret.push(logged)
    assert found == pushed[1:]
    assert len(ids(double, run_id)) == 2  # the two views


@pytest.mark.parametrize("both", [False, True])
def test_of_two_simultaneous_pushes_one_asset_remains(double, job, logged, monkeypatch, both):
    """Both have found no asset twice; one registers first, or both at the same time."""
    run_id = job()
    request, together = HttpClient.request, threading.Barrier(2, timeout=60)
    inner, begun = [], len(double.requests)

    def meanwhile(self, operation, method, url, **options):
        if operation == "Registering the explanation" and both:
            together.wait()
        elif operation == "Registering the explanation" and not inner:
            inner.append(None)
            inner.extend(mlflow_interpret.push(logged))
        return request(self, operation, method, url, **options)

    monkeypatch.setattr(HttpClient, "request", meanwhile)
    if both:
        with ThreadPoolExecutor(2) as pool:
            pushes = [pool.submit(mlflow_interpret.push, logged) for _ in range(2)]
            found = [push.result() for push in pushes]
        assert found[0] == found[1]
    else:
        assert mlflow_interpret.push(logged) == inner[1:]
    views = [names["is_raw"] for names, _, _ in state(double, run_id)["assets"]]
    assert sorted(views) == ["False", "True"]
    assert any(request.method == "DELETE" for request in double.requests[begun:])


def test_a_push_to_a_run_without_room_for_the_tag_succeeds(double, job, logged, store):
    run_id = job()
    double.runs[run_id]["tags"].update({f"mine {i}": "x" for i in range(50)})
    assert mlflow_interpret.push(logged) == ids(double, run_id)[1:]
    status = mlflow_store.status_of(logged, store)
    assert (status["status"], status["azureml"]["tagged"]) == ("complete", False)


def test_all_explanations_of_a_run_are_pushed_but_not_its_skipped_fits(double, job, logged, store):
    run_id = job()
    mlflow_store.log_skipped(logged, store, "no prediction", {})
    second = regression(4)
    log(second, logged, store, top_k=5, figures=False)
    found = mlflow_interpret.push(logged)
    assert found == ids(double, run_id)[1:]
    assert found[-1] == second.id


def test_the_limit_of_rows_is_that_of_the_run_or_of_the_argument(double, job, store):
    with mlflow.start_run() as run:
        pass
    mlflow_run = run.info.run_id
    how = {"visualization_points": 2}
    log(regression(), mlflow_run, store, top_k=5, figures=False, entries={"azureml": how})
    for points, rows in ((None, 2), (1, 1)):
        run_id = job()
        (found,) = mlflow_interpret.push(mlflow_run, visualization_points=points)
        folder = asset_format.folder_of(found)
        for name in ("local_importance_values", "eval_data_viz", "ys_pred_viz"):
            path = f"{folder}/{asset_format.file_of(name)}"
            assert len(json.loads(double.read_artifact(run_id, path))) == rows
    run_id = job()
    mlflow_interpret.push(mlflow_run, visualization_points=0)
    assert not any("local" in path or "viz." in path for path in double.artifacts(run_id))


def test_errors_name_the_reason_and_the_remedy(double, job, logged, store):
    with pytest.raises(AzureMLError, match=r"not an Azure ML run.*--to WORKSPACE"):
        mlflow_interpret.push(logged)
    job()
    with pytest.raises(RunNotFoundError):
        mlflow_interpret.push("0" * 32)
    with mlflow.start_run() as empty:
        pass
    with pytest.raises(ExplanationNotFoundError):
        mlflow_interpret.push(empty.info.run_id)
    double.fail("POST", "/assets$", status=403)
    with pytest.raises(AzureMLError, match=r"403.*may not do this.*Call push again"):
        mlflow_interpret.push(logged)
    assert mlflow_store.status_of(logged, store)["status"] == "failed"


def test_no_signature_is_logged_at_any_level(double, job, logged, caplog):
    job()
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "azure", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    double.fail("PUT", "/rich_metadata", drop=True, times=1)
    mlflow_interpret.push(logged)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert double.secrets
    assert not any(secret in caplog.text for secret in double.secrets)


def test_all_runs_of_an_experiment_are_pushed_but_the_uploaded_ones(double, job, logged, store):
    runs = [logged]
    for _ in range(2):
        with mlflow.start_run() as run:
            runs.append(run.info.run_id)
        log(regression(4), runs[-1], store, top_k=5, figures=False)
    with mlflow.start_run():
        pass  # without an explanation
    run_id = job()
    mlflow_interpret.push(runs[1])
    double.fail("PUT", "/eval_data_viz", status=403, times=1)
    command = ["push", "--all", "test", "--tracking-uri", store]
    first = CliRunner().invoke(main, command)
    assert first.exit_code == 1
    assert f"{logged}  failed:" in first.output
    assert f"{runs[2]}  in Azure ML" in first.output
    assert runs[1] not in first.output
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, again.output.split()[0]) == (0, logged)
    assert "are in Azure ML" in CliRunner().invoke(main, command).output
    assert len(set(ids(double, run_id))) == len(ids(double, run_id)) == 4


def test_the_command_prints_the_uploaded_ids_and_usage_errors(double, job, logged, store):
    run_id = job()
    done = CliRunner().invoke(main, ["push", logged, "--tracking-uri", store])
    assert (
        done.output.split()
        == f"{logged} in Azure ML as explanation {ids(double, run_id)[-1]}".split()
    )
    for arguments, message in (
        (["push"], "RUN_ID, or --all"),
        (["push", logged, "--all", "test"], "RUN_ID, or --all"),
        (["push", logged, "--to", "nowhere"], "azureml must be"),
        (["push", "--all", "no such"], "no experiment 'no such'"),
        (["push", logged, "--visualization-points", "-1"], "from 0 to 20000"),
    ):
        failed = CliRunner().invoke(main, [*arguments, "--tracking-uri", store])
        assert failed.exit_code != 0
        assert message in failed.output
