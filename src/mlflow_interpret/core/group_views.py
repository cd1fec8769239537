"""Explanations by group of features, and groups as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlflow_interpret.core.details import RowCounts, as_notes
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.feature_groups import (
    FeatureGroups,
    GroupImportances,
    group_importances,
    resolve_groups,
)
from mlflow_interpret.core.json_files import from_json_numbers, to_json_numbers
from mlflow_interpret.core.statistics import FloatArray


def with_groups(explanation: Explanation, feature_groups: Any) -> Explanation:
    """Return an explanation with the importances of groups, from its contributions by row.

    Args:
        explanation: An explanation with contributions of single rows.
        feature_groups: The groups, as for `feature_groups.resolve_groups`.

    Raises:
        OptionError: The groups are not allowed.
        CannotExplainError: The explanation has no contributions of single rows.
    """
    groups = resolve_groups(feature_groups, explanation.features)
    if explanation.local_values is None:
        raise CannotExplainError(
            "the explanation has no contributions of single rows, which feature_groups adds up; "
            "the importances of single columns do not add up to that of their group"
        )
    details, local = explanation.details, explanation.local_values
    explained = (details.rows or RowCounts()).explained or 0
    if explained > local.shape[-2]:
        note = f"Importances of groups are means over {local.shape[-2]:,} of the explained rows."
        details = replace(details, notes=(*details.notes, *as_notes([note])))
    return replace(explanation, groups=group_importances(groups, local), details=details)


def by_group(explanation: Explanation) -> Explanation:
    """Return the aggregates of an explanation with its groups as features.

    Features in no group stay features. The explanation needs `Explanation.groups`.
    """
    groups = explanation.groups
    if groups is None:
        raise ValueError("the explanation has no groups")
    directions = {
        name: entry
        for name, entry in (explanation.details.directions or {}).items()
        if name in groups.names and name not in groups.columns
    }
    return replace(
        explanation.without_rows(),
        features=groups.names,
        global_values=groups.values,
        global_errors=groups.errors,
        per_class_values=groups.per_class_values,
        per_class_errors=groups.per_class_errors,
        engineered=None,
        raw=None,
        groups=None,
        interactions=None,
        cross_validation=None,
        details=replace(
            explanation.details,
            n_features=len(groups.names),
            intervals=groups.intervals,
            histograms=None,
            directions=directions or None,
        ),
    )


def local_values_by_group(explanation: Explanation) -> FloatArray:
    """Return ``(C, R, G)`` or ``(R, G)`` contributions by group and feature in no group."""
    if explanation.groups is None or explanation.local_values is None:
        raise ValueError("the explanation has no groups or no contributions of single rows")
    groups = FeatureGroups(explanation.groups.columns, explanation.features)
    return groups.sums(explanation.local_values)


def groups_to_json(groups: GroupImportances) -> dict[str, Any]:
    """Return importances of groups as JSON values, with all digits."""
    return {
        "columns": {name: list(columns) for name, columns in groups.columns.items()},
        "names": list(groups.names),
        "values": to_json_numbers(groups.values),
        "standard_errors": to_json_numbers(groups.errors),
        "per_class_values": to_json_numbers(groups.per_class_values),
        "per_class_standard_errors": to_json_numbers(groups.per_class_errors),
        "intervals": groups.intervals,
    }


def groups_from_json(entry: Mapping[str, Any] | None) -> GroupImportances | None:
    """Return the importances of groups that `groups_to_json` wrote."""
    if entry is None:
        return None
    return GroupImportances(
        columns={name: tuple(columns) for name, columns in entry["columns"].items()},
        names=tuple(entry["names"]),
        values=from_json_numbers(entry["values"]),
        errors=from_json_numbers(entry.get("standard_errors")),
        per_class_values=from_json_numbers(entry.get("per_class_values")),
        per_class_errors=from_json_numbers(entry.get("per_class_standard_errors")),
        intervals=entry.get("intervals"),
    )
