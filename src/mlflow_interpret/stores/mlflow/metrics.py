"""MLflow metrics of importances: few, with safe names that lead back to the features."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import MAX_METRICS, METRICS
from mlflow_interpret.core.statistics import shares

PREFIX = "importance"
SHARE = "importance_share"
SHIFT = "importance_shift"

# MLflow allows word characters, dashes, dots, spaces, colons and slashes; a colon fails on
# Windows and a slash would open a group of its own in the MLflow UI.
_FORBIDDEN = re.compile(r"[^\w.\- ]|\.{2,}")
_MAX_BYTES = 200  # MLflow: 250 characters with the group; file names: 255 bytes


@dataclass(frozen=True)
class Metrics:
    """The metrics of one explanation.

    Attributes:
        values: Importance, share or shift by metric name.
        features: Feature by metric name, of the importances.
        shares: Feature by metric name, of the shares.
        left_out: The number of features that are in the artifacts only.
    """

    values: Mapping[str, float]
    features: Mapping[str, str]
    shares: Mapping[str, str]
    left_out: int


def metrics_of(
    explanation: Explanation,
    top_k: int,
    number: int = 1,
    room: int = MAX_METRICS,
    share_room: int | None = None,
    kinds: Sequence[str] = METRICS,
) -> Metrics:
    """Return the ``top_k`` most important features as metrics.

    ``importance/<feature>`` is in the units of the model's output. ``importance_share/<feature>``
    is the share of the total, from 0 to 1, which compares between models. The comparison with a
    baseline comes first, as ``importance_shift/spearman`` and so on.

    Args:
        explanation: The explanation.
        top_k: The largest number of features.
        number: The number of the explanation in its run; from the second on the groups are
            ``importance-<number>``, ``importance_share-<number>`` and
            ``importance_shift-<number>``.
        room: The number of metric names that the run can still take.
        share_room: The number of names of shares that the run can still take. None: the names that
            the importances leave of ``room``.
        kinds: ``importance``, ``share`` or both.
    """
    suffix = "" if number == 1 else f"-{number}"
    values = {
        f"{SHIFT}{suffix}/{name}": value
        for name, value in list(_shift(explanation).items())[: max(0, room)]
    }
    names = _names(explanation.features)
    parts = dict(zip(explanation.features, shares(explanation.global_values), strict=True))
    ranked = [(name, value) for name, value in explanation.ranked() if math.isfinite(value)]
    features: dict[str, str] = {}
    share_features: dict[str, str] = {}
    if "importance" in kinds:
        for feature, importance in ranked[: max(0, min(top_k, room - len(values)))]:
            name = f"{PREFIX}{suffix}/{names[feature]}"
            values[name], features[name] = importance, feature
    if "share" in kinds:
        share_room = room - len(values) if share_room is None else share_room
        for feature, _ in ranked[: max(0, min(top_k, share_room))]:
            name = f"{SHARE}{suffix}/{names[feature]}"
            values[name], share_features[name] = float(parts[feature]), feature
    logged = {*features.values(), *share_features.values()}
    return Metrics(values, features, share_features, len(explanation.features) - len(logged))


def _shift(explanation: Explanation) -> dict[str, float]:
    baseline = explanation.details.baseline or {}
    values = {name: baseline.get(name) for name in ("spearman", "kendall", "top_k_overlap")}
    return {name: value for name, value in values.items() if value is not None}


def _names(features: Sequence[str]) -> dict[str, str]:
    """Return the metric name of each feature, which is the same in all runs with these features.

    Features that would get the same name get a digest appended, except a feature whose name needs
    no change.
    """
    groups: dict[str, list[str]] = {}
    for feature in sorted(features):
        # Some databases compare names without their case, or without trailing spaces.
        groups.setdefault(metric_name(feature).casefold(), []).append(feature)
    names: dict[str, str] = {}
    used = set(groups)
    for group in groups.values():
        unchanged = next((name for name in group if metric_name(name) == name), None)
        for feature in group:
            names[feature] = metric_name(feature)
            if len(group) > 1 and feature != unchanged:
                names[feature] = _unused(f"{names[feature]}_{_digest(feature)}", used)
    return names


def metric_name(feature: str) -> str:
    """Return a name that MLflow's stores accept on every system."""
    name = _FORBIDDEN.sub("_", feature).strip()
    raw = name.encode("utf-8", "replace")
    if len(raw) > _MAX_BYTES:
        name = f"{raw[:_MAX_BYTES].decode('utf-8', 'ignore').rstrip()}_{_digest(feature)}"
    if not name.strip(". "):
        name = f"_{name.strip()}_"
    return name


def _digest(feature: str) -> str:
    return hashlib.sha256(feature.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _unused(name: str, used: set[str]) -> str:
    candidate, number = name, 1
    while candidate.casefold() in used:
        number += 1
        candidate = f"{name}_{number}"
    used.add(candidate.casefold())
    return candidate
