"""Child processes of our own: started with what this one knows, and ended whatever they do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


class ProcessDiedError(Exception):
    """A child process has ended before it answered.

    Attributes:
        said: The last line of its standard error, which may quote data, or nothing.
    """

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class Child:
    """A process that answers each line of JSON with another, started when it is first asked.

    Args:
        module: The module of this package that it runs.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The child's answer.

        Raises:
            ProcessDiedError: There will be none; the next request starts another child.
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
        """End the process; it may have two seconds to do so itself."""
        process, folder = self._process, self._folder
        self._process = self._folder = None
        if process is not None:
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=2)
            end(process)
        if folder is not None:
            with suppress(OSError):
                folder.cleanup()

    def disown(self) -> None:
        """Close the pipes of a parent's child, so that it sees when the parent is gone."""
        process, self._process = self._process, None
        for pipe in () if process is None else (process.stdin, process.stdout):
            with suppress(OSError, ValueError):
                os.close(pipe.fileno())  # type: ignore[union-attr]

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._folder = tempfile.TemporaryDirectory(prefix="mlflow-interpret-")
            work = Path(self._folder.name, "work")
            work.mkdir()
            # A file takes whatever is printed; a pipe that nobody reads would fill up.
            with Path(self._folder.name, "errors").open("a", encoding="utf-8") as errors:
                self._process = start(self._module, work, errors)
        return self._process

    def _died(self, process: subprocess.Popen[str]) -> ProcessDiedError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        said: list[str] = []
        if self._folder is not None:
            with suppress(OSError):
                path = Path(self._folder.name, "errors")
                said = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        self.end()
        return ProcessDiedError(
            f"the process that explains ended with exit code {process.returncode}",
            said[-1][:200] if said else "",
        )


def start(
    module: str, folder: Path, errors: IO[str] | int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Run a module of this package in a process of its own.

    Its standard streams are pipes. It is no fork, so nothing of this process' memory, threads and
    locks is in it, and no script of the user's is run again.

    Args:
        module: The module's full name.
        folder: Its working directory, which should be empty: Python looks for modules there.
        errors: Where its standard error goes.
    """
    return subprocess.Popen(  # noqa: S603 - this Python, a module of ours
        [sys.executable, "-m", module],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C in the terminal is the training's, not the child's.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
    )


def end(child: subprocess.Popen[str]) -> None:
    """End a child and whatever it has started, and do not wait for what cannot be ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=5)
    for pipe in (child.stdin, child.stdout, child.stderr):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()


def _environment() -> dict[str, str]:
    # The child runs elsewhere: relative entries of the path would not be found there.
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
