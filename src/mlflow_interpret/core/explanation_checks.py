"""Checks of the files of an explanation, which others may have damaged or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import (
    ExplanationNotFoundError,
    InvalidExplanationError,
    one_line,
)

MAX_FEATURES = 1_000_000

_ARRAYS = {
    "global_values": "F",
    "global_errors": "F",
    "standard_errors": "F",
    "row_digests": "F",
    "per_class_values": "CF",
    "per_class_standard_errors": "CF",
}
_GROUP_ARRAYS = {
    "values": "G",
    "standard_errors": "G",
    "per_class_values": "CG",
    "per_class_standard_errors": "CG",
}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "id": str,
    "method": str,
    "task": str,
    "model_class": (str, type(None)),
    "is_raw": bool,
    "is_engineered": bool,
    "features": list,
    "classes": (list, type(None)),
    "global_values": list,
    "per_class_values": (list, type(None)),
    "local_shape": (list, type(None)),
    "details": dict,
}
_NAMES = {bool: "true or false", int: "a whole number", str: "text", list: "a list", dict: "a map"}


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Name the file in the errors of a block that reads it.

    Raises:
        InvalidExplanationError: The block raised any error but that the file is missing, may not
            be read or has a newer format.
    """
    try:
        yield
    except InvalidExplanationError as error:
        raise InvalidExplanationError(f"{name}: {error}") from error
    except (ExplanationNotFoundError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # of json, pandas, numpy and pyarrow, which share no base class
        problem = f"{type(error).__name__}: {one_line(error)}"
        raise InvalidExplanationError(f"{name} cannot be read: {problem}") from error


def check_inside(path: Path, folder: Path) -> None:
    """Check that a file is no link to a place outside of the folder.

    Raises:
        InvalidExplanationError: It is one.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InvalidExplanationError("a link to a place outside of the explanation's folder")


def check_summary(summary: Any) -> None:
    """Check the types and shapes in the content of ``explanation.json``.

    Raises:
        InvalidExplanationError: They do not fit each other; the message names the entry.
    """
    _require(isinstance(summary, dict), "it holds no JSON object")
    for name, types in _TYPES.items():
        _require(name in summary, f"the entry {name!r} is missing")
        _require(isinstance(summary[name], types), f"{name!r} is not {_describe(types)}")
    _require(summary["task"] in {"classification", "regression"}, "'task' is none of this package")
    features = _names(summary, "features")
    _require(len(set(features)) == len(features), "'features' repeats a name")
    targets = summary.get("targets")
    if targets is not None:
        _require(isinstance(targets, list), "'targets' is not a list")
        _names(summary, "targets")
    _check_labels(summary["classes"])
    _check_arrays(summary)
    _check_local_shape(summary)
    if summary.get("groups") is not None:
        _check_groups(summary["groups"], summary["features"], _n_outputs(summary))


def check_status(record: Any, stores: Sequence[str]) -> None:
    """Check the types in the content of ``status.json``.

    Args:
        record: The content.
        stores: The names of stores, which have entries of their own.

    Raises:
        InvalidExplanationError: They are others; the message names the entry.
    """
    _require(isinstance(record, dict), "it holds no JSON object")
    types: dict[str, type] = dict.fromkeys(("status", "reason", "explanation_id", "comment"), str)
    types |= dict.fromkeys(("tags", "metrics", "not_drawn", *stores), dict)
    for name, expected in types.items():
        value = record.get(name)
        _require(
            value is None or isinstance(value, expected), f"{name!r} is not {_NAMES[expected]}"
        )


def check_labels_fit(n_outputs: int | None, n_probabilities: int) -> None:
    """Check that there are as many probabilities as classes.

    Raises:
        InvalidExplanationError: There are not.
    """
    _require(
        n_outputs is None or n_probabilities in {0, n_outputs},
        f"{n_probabilities} probabilities for {n_outputs} classes",
    )


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidExplanationError(problem)


def _describe(types: type | tuple[type, ...]) -> str:
    known = types if isinstance(types, tuple) else (types,)
    return " or ".join(_NAMES.get(known_type, "null") for known_type in known)


def _names(summary: Mapping[str, Any], key: str) -> Sequence[str]:
    names: list[Any] = summary[key]
    _require(
        0 < len(names) <= MAX_FEATURES,
        f"{key!r} has {len(names):,} entries, and 1 to {MAX_FEATURES:,} are read",
    )
    _require(all(isinstance(name, str) for name in names), f"{key!r} holds other values than text")
    return names


def _check_labels(classes: list[Any] | None) -> None:
    if classes is not None:
        _require(len(classes) > 0, "'classes' is empty")
        are_labels = all(isinstance(label, (str, int, float, type(None))) for label in classes)
        _require(are_labels, "'classes' holds lists or maps")


def _n_outputs(summary: Mapping[str, Any]) -> int | None:
    """Return the number of outputs, None where they have no names."""
    names = summary["classes"] or summary.get("targets")
    return len(names) if names else None


def _check_arrays(summary: Mapping[str, Any]) -> None:
    lengths = {"F": len(summary["features"]), "C": _n_outputs(summary)}
    for name, axes in _ARRAYS.items():
        if summary.get(name) is not None:
            dtype = str if name == "row_digests" else np.float64
            _check_shape(name, np.asarray(summary[name], dtype=dtype).shape, axes, lengths)
    expected_values = summary.get("expected_values")
    if expected_values is not None:
        shape = np.asarray(expected_values, dtype=np.float64).shape
        if shape not in {(), (1,)}:
            _check_shape("expected_values", shape, "C", lengths)


def _check_groups(groups: Any, features: list[str], n_outputs: int | None) -> None:
    """Check the importances of groups of features."""
    _require(isinstance(groups, dict), "'groups' is not a map")
    columns, names = groups.get("columns"), groups.get("names")
    _require(isinstance(columns, dict) and isinstance(names, list), "'groups' lacks its names")
    lists = [names, *columns.values()]
    are_texts = all(
        isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists
    )
    _require(are_texts, "'groups' holds other names than text")
    _require(len(set(names)) == len(names) and set(columns) <= set(names), "'groups' has no names")
    grouped = [name for members in columns.values() for name in members]
    single = [name for name in names if name not in columns]
    are_known = {*grouped, *single} <= set(features) and len(set(grouped)) == len(grouped)
    _require(are_known, "'groups' does not fit 'features'")
    intervals = groups.get("intervals")
    _require(intervals is None or isinstance(intervals, dict), "'intervals' is not a map")
    _require(groups.get("values") is not None, "'groups' has no values")
    for name, axes in _GROUP_ARRAYS.items():
        if groups.get(name) is not None:
            shape = np.asarray(groups[name], dtype=np.float64).shape
            _check_shape(name, shape, axes, {"G": len(names), "C": n_outputs})


def _check_local_shape(summary: Mapping[str, Any]) -> None:
    shape = summary["local_shape"]
    if shape is None:
        return
    are_counts = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
    _require(are_counts and len(shape) in {2, 3}, "'local_shape' is not two or three numbers")
    lengths = {"F": len(summary["features"]), "C": _n_outputs(summary), "R": None}
    _check_shape("local_shape", tuple(shape), "CRF"[-len(shape) :], lengths)


def _check_shape(
    name: str, shape: tuple[int, ...], axes: str, lengths: Mapping[str, int | None]
) -> None:
    fits = len(shape) == len(axes) and all(
        lengths[axis] in (None, length) for axis, length in zip(axes, shape, strict=True)
    )
    _require(fits, f"{name!r} has the shape {shape}, which does not fit the features and classes")
