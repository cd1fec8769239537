"""MLflow metrics of importances: few, with safe names that lead back to the features."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import by_group
from mlflow_interpret.core.options import MAX_METRICS, METRICS
from mlflow_interpret.core.statistics import shares

PREFIX = "importance"
SHARE = "importance_share"
SHIFT = "importance_shift"
GROUP = "importance_group"
GROUP_SHARE = "importance_share_group"

OWN_METRIC = re.compile(rf"({PREFIX}|{SHARE}|{SHIFT}|{GROUP}|{GROUP_SHARE})(-\d+)?/")
"""The beginning of the metrics of an explanation; from the second one on with its number."""

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
        groups: Group of features by metric name, of the importances of groups.
        group_shares: Group of features by metric name, of the shares of groups.
        groups_left_out: The number of groups that are in the artifacts only.
    """

    values: Mapping[str, float]
    features: Mapping[str, str]
    shares: Mapping[str, str]
    left_out: int
    groups: Mapping[str, str] = field(default_factory=dict)
    group_shares: Mapping[str, str] = field(default_factory=dict)
    groups_left_out: int = 0


@dataclass(frozen=True)
class MetricRoom:
    """The number of metric names that an explanation may add to a run.

    Attributes:
        all: The number of all names; of importances and shifts alone where the others are given.
        shares: The number of shares. None: the names that the importances leave of ``all``.
        groups: The number of importances of groups, and as many shares. None: the names that the
            importances of features leave.
    """

    all: int = MAX_METRICS
    shares: int | None = None
    groups: int | None = None


def metrics_of(
    explanation: Explanation,
    top_k: int,
    number: int = 1,
    room: MetricRoom | None = None,
    kinds: Sequence[str] = METRICS,
) -> Metrics:
    """Return the ``top_k`` most important features, and groups of features, as metrics.

    ``importance/<feature>`` is in the units of the model's output. ``importance_share/<feature>``
    is the share of the total, from 0 to 1, which compares between models. The comparison with a
    baseline comes first, as ``importance_shift/spearman`` and so on. Groups are
    ``importance_group/<group>`` and ``importance_share_group/<group>``.

    Args:
        explanation: The explanation.
        top_k: The largest number of features, and of groups.
        number: The number of the explanation in its run; from the second on it follows the first
            part of the names, as in ``importance-<number>/<feature>``.
        room: The number of metric names that the run can still take.
        kinds: ``importance``, ``share`` or both.
    """
    room = MetricRoom() if room is None else room
    suffix = "" if number == 1 else f"-{number}"
    values = {
        f"{SHIFT}{suffix}/{name}": value
        for name, value in list(_shift(explanation).items())[: max(0, room.all)]
    }

    def add(group: str, numbers: Mapping[str, float], n: int | None) -> dict[str, str]:
        n = room.all - len(values) if n is None else n
        leading = list(numbers)[: max(0, min(top_k, n))]
        names = group_names if group in {GROUP, GROUP_SHARE} else feature_names
        added = {f"{group}{suffix}/{names[name]}": name for name in leading}
        values.update({metric: numbers[name] for metric, name in added.items()})
        return added

    feature_names, group_names = _names(explanation.features), _names(_groups(explanation))
    importances, parts = _ranked(explanation, explanation.features)
    of_groups = explanation if explanation.groups is None else by_group(explanation)
    group_importances, group_parts = _ranked(of_groups, _groups(explanation))
    features, groups = {}, {}
    if "importance" in kinds:
        features = add(PREFIX, importances, None)
        groups = add(GROUP, group_importances, room.groups)
    share_features, group_shares = {}, {}
    if "share" in kinds:
        share_features = add(SHARE, parts, room.shares)
        group_shares = add(GROUP_SHARE, group_parts, room.groups)
    logged = {*features.values(), *share_features.values()}
    logged_groups = {*groups.values(), *group_shares.values()}
    return Metrics(
        values,
        features,
        share_features,
        len(explanation.features) - len(logged),
        groups,
        group_shares,
        len(group_names) - len(logged_groups),
    )


def _groups(explanation: Explanation) -> tuple[str, ...]:
    return () if explanation.groups is None else tuple(explanation.groups.columns)


def _ranked(
    explanation: Explanation, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the finite importances and shares of some features, by falling importance."""
    parts = dict(zip(explanation.features, shares(explanation.global_values), strict=True))
    chosen = set(names)
    importances = {
        name: value
        for name, value in explanation.ranked()
        if name in chosen and math.isfinite(value)
    }
    return importances, {name: float(parts[name]) for name in importances}


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
