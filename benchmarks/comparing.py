"""A comparison of a thousand runs, and the same with MLflow alone.

Both sides find the runs by one search and read their importances from a real `mlflow server`, or
with ``--local`` from files; ours also ranks, correlates and tests them. The peer loads the
artifacts one by one with `mlflow.artifacts.load_dict`. Prints Markdown::

    python -m benchmarks.comparing
    python -m benchmarks.comparing --runs 100 --local
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import RunTag
from tests.mlflow_server import mlflow_server

import mlflow_interpret
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation

FEATURES = 30
ROUNDS = 2  # the better of which counts, for both sides


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    quick = bool(os.environ.get("BENCHMARKS_QUICK"))
    parser.add_argument("--runs", type=int, default=200 if quick else 1000)
    parser.add_argument("--local", action="store_true", help="from files, without a server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = f"sqlite:///{folder / 'mlflow.db'}"
        place = (folder / "artifacts").as_uri() if options.local else "mlflow-artifacts:/1"
        fill(store, place, folder / "artifacts", options.runs)
        print(f"## Comparing {options.runs:,} runs of {FEATURES} features\n")
        if options.local:
            measure(store, options.runs)
            return
        with mlflow_server(folder / "mlflow.db", folder) as server:
            measure(server, options.runs)


def fill(store: str, place: str, artifacts: Path, runs: int) -> None:
    """Put explained runs into the store, and their files into the folder of the server."""
    generator = np.random.default_rng(0)
    importances = generator.exponential(size=FEATURES)
    client = mlflow.MlflowClient(store)
    experiment = client.create_experiment("many", place)
    for number in range(runs):
        local = importances * np.exp(generator.normal(scale=0.3, size=(100, FEATURES)))
        explanation = Explanation(
            method="shap_tree",
            task="regression",
            model_class="sklearn.ensemble.RandomForestRegressor",
            features=tuple(f"feature {i}" for i in range(FEATURES)),
            global_values=local.mean(axis=0),
            local_values=local,
            details=Details.from_json({"output_scale": "prediction"}),
        )
        run = client.create_run(experiment, run_name=f"run {number}").info
        below = (
            f"{run.run_id}/artifacts"
            if place.startswith("file:")
            else (
                f"1/{run.run_id}/artifacts"  # below the place that the server's addresses name
            )
        )
        folder = artifacts / below / "mlflow_interpret"
        folder.mkdir(parents=True)
        explanation_io.write(explanation, folder)
        client.log_batch(run.run_id, tags=[RunTag("mlflow_interpret.explanations", "1")])


def measure(uri: str, runs: int) -> None:
    """Measure both sides on the same runs, and check that their numbers are equal."""
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("many")
    mlflow.search_runs(max_results=1)  # work that each process does once
    own_seconds = peer_seconds = float("inf")
    for _ in range(ROUNDS):  # alternating, so that a busy machine slows down both
        seconds, own = timed(lambda: ours(runs))
        own_seconds = min(own_seconds, seconds)
        seconds, peer = timed(lambda: theirs(runs))
        peer_seconds = min(peer_seconds, seconds)
    both = own.merge(peer, on=["run_id", "feature"], suffixes=("", "_peer"))
    if len(both) != runs * FEATURES or (both["importance"] != both["importance_peer"]).any():
        raise SystemExit("The two sides read different importances.")
    where = "files" if uri.startswith("sqlite") else "mlflow server"
    print("| from | compare_runs | artifacts one by one | ratio |")
    print("|---|---|---|---|")
    print(f"| {where} | {own_seconds:.1f} s | {peer_seconds:.1f} s | ", end="")
    print(f"{peer_seconds / own_seconds:.1f} |")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds of some work, and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def ours(runs: int) -> pd.DataFrame:
    """The comparison with all its tables."""
    comparison = mlflow_interpret.compare_runs(max_results=runs)
    for name in ("agreement", "differences", "runs"):
        getattr(comparison, name)  # each is made at its first use
    return comparison.table


def theirs(runs: int) -> pd.DataFrame:
    """The table of importances alone, by MLflow's own functions."""
    found = mlflow.search_runs(max_results=runs)
    tables = []
    for run in found.itertuples():
        path = f"{run.artifact_uri}/mlflow_interpret/{explanation_io.GLOBAL}"
        table = mlflow.artifacts.load_dict(path)
        tables.append(
            pd.DataFrame(table["data"], columns=table["columns"]).assign(run_id=run.run_id)
        )
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    main()
