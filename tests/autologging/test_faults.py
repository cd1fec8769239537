"""A request to the MLflow server that fails, then `mlflow-interpret flush`: the run is as always.

Each cell of the matrix is one fit, one request of its logging that fails in one way, and one flush.
Compared with a fit without failures: the number of runs, their status, tags, metrics with the length
of their history, artifacts, and the status record. The spool is empty. The fit is explained, explained
with figures and a report, or skipped.

``FAULTS=all`` (`tox -e faults`) runs all requests x faults x own or new run x foreground or
background x kinds of fits, pairs of faults, and requests that MLflow's client repeats; it prints
their numbers.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Mapping

import mlflow
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

import mlflow_interpret
from faulty_proxy import FAULTS, Proxy
from mlflow_interpret.autologging import kept, run_context
from mlflow_interpret.cli import main
from mlflow_interpret.stores import drawing, spool
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.mlflow import writer
from mlflow_interpret.stores.mlflow.numbers import RunNumbers

ALL = os.environ.get("FAULTS") == "all"
VOLATILE = {"created", "run_id", "explanation_id", "fit_id", "seconds", "updated"}
KINDS = ("explained", "drawn", "skipped")

X, y = load_iris(return_X_y=True, as_frame=True)
X = X.iloc[:, :2]


class Unexplainable(ClassifierMixin, BaseEstimator):
    """A model that predicts nothing."""

    def fit(self, X, y):
        self.classes_ = [0, 1, 2]
        return self

    def predict(self, X):
        raise ValueError("no prediction")


@pytest.fixture
def proxy(tracking_server, monkeypatch) -> Iterator[Proxy]:
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2" if ALL else "60")
    monkeypatch.setattr("mlflow_interpret.stores.mlflow.connection._PROBE_SECONDS", 2.0)
    with Proxy(tracking_server) as proxy, proxy.serving():
        mlflow.set_tracking_uri(proxy.url)
        yield proxy
    mlflow.set_tracking_uri(before)


class Case:
    """Fits in an experiment of their own.

    Args:
        proxy: The proxy.
        own_run: The user starts the run.
        background: The fit is explained in the background.
        kind: One of `KINDS`.
    """

    numbers = itertools.count()

    def __init__(
        self, proxy: Proxy, own_run: bool, background: bool = False, kind: str = "explained"
    ):
        self.proxy, self.own_run, self.kind = proxy, own_run, kind
        self.experiment = mlflow.set_experiment(f"faults {next(self.numbers)}").experiment_id
        self._known: set[str] = set()
        mlflow_interpret.autolog(
            log_figures=kind == "drawn", log_report=kind == "drawn", silent=True, top_k=1,
            background=background, metrics="importance", extra_tags={"team": "a"},
        )  # fmt: skip

    def fit(self, faults: Mapping[int, str]) -> list[str]:
        """Fit a model while requests of its logging fail; return the requests."""
        self._known = {run.info.run_id for run in self._all_runs()}
        if self.own_run:
            mlflow.start_run(run_name="own")
        self.proxy.arm(faults)
        if self.kind == "skipped":
            Unexplainable().fit(X, y)
        else:
            DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)
        assert mlflow_interpret.flush()
        requests = self.proxy.disarm()
        if self.own_run:
            mlflow.end_run()
        return requests

    def flush(self, faults: Mapping[int, str] | None = None) -> None:
        """Flush the spool as another process does."""
        writer._numbers = RunNumbers()
        kept._kept.clear()
        run_context._unfinished.clear()
        self.proxy.arm(faults or {})
        CliRunner().invoke(main, ["flush"])
        self.proxy.disarm()

    def state(self) -> object:
        """What the latest fit has left in the experiment and in the spool."""
        runs = [run for run in self._all_runs() if run.info.run_id not in self._known]
        n_waiting = len(spool.folders()) + len(drawing.abandoned())
        return [self._run_state(run) for run in runs], n_waiting

    def _all_runs(self):
        return MlflowClient().search_runs([self.experiment])

    def _run_state(self, run):
        client, run_id = MlflowClient(), run.info.run_id
        status = mlflow_store.status_of(run_id, self.proxy.url)
        assert status.get("run_id", run_id) == run_id
        ids = {run_id: "RUN"}
        ids |= {status[key]: "ID" for key in ("explanation_id", "fit_id") if key in status}
        if not self.own_run:
            ids[run.info.run_name] = "NAME"
        tags = dict(run.data.tags)
        for value, name in ids.items():
            tags = {key: tag.replace(value, name) for key, tag in tags.items()}
        return {
            "status": run.info.status,
            "has an end": run.info.end_time is not None,
            "tags": tags,
            "metrics": dict(run.data.metrics),
            "history": {
                name: len(client.get_metric_history(run_id, name)) for name in run.data.metrics
            },
            "folders": [entry.path for entry in client.list_artifacts(run_id)],
            "files": [entry.path for entry in client.list_artifacts(run_id, "mlflow_interpret")],
            "record": {key: value for key, value in status.items() if key not in VOLATILE},
        }


def run_cells(case: Case, faults_of_cells: list[tuple[Mapping[int, str], ...]]) -> None:
    """Run cells, each one or more attempts with their faults, and compare what they leave."""
    requests = case.fit({})
    clean = case.state()
    assert bool(clean[0][0]["metrics"]) is (case.kind != "skipped")
    assert clean[1] == 0
    different = []
    for cell in faults_of_cells:
        case.fit(cell[0])
        for faults in cell[1:]:
            case.flush(faults)
        case.flush()
        state = case.state()
        if state != clean:
            different.append((cell, [requests[k] for k in cell[0] if k < len(requests)]))
            print(different[-1], *differences(clean, state), sep="\n    ")
            for folder in spool.folders():
                spool.drop(folder)
            for note in drawing.abandoned():
                note.unlink()
    if ALL:
        print(f"\n{len(faults_of_cells)} cells, {len(requests)} requests, {len(different)} differ")
    assert not different


def differences(clean, state, path=""):
    """Yield the differences of two states."""
    if isinstance(clean, dict) and isinstance(state, dict):
        for key in sorted({*clean, *state}):
            yield from differences(clean.get(key), state.get(key), f"{path}/{key}")
    elif isinstance(clean, (list, tuple)) and isinstance(state, (list, tuple)):
        for i, pair in enumerate(itertools.zip_longest(clean, state)):
            yield from differences(*pair, f"{path}/{i}")
    elif clean != state:
        yield f"{path}: {state!r} instead of {clean!r}"


@pytest.mark.parametrize("own_run", [True, False], ids=["own run", "new run"])
def test_one_fault_at_each_request(proxy, own_run):
    case = Case(proxy, own_run)
    requests = case.fit({})
    assert len(requests) > 8
    uploads = [k for k, request in enumerate(requests) if request.startswith("PUT")]
    left_out = {*uploads[1:-1]}  # FAULTS=all has them
    faults = ("drop after", "500") if own_run else ("500", "drop after")
    run_cells(case, [({k: faults[k % 2]},) for k in range(len(requests)) if k not in left_out])


def test_faults_of_a_fit_that_is_skipped(proxy):
    case = Case(proxy, own_run=False, kind="skipped")
    requests = case.fit({})
    names = ("runs/create", "runs/log-batch")  # FAULTS=all has the others
    run_cells(case, [({index_of(requests, name): "drop after"},) for name in names])


def test_faults_of_the_drawings(proxy):
    case = Case(proxy, own_run=True, kind="drawn")
    requests = case.fit({})
    last = len(requests) - 1
    assert requests[last].endswith("status.json")
    report = index_of(requests, "report.html")
    run_cells(case, [({report: "500", last: "drop before"},)])


def index_of(requests: list[str], name: str) -> int:
    """The index of the only request whose path ends with a name."""
    (index,) = [k for k, request in enumerate(requests) if request.endswith(name)]
    return index


def test_a_creation_that_mlflow_repeats_leaves_one_run(proxy, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    case = Case(proxy, own_run=False)
    creation = case.fit({}).index("POST /api/2.0/mlflow/runs/create")
    clean = case.state()
    assert case.fit({creation: "drop after"})[creation + 1].endswith("/runs/create")
    assert case.state() == clean


@pytest.mark.skipif(not ALL, reason="takes an hour; FAULTS=all runs it")
@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("own_run", [True, False], ids=["own run", "new run"])
@pytest.mark.parametrize("kind", KINDS)
class TestAll:
    def test_one_fault_at_each_request(self, proxy, own_run, background, kind):
        case = Case(proxy, own_run, background, kind)
        run_cells(case, [({k: fault},) for fault in FAULTS for k in new_requests(case)])

    def test_two_faults_in_a_row(self, proxy, own_run, background, kind):
        case = Case(proxy, own_run, background, kind)
        generator = random.Random(0)
        requests = new_requests(case)
        cells = []
        for k in requests:
            first, second = generator.choices(["drop after", "drop before", "500"], k=2)
            cells.append(({k: first, k + 1: second},))
            cells.append(({k: first}, {generator.randrange(len(requests)): second}))
        run_cells(case, cells)

    def test_requests_that_mlflow_repeats(self, proxy, own_run, background, kind, monkeypatch):
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        case = Case(proxy, own_run, background, kind)
        run_cells(case, [({k: "drop after"},) for k in new_requests(case)])


def new_requests(case: Case) -> range:
    """The requests of a fit that no other kind of fit sends before."""
    requests = case.fit({})
    if case.kind != "drawn":
        return range(len(requests))
    batches = [k for k, request in enumerate(requests) if request.endswith("log-batch")]
    return range(batches[-1] + 1, len(requests))
