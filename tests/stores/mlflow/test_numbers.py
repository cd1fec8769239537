"""Parallel logs: different numbers in one run, no waiting between runs."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow import MlflowClient

from logged_explanations import explanation, log
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow.numbers import RunNumbers
from mlflow_interpret.stores.mlflow.places import Place


@pytest.fixture
def new_run(store):
    def new_run():
        with mlflow.start_run() as run:
            return run.info.run_id

    return new_run


def free(number):
    return Place(number, is_begun=False)


def test_numbers_are_reserved_and_given_back():
    numbers = RunNumbers()
    with (
        numbers.reserved("uri", "run", free(1), "a") as first,
        numbers.reserved("uri", "run", free(1), "b") as second,
    ):
        assert (first, second) == (1, 2)
        numbers.mark_stored("uri", "run", second, explained=True)
    with pytest.raises(OSError), numbers.reserved("uri", "run", free(1), "c") as third:
        assert third == 3
        raise OSError
    with (
        numbers.reserved("uri", "run", free(1)) as again,
        numbers.reserved("uri", "other", free(1)) as other,
    ):
        assert (again, other) == (3, 1)
    with numbers.reserved("uri", "run", free(9)) as counted_by_another_process:
        assert counted_by_another_process == 9
    with numbers.reserved("uri", "run", Place(2, is_begun=True), "b") as repeated:
        assert repeated == 2
    assert numbers.stored("uri", "run") == {2: True}
    assert numbers.ids("uri", "run") == {1: "a", 2: "b"}


def test_parallel_logs_into_one_run_get_different_numbers(store, new_run, monkeypatch):
    run_id, count = new_run(), 4
    together = threading.Barrier(count)
    upload = MlflowClient.log_artifacts

    def upload_together(self, *arguments):
        together.wait(60)  # all have asked the server for a free number
        upload(self, *arguments)

    monkeypatch.setattr(MlflowClient, "log_artifacts", upload_together)
    records = [explanation(n) for n in range(2, 2 + count)]
    with ThreadPoolExecutor(count) as pool:
        logged = list(pool.map(lambda record: log(record, run_id, store, report=False), records))
    assert sorted(entry.number for entry in logged) == [1, 2, 3, 4]
    tags = mlflow.get_run(run_id).data.tags
    assert tags["mlflow_interpret.explanations"] == "4"
    assert len(json.loads(tags["mlflow.loggedArtifacts"])) == 4
    held = {record.id for _, record in mlflow_store.explanations(run_id, store)}
    assert held == {record.id for record in records}


def test_a_log_does_not_wait_for_that_of_another_run(store, new_run, monkeypatch):
    slow, quick = new_run(), new_run()
    is_asked, answer = threading.Event(), threading.Event()
    upload = MlflowClient.log_artifacts

    def upload_slowly(self, run_id, *arguments):
        if run_id == slow:
            is_asked.set()
            assert answer.wait(60)
        upload(self, run_id, *arguments)

    monkeypatch.setattr(MlflowClient, "log_artifacts", upload_slowly)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(log, explanation(), slow, store, report=False)
        assert is_asked.wait(60)
        assert log(explanation(), quick, store, report=False).number == 1
        assert not pending.done()
        answer.set()
        assert pending.result().number == 1
