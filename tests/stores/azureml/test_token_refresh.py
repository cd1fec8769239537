"""The token of a job that trains for longer than it lasts."""

from __future__ import annotations

import time

import numpy as np
import pytest

from azureml_double import AzureMLDouble
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.stores.azureml import rest_writer, targets, token_refresh

RECORD = Explanation(
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
    """Makes this process a job whose token lasts for some seconds; returns its run."""

    def become(seconds: float) -> str:
        run_id = double.create_run()
        names = double.job_environment(run_id, tmp_path / "home", token_lifetime=seconds)
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        return run_id

    monkeypatch.setattr(token_refresh, "_PERIOD", 0.02)
    monkeypatch.setattr(token_refresh._Kept, "token", None)
    monkeypatch.setattr(token_refresh._Kept, "keeper", None)
    return become


def test_a_token_is_renewed_before_it_expires(double, job, monkeypatch):
    run_id = job(60.0)
    token_refresh.keep()
    deadline = time.monotonic() + 30
    while token_refresh.current() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    # Hours later: what the environment has is worth nothing any more.
    monkeypatch.setenv("AZUREML_RUN_TOKEN", double.issue_token(run_id, -10.0))
    target = targets.resolve("auto", "sqlite:///x.db", "mlflow-run")
    assert target.token == token_refresh.current()
    assert target.token not in repr(target)
    rest_writer.write(RECORD, rest_writer.service_of(target), None, 30.0)
    assert [asset["runid"] for asset in double.assets] == [run_id]


def test_a_token_that_lasts_is_left_alone(double, job):
    job(24 * 3600.0)
    token_refresh.keep()
    time.sleep(0.2)
    assert token_refresh.current() is None
    assert double.requests == []


def test_one_thread_looks_after_it(job):
    job(24 * 3600.0)
    token_refresh.keep()
    first = token_refresh._Kept.keeper
    token_refresh.keep()
    assert token_refresh._Kept.keeper is first


@pytest.mark.parametrize("step", ["/batch/metadata/", "/assets$"])
def test_a_token_that_is_refused_on_the_way_is_renewed_once(double, job, step):
    run_id = job(3600.0)
    service = rest_writer.service_of(targets.resolve("auto", "", "x"))
    double.fail("*", step, status=401, times=1)
    rest_writer.write(RECORD, service, None, 30.0)
    assert [asset["runid"] for asset in double.assets] == [run_id]
    used = {request.headers.get("authorization") for request in double.requests} - {None}
    assert len(used) == 2


def test_one_that_has_expired_is_told_with_what_to_do(double, job):
    job(-10.0)
    with pytest.raises(AzureMLError, match=r"401.*log in again"):
        rest_writer.write(
            RECORD, rest_writer.service_of(targets.resolve("auto", "", "x")), None, 30.0
        )
