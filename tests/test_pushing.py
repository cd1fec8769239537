"""Uploads that were cut off, at each of their requests, and finished by a later push."""

from __future__ import annotations

import time
from collections.abc import Iterator

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests

import mlflow_interpret
from azureml_double import AzureMLDouble
from mlflow_interpret import tracking
from mlflow_interpret.azureml import assets
from mlflow_interpret.errors import AzureMLError
from mlflow_interpret.records import Explanation


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
    monkeypatch.setattr("mlflow_interpret.azureml.calls._TRIES", 2)
    monkeypatch.setattr("mlflow_interpret.azureml.calls._FIRST_WAIT", 0.001)
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
    tracking.log(
        record, run.info.run_id, store, top_k=5, figures=False, state="pending", comment="a, b"
    )
    return run.info.run_id


def state(double: AzureMLDouble, run_id: str) -> dict:
    """What Azure ML has of a run's explanations, but for the ids."""
    found = []
    for asset in (each for each in double.assets if each["runid"] == run_id):
        properties = dict(asset["properties"])
        folder = assets.folder_of(properties.pop("explanation_id"))

        def plain(text: str, folder: str = folder) -> str:
            return text.replace(folder, "FOLDER").replace(run_id, "RUN")

        files = {
            plain(path): plain(double.read_artifact(run_id, path).decode())
            for path in double.artifacts(run_id)
            if path.startswith(f"{folder}/")
        }
        labels = [plain(artifact["prefix"]) for artifact in asset["artifacts"]]
        names = {name: value and plain(value) for name, value in properties.items()}
        found.append((names, labels, files))
    return {"assets": found, "tags": double.runs[run_id]["tags"]}


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
    for position, request in enumerate(sent):
        where = f"{fault} at {request.method} {request.path}"
        run_id = job()
        with monkeypatch.context() as patch:
            if fault in SERVICE_FAULTS:
                patch.setattr("mlflow_interpret.azureml.calls._SILENCE", 0.1)
                trouble = double.fail("*", "/", **SERVICE_FAULTS[fault], skip=position)
                begun = len(double.requests)
                with pytest.raises(AzureMLError):
                    mlflow_interpret.push(logged)
                assert trouble.hits, where
                assert tracking.status_of(logged, store)["azureml"]["state"] == "failed", where
                double.heal()
                served(double, begun + trouble.passed + trouble.hits)
            else:
                kill(patch, position, carried_out=fault == "killed after")
                with pytest.raises(KilledError):
                    mlflow_interpret.push(logged)
        found = mlflow_interpret.push(logged)
        assert state(double, run_id) == expected, where
        status = tracking.status_of(logged, store)
        assert (status["status"], status["azureml"]["state"]) == ("complete", "uploaded"), where
        assert status["azureml"]["explanation_id"] == found[0] == ids(double, run_id)[-1], where
    with capsys.disabled():
        print(f"\n{len(sent)} requests x {fault}: {len(sent)} uploads cut off and pushed")


def served(double: AzureMLDouble, requests_in_all: int) -> None:
    """Wait for requests that hung: the service carries them out although nobody waits for them."""
    deadline = time.monotonic() + 30
    while len(double.requests) < requests_in_all and time.monotonic() < deadline:
        time.sleep(0.005)


def ids(double: AzureMLDouble, run_id: str) -> list[str]:
    return [a["properties"]["explanation_id"] for a in double.assets if a["runid"] == run_id]
