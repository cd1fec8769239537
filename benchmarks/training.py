"""Cost of explaining, compared with training alone and with MLflow's own explanations.

    python -m benchmarks.training

prints Markdown; `benchmarks.run` writes it into RESULTS.md with the other parts.
"""

from __future__ import annotations

import logging
import os
import resource
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
import numpy as np
import pandas as pd
from benchmarks.engines import milliseconds, table
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import mlflow_interpret

QUICK = bool(os.environ.get("BENCHMARKS_QUICK"))
REPEATS = 3 if QUICK else 5


def timed(works: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, float]:
    """Median seconds of each, measured alternately."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return {name: median(taken) for name, taken in seconds.items()}


def fits() -> Iterator[tuple[Any, ...]]:
    """``fit`` alone, in the background, and with the explanation in the foreground."""
    X, y = make_classification(3_000, 20, n_informative=8, random_state=0)
    rows = pd.DataFrame(X, columns=[f"feature {i}" for i in range(X.shape[1])])
    models = {
        "LogisticRegression": lambda: LogisticRegression(max_iter=300),
        "RandomForestClassifier, 50 trees": lambda: RandomForestClassifier(50, random_state=0),
        "HistGradientBoostingClassifier": lambda: HistGradientBoostingClassifier(random_state=0),
    }

    def alone() -> None:
        mlflow_interpret.autolog(disable=True)

    def background() -> None:
        mlflow_interpret.autolog(background=True, silent=True)

    def foreground() -> None:
        mlflow_interpret.autolog(silent=True)

    for name, make in models.items():
        found: dict[str, list[float]] = {"alone": [], "background": [], "foreground": []}
        for _ in range(REPEATS):
            for way, switch in zip(found, (alone, background, foreground), strict=True):
                switch()
                with mlflow.start_run():
                    started = time.perf_counter()
                    make().fit(rows, y)
                    found[way].append(time.perf_counter() - started)
                mlflow_interpret.flush()  # background work would slow the next fit
        mlflow_interpret.autolog(disable=True)
        bare, beside, within = (median(seconds) for seconds in found.values())
        added = beside - bare
        met = "yes" if added <= max(0.05 * bare, 0.05) else "no"
        yield (
            name, milliseconds(bare), milliseconds(beside), f"{1000 * added:+.0f} ms",
            f"{100 * added / bare:+.1f} %", met, milliseconds(within),
        )  # fmt: skip


def mlflow_peers() -> Iterator[tuple[Any, ...]]:
    """Our explanation and its logging, compared with MLflow's."""
    X, y = make_classification(400, 8, n_informative=5, random_state=0)
    rows = pd.DataFrame(X, columns=[f"feature {i}" for i in range(X.shape[1])])
    model = RandomForestClassifier(30, max_depth=6, random_state=0).fit(rows, y)
    some, data = rows[:50], rows[:50].assign(target=y[:50])

    def ours() -> None:
        mlflow_interpret.log_explanation(
            model=model, initialization_examples=rows, evaluation_examples=some
        )

    def shap_of_mlflow() -> None:
        with mlflow.start_run():
            mlflow.shap.log_explanation(model.predict_proba, some)

    def evaluate() -> None:
        with mlflow.start_run():
            uri = mlflow.sklearn.log_model(
                model, name="model", serialization_format="cloudpickle"
            ).model_uri
            mlflow.models.evaluate(
                uri, data, targets="target", model_type="classifier", evaluators="shap",
                evaluator_config={"log_explainer": False},
            )  # fmt: skip

    peers = {"mlflow.shap.log_explanation": shap_of_mlflow, "mlflow.models.evaluate": evaluate}
    ours()  # imports are not measured
    for name, peer in peers.items():
        try:
            peer()
            taken = timed({"ours": ours, "peer": peer}, 2 if QUICK else 3)
        except Exception as error:
            yield name, "-", f"{type(error).__name__}: {str(error)[:80]}", "-"
            continue
        ratio = f"{taken['peer'] / taken['ours']:.1f}"
        yield name, milliseconds(taken["ours"]), milliseconds(taken["peer"]), ratio


def imports() -> Iterator[tuple[Any, ...]]:
    """Import time of this package after that of MLflow, each time in a new process."""
    clock = "time.perf_counter()"
    code = f"import time; a = {clock}; import mlflow; b = {clock}; import mlflow_interpret; "
    command = [sys.executable, "-c", f"{code}c = {clock}; print(b - a, c - b)"]
    taken = []
    for _ in range(REPEATS):
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        taken.append([float(seconds) for seconds in done.stdout.split()])
    before, added = np.median(taken, axis=0)
    yield milliseconds(before), milliseconds(added)


def large() -> Iterator[tuple[Any, ...]]:
    """A linear model's explanation of a Parquet dataset, each size in a process of its own."""
    for n in (10**5, 10**6) if QUICK else (10**5, 10**6, 10**7):
        command = [sys.executable, "-m", "benchmarks.training", "large", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        seconds, megabytes, base = done.stdout.split()
        yield f"{n:,}", f"{float(seconds):.1f} s", f"{megabytes} MB", f"{base} MB"


def explain_large(n: int) -> None:
    """Print seconds, and the peak memory while explaining and before."""
    import pyarrow as pa
    from pyarrow import parquet

    generator = np.random.default_rng(0)
    names = [f"x{i}" for i in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        with parquet.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in names])) as to:
            for _ in range(n // 100_000):
                cells = generator.normal(size=(100_000, 10))
                to.write_table(pa.Table.from_arrays(list(map(pa.array, cells.T)), names=names))
        train = pd.DataFrame(generator.normal(size=(1_000, 10)), columns=names)
        model = LogisticRegression().fit(train, train["x0"] + train["x1"] > 0)
        mlflow_interpret.explain(model, train, train[:10])  # imports
        before = most_memory()
        started = time.perf_counter()
        mlflow_interpret.explain(model, train, path)
        print(time.perf_counter() - started, most_memory(), before)


def most_memory() -> int:
    """Peak memory of this process in megabytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(size / (1e6 if sys.platform == "darwin" else 1e3))


def measure() -> str:
    """All sections, as Markdown."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_INTERPRET_SPOOL"] = str(Path(folder, "spool"))
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment(
            experiment_id=mlflow.create_experiment("benchmarks", f"{folder}/runs")
        )
        sections = [
            table(
                "`fit` alone, with `background=True`, and with the explanation in the foreground "
                "(goal: at most 5 % or 50 ms more)",
                ("model", "alone", "background", "added", "added", "met", "foreground"),
                fits(),
            ),
            table(
                "Explaining and logging 50 rows, compared with MLflow (30 trees, 8 columns)",
                ("peer", "ours", "peer's", "ratio"),
                mlflow_peers(),
            ),
            table(
                "`import mlflow_interpret` (goal: less than 100 ms)",
                ("mlflow", "added by mlflow_interpret"),
                imports(),
            ),
            table(
                "A Parquet dataset with ten columns, a logistic regression, one core",
                ("rows", "time", "peak memory", "before"),
                large(),
            ),
        ]
        mlflow_interpret.flush()
    return "\n".join(sections)


if __name__ == "__main__":
    if sys.argv[1:2] == ["large"]:
        explain_large(int(sys.argv[2]))
    else:
        print(measure())
