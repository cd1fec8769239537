"""Programs that use the real SDK, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENT_TIMEOUT = 240
_DIRECTORY = Path(__file__).parent


def run_client(
    name: str, environment: dict[str, str], directory: Path, *arguments: str
) -> dict[str, Any]:
    """Run one of the client scripts, and return what it found."""
    result = directory / f"{name}.json"
    done = subprocess.run(
        [sys.executable, str(_DIRECTORY / f"{name}.py"), str(result), *arguments],
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=CLIENT_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(result.read_text())
    found["output"] = done.stdout + done.stderr
    return found
