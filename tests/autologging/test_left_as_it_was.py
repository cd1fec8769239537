"""What `autolog` leaves in a process after `flush` and after it is switched off: nothing."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import warnings
from contextlib import suppress
from typing import Any

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.discovery import all_estimators

import mlflow_interpret
from mlflow_interpret.stores import spool

METHODS = ("fit", "fit_predict", "fit_transform", "partial_fit")


def state() -> dict[str, Any]:
    """The settings and resources of this process that belong to the user."""
    process = psutil.Process()
    return {
        "environment": dict(os.environ),
        "warning filters": list(warnings.filters),
        "warning function": warnings.showwarning,
        "log levels": {
            name: (logger.level, list(logger.handlers), logger.propagate, logger.disabled)
            for name, logger in logging.root.manager.loggerDict.items()
            if name in {"mlflow", "sklearn", "matplotlib", "py.warnings"}
            and isinstance(logger, logging.Logger)
        },
        "root logger": (logging.root.level, list(logging.root.handlers)),
        "matplotlib": dict(mpl.rcParams),
        "figures": mpl._pylab_helpers.Gcf.get_all_fig_managers(),
        "pandas": [pd.get_option(name) for name in ("display.max_rows", "display.precision")],
        "scikit-learn": sklearn.get_config(),
        "numpy": (np.geterr(), np.get_printoptions()),
        "random states": (random.getstate(), np.random.get_state()[1].tolist()),
        "working directory": (os.getcwd(), sorted(os.listdir())),
        "import path": list(sys.path),
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook, threading.Thread.start),
        # Of this package: threads of other tests may end meanwhile.
        "threads": [t.name for t in threading.enumerate() if t.name.startswith("mlflow-interpret")],
        "children": [line for line in command_lines(process) if "mlflow_interpret" in line],
        # Of this test: earlier tests may have left drawings in their spools.
        "locks": [f.path for f in process.open_files() if str(spool.directory()) in f.path],
    }


def command_lines(process: psutil.Process) -> list[str]:
    """The command lines of all processes below a process."""
    lines = []
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            lines.append(" ".join(child.cmdline()))
    return lines


def methods() -> dict[tuple[str, str], Any]:
    return {
        (name, method): vars(estimator)[method]
        for name, estimator in all_estimators()
        for method in METHODS
        if method in vars(estimator)
    }


def train(rows: Any, labels: Any) -> None:
    for model in (LogisticRegression(max_iter=500), RandomForestClassifier(5, random_state=0)):
        with mlflow.start_run(run_name="named"):  # MLflow draws other names at random
            model.fit(rows, labels)


@pytest.mark.subprocess
@pytest.mark.parametrize("options", [{}, {"background": True}], ids=["foreground", "background"])
def test_flush_and_disable_leave_the_process_as_it_was(store, options):
    iris = load_iris(return_X_y=True, as_frame=True)
    train(*iris)
    mlflow_interpret.flush()  # ends the idle workers of earlier tests
    before, methods_before = state(), methods()
    mlflow_interpret.autolog(silent=True, **options)
    assert methods() != methods_before
    train(*iris)
    assert mlflow_interpret.flush()
    assert state() == before
    mlflow_interpret.autolog(disable=True)
    assert state() == before
    assert methods() == methods_before
