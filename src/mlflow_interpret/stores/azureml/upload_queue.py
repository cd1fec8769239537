"""Uploads beside the training, by worker processes, bounded in time."""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.redaction import redact
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.forks import call_after_fork
from mlflow_interpret.runtime.progress import wait
from mlflow_interpret.runtime.timeouts import TimedCall
from mlflow_interpret.runtime.worker_process import ProcessDiedError
from mlflow_interpret.stores.azureml.worker_pool import WorkerPool
from mlflow_interpret.stores.azureml.workspace import AzureRun

_logger = logging.getLogger(__name__)

_MAX_WORKERS = 2  # each is a Python with the whole SDK
_IDLE_SECONDS = 30.0
_EXIT_SECONDS = 10.0  # at the exit, for the status of the last upload
_EXIT_TEXT = "the process ended before the upload"


@dataclass(frozen=True)
class UploadResult:
    """The result of an upload.

    Attributes:
        ok: The explanation is in Azure ML.
        reason: Why it is not, in one line without secrets.
        seconds: The duration.
        explanation_id: Its id in Azure ML.
        tagged: Whether the Azure ML run has the tag of runs with explanations.
    """

    ok: bool
    reason: str | None
    seconds: float
    explanation_id: str | None = None
    tagged: bool = True


@dataclass(frozen=True)
class UploadOptions:
    """The options of an upload.

    Attributes:
        comment: The comment shown in studio.
        random_state: The seed of the sample of rows for studio.
        points: The most explained rows to upload, None for the default.
        timeout: Seconds after which the upload is cut off, from its start.
        silent: Show no progress while waiting for it.
    """

    comment: str | None
    random_state: int
    points: int | None
    timeout: float
    silent: bool = False


class _State:
    """The uploads of this process.

    Attributes:
        running: The threads of uploads that have not ended.
        ended: For each Azure ML run, an event that is set when its last upload ends.
        slots: One for each worker process.
        end: While the process exits: when all uploads together have to end.
        exiting: Whether the process has waited for its uploads.
    """

    def __init__(self) -> None:
        self.running: dict[threading.Thread, UploadOptions] = {}
        self.ended: dict[str, threading.Event] = {}
        self.guard = threading.Lock()
        self.slots = threading.BoundedSemaphore(_MAX_WORKERS)
        self.end = math.inf
        self.exiting = False


_state = _State()
_workers = WorkerPool("mlflow_interpret.stores.azureml.upload_worker", _IDLE_SECONDS)


def start(
    folder: Path,
    find_run: Callable[[], AzureRun],
    upload_options: UploadOptions,
    done: Callable[[UploadResult], None],
    order_key: str = "",
) -> None:
    """Upload an explanation in a worker process while the caller goes on.

    Uploads to one Azure ML run keep their order, because the latest explanation of a run is the one
    that is read by default; others run at the same time.

    Args:
        folder: The explanation's folder, which has to exist until ``done`` is called.
        find_run: Finds the Azure ML run; it sends requests, so it is bounded in time like the
            upload.
        upload_options: The options.
        done: Called once, in another thread, with the result.
        order_key: The same for all uploads to one Azure ML run.
    """
    state = _state
    timed = None if state.exiting else _timed(find_run)
    if timed is None:  # the process exits, so there is nothing to go on with
        state.end = min(state.end, time.monotonic() + upload_options.timeout)
        with state.slots:
            result = _upload(folder, lambda _: find_run(), upload_options)
        done(result)
        _workers.end_idle()
        return

    ended = threading.Event()
    with state.guard:
        previous = state.ended.get(order_key)
        state.ended[order_key] = ended

    def run() -> None:
        try:
            if previous is not None:
                previous.wait()
            with state.slots:
                result = _upload(folder, timed.result, upload_options)
            done(result)
        finally:
            with state.guard:
                state.running.pop(thread, None)
                if state.ended.get(order_key) is ended:
                    del state.ended[order_key]
            ended.set()

    thread = threading.Thread(target=run, name="mlflow-interpret-upload", daemon=True)
    with state.guard:
        state.running[thread] = upload_options
    thread.start()


