"""Programs that use the real SDK, each in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from programs import run_python

_DIRECTORY = Path(__file__).parent


def run_client(
    name: str, environment: dict[str, str], directory: Path, *arguments: str
) -> dict[str, Any]:
    """Run a client script and return its results."""
    result = directory / f"{name}.json"
    program = _DIRECTORY / f"{name}.py"
    output = run_python(program, environment, directory, [str(result), *arguments])
    found: dict[str, Any] = json.loads(result.read_text())
    found["output"] = output
    return found
