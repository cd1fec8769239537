"""Importances as MLflow metrics: few, safely named, and reversible."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_interpret.config import MAX_METRICS
from mlflow_interpret.records import Explanation

PREFIX = "importance"

# MLflow allows word characters, dashes, dots, spaces, colons and slashes; a colon fails on
# Windows and a slash would open a group of its own in the MLflow UI.
_FORBIDDEN = re.compile(r"[^\w.\- ]|\.{2,}")
_MAX_BYTES = 200  # MLflow: 250 characters with the group; file names: 255 bytes


@dataclass(frozen=True)
class Metrics:
    """The metrics of one explanation.

    Attributes:
        values: Importance by metric name.
        features: Feature by metric name: the way back.
        left_out: How many features are in the artifacts only.
    """

    values: Mapping[str, float]
    features: Mapping[str, str]
    left_out: int


def metrics_of(explanation: Explanation, top_k: int, number: int = 1, taken: int = 0) -> Metrics:
    """The ``top_k`` most important features as metrics ``importance/<feature>``.

    Args:
        explanation: The explanation.
        top_k: At most so many.
        number: Which explanation of its run it is; from the second on the group is called
            ``importance-<number>``.
        taken: How many of the run's metric names earlier explanations have taken.
    """
    group = PREFIX if number == 1 else f"{PREFIX}-{number}"
    room = max(0, min(top_k, MAX_METRICS - taken))
    values: dict[str, float] = {}
    features: dict[str, str] = {}
    used: set[str] = set()
    finite = [ranked for ranked in explanation.ranked() if math.isfinite(ranked[1])]
    for feature, importance in finite[:room]:
        name = f"{group}/{_unused(metric_name(feature), used)}"
        values[name] = importance
        features[name] = feature
    return Metrics(values, features, len(explanation.features) - len(values))


def metric_name(feature: str) -> str:
    """A name that MLflow's stores accept, on every system."""
    name = _FORBIDDEN.sub("_", feature).strip()
    raw = name.encode("utf-8", "replace")
    if len(raw) > _MAX_BYTES:
        digest = hashlib.sha256(feature.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        name = f"{raw[:_MAX_BYTES].decode('utf-8', 'ignore').rstrip()}_{digest}"
    if not name.strip(". "):
        name = f"_{name.strip()}_"
    return name


def _unused(name: str, used: set[str]) -> str:
    candidate, number = name, 1
    # Some databases compare names without their case, or without trailing spaces.
    while candidate.casefold() in used:
        number += 1
        candidate = f"{name}_{number}"
    used.add(candidate.casefold())
    return candidate
