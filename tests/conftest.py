"""Fixtures of all tests, markers, and isolation from the machine's own settings."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS

from azureml_double import AzureMLDouble
from mlflow_interpret.stores import drawing
from mlflow_server import mlflow_server

# Their asserts are reported in detail, as those of tests.
pytest.register_assert_rewrite(
    "azureml_state", "explanation_cases", "programs", "explaining.agreement",
    "explaining.any_model", "explaining.path_dependent",
)  # fmt: skip

TESTS = Path(__file__).parent

os.environ["MLFLOW_AUTOLOGGING_TESTING"] = "true"  # raise errors that autologging would swallow
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# Tests draw where they look at figures: by flush(), in this process.
drawing._queue = drawing.DrawingQueue(drawing._folder, start_seconds=threading.TIMEOUT_MAX)


# Markers by folder or module, and by the fixtures and functions that a test uses.
PLACE_MARKERS = {
    "azureml_double": "slow",
    "azureml_system": "subprocess",
    "browser": "browser",
    "test_background.py": "subprocess",
    "test_background_worker.py": "subprocess",
    "test_boosters.py": "slow",
    "test_column_lineage.py": "slow",
    "test_convergence.py": "slow",
    "test_coverage_benchmark.py": "slow",
    "test_every_estimator.py": "exhaustive",
    "test_every_table.py": "exhaustive",
    "test_every_transformer.py": "exhaustive",
    "test_exactness.py": "slow",
    "test_examples.py": "subprocess",
    "test_figures.py": "slow",  # draws hundreds
    "test_nested_fits.py": "slow",  # wraps all estimators again for each test
    "test_parallel.py": "subprocess",
    "test_partitions.py": "slow",
    "test_secrets.py": "subprocess",
    "test_training_methods.py": "slow",  # as test_nested_fits.py
    "test_worker_process.py": "subprocess",
}
USE_MARKERS = {
    "chromium": "browser",
    "cloud": "slow",  # an HTTP server in a thread
    "cluster": "subprocess",
    "model_server": "subprocess",
    "model_store": "slow",
    "dask_client": "subprocess",
    "loaded_after": "subprocess",
    "run_python": "subprocess",
    "store": "slow",  # a SQLite database of MLflow
    "subprocess": "subprocess",
    "tracking_server": "subprocess",
    "worker_process": "subprocess",
}
NOT_FAST = {"browser", "exhaustive", "slow", "subprocess"}


def names_used(function: object) -> set[str]:
    """The names in the code of a function, and of the functions of its module that it calls."""
    names: set[str] = set()
    functions = [function]
    while functions:
        code = getattr(functions[-1], "__code__", None)
        members = getattr(functions.pop(), "__globals__", {})
        new = {*getattr(code, "co_names", ())} - names
        names |= new
        functions += [
            members[name]
            for name in new & members.keys()
            if getattr(members[name], "__module__", None) == members["__name__"]
        ]
    return names


# The environment `interpret` of tox fails where it is missing.
HAS_INTERPRET_COMMUNITY = bool(
    importlib.util.find_spec("interpret_community")
    or os.environ.get("CI_REQUIRE_INTERPRET_COMMUNITY")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `tox -e fast`."""
    text = f"leave out tests that are marked {', '.join(sorted(NOT_FAST))}"
    parser.addoption("--fast", action="store_true", help=text)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import modules without a fast test."""
    return True if config.getoption("fast") and collection_path.name in PLACE_MARKERS else None


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set the markers, and deselect slow tests."""
    fast, left_out = [], []
    for item in items:
        places = {*item.path.relative_to(TESTS).parts} & PLACE_MARKERS.keys()
        uses = {*getattr(item, "fixturenames", ()), *names_used(getattr(item, "function", None))}
        for marker in [
            *(PLACE_MARKERS[place] for place in places),
            *(USE_MARKERS[name] for name in uses & USE_MARKERS.keys()),
        ]:
            item.add_marker(marker)
        if "interpret" in {m.name for m in item.iter_markers()} and not HAS_INTERPRET_COMMUNITY:
            reason = 'needs: pip install "mlflow-interpret[interpret]"'
            item.add_marker(pytest.mark.skip(reason=reason))
        if "exhaustive" in item.keywords and config.pluginmanager.has_plugin("_cov"):
            item.add_marker("no_cover")  # tracing would take longer than these add to the coverage
        is_fast = NOT_FAST.isdisjoint(marker.name for marker in item.iter_markers())
        (fast if is_fast else left_out).append(item)
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=left_out)
        items[:] = fast


