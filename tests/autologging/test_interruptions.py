"""Processes that get a signal, or end, at a random moment of an explanation; then one flush.

``FAULTS=all`` (`tox -e faults`) has a hundred moments.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import mlflow
import pytest
from click.testing import CliRunner

import interruptions
from mlflow_interpret.autologging import begun_logs, snapshots
from mlflow_interpret.cli import main
from mlflow_interpret.stores import drawing, spool
from mlflow_interpret.stores import mlflow as mlflow_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.subprocess,
    pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="reads the processes in /proc"),
]

COUNT = "100" if os.environ.get("FAULTS") == "all" else "3"


@pytest.fixture
def trials(store, tmp_path):
    """The outcomes of all trials, before the flush."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    destination = {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}
    done = subprocess.run(
        [sys.executable, interruptions.__file__, "0", COUNT],
        env={**os.environ, **destination, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [interruptions.Trial(**json.loads(line)) for line in done.stdout.splitlines()]


def test_nothing_is_half_twice_or_running(store, trials):
    assert len(trials) == int(COUNT)
    for trial in trials:
        assert trial.processes == [], trial
        assert "Traceback" not in trial.output, trial
        if trial.action == "SIGINT":
            assert (trial.exit_code, len(trial.fits)) == (0, 2), trial
        elif trial.place:
            assert trial.exit_code == (0 if trial.action == "_exit" else -15), trial
        assert {*trial.fits} <= {"fitted", "interrupted"}, trial
    flushed = CliRunner().invoke(main, ["flush"])
    assert flushed.exit_code == 0, flushed.output
    kept = spool.folders() + drawing.abandoned() + snapshots.abandoned() + begun_logs.abandoned()
    assert kept == []
    for trial in trials:
        check_runs(store, trial)


def check_runs(store: str, trial: interruptions.Trial) -> None:
    """Check that each run of a trial has all of an explanation, a reason, or nothing."""
    names = ["test"] if trial.own_run else [f"{trial.name}-{number}" for number in range(2)]
    runs = mlflow.search_runs(experiment_names=names, output_format="list")
    if trial.own_run:
        runs = [run for run in runs if run.info.run_name.startswith(f"{trial.name}-")]
    assert len(runs) <= 2, trial
    if trial.action == "SIGINT":
        assert len(runs) >= trial.fits.count("fitted"), trial
    client = mlflow.MlflowClient()
    for run in runs:
        run_id, tags = run.info.run_id, run.data.tags
        folders = [file.path for file in client.list_artifacts(run_id)]
        assert folders == ["mlflow_interpret"] * len(folders), trial
        assert tags.get("mlflow_interpret.explanations", "0") == str(len(folders)), trial
        status = mlflow_store.status_of(run_id, store)
        assert status.get("status") == tags.get("mlflow_interpret.status"), trial
        is_explained = tags.get("mlflow_interpret.status") == "complete"
        assert bool(run.data.metrics) is is_explained, trial
        if is_explained:
            files = [file.path for file in client.list_artifacts(run_id, folders[0])]
            assert any(path.endswith(".png") for path in files), trial
        if trial.action == "SIGINT" or not trial.own_run:
            assert run.info.status in {"FINISHED", "FAILED"}, trial
        if trial.action == "SIGINT" and trial.fits == ["fitted", "fitted"]:
            assert tags.get("mlflow_interpret.status") in {"complete", "skipped"}, trial
