"""Uploads that were cut off, at each of their requests, and finished by a later push."""

from __future__ import annotations

import contextlib
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
from mlflow_interpret.stores.azureml import asset_format
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
    """Waits that suit a double on this machine, and its certificate."""
    environment = double.laptop_environment(tmp_path / "home")
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._TRIES", 2)
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.001)
    yield
    double.heal()


@pytest.fixture
def job(double, tmp_path, monkeypatch):
    """Makes this process the job of a new Azure ML run; returns the run's id."""

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
    """What an upload without trouble leaves, and how many requests it takes."""
    run_id = job()
    before = len(double.requests)
    mlflow_interpret.push(logged)
    sent = double.requests[before:]
    left = state(double, run_id)
    views = [(names["is_raw"], names["is_engineered"]) for names, _, _ in left["assets"]]
    assert views == [("False", "True"), ("True", "False")]
    assert all(len(labels) == len(files) > 5 for _, labels, files in left["assets"])
    assert left["tags"] == {"model_explanation": "True"}
    return left, sent


class KilledError(BaseException):
    """The process ends here: nothing more is sent, caught or written."""


def kill(monkeypatch, position: int, *, carried_out: bool) -> None:
    """End the process at a request of its own, before it is sent or before it is answered."""
    original, sent = requests.adapters.HTTPAdapter.send, []

    def send(self, *arguments, **options):
        sent.append(None)
        if len(sent) <= position:
            return original(self, *arguments, **options)
        if carried_out:
            original(self, *arguments, **options)
        raise KilledError

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


SERVICE_FAULTS = {
    "500": {"status": 500},
    "503": {"status": 503},
    "429": {"status": 429},
    "connection lost": {"drop": True},
    "answer lost": {"lose_answer": True},
    "hang": {"hang": 60.0},
}
QUICK = {"answer lost", "killed after"}  # which leave the most behind
FAULTS = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.exhaustive)
    for name in [*SERVICE_FAULTS, "killed before", "killed after"]
]


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_at_any_request_a_push_leaves_what_a_clean_upload_leaves(
    double, job, logged, store, clean, fault, monkeypatch, capsys
):
    expected, sent = clean
    if fault not in QUICK:  # a second try of the same would meet the same
        monkeypatch.setattr("mlflow_interpret.stores.azureml.http._TRIES", 1)
    for position, request in enumerate(sent):
        where = f"{fault} at {request.method} {request.path}"
        run_id = job()
        with monkeypatch.context() as patch:
            if fault in SERVICE_FAULTS:
                patch.setattr("mlflow_interpret.stores.azureml.http._SILENCE", 0.1)
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
    """Wait for requests that hung: the service carries them out although nobody waits for them."""
    deadline = time.monotonic() + 30
    while len(double.requests) < requests_in_all and time.monotonic() < deadline:
        time.sleep(0.005)


def test_a_push_of_what_is_there_changes_nothing(double, job, logged, store):
    run_id = job()
    first = mlflow_interpret.push(logged)
    before, record = state(double, run_id), mlflow_store.status_of(logged, store)
    begun = len(double.requests)
    assert mlflow_interpret.push(logged) == first
    assert state(double, run_id) == before
    assert mlflow_store.status_of(logged, store) == record
    sent = [request.method for request in double.requests[begun:]]
    assert set(sent) == {"GET", "PATCH"}  # nothing is written but the tag


def test_an_upload_by_another_process_meanwhile_makes_no_second_asset(
    double, job, logged, monkeypatch
):
    """Both have looked and found nothing; the other one is first."""
    run_id = job()
    original, pushed = mlflow_interpret.stores.azureml.blobs.put, []

    def put(*arguments):
        if not pushed:
            pushed.append(None)
            pushed.extend(mlflow_interpret.push(logged))
        return original(*arguments)

    monkeypatch.setattr(mlflow_interpret.stores.azureml.blobs, "put", put)
    found = mlflow_interpret.push(logged)
    assert found == pushed[1:]
    assert len(ids(double, run_id)) == 2  # the two views


@pytest.mark.parametrize("both", [False, True])
def test_two_pushes_at_once_settle_on_one_asset(double, job, logged, monkeypatch, both):
    """Both have looked twice and found nothing; one is first, or both make theirs together."""
    run_id = job()
    ask, together = HttpClient.ask, threading.Barrier(2, timeout=30)
    inner, begun = [], len(double.requests)

    def meanwhile(self, what, method, url, **options):
        if what == "Registering the explanation" and both:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(5)
        elif what == "Registering the explanation" and not inner:
            inner.append(None)
            inner.extend(mlflow_interpret.push(logged))
        return ask(self, what, method, url, **options)

    monkeypatch.setattr(HttpClient, "ask", meanwhile)
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


def test_a_push_to_a_run_without_room_for_the_tag_is_no_failure(double, job, logged, store):
    run_id = job()
    double.runs[run_id]["tags"].update({f"mine {i}": "x" for i in range(50)})
    assert mlflow_interpret.push(logged) == ids(double, run_id)[1:]
    status = mlflow_store.status_of(logged, store)
    assert (status["status"], status["azureml"]["tagged"]) == ("complete", False)


def test_all_explanations_of_a_run_are_pushed_and_skipped_fits_passed_over(
    double, job, logged, store
):
    run_id = job()
    mlflow_store.log_skipped(logged, store, "no prediction", {})
    second = regression(4)
    log(second, logged, store, top_k=5, figures=False)
    found = mlflow_interpret.push(logged)
    assert found == ids(double, run_id)[1:]
    assert found[-1] == second.id


def test_a_cap_on_rows_is_remembered_and_can_be_given_anew(double, job, store):
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


def test_what_cannot_be_pushed_is_said(double, job, logged, store):
    with pytest.raises(AzureMLError, match=r"no Azure ML run.*--to WORKSPACE"):
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


def test_nothing_that_opens_a_blob_is_logged_at_any_level(double, job, logged, caplog):
    job()
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "azure", "requests"):
        caplog.set_level(logging.DEBUG, logger=name)
    double.fail("PUT", "/rich_metadata", drop=True, times=1)
    mlflow_interpret.push(logged)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    assert double.secrets
    assert not any(secret in caplog.text for secret in double.secrets)


def test_all_runs_of_an_experiment_are_pushed_but_those_that_are_there(double, job, logged, store):
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


def test_the_command_names_what_it_pushed_and_what_it_needs(double, job, logged, store):
    run_id = job()
    done = CliRunner().invoke(main, ["push", logged, "--tracking-uri", store])
    assert (
        done.output.split()
        == f"{logged} in Azure ML as explanation {ids(double, run_id)[-1]}".split()
    )
    for arguments, said in (
        (["push"], "RUN_ID, or --all"),
        (["push", logged, "--all", "test"], "RUN_ID, or --all"),
        (["push", logged, "--to", "nowhere"], "azureml must be"),
        (["push", "--all", "no such"], "no experiment 'no such'"),
        (["push", logged, "--visualization-points", "-1"], "from 0 to 20000"),
    ):
        failed = CliRunner().invoke(main, [*arguments, "--tracking-uri", store])
        assert failed.exit_code != 0
        assert said in failed.output
