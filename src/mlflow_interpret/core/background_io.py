"""Background rows as a Parquet file and an entry of ``explanation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_interpret.core.background import CONTAINERS, Background
from mlflow_interpret.core.errors import InvalidExplanationError
from mlflow_interpret.core.exact_table import from_json, write_exactly
from mlflow_interpret.core.explanation import comparable_names, distinct_names
from mlflow_interpret.core.explanation_checks import check_inside, reading
from mlflow_interpret.core.options import ENGINES, OUTPUTS
from mlflow_interpret.core.parquet_files import read_table

BACKGROUND = "background_rows.parquet"

_TYPES = {
    "container": str, "is_given": bool, "has_rows": bool, "has_weights": bool, "n_drawn": int,
    "engine": str, "output": str,
}  # fmt: skip
_LABELS = (str, int, float, bool)


def write(
    background: Background | None, features: Sequence[str], folder: Path
) -> dict[str, Any] | None:
    """Write the rows, with their weights as the last column.

    Args:
        background: The background rows, or None.
        features: The features of the explanation, which mostly are the names of the columns.
        folder: An existing folder.

    Returns:
        The entry of ``explanation.json``.
    """
    if background is None or background.rows is None:
        return _entry(background, features)
    table = background.rows.set_axis(list(comparable_names(background.names)), axis=1)
    if background.weights is not None:
        *_, name = distinct_names([*table.columns, "sample_weight"])
        table = table.assign(**{name: background.weights})
    json_columns, reason = write_exactly(table, folder / BACKGROUND)
    if reason is not None:
        background = replace(background.without_rows(), not_stored=reason)
    return _entry(background, features, json_columns)


def _entry(
    background: Background | None, features: Sequence[str], json_columns: Sequence[int] = ()
) -> dict[str, Any] | None:
    if background is None:
        return None
    return {
        "container": background.container,
        "names": None if background.names == tuple(features) else list(background.names),
        "columns": _labels_to_json(background.columns),
        "is_given": background.is_given,
        "has_rows": background.rows is not None,
        "has_weights": background.weights is not None,
        "n_drawn": background.n_drawn,
        "engine": background.engine,
        "output": background.output,
        "json_columns": list(json_columns),
        "not_stored": background.not_stored,
        "labels": _labels_to_json(background.labels),
    }


def check(entry: Any, n_features: int) -> None:
    """Check the types in an entry of ``explanation.json``.

    Raises:
        InvalidExplanationError: They are others, or the numbers of names do not fit.
    """
    if entry is None:
        return
    is_map = isinstance(entry, dict)
    fits = is_map and all(isinstance(entry.get(name), _TYPES[name]) for name in _TYPES)
    allowed = {"container": CONTAINERS, "engine": ENGINES, "output": OUTPUTS}
    if not fits or any(entry[name] not in values for name, values in allowed.items()):
        raise InvalidExplanationError("'background' has entries of other types")
    names, columns = entry.get("names"), entry.get("columns")
    are_texts = names is None or (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    )
    if not are_texts or not isinstance(columns, (list, type(None))):
        raise InvalidExplanationError("'background' has names that are no texts")
    width = n_features if names is None else len(names)
    if columns is not None and len(columns) != width:
        raise InvalidExplanationError("'background' has other columns than names")
    positions, reason = entry.get("json_columns", []), entry.get("not_stored")
    are_positions = isinstance(positions, list) and all(
        type(position) is int and 0 <= position < width for position in positions
    )
    are_labels = isinstance(entry.get("labels"), (list, type(None)))
    if not are_positions or not are_labels or not isinstance(reason, (str, type(None))):
        raise InvalidExplanationError("'background' has entries of other types")


def read(entry: Mapping[str, Any] | None, features: Sequence[str], root: Path) -> Background | None:
    """Read the background rows of a folder.

    Args:
        entry: The checked entry of ``explanation.json``.
        features: The features of the explanation.
        root: The folder.

    Raises:
        InvalidExplanationError: The file is damaged or was changed.
    """
    if entry is None:
        return None
    names = tuple(features if entry["names"] is None else entry["names"])
    path = root / BACKGROUND
    rows = weights = None
    if entry["has_rows"] and path.is_file():
        with reading(BACKGROUND):
            check_inside(path, root)
            table = read_table(path, (None, len(names) + entry["has_weights"]))
            if entry["has_weights"]:
                weights = table.iloc[:, -1].to_numpy(dtype=np.float64)
                table = table.iloc[:, :-1]
            table = from_json(table, entry.get("json_columns", ()))
            rows = table.set_axis(list(comparable_names(names)), axis=1)
    return Background(
        names=names,
        container=entry["container"],
        columns=_labels_from_json(entry["columns"]),
        is_given=entry["is_given"],
        rows=rows,
        weights=weights,
        n_drawn=entry["n_drawn"],
        engine=entry["engine"],
        output=entry["output"],
        labels=_labels_from_json(entry.get("labels")),
        not_stored=entry.get("not_stored"),
    )


def _labels_to_json(columns: tuple[Any, ...] | None) -> list[Any] | None:
    """Return column labels as JSON values; None where a label has no JSON type."""
    if columns is None:
        return None
    labels = [list(label) if isinstance(label, tuple) else [label] for label in columns]
    if not all(isinstance(level, _LABELS) for label in labels for level in label):
        return None
    return [list(label) if isinstance(label, tuple) else label for label in columns]


def _labels_from_json(columns: list[Any] | None) -> tuple[Any, ...] | None:
    if columns is None:
        return None
    return tuple(tuple(label) if isinstance(label, list) else label for label in columns)
