"""Chromium driven by Playwright, and an MLflow server with explained runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import pytest

import mlflow_interpret
from explanations import hostile
from mlflow_interpret.api.global_explanation import public_explanation
from mlflow_server import mlflow_server

# Disable requests of the browser itself.
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic",
]  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# An error on each page of MLflow, since the server has no login.
MLFLOWS_OWN = ("/ajax-api/2.0/mlflow/users/current",)
# A harmless message of MLflow's charts on slow machines.
LATE = "ResizeObserver loop completed with undelivered notifications."


def _skip(message: str) -> None:
    if os.environ.get("CI_REQUIRE_BROWSER") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser. Without one, the tests are skipped, or fail if CI_REQUIRE_BROWSER is set."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _skip("Playwright is not installed (pip install playwright)")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        _skip(f"no browser is installed ({', '.join(BROWSERS)})")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page with its requests and errors."""

    page: Any
    requests: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Any]:
    """Open pages, and check at the end that they had no errors and no external requests."""
    opened = []

    def open_one(width: int = 1100, height: int = 900, **options: Any) -> Watched:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        watched = Watched(context.new_page())
        context.on("request", lambda request: watched.requests.append(request.url))
        context.on("requestfailed", lambda request: _record_failed_request(watched, request))
        context.on("console", lambda message: _record_message(watched, message))
        context.on("weberror", lambda error: watched.errors.append(str(error.error)))
        watched.page.on("dialog", lambda dialog: watched.errors.append(f"dialog {dialog.message}"))
        opened.append((context, watched))
        return watched

    yield open_one
    for context, watched in opened:
        context.close()
        outside = [
            url for url in watched.requests
            if not url.startswith(("http://127.0.0.1:", "file:///", "data:", "blob:", "about:"))
        ]  # fmt: skip
        assert outside == []
        assert watched.errors == []


@pytest.fixture
def open_text(open_page: Any, tmp_path: Path) -> Any:
    """Write a page to a file and open it by `open_page`."""

    def open_one(text: str, **options: Any) -> Watched:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        watched: Watched = open_page(**options)
        watched.page.goto(path.as_uri())
        return watched

    return open_one


def _record_failed_request(watched: Watched, request: Any) -> None:
    if request.failure == "csp":  # blocked by the policy of the page
        watched.refused.append(request.url)


def _record_message(watched: Watched, message: Any) -> None:
    where = message.location.get("url", "")
    late = LATE in message.text and where.startswith("http://127.0.0.1:")
    if message.type == "error" and not late and not where.endswith(MLFLOWS_OWN):
        watched.errors.append(f"{message.text} ({where})")


@dataclass(frozen=True)
class Server:
    """A server with two runs in one experiment, and one with hostile names in another."""

    url: str
    experiment_id: str
    runs: tuple[str, str]
    hostile_experiment_id: str
    hostile_run: str


@pytest.fixture(scope="session")
def server(
    chromium: Any, _migrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """An MLflow server with runs that were trained on real data."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(_migrated, folder / "mlflow.db")
    before = mlflow.get_tracking_uri()
    with mlflow_server(folder / "mlflow.db", folder) as url:
        mlflow.set_tracking_uri(url)
        try:
            experiment = mlflow.set_experiment("penguins").experiment_id
            runs = _penguins(3), _penguins(8)
            other = mlflow.set_experiment("hostile").experiment_id
            run = mlflow_interpret.log_explanation(public_explanation(hostile()))
            yield Server(url, experiment, runs, other, run)
        finally:
            mlflow.set_tracking_uri(before)


def _penguins(max_depth: int) -> str:
    from palmerpenguins import load_penguins
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    penguins = load_penguins()
    X, y = penguins.drop(columns=["species", "year"]), penguins["species"]
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["island", "sex"]), remainder=SimpleImputer()
    )
    forest = RandomForestClassifier(20, max_depth=max_depth, random_state=0)
    mlflow_interpret.autolog(max_rows=200, time_budget=None)
    try:
        with mlflow.start_run(run_name=f"depth {max_depth}") as run:
            mlflow.log_metric("validation_score", 0.5)
            make_pipeline(columns, forest).fit(X, y)
    finally:
        mlflow_interpret.autolog(disable=True)
    return run.info.run_id
