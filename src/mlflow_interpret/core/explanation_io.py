"""Write an explanation as a folder of JSON and Parquet files, and read it back.

    explanation.json              names, classes, expected values, global and per-class values
    global_importances.json       a table in the format of mlflow.log_table, most important first
    per_class_importances.json    the same for each class, or for each target
    group_importances.json        the same as global_importances.json by group of features
    fold_importances.json         the importances in each fold of a cross-validation
    fold_scores.json              the rows and scores of each fold
    interactions.json             the same for pairs of features, if they were computed
    local_importances.parquet     one row for each explained row and class
    evaluation_rows.parquet       the explained rows
    predictions.parquet           their predictions, probabilities and true labels
    background_rows.parquet       the rows that stand for "feature unknown", if the method has any
    engineered/                   the same by engineered column, for a pipeline that was split
    raw/                          the same with texts as a single column, beside one by words

No file is a pickle.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core import background_io, cross_validation
from mlflow_interpret.core.background_io import BACKGROUND
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.errors import ExplanationNotFoundError
from mlflow_interpret.core.explanation import (
    Explanation,
    comparable_names,
    encodable,
)
from mlflow_interpret.core.explanation_checks import (
    check_inside,
    check_labels_fit,
    check_summary,
    reading,
)
from mlflow_interpret.core.group_views import by_group, groups_from_json, groups_to_json
from mlflow_interpret.core.importance_tables import (
    fold_table,
    global_table,
    per_class_table,
    score_table,
)
from mlflow_interpret.core.interactions import (
    interaction_table,
    interactions_from_json,
    interactions_to_json,
)
from mlflow_interpret.core.json_files import (
    from_json_numbers,
    labels_to_json,
    read_json,
    to_json_numbers,
    write_json,
)
from mlflow_interpret.core.parquet_files import read_table, write_table

EXPLANATION = "explanation.json"
GLOBAL = "global_importances.json"
PER_CLASS = "per_class_importances.json"
GROUPS = "group_importances.json"
FOLDS = "fold_importances.json"
FOLD_SCORES = "fold_scores.json"
INTERACTIONS = "interactions.json"
LOCAL = "local_importances.parquet"
ROWS = "evaluation_rows.parquet"
PREDICTIONS = "predictions.parquet"
ENGINEERED = "engineered"
RAW = "raw"

READ = (EXPLANATION, LOCAL, ROWS, PREDICTIONS, BACKGROUND)
"""The files of a view that `read` reads."""

_FORMAT = 1


def write(explanation: Explanation, folder: Path) -> None:
    """Write an explanation into an existing folder."""
    background = background_io.write(explanation.background, explanation.features, folder)
    write_json(folder / EXPLANATION, {**_summary(explanation), "background": background})
    _write_importances(explanation, folder)
    if explanation.local_values is not None:
        _write_local(explanation, folder / LOCAL)
    if explanation.evaluation_rows is not None:
        write_table(explanation.evaluation_rows, folder / ROWS)
    predictions = _predictions(explanation)
    if predictions is not None:
        write_table(predictions, folder / PREDICTIONS)
    for name, view in ((ENGINEERED, explanation.engineered), (RAW, explanation.raw)):
        if view is not None:
            (folder / name).mkdir()
            write(view, folder / name)


def _write_importances(explanation: Explanation, folder: Path) -> None:
    """Write the tables of importances and interactions."""
    write_json(folder / GLOBAL, global_table(explanation))
    if explanation.per_class_values is not None:
        write_json(folder / PER_CLASS, per_class_table(explanation))
    if explanation.groups is not None:
        write_json(folder / GROUPS, global_table(by_group(explanation)))
    if explanation.cross_validation is not None:
        write_json(folder / FOLDS, fold_table(explanation.cross_validation, explanation.features))
        write_json(folder / FOLD_SCORES, score_table(explanation.cross_validation))
    if explanation.interactions is not None:
        write_json(folder / INTERACTIONS, interaction_table(explanation.interactions))


def read(folder: Path) -> Explanation:
    """Read the explanation of a folder, equal to the one that was written.

    Raises:
        ExplanationNotFoundError: The folder holds no explanation, or one of a newer format.
        InvalidExplanationError: A file is damaged or was changed.
    """
    engineered, raw = (
        _read_view(folder, f"{name}/") if (folder / name / EXPLANATION).is_file() else None
        for name in (ENGINEERED, RAW)
    )
    return replace(_read_view(folder, ""), engineered=engineered, raw=raw)


def _read_view(root: Path, part: str) -> Explanation:
    """Read a view.

    Args:
        root: The folder of the explanation.
        part: ``engineered/``, ``raw/`` or empty.
    """
    folder = root / part
    if not (folder / EXPLANATION).is_file():
        raise ExplanationNotFoundError(f"{folder.name} holds no {EXPLANATION}")
    with reading(f"{part}{EXPLANATION}"):
        check_inside(folder / EXPLANATION, root)
        summary = read_summary(folder / EXPLANATION)
        details = Details.from_json(summary["details"])
        folds = cross_validation.from_json(
            summary.get("cross_validation"), len(summary["features"])
        )
    local_shape, classes, targets = (
        summary["local_shape"],
        summary["classes"],
        summary.get("targets"),
    )
    n_rows = local_shape[-2] if local_shape else None
    n_features = len(summary["features"])
    n_local = math.prod(local_shape[:-1]) if local_shape else None
    local, rows, predictions = (
        _read_table(root, f"{part}{name}", shape)
        for name, shape in (
            (LOCAL, (n_local, n_features)),
            (ROWS, (n_rows, n_features)),
            (PREDICTIONS, (n_rows, None)),
        )
    )
    with reading(f"{part}{EXPLANATION}"):
        interactions = interactions_from_json(summary.get("interactions"))
    with reading(f"{part}{ROWS}"):
        if rows is not None:
            rows = _named(rows, summary["features"])
    with reading(f"{part}{LOCAL}"):
        local_values = None
        if local is not None and local_shape:
            local_values = local.to_numpy(dtype=np.float64).reshape(local_shape)
    with reading(f"{part}{PREDICTIONS}"):
        probabilities = _probabilities(predictions)
        predicted = _column(predictions, "predicted", targets)
        true_labels = _column(predictions, "true_label", targets)
        if probabilities is not None:
            check_labels_fit(len(classes) if classes else None, probabilities.shape[1])
    # With local values, the errors are computed from them.
    class_errors = None if summary["local_shape"] else summary.get("per_class_standard_errors")
    return Explanation(
        method=summary["method"],
        task=summary["task"],
        model_class=summary["model_class"],
        features=tuple(summary["features"]),
        global_values=from_json_numbers(summary["global_values"]),
        global_errors=from_json_numbers(summary.get("global_errors")),
        per_class_errors=from_json_numbers(class_errors),
        classes=None if classes is None else tuple(classes),
        targets=None if targets is None else tuple(targets),
        per_class_values=from_json_numbers(summary["per_class_values"]),
        local_values=local_values,
        expected_values=from_json_numbers(summary["expected_values"]),
        evaluation_rows=rows,
        predicted=predicted,
        predicted_probabilities=probabilities,
        true_labels=true_labels,
        is_raw=summary["is_raw"],
        is_engineered=summary["is_engineered"],
        groups=groups_from_json(summary.get("groups")),
        cross_validation=folds,
        interactions=interactions,
        id=summary["id"],
        details=details,
        background=background_io.read(summary.get("background"), summary["features"], folder),
    )


def _named(rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    try:
        return rows.set_axis(features, axis=1)
    except UnicodeEncodeError:  # newer pandas refuses lone surrogates
        return rows.set_axis([encodable(name) for name in features], axis=1)


def _read_table(root: Path, name: str, shape: tuple[int | None, int | None]) -> pd.DataFrame | None:
    path = root / name
    if not path.is_file():
        return None
    with reading(name):
        check_inside(path, root)
        return read_table(path, shape)


def read_summary(path: Path) -> dict[str, Any]:
    """Read an ``explanation.json`` and check its content.

    Raises:
        ExplanationNotFoundError: The file has a newer format.
        InvalidExplanationError: The file is damaged or was changed.
    """
    summary: Any = read_json(path)
    if isinstance(summary, dict) and isinstance(summary.get("format"), int):
        _check_format(summary["format"])
    check_summary(summary)
    background_io.check(summary.get("background"), len(summary["features"]))
    cross_validation.from_json(summary.get("cross_validation"), len(summary["features"]))
    return dict(summary)


def _check_format(version: int) -> None:
    if version > _FORMAT:
        raise ExplanationNotFoundError(
            f"{EXPLANATION} has format {version} and this version reads up to {_FORMAT}; "
            "upgrade mlflow-interpret"
        )


def _summary(explanation: Explanation) -> dict[str, Any]:
    local = explanation.local_values
    return {
        "format": _FORMAT,
        "id": explanation.id,
        "method": explanation.method,
        "task": explanation.task,
        "model_class": explanation.model_class,
        "is_raw": explanation.is_raw,
        "is_engineered": explanation.is_engineered,
        "features": list(explanation.features),
        "classes": None if explanation.classes is None else labels_to_json(explanation.classes),
        "targets": None if explanation.targets is None else list(explanation.targets),
        "expected_values": to_json_numbers(explanation.expected_values),
        "global_values": to_json_numbers(explanation.global_values),
        "global_errors": to_json_numbers(explanation.global_errors),
        # Comparisons read this file alone and need these three.
        "standard_errors": to_json_numbers(explanation.standard_errors()),
        "per_class_standard_errors": to_json_numbers(explanation.per_class_standard_errors()),
        "row_digests": _digests(explanation),
        "per_class_values": to_json_numbers(explanation.per_class_values),
        "local_shape": None if local is None else list(local.shape),
        "details": explanation.details.to_json(),
        **_parts(explanation),
    }


def _parts(explanation: Explanation) -> dict[str, Any]:
    """The entries that few explanations have."""
    groups, folds = explanation.groups, explanation.cross_validation
    parts: dict[str, Any] = {}
    if groups is not None:
        parts["groups"] = groups_to_json(groups)
    if folds is not None:
        parts["cross_validation"] = cross_validation.to_json(folds)
    if explanation.interactions is not None:
        parts["interactions"] = interactions_to_json(explanation.interactions)
    return parts


def _digests(explanation: Explanation) -> list[str] | None:
    digests = explanation.row_digests()
    return None if digests is None else list(digests.values())


def _write_local(explanation: Explanation, path: Path) -> None:
    values = np.asarray(explanation.local_values)
    flat = values.reshape(-1, values.shape[-1])
    names = list(comparable_names(explanation.features))
    write_table(pd.DataFrame(flat, columns=names), path)


def _predictions(explanation: Explanation) -> pd.DataFrame | None:
    columns: dict[str, Any] = {}
    columns.update(_by_target("predicted", explanation.predicted))
    columns.update(_by_target("true_label", explanation.true_labels))
    if explanation.predicted_probabilities is not None:
        for i, column in enumerate(explanation.predicted_probabilities.T):
            columns[f"probability_{i}"] = column
    return pd.DataFrame(columns) if columns else None


def _probabilities(predictions: pd.DataFrame | None) -> Any:
    if predictions is None:
        return None
    names = [name for name in predictions if str(name).startswith("probability_")]
    return predictions[names].to_numpy(dtype=np.float64) if names else None


def _by_target(name: str, labels: Any) -> dict[str, Any]:
    if labels is None:
        return {}
    if labels.ndim == 1:
        return {name: labels}
    return {f"{name}_{i}": column for i, column in enumerate(labels.T)}


def _column(table: pd.DataFrame | None, name: str, targets: list[str] | None) -> Any:
    if table is None:
        return None
    if name in table:  # several outputs may share one label, as quantiles do
        return table[name].to_numpy()
    names = [f"{name}_{i}" for i in range(len(targets or ()))]
    return table[names].to_numpy() if names and set(names) <= set(table.columns) else None