def discard_drawings() -> None:
    """Give up the pending drawings of a test."""
    waiting = drawing._queue._waiting
    while waiting:
        shutil.rmtree(waiting.popleft().run.args[0])


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("AZUREML_", "MLFLOW_TRACKING", "MLFLOW_RUN", "MLFLOW_EXPERIMENT")):
            monkeypatch.delenv(name)
    # Without a time budget the explained rows do not depend on the load of the machine.
    monkeypatch.setattr("mlflow_interpret.autologging.explain_fit.default_budget", lambda _: None)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("MLFLOW_INTERPRET_SPOOL", str(tmp_path / "spool"))
    yield
    import mlflow_interpret

    discard_drawings()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow_interpret.autolog(disable=True)
        for flavor in ("sklearn", "xgboost", "lightgbm"):
            settings = AUTOLOGGING_INTEGRATIONS.get(flavor)
            if settings or flavor == "sklearn":
                getattr(mlflow, flavor).autolog(disable=True)
                # MLflow remembers a user's settings; mlflow.autolog() does not change them.
                AUTOLOGGING_INTEGRATIONS[flavor].clear()
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store with its tables, made once, since the migrations take seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def tracking_server(_migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server, for all tests that need one."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(_migrated, folder / "mlflow.db")
    with mlflow_server(folder / "mlflow.db", folder) as url:
        yield url


@pytest.fixture
def store(_migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a new MLflow store, the current one during the test."""
    path = tmp_path / "mlflow.db"
    shutil.copy(_migrated, path)
    uri = f"sqlite:///{path}"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    experiment = mlflow.create_experiment("test", (tmp_path / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def model_store(_migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of an MLflow store for the models of all tests of a module."""
    path = tmp_path_factory.mktemp("models") / "mlflow.db"
    shutil.copy(_migrated, path)
    uri = f"sqlite:///{path}"
    mlflow.MlflowClient(uri).create_experiment("test", path.with_name("artifacts").as_uri())
    return uri


@contextmanager
def tracking_to(uri: str) -> Iterator[None]:
    """Log to the experiment "test" of a store."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("test")
    yield
    mlflow.set_tracking_uri(before)


@pytest.fixture
def tracked_models(model_store: str) -> Iterator[None]:
    """Log to the store for the models of all tests of a module."""
    with tracking_to(model_store):
        yield


def enter(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Replace the environment of this process during a test."""
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def _uploads_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads without ExplanationClient, in this process, which is faster than a worker process."""
    from mlflow_interpret.stores.azureml import upload_queue, upload_worker

    monkeypatch.setattr(upload_worker, "explanation_client", lambda: None)
    monkeypatch.setattr(
        upload_queue, "_ask_worker", lambda request, _: upload_worker.carry_out(request)
    )


@pytest.fixture(scope="module")
def cloud() -> Iterator[AzureMLDouble]:
    """A double of Azure ML for the tests of a module; each test reads its own runs only."""
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture
def laptop(cloud, tmp_path, monkeypatch) -> AzureMLDouble:
    """The double; this process has the environment of a user with a service principal."""
    environment = cloud.laptop_environment(tmp_path / "home")
    del environment["MLFLOW_TRACKING_URI"]
    enter(monkeypatch, environment)
    monkeypatch.setattr("mlflow_interpret.stores.azureml.http._FIRST_WAIT", 0.01)
    yield cloud
    cloud.heal()
