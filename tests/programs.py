"""Programs in Python processes of their own, like users' scripts, and their output."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

SECONDS = 500  # far more than any takes
FILES = 16  # of an upload of `FAILING`
FAILING = """
import sys, time, mlflow_interpret
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier
durations = []
for fault in sys.argv[1:]:
    # The first upload sends all files; twice its duration is enough to reach the files.
    seconds = 2.0 * durations[0] + 5.0 if fault == "hanging" else 200.0
    mlflow_interpret.autolog(upload_timeout=seconds, comment=fault)
    started = time.monotonic()
    DecisionTreeClassifier().fit(*load_iris(return_X_y=True, as_frame=True))
    assert mlflow_interpret.flush()
    durations.append(time.monotonic() - started)
print("trained")
"""
"""A job that uploads once for each argument, the name of a fault."""
_HIDE = """
import sys
sys.modules["azureml.core"] = sys.modules["azureml.interpret"] = None
"""


def run_python(
    program: str | Path,
    environment: Mapping[str, str],
    folder: Path,
    arguments: Sequence[str] = (),
) -> str:
    """Run a program or a file that has to succeed, and return its output."""
    named = [str(program)] if isinstance(program, Path) else ["-c", textwrap.dedent(program)]
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *named, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def output_value(output: str, name: str) -> str:
    """Return the rest of the output line that starts with a name."""
    (line,) = [line for line in output.splitlines() if line.startswith(f"{name} ")]
    return line.removeprefix(f"{name} ")


def warnings_in(output: str) -> list[str]:
    """Return the warnings of this package."""
    return [line for line in output.splitlines() if "WARNING mlflow_interpret" in line]


def logging_to(store: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the store and experiment of the fixture ``store``."""
    return {**environment, "MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "test"}


def without_sdk(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return an environment in which no process can import ExplanationClient."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HIDE)
    path = os.pathsep.join(filter(None, [str(folder), environment.get("PYTHONPATH")]))
    return {**environment, "PYTHONPATH": path}
