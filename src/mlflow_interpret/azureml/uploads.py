"""Uploads that run beside the training: one child process each, bounded in time."""

from __future__ import annotations

import atexit
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mlflow_interpret import processes, storage
from mlflow_interpret.azureml.redaction import redact
from mlflow_interpret.azureml.targets import Target
from mlflow_interpret.records import Explanation

_running: set[threading.Thread] = set()
_guard = threading.Lock()
_ONE_CHILD = threading.Lock()  # each is a Python with the whole SDK; many fits queue up


@dataclass(frozen=True)
class Result:
    """How an upload ended.

    Attributes:
        ok: It arrived.
        reason: Why it did not, in one line without secrets.
        seconds: How long it took.
    """

    ok: bool
    reason: str | None
    seconds: float


def start(
    explanation: Explanation,
    target: Target,
    *,
    comment: str | None,
    random_state: int,
    timeout: float,
    done: Callable[[Result], None],
) -> None:
    """Upload in a child process while the caller goes on.

    Args:
        explanation: The explanation.
        target: The Azure ML run.
        comment: Shown in studio beside the explanation.
        random_state: Seeds the client's sample of rows for studio.
        timeout: Seconds after which the child is ended; they begin when it starts.
        done: Called once, in another thread, with the result.
    """

    def watch() -> None:
        try:
            with _ONE_CHILD:
                deadline = time.monotonic() + timeout
                result = _upload(explanation, target, comment, random_state, deadline)
            done(result)
        finally:
            with _guard:
                _running.discard(thread)

    thread = threading.Thread(target=watch, name="mlflow-interpret-upload", daemon=True)
    with _guard:
        _running.add(thread)
    thread.start()


def flush(timeout: float | None = None) -> bool:
    """Wait for the uploads that still run.

    Args:
        timeout: Seconds to wait at most, None for as long as the uploads' own bounds allow.

    Returns:
        Whether none is left.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with _guard:
        waiting = list(_running)
    for thread in waiting:
        thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in waiting)


atexit.register(flush)  # each upload has its bound, so the exit has one, too


def _upload(
    explanation: Explanation,
    target: Target,
    comment: str | None,
    random_state: int,
    deadline: float,
) -> Result:
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(
            prefix="mlflow-interpret-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name) / "record"
            folder.mkdir()
            storage.write(explanation, folder)
            request = {
                "target": asdict(target),
                "folder": str(folder),
                "comment": comment,
                "random_state": random_state,
                "until": time.time() + deadline - time.monotonic(),
                "seconds": max(1.0, deadline - time.monotonic()) + 30.0,
            }
            reason = _run_child(json.dumps(request), Path(name), deadline)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if reason is not None:
        reason = redact(reason, target.token)
    return Result(reason is None, reason, round(time.monotonic() - started, 3))


def _run_child(request: str, folder: Path, deadline: float) -> str | None:
    """Why the child failed, None where it did not."""
    work = folder / "work"
    work.mkdir()
    child = processes.start("mlflow_interpret.azureml.child", work)
    timeout = max(0.1, deadline - time.monotonic())
    try:
        output, errors = child.communicate(request, timeout=timeout)
    except subprocess.TimeoutExpired:
        processes.end(child)
        return f"Azure ML did not take the explanation within {timeout:.3g} seconds"
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = next(iter(reversed([*errors.strip().splitlines(), *lines])), "no output")
        return f"the upload process ended with exit code {child.returncode}: {last}"
    return None if answer["ok"] else str(answer["reason"])
