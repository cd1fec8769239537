"""JSON files: readable, UTF-8, with numbers that JSON lacks as strings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np


def write_json(path: Path, value: Any) -> None:
    """Write readable UTF-8 JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except UnicodeEncodeError:  # a lone surrogate, as in undecodable file names
        text = json.dumps(value, indent=2, allow_nan=False, default=_plain)
        path.write_text(text + "\n", encoding="utf-8")


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
