"""Child processes that run a module of this package."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from mlflow_interpret.runtime import temporary_folders

NICENESS = 10
"""The niceness of processes that work beside the training, which has priority."""


class ProcessDiedError(Exception):
    """A child process ended before it answered.

    Attributes:
        last_line: The last line of its standard error, which may quote data, or "".
        exit_code: Its exit code, None if it could not be ended.
    """

    def __init__(self, message: str, last_line: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.last_line = last_line
        self.exit_code = exit_code


class Worker(Protocol):
    """Answers requests, in another process or here."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""


class Child:
    """A process that answers each line of JSON with another; it starts with the first request.

    Args:
        module: The full name of the module to run.
        niceness: The niceness of its session, where Linux shares the processors between sessions
            (autogroups): there the niceness of a process alone in its session has no effect.
    """

    def __init__(self, module: str, niceness: int = 0) -> None:
        self._module = module
        self._niceness = niceness
        self._process: subprocess.Popen[str] | None = None
        self._folder: Path | None = None
        self._is_killed = False
        self._is_awaited = False

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            ProcessDiedError: The child ended before it answered. The next request starts another.
        """
        process = self._running()
        line = ""
        with suppress(OSError, ValueError):
            process.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            line = process.stdout.readline()  # type: ignore[union-attr]
        if not line.endswith("\n"):
            raise self._died(process)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End the process, which gets two seconds to end by itself."""
        process, folder = self._process, self._folder
        self._process = self._folder = None
        if process is not None:
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            end(process)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def is_running(self) -> bool:
        """Whether the process has been started and not been ended."""
        return self._process is not None

    def hurry(self) -> None:
        """Give the process its full share of the processors, as someone waits for it."""
        self._is_awaited = True
        self._set_session_niceness()

    def give_way(self) -> None:
        """Give other sessions priority again."""
        self._is_awaited = False
        self._set_session_niceness()

    def _set_session_niceness(self) -> None:
        process, niceness = self._process, 0 if self._is_awaited else self._niceness
        if process is not None and self._niceness:
            with suppress(OSError):  # not on Linux, or without autogroups
                Path(f"/proc/{process.pid}/autogroup").write_text(str(niceness))

    def kill(self) -> None:
        """Kill the process for good, from any thread; its request ends with an error."""
        self._is_killed = True
        process = self._process
        if process is not None:
            _kill(process)

    def disown(self) -> None:
        """Close this process' copies of the pipes, so that the child notices its parent's end."""
        process, self._process = self._process, None
        self._folder = None
        for pipe in () if process is None else (process.stdin, process.stdout):
            with suppress(OSError, ValueError):
                os.close(pipe.fileno())  # type: ignore[union-attr]

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._folder = temporary_folders.create()
            work = self._folder / "work"
            work.mkdir()
            # A file, because a pipe that nobody reads would fill up.
            with (self._folder / "errors").open("a", encoding="utf-8") as errors:
                self._process = start(self._module, work, errors)
            self._set_session_niceness()
            if self._is_killed:  # while the process started
                _kill(self._process)
        return self._process

    def _died(self, process: subprocess.Popen[str]) -> ProcessDiedError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        lines: list[str] = []
        if self._folder is not None:
            with suppress(OSError):
                path = self._folder / "errors"
                lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        self.end()
        return ProcessDiedError(
            f"the process that explains ended with exit code {process.returncode}",
            lines[-1][:200] if lines else "",
            process.returncode,
        )


def start(
    module: str, folder: Path, errors: IO[str] | int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Run a module of this package in a new process, with pipes as its standard streams.

    The process is not a fork: it shares no memory, threads or locks with this one, and it does not
    run the user's script again.

    Args:
        module: The full name of the module.
        folder: The working directory, an empty folder, because Python looks for modules there.
        errors: The file for standard error.
    """
    return subprocess.Popen(  # noqa: S603 - this Python, and a module of this package
        [sys.executable, "-m", module],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C in the terminal is meant for the training.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # on Windows
    )


def end(child: subprocess.Popen[str]) -> None:
    """End a child and the processes it started; do not wait for those that cannot be ended."""
    _kill(child)
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=5)
    for pipe in (child.stdin, child.stdout, child.stderr):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()


def _kill(child: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _environment() -> dict[str, str]:
    # Relative entries are resolved here, because the child has another working directory.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
