"""Requests to the background worker for one pending fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from logged_explanations import explanation
from mlflow_interpret.autologging.snapshots import PendingFit
from mlflow_interpret.autologging.worker_explanation import WorkerExplanation
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.worker_process import ProcessDiedError
from mlflow_interpret.stores.record import write_record


class FakeWorker:
    """A worker that dies at some of its requests, and writes a given explanation."""

    def __init__(self, *deaths):
        self.requests = []
        self.explanation = explanation(5, engineered=explanation(6))
        self._deaths = deaths

    def ask(self, request):
        self.requests.append("write" if "write" in request else "explain")
        self.metrics = request.get("metrics")
        answer = {"ok": True}
        if "write" in request:
            folder = Path(request["write"])
            record = write_record(self.explanation, folder, figures=False, report=False)
            answer |= {"created": record.created, "not_drawn": {}}
        if len(self.requests) in self._deaths:
            raise ProcessDiedError("the worker died", "a cell holds 7")
        return answer


def computed(worker, tmp_path, **options):
    pending = PendingFit(tmp_path, tmp_path / "snapshot.pkl")
    return WorkerExplanation(
        worker, pending, "an id", **{"log_data": True, "compared": False, **options}
    )


def test_an_explanation_that_died_with_its_worker_is_computed_again(tmp_path):
    worker, folder = FakeWorker(2), tmp_path / "record"
    folder.mkdir()
    result = computed(worker, tmp_path)
    result.explain()
    record = result.write(folder, Options(), "run", {}, lambda: {"score": 0.5})
    assert worker.requests == ["explain", "write", "explain", "write"]
    assert record.explanation.id == worker.explanation.id
    assert worker.metrics == {"score": 0.5}


@pytest.mark.parametrize("log_data", [True, False])
def test_the_last_words_of_a_worker_are_quoted_only_if_rows_may_be_logged(tmp_path, log_data):
    with pytest.raises(CannotExplainError) as error:
        computed(FakeWorker(1), tmp_path, log_data=log_data).explain()
    assert ("a cell holds" in str(error.value)) == log_data