def flush(timeout: float | None = None) -> bool:
    """Wait for the running uploads.

    Args:
        timeout: Seconds to wait, None for as long as the uploads' own bounds allow.

    Returns:
        Whether all have ended.
    """
    with _state.guard:
        uploads = dict(_state.running)

    def running() -> list[threading.Thread]:
        return [thread for thread in uploads if thread.is_alive()]

    def pause(seconds: float) -> None:
        for thread in running()[:1]:
            thread.join(seconds)

    return not wait(
        lambda: len(running()),
        pause,
        timeout,
        description="Uploading to Azure ML",
        unit="explanations",
        silent=all(upload_options.silent for upload_options in uploads.values()),
    )


def _timed(find_run: Callable[[], AzureRun]) -> TimedCall[AzureRun] | None:
    try:
        return TimedCall(find_run)
    except RuntimeError:  # from Python 3.12 on, no thread starts while the interpreter exits
        return None


def end_idle_workers() -> None:
    """End the processes that upload nothing."""
    _workers.end_idle()


# This registers weakref's exit function, which deletes temporary folders. Exit functions run in
# reverse order, so ours, which waits for uploads that use such folders, has to be registered later.
weakref.finalize(_state, bool)


@atexit.register
def _finish_at_exit() -> None:
    """Give all running uploads together the time of one."""
    with _state.guard:
        timeouts = [upload_options.timeout for upload_options in _state.running.values()]
    if timeouts:
        seconds = max(timeouts)
        _state.end = time.monotonic() + seconds
        flush(seconds + _EXIT_SECONDS)
    _state.exiting = True
    _workers.end_idle()


def _forget_uploads_of_parent() -> None:
    global _state  # noqa: PLW0603 - its locks may be held by threads of the parent
    _state = _State()
    _workers.disown()


call_after_fork(_forget_uploads_of_parent)


def _upload(
    folder: Path, find_run: Callable[[float], AzureRun], upload_options: UploadOptions
) -> UploadResult:
    started = time.monotonic()
    deadline = min(started + upload_options.timeout, _state.end)
    run: AzureRun | None = None
    answer: dict[str, Any]
    if deadline <= started:
        return UploadResult(False, _EXIT_TEXT, 0.0)
    try:
        with temporary_folders.temporary() as work:
            run = find_run(deadline - time.monotonic())
            request = {
                "run": asdict(run),
                "folder": str(folder),
                "work": work,
                "comment": upload_options.comment,
                "random_state": upload_options.random_state,
                "points": upload_options.points,
                "until": time.time() + deadline - time.monotonic(),
            }
            answer = _ask_worker(request, deadline)
    except AzureMLError as error:
        answer = {"ok": False, "reason": str(error)}
    except TimeoutError:
        is_cut_short = deadline < started + upload_options.timeout
        text = _EXIT_TEXT if is_cut_short else _timeout_text(upload_options.timeout)
        answer = {"ok": False, "reason": text}
    except ProcessDiedError as error:
        answer = {"ok": False, "reason": _exit_text(error)}
    except BaseException as error:
        _logger.debug("The upload failed", exc_info=True)
        answer = {"ok": False, "reason": f"{type(error).__name__}: {error}"}
    reason = answer.get("reason")
    if reason is not None:
        reason = redact(str(reason), None if run is None else run.workspace.token)
    seconds = round(time.monotonic() - started, 3)
    explanation_id, tagged = answer.get("explanation_id"), answer.get("tagged", True)
    return UploadResult(bool(answer["ok"]), reason, seconds, explanation_id, tagged)


def _timeout_text(seconds: float) -> str:
    return f"Azure ML did not accept the explanation within {seconds:.3g} seconds"


def _exit_text(error: ProcessDiedError) -> str:
    last_line = error.last_line or "no output"
    return f"the upload process ended with exit code {error.exit_code}: {last_line}"


def _ask_worker(request: dict[str, Any], deadline: float) -> dict[str, Any]:
    return _workers.ask(request, deadline)
