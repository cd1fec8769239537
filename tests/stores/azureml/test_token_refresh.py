"""Refresh of a job's token during a long training."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from azureml_double import AzureMLDouble
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import rest_writer, targets, token_refresh
from mlflow_interpret.stores.azureml.token_refresh import TokenKeeper

EXPLANATION = Explanation(
    method="shap_tree",
    task="regression",
    model_class=None,
    features=("a", "b"),
    global_values=np.array([1.0, 2.0]),
)


@pytest.fixture
def double():
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture
def job(double, tmp_path, monkeypatch):
    """A function that makes this process a job with a token of some seconds; returns the run id."""

    def become(seconds: float) -> str:
        run_id = double.create_run()
        names = double.job_environment(run_id, tmp_path / "home", token_lifetime=seconds)
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        return run_id

    return become


@pytest.fixture
def keeper(monkeypatch) -> Iterator[TokenKeeper]:
    keeper = TokenKeeper(period=0.02)
    monkeypatch.setattr(targets, "job_token", keeper)
    yield keeper
    keeper.stop()


def test_a_token_is_refreshed_before_it_expires(double, job, keeper, monkeypatch):
    run_id = job(60.0)
    keeper.start()
    deadline = time.monotonic() + 60
    while keeper.token is None and time.monotonic() < deadline:
        time.sleep(0.01)
    # Hours later the token of the environment is not valid any more.
    monkeypatch.setenv("AZUREML_RUN_TOKEN", double.issue_token(run_id, -10.0))
    run = targets.find_run("auto", "sqlite:///x.db", "mlflow-run")
    assert run.workspace.token == keeper.token
    assert run.workspace.token not in repr(run)
    rest_writer.write(EXPLANATION, run, None, 30.0)
    assert [asset["runid"] for asset in double.assets] == [run_id]


def test_a_token_of_long_validity_is_not_refreshed(double, job, keeper, monkeypatch):
    job(24 * 3600.0)
    checks, read_expiry = [], token_refresh.expiry_of
    several = threading.Event()

    def expiry_of(token):
        checks.append(token)
        if len(checks) > 2:
            several.set()
        return read_expiry(token)

    monkeypatch.setattr(token_refresh, "expiry_of", expiry_of)
    keeper.start()
    assert several.wait(60)
    assert keeper.token is None
    assert double.requests == []


def test_a_keeper_has_one_thread(job, keeper):
    job(24 * 3600.0)
    before = set(threading.enumerate())
    keeper.start()
    keeper.start()
    (thread,) = set(threading.enumerate()) - before
    assert thread.name == "mlflow-interpret-token"


@pytest.mark.parametrize("token", ["", "text", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_a_token_without_expiry_has_no_known_expiry(token):
    assert token_refresh.expiry_of(token) is None


@pytest.mark.parametrize("step", ["/batch/metadata/", "/assets$"])
def test_a_token_that_is_refused_during_the_upload_is_refreshed_once(double, job, step):
    run_id = job(3600.0)
    run = targets.find_run("auto", "", "x")
    double.fail("*", step, status=401, times=1)
    rest_writer.write(EXPLANATION, run, None, 30.0)
    assert [asset["runid"] for asset in double.assets] == [run_id]
    used = {request.headers.get("authorization") for request in double.requests} - {None}
    assert len(used) == 2


def test_an_expired_token_is_an_error_with_a_remedy(double, job):
    job(-10.0)
    with pytest.raises(AzureMLError, match=r"401.*log in again"):
        rest_writer.write(EXPLANATION, targets.find_run("auto", "", "x"), None, 30.0)
