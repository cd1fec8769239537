"""Read the importances of an explanation from its files, for comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_interpret.core.details import Details, RowCounts
from mlflow_interpret.core.errors import ExplanationNotFoundError
from mlflow_interpret.core.explanation import (
    Importances,
    as_text,
    comparable_names,
    estimator_name,
)
from mlflow_interpret.core.explanation_checks import reading
from mlflow_interpret.core.explanation_io import EXPLANATION, LOCAL, read_summary
from mlflow_interpret.core.feature_groups import (
    FeatureGroups,
    GroupImportances,
    group_importances,
    present_groups,
)
from mlflow_interpret.core.group_views import groups_from_json
from mlflow_interpret.core.json_files import from_json_numbers
from mlflow_interpret.core.parquet_files import read_table
from mlflow_interpret.core.statistics import FloatArray


def read_importances(
    path: Path,
    run_id: str,
    run_name: str,
    label: str | None = None,
    feature_groups: Any = None,
    local_path: Callable[[], Path] | None = None,
) -> Importances:
    """Read the importances of an explanation from its ``explanation.json``.

    Args:
        path: The file.
        run_id: The run of the explanation.
        run_name: The name of the run.
        label: A class or target, instead of the mean over all.
        feature_groups: Groups of features, which replace their features.
        local_path: Returns the path of the contributions by row, which groups may need.

    Raises:
        ExplanationNotFoundError: The file has a newer format, there is no such class, or there are
            no contributions by row of which groups are computed.
        InvalidExplanationError: A file is damaged or was changed.
        OptionError: The groups are not allowed.
    """
    with reading(EXPLANATION):
        summary = read_summary(path)
        details = Details.from_json(summary["details"])
    place = None if label is None else _place_of(summary, label)
    values, errors = _numbers(summary, place)
    names = comparable_names(summary["features"])
    digests = summary.get("row_digests")
    importances = Importances(
        run_id=run_id,
        run_name=run_name,
        explanation_id=summary["id"],
        method=summary["method"],
        model_class=estimator_name(summary["model_class"], details),
        scale=details.output_scale,
        features=names,
        values=values,
        errors=errors,
        rows=details.rows or RowCounts(),
        row_digests=None if digests is None else dict(zip(names, digests, strict=True)),
        output_names=None
        if label is not None
        else as_text(summary["classes"] or summary.get("targets")),
    )
    if feature_groups is None:
        return importances
    groups = present_groups(feature_groups, summary["features"])
    importances = replace(
        importances, features=comparable_names(groups.names), groups=groups.columns
    )
    numbers = _logged_numbers(groups, summary, place)
    if numbers is None:
        numbers = _summed_numbers(groups, summary, place, local_path)
        kept = importances.rows.kept  # a sample of the explained rows
        if kept is not None:
            importances = replace(importances, rows=replace(importances.rows, explained=kept))
    return replace(importances, values=numbers[0], errors=numbers[1])


_Numbers = tuple[FloatArray, FloatArray | None]
"""Importances and their standard errors, None where those are unknown."""


def _numbers(summary: Mapping[str, Any], place: int | None) -> _Numbers:
    """The numbers of the features, over all outputs or for the one at a place."""
    if place is None:
        values, errors = summary["global_values"], summary.get("standard_errors")
        return from_json_numbers(values), from_json_numbers(errors)
    values, errors = summary["per_class_values"], summary.get("per_class_standard_errors")
    return from_json_numbers(values[place]), from_json_numbers(errors and errors[place])


def _numbers_of(groups: GroupImportances, place: int | None) -> _Numbers | None:
    """The numbers of groups as `_numbers`, None if they have none for the output."""
    if place is None:
        return groups.values, groups.errors
    values, errors = groups.per_class_values, groups.per_class_errors
    return None if values is None else (values[place], None if errors is None else errors[place])


def _logged_numbers(
    groups: FeatureGroups, summary: Mapping[str, Any], place: int | None
) -> _Numbers | None:
    """The numbers of groups that were logged, and of single columns; None if a group was not."""
    names, (values, errors) = list(summary["features"]), _numbers(summary, place)
    logged = groups_from_json(summary.get("groups"))
    numbers = None if logged is None else _numbers_of(logged, place)
    positions = []
    for name in groups.names:
        columns = groups.columns.get(name, (name,))
        if len(columns) == 1:
            positions.append(names.index(columns[0]))
        elif logged is None or numbers is None or set(logged.columns.get(name, ())) != set(columns):
            return None
        else:
            positions.append(len(names) + logged.names.index(name))
    if numbers is not None:
        values = np.concatenate([values, numbers[0]])
        are_known = errors is not None and numbers[1] is not None
        errors = np.concatenate([errors, numbers[1]]) if are_known else None
    return values[positions], None if errors is None else errors[positions]


def _summed_numbers(
    groups: FeatureGroups,
    summary: Mapping[str, Any],
    place: int | None,
    local_path: Callable[[], Path] | None,
) -> _Numbers:
    """The numbers of groups, of contributions by row.

    Raises:
        ExplanationNotFoundError: There are none.
    """
    shape = summary["local_shape"]
    if shape is None or local_path is None:
        raise ExplanationNotFoundError(
            "it has no contributions by row, and the importances of single columns do not add up "
            "to that of their group; log it with these feature_groups"
        )
    path = local_path()
    with reading(LOCAL):
        table = read_table(path, (math.prod(shape[:-1]), shape[-1]))
        local = table.to_numpy(dtype=np.float64).reshape(shape)
    numbers = _numbers_of(group_importances(groups, local), place)
    if numbers is None:
        raise ExplanationNotFoundError("it has no contributions by class or target")
    return numbers


def _place_of(summary: Mapping[str, Any], label: str) -> int:
    labels = as_text(summary["classes"] or summary.get("targets")) or ()
    if label not in labels or summary["per_class_values"] is None:
        known = ", ".join(labels[:20]) if labels else "none"
        raise ExplanationNotFoundError(f"it has no class or target {label!r} (it has: {known})")
    return labels.index(label)
