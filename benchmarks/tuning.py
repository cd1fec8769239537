"""Cost of explaining one small fit, and a loop of fits with the end of its process.

    python -m benchmarks.tuning

prints Markdown; `benchmarks.run` writes it into RESULTS.md with the other parts.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import mlflow
from benchmarks.engines import milliseconds, table
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale
from tests.mlflow_server import mlflow_server

import mlflow_interpret

QUICK = bool(os.environ.get("BENCHMARKS_QUICK"))
REPEATS = 3 if QUICK else 11
TRIALS = 5 if QUICK else 20

# Models that fit in about a second; the argument is the trial.
MODELS: dict[str, Callable[[int], Any]] = {
    "RandomForestClassifier, 150 trees": lambda i: RandomForestClassifier(150, random_state=i),
    "HistGradientBoostingClassifier": lambda i: HistGradientBoostingClassifier(
        max_iter=300, random_state=i
    ),
    "MLPClassifier": lambda i: MLPClassifier((80,), max_iter=60, random_state=i),
}


def small_fits(folder: Path) -> Iterator[tuple[Any, ...]]:
    """A small fit with its run, without and with `autolog`, beside `explain` alone."""
    yield "local store", *small_fit(mlflow.get_tracking_uri())
    with mlflow_server(folder / "mlflow.db", folder) as url:
        yield "server", *small_fit(url)


def small_fit(tracking_uri: str) -> tuple[str, ...]:
    """The row of a tracking store."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X[:] = scale(X)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_experiment("small fits")

    def fit() -> None:
        with mlflow.start_run():
            LogisticRegression(max_iter=500).fit(X, y)

    model = LogisticRegression(max_iter=500).fit(X, y)
    seconds: dict[str, list[float]] = {"alone": [], "explain": [], "explained": []}
    for repeat in range(REPEATS + 2):
        mlflow_interpret.autolog(disable=True)  # and finish the drawings
        works = {
            "alone": fit,
            "explain": lambda: mlflow_interpret.explain(model, X),
            "explained": fit,
        }
        for name, work in works.items():
            if name == "explained":
                mlflow_interpret.autolog(silent=True)
            started = time.perf_counter()
            work()
            if repeat >= 2:  # warm
                seconds[name].append(time.perf_counter() - started)
    mlflow_interpret.autolog(disable=True)
    alone, explain, explained = map(median, seconds.values())
    goal = 1.5 * explain + 0.1
    met = "yes" if explained - alone <= goal else "no"
    cells = alone, explain, explained, explained - alone, goal
    return *map(milliseconds, cells), met


def loops() -> Iterator[tuple[Any, ...]]:
    """A loop of fits in a process of its own, until the process has ended."""
    for name in MODELS:
        alone, explained = loop_seconds(name, "alone"), loop_seconds(name, "explained")
        ratio = explained / alone
        yield (
            name, f"{alone / TRIALS:.2f} s", f"{alone:.1f} s", f"{explained:.1f} s",
            f"{ratio:.2f}", "yes" if ratio <= 1.3 else "no",
        )  # fmt: skip


def loop_seconds(name: str, way: str) -> float:
    """Seconds from the first fit to the end of the process."""
    command = [sys.executable, "-m", "benchmarks.tuning", name, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return time.time() - float(done.stdout.split()[-1])


def fit_loop(name: str, way: str) -> None:
    """Print the time of the start, and fit."""
    X, y = make_classification(5_000, 20, n_informative=8, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("loop", f"{folder}/runs"))
        os.environ["MLFLOW_INTERPRET_SPOOL"] = str(Path(folder, "spool"))
        if way == "explained":
            mlflow_interpret.autolog()
        print(time.time(), flush=True)
        for trial in range(TRIALS):
            with mlflow.start_run():
                MODELS[name](trial).fit(X, y)
        mlflow_interpret.flush()  # as at the end of the process, before the folder is deleted


def measure() -> str:
    """All sections, as Markdown."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLFLOW_INTERPRET_SPOOL"] = str(folder / "spool")
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        return "\n".join(
            [
                table(
                    "A LogisticRegression on 569 x 30 with its run (goal: at most 1.5 times "
                    "`explain` and 100 ms more)",
                    ("store", "alone", "`explain`", "with autolog", "added", "goal", "met"),
                    small_fits(folder),
                ),
                table(
                    f"A loop of {TRIALS} fits and runs with the end of its process (goal: at most "
                    "1.3 times as long)",
                    ("model", "a fit", "alone", "with autolog", "ratio", "met"),
                    loops(),
                ),
            ]
        )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        fit_loop(sys.argv[1], sys.argv[2])
    else:
        print(measure())
