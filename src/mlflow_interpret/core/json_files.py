"""JSON files: readable, UTF-8, with numbers that JSON lacks as strings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import InvalidExplanationError

MAX_BYTES = 500_000_000
"""The largest JSON file that is read; the importances of a million features take less."""


def write_json(path: Path, value: Any) -> None:
    """Write readable UTF-8 JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except UnicodeEncodeError:  # a lone surrogate, as in undecodable file names
        text = json.dumps(value, indent=2, allow_nan=False, default=_plain)
        path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InvalidExplanationError: It is too large.
        ValueError: It holds no JSON.
        RecursionError: It is nested too deeply.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InvalidExplanationError(f"it has {size:,} bytes, and {MAX_BYTES:,} are read at most")
    return json.loads(path.read_text(encoding="utf-8"))


def read_id(path: Path, key: str) -> str | None:
    """Return the id under a key of a JSON file, None where there is none."""
    try:
        return str(read_json(path)[key])
    except (KeyError, RecursionError, TypeError, ValueError):  # cut off, or written by others
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def to_json_numbers(values: Any) -> Any:
    """Return nested lists of numbers; infinity and NaN, which JSON lacks, become strings."""
    if values is None:
        return None
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list):
        return [to_json_numbers(value) for value in values]
    return values if math.isfinite(values) else str(values)


def labels_to_json(classes: tuple[Any, ...]) -> list[Any]:
    """Return the classes as JSON values; a float that is not finite becomes a string."""
    return [to_json_numbers(label) if isinstance(label, float) else label for label in classes]


def from_json_numbers(values: Any) -> Any:
    """Return nested lists of numbers as an array; None stays None."""
    return None if values is None else np.asarray(values, dtype=np.float64)
