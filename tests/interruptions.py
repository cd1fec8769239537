"""Processes that are interrupted or killed at a random moment of an explanation.

Run as a program, it forks a process for each trial, which fits two models and ends. At a random call
of a function of this package, the process gets a signal or ends. The calls are counted, so that the
moments do not depend on the speed of the machine.

    python tests/interruptions.py SEED COUNT

It prints a line of JSON for each trial.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ACTIONS = ("SIGINT", "SIGTERM", "_exit")
MARK = "MLFLOW_INTERPRET_TRIAL"
FREQUENT = {  # most calls, and all alike
    "mlflow_interpret.core.text",
    "mlflow_interpret.report.description",
    "mlflow_interpret.runtime.thread_warnings",
}
SECONDS = 120.0  # far more than a trial takes
MAX_CALLS = {False: 3_800, True: 1_550}  # of two fits, in the foreground and in the background


@dataclass
class Trial:
    """A trial and its outcome.

    Attributes:
        name: The beginning of the names of its runs.
        action: One of `ACTIONS`.
        background: The fits are explained in the background.
        own_run: The user starts the runs.
        moment: The call of a function at which the action happens.
        place: The function of that call.
        exit_code: The exit code, None for a process that did not end.
        fits: For each fit ``fitted``, ``interrupted`` or the error.
        processes: The processes that are left.
        output: The standard error.
    """

    name: str
    action: str
    background: bool
    own_run: bool
    moment: int
    place: str = ""
    exit_code: int | None = None
    fits: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    output: str = ""


def act(action: str) -> None:
    """Interrupt or end this process."""
    if action == "_exit":
        os._exit(0)
    os.kill(os.getpid(), getattr(signal, action))


def at_call(number: int, function: Callable[[str], None]) -> None:
    """Call a function at a call of a function of this package, counted in all threads."""
    remaining = [number]

    def profile(frame: Any, event: str, _: object) -> None:
        name = str(frame.f_globals.get("__name__"))
        if event != "call" or not name.startswith("mlflow_interpret.") or name in FREQUENT:
            return
        remaining[0] -= 1
        if remaining[0] == 0:
            function(f"{name}.{frame.f_code.co_name}:{frame.f_lineno}")

    threading.setprofile(profile)
    sys.setprofile(profile)


def run_fits(trial: Trial, outcome: Path) -> None:
    """Fit two models in this process, and write what happened."""
    import mlflow
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    import mlflow_interpret

    X, y = load_iris(return_X_y=True, as_frame=True)
    expected = (
        DecisionTreeClassifier(max_depth=2, random_state=0)
        .fit(X.to_numpy(), y)
        .predict(X.to_numpy())
    )

    def note(text: str) -> None:
        with outcome.open("a") as file:
            file.write(f"{text}\n")

    def interrupt(place: str) -> None:
        note(f"at {place}")
        act(trial.action)

    mlflow_interpret.autolog(background=trial.background, log_report=False)
    at_call(trial.moment, interrupt)
    for number in range(2):
        model = DecisionTreeClassifier(max_depth=2, random_state=0)
        try:
            if trial.own_run:
                with mlflow.start_run(run_name=f"{trial.name}-{number}"):
                    model.fit(X, y)
            else:
                mlflow.set_experiment(f"{trial.name}-{number}")
                model.fit(X, y)
            is_fitted = (model.predict(X) == expected).all()
            note("fitted" if is_fitted else "changed")
        except KeyboardInterrupt:
            note("interrupted")
        except BaseException as error:
            note(repr(error))


def processes_of(name: str) -> list[str]:
    """The command lines of the processes of a trial."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            if f"{MARK}={name}\0".encode() in environment and folder.name != str(os.getpid()):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended, or is another user's
            continue
    return [line for line in found if line]


def run(trial: Trial) -> Trial:
    """Run a trial in a forked process."""
    place = Path(tempfile.mkdtemp())
    outcome, output = place / "outcome", place / "output"
    outcome.touch()
    os.environ[MARK] = trial.name
    pid = os.fork()
    if pid == 0:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        run_fits(trial, outcome)
        sys.exit()
    trial.exit_code = _exit_code(pid)
    deadline = time.monotonic() + SECONDS
    while (processes := processes_of(trial.name)) and time.monotonic() < deadline:
        time.sleep(0.1)
    trial.processes = processes
    lines = outcome.read_text().splitlines()
    trial.place = "".join(line for line in lines if line.startswith("at "))
    trial.fits = [line for line in lines if not line.startswith("at ")]
    trial.output = output.read_text()
    shutil.rmtree(place)
    return trial


def _exit_code(pid: int) -> int | None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGABRT)
    os.waitpid(pid, 0)
    return None


def trials(seed: int, count: int) -> list[Trial]:
    """The trials of a seed: all actions, in the foreground and background, own and new runs."""
    generator = random.Random(seed)
    chosen = []
    for number in range(count):
        background = number % 4 == 3
        moment = generator.randrange(MAX_CALLS[background])
        action = ACTIONS[number % 3]
        own_run = number % 2 == 0 if not background else number % 8 == 3
        chosen.append(Trial(f"{seed}-{number}", action, background, own_run, moment))
    return chosen


def main() -> None:
    import matplotlib as mpl
    import sklearn.tree  # noqa: F401

    mpl.use("agg")
    warnings.simplefilter("ignore")
    import faulthandler

    faulthandler.enable()

    import mlflow_interpret.autologging.background
    import mlflow_interpret.autologging.kept
    import mlflow_interpret.explaining.explain
    import mlflow_interpret.report.artifacts  # noqa: F401

    for trial in trials(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(asdict(run(trial))), flush=True)


if __name__ == "__main__":
    main()
