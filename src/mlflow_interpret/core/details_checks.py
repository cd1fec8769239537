"""Checks of the details in a file, which others may have damaged or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mlflow_interpret.core.errors import InvalidExplanationError

_MAX_COUNT = 10**15

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "Mapping": (Mapping,),
}
_BASELINE_NUMBERS = ("spearman", "kendall", "top_k_overlap")
_FEATURE_NUMBERS = ("share", "rank", "baseline_share", "baseline_rank")


def check_types(cls: type[Any], entries: Mapping[str, Any]) -> None:
    """Check that entries have the types of a data class's fields, which may all be None.

    Raises:
        InvalidExplanationError: One has another type; the message names it.
    """
    for entry in fields(cls):
        value, annotation = entries.get(entry.name), str(entry.type)
        expected = _TYPES.get(annotation.partition(" ")[0].partition("[")[0])
        if value is None or expected is None:
            continue
        is_huge = isinstance(value, int) and abs(value) > _MAX_COUNT
        if is_huge or not isinstance(value, expected):
            actual = "a huge number" if is_huge else type(value).__name__
            raise InvalidExplanationError(f"{entry.name!r} is {actual} instead of {annotation}")


def check_details(cls: type[Any], entries: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Check the types of details and of the entries in them that are shown.

    Args:
        cls: The class of the details.
        entries: The entries of the file.
        known: The entries with names of fields.

    Raises:
        InvalidExplanationError: One has another type; the message names it.
    """
    check_types(cls, known)
    _check_maps("histograms", entries.get("histograms"))
    directions = list((known.get("directions") or {}).values())
    _check_maps("directions", directions)
    for direction in directions:
        outputs = direction.get("outputs", {})
        _require("outputs", isinstance(outputs, Mapping))
        _check_maps("outputs", list(outputs.values()))
    _require("notes", isinstance(entries.get("notes") or [], (list, tuple)))
    _require("public_notes", isinstance(entries.get("public_notes") or {}, Mapping))
    _check_baseline(known.get("baseline") or {})


def _check_baseline(baseline: Mapping[str, Any]) -> None:
    _check_numbers(baseline, _BASELINE_NUMBERS)
    _require("marks", isinstance(baseline.get("marks") or [], (list, tuple)))
    features = baseline.get("importances") or []
    _check_maps("importances", features)
    for feature in features:
        _check_numbers(feature, _FEATURE_NUMBERS)
    for name in ("riser", "faller"):
        change = baseline.get(name) or {}
        _require(name, isinstance(change, Mapping) and isinstance(change.get("feature", ""), str))
        _check_numbers(change, _FEATURE_NUMBERS)


def _check_numbers(entries: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        value = entries.get(name)
        _require(name, value is None or isinstance(value, (int, float)))


def _check_maps(name: str, values: Any) -> None:
    are_maps = isinstance(values, (list, tuple)) and all(isinstance(v, Mapping) for v in values)
    _require(name, values is None or are_maps)


def _require(name: str, condition: bool) -> None:
    if not condition:
        raise InvalidExplanationError(f"{name!r} has a wrong type")
