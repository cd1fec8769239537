"""Uploads that run beside the training: one child process each, bounded in time."""

from __future__ import annotations

import atexit
import json
import logging
import math
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime import worker_process
from mlflow_interpret.runtime.progress import wait
from mlflow_interpret.runtime.timeouts import TimedCall
from mlflow_interpret.stores.azureml.targets import Target

_logger = logging.getLogger(__name__)

_GRACE = 10.0  # seconds at the exit to say how the last upload ended

_running: dict[threading.Thread, UploadOptions] = {}
_guard = threading.Lock()
_ONE_CHILD = threading.Lock()  # each is a Python with the whole SDK; many fits queue up


@dataclass(frozen=True)
class Result:
    """How an upload ended.

    Attributes:
        ok: It arrived.
        reason: Why it did not, in one line without secrets.
        seconds: How long it took.
        explanation_id: Under which id Azure ML has the explanation, where it arrived.
        tagged: Whether the Azure ML run has the tag of runs with explanations, where it arrived.
    """

    ok: bool
    reason: str | None
    seconds: float
    explanation_id: str | None = None
    tagged: bool = True


@dataclass(frozen=True)
class UploadOptions:
    """How an explanation is to be uploaded.

    Attributes:
        comment: Shown in studio beside the explanation.
        random_state: Seeds the sample of rows for studio.
        points: How many explained rows go there, None for the default.
        timeout: Seconds after which an upload is cut off; they begin when it starts.
        silent: Whoever waits for it sees no progress.
    """

    comment: str | None
    random_state: int
    points: int | None
    timeout: float
    silent: bool = False


def start(
    folder: Path,
    find: Callable[[], Target],
    upload_options: UploadOptions,
    done: Callable[[Result], None],
) -> None:
    """Upload in a child process while the caller goes on.

    Args:
        folder: The folder of the explanation, which stays until ``done`` is called.
        find: Finds the Azure ML run, which takes requests and may hang, like the upload.
        upload_options: How.
        done: Called once, in another thread, with the result.
    """
    bounded = None if _Closing.over else _bounded(find)
    if bounded is None:  # the process is ending: nothing goes on beside it any more
        _Closing.end = min(_Closing.end, time.monotonic() + upload_options.timeout)
        with _ONE_CHILD:
            result = _upload(folder, lambda _: find(), upload_options)
        done(result)
        return

    def watch() -> None:
        try:
            with _ONE_CHILD:
                result = _upload(folder, bounded.result, upload_options)
            done(result)
        finally:
            with _guard:
                _running.pop(thread, None)

    thread = threading.Thread(target=watch, name="mlflow-interpret-upload", daemon=True)
    with _guard:
        _running[thread] = upload_options
    thread.start()


def _bounded(find: Callable[[], Target]) -> TimedCall[Target] | None:
    try:
        return TimedCall(find)
    except RuntimeError:  # from Python 3.12 on no thread starts then
        return None


def flush(timeout: float | None = None) -> bool:
    """Wait for the uploads that still run.

    Args:
        timeout: Seconds to wait at most, None for as long as the uploads' own bounds allow.

    Returns:
        Whether none is left.
    """
    with _guard:
        waiting = dict(_running)

    def left() -> list[threading.Thread]:
        return [thread for thread in waiting if thread.is_alive()]

    def pause(seconds: float) -> None:
        for thread in left()[:1]:
            thread.join(seconds)

    return not wait(
        lambda: len(left()),
        pause,
        timeout,
        description="Uploading to Azure ML",
        unit="explanations",
        silent=all(upload_options.silent for upload_options in waiting.values()),
    )


class _Closing:
    """When the process ends: then all uploads together get the time of one."""

    end: float = math.inf
    over: bool = False


@atexit.register
def _close() -> None:
    with _guard:
        seconds = max((upload_options.timeout for upload_options in _running.values()), default=0.0)
    if seconds:
        _Closing.end = time.monotonic() + seconds
        flush(seconds + _GRACE)
    _Closing.over = True


def _upload(folder: Path, find: Callable[[float], Target], upload_options: UploadOptions) -> Result:
    started = time.monotonic()
    deadline = min(started + upload_options.timeout, _Closing.end)
    target: Target | None = None
    answer: dict[str, Any]
    if deadline <= started:
        return Result(False, "the process ended before its turn came", 0.0)
    try:
        with tempfile.TemporaryDirectory(
            prefix="mlflow-interpret-", ignore_cleanup_errors=True
        ) as name:
            target = find(deadline - time.monotonic())
            request = {
                "target": asdict(target),
                "folder": str(folder),
                "comment": upload_options.comment,
                "random_state": upload_options.random_state,
                "points": upload_options.points,
                "until": time.time() + deadline - time.monotonic(),
                "seconds": max(1.0, deadline - time.monotonic()) + 30.0,
            }
            answer = _run_child(json.dumps(request), Path(name), deadline)
    except AzureMLError as error:
        answer = {"ok": False, "reason": str(error)}
    except TimeoutError:
        answer = {"ok": False, "reason": _cut_off(upload_options.timeout)}
    except BaseException as error:
        _logger.debug("The upload failed", exc_info=True)
        answer = {"ok": False, "reason": f"{type(error).__name__}: {error}"}
    reason = answer.get("reason")
    if reason is not None:
        reason = redact(str(reason), None if target is None else target.token)
    seconds = round(time.monotonic() - started, 3)
    found, tagged = answer.get("explanation_id"), answer.get("tagged", True)
    return Result(bool(answer["ok"]), reason, seconds, found, tagged)


def _cut_off(seconds: float) -> str:
    return f"Azure ML did not take the explanation within {seconds:.3g} seconds"


def _run_child(request: str, folder: Path, deadline: float) -> dict[str, Any]:
    """The child's answer, or one that says why there is none."""
    work = folder / "work"
    work.mkdir()
    child = worker_process.start("mlflow_interpret.stores.azureml.upload_worker", work)
    timeout = max(0.1, deadline - time.monotonic())
    try:
        output, errors = child.communicate(request, timeout=timeout)
    except subprocess.TimeoutExpired:
        worker_process.end(child)
        raise TimeoutError from None
    lines = output.strip().splitlines()
    try:
        answer: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = next(iter(reversed([*errors.strip().splitlines(), *lines])), "no output")
        reason = f"the upload process ended with exit code {child.returncode}: {last}"
        return {"ok": False, "reason": reason}
    return answer
