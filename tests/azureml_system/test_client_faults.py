"""Uploads by the real ExplanationClient, cut off at each of their requests, finished by a push."""

from __future__ import annotations

import logging
import os

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests

import mlflow_interpret
from azureml_double import AzureMLDouble
from azureml_state import ids, state
from logged_explanations import log
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import upload_worker

if os.environ.get("CI_REQUIRE_AZURE") != "1":
    pytest.importorskip("azureml.interpret", reason="needs: pip install 'mlflow-interpret[azure]'")


@pytest.fixture(scope="module")
def double():
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture
def job(double, tmp_path, monkeypatch):
    """A function that makes this process the job of a new Azure ML run; it returns the run id."""

    def become() -> str:
        run_id = double.create_run("an experiment")
        for name, value in double.job_environment(run_id, tmp_path / "home").items():
            if name.startswith(("AZUREML_", "HOME")) or "PROXY" in name.upper() or "CA" in name:
                monkeypatch.setenv(name, value)
        return run_id

    yield become
    double.heal()


@pytest.fixture
def record() -> Explanation:
    generator = np.random.default_rng(0)
    local = generator.normal(size=(3, 2))
    return Explanation(
        method="shap_tree",
        task="regression",
        model_class="Model",
        features=("a", "b"),
        global_values=np.abs(local).mean(axis=0),
        local_values=local,
        expected_values=np.array(0.5),
        evaluation_rows=pd.DataFrame(generator.normal(size=(3, 2)), columns=["a", "b"]),
        predicted=np.arange(3.0),
    )


@pytest.fixture
def logged(record, store) -> str:
    with mlflow.start_run() as run:
        pass
    log(record, run.info.run_id, store, top_k=2, figures=False, report=False)
    return run.info.run_id


def upload(record: Explanation) -> None:
    from azureml.core import Run

    run = Run.get_context(allow_offline=False)
    client = upload_worker.explanation_client()
    upload_worker.upload_with_client(client, record, run, None, 0)


def end_after(patch, position: int, *, carried_out: bool) -> None:
    """Let each request fail from a position on, as if the process had ended."""
    original, sent = requests.adapters.HTTPAdapter.send, []

    def send(self, *arguments, **options):
        sent.append(None)
        if len(sent) <= position:
            return original(self, *arguments, **options)
        if carried_out and len(sent) == position + 1:
            original(self, *arguments, **options)
        raise RuntimeError("the process has ended")

    patch.setattr(requests.adapters.HTTPAdapter, "send", send)


@pytest.mark.parametrize("fault", ["refused", "ended before", "ended after"])
def test_a_push_finishes_an_upload_of_the_client(
    double, job, record, logged, fault, monkeypatch, capsys
):
    logging.disable(logging.CRITICAL)  # the SDK logs pages about each fault
    for _ in range(2):  # the first upload also requests the list of services, which the SDK caches
        run_id = job()
        before = len(double.requests)
        upload(record)
    expected = state(double, run_id)
    sent = double.requests[before:]
    assert (len(expected["assets"]), len(sent) > 20) == (1, True)
    for position in range(len(sent)):
        run_id = job()
        with monkeypatch.context() as patch:
            if fault == "refused":
                double.fail("*", "/", status=403, skip=position)
            else:
                end_after(patch, position, carried_out=fault == "ended after")
            with pytest.raises(Exception):  # noqa: B017 - the SDK has no common one
                upload(record)
        double.heal()
        mlflow_interpret.push(logged)
        assert state(double, run_id) == expected, f"{fault} at request {position}"
        assert len(ids(double, run_id)) == 1
    logging.disable(logging.NOTSET)
    with capsys.disabled():
        print(f"\n{len(sent)} requests of ExplanationClient x {fault}: all finished by a push")
