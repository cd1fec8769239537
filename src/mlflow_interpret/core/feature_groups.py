"""Groups of features, and the importances of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.option_checks import check_feature_groups, option_problem
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.core.text import describe_value

_ARGUMENT = "feature_groups"
_ALLOWED_FUNCTION = "a function that returns the name of a column's group, or None"


@dataclass(frozen=True, eq=False)
class FeatureGroups:
    """Groups of the features of a model.

    Shapes: ``F`` features; ``G`` groups and features that are in no group.

    Attributes:
        columns: The features of each group, by the name of the group.
        features: The ``F`` names of all features.
    """

    columns: Mapping[str, tuple[str, ...]]
    features: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The ``G`` names: the groups, then the features in no group."""
        return (*self.columns, *(self.features[i] for i in self._single))

    @cached_property
    def _positions(self) -> list[list[int]]:
        place = {name: i for i, name in enumerate(self.features)}
        return [[place[name] for name in columns] for columns in self.columns.values()]

    @cached_property
    def _single(self) -> list[int]:
        grouped = {i for positions in self._positions for i in positions}
        return [i for i in range(len(self.features)) if i not in grouped]

    def sums(self, values: FloatArray) -> FloatArray:
        """Return ``(..., G)`` sums by group of ``(..., F)`` values."""
        sums = [values[..., positions].sum(axis=-1, keepdims=True) for positions in self._positions]
        return np.concatenate([*sums, values[..., self._single]], axis=-1)


@dataclass(frozen=True, eq=False)
class GroupImportances:
    """Importances of groups of features, and of the features in no group.

    The contributions of a group are summed by row before their mean size is taken.

    Shapes: ``G`` groups and features in no group; ``C`` outputs.

    Attributes:
        columns: The features of each group, by the name of the group.
        names: The ``G`` names: the groups, then the features in no group.
        values: ``(G,)`` mean absolute contributions.
        errors: ``(G,)`` standard errors of the values, None for a single row.
        per_class_values: ``(C, G)`` mean absolute contributions by output, None for a single
            output.
        per_class_errors: ``(C, G)`` standard errors of the values by output, or None.
        intervals: Confidence intervals of the leading values, as in `Details`, or None.
    """

    columns: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    values: FloatArray
    errors: FloatArray | None = None
    per_class_values: FloatArray | None = None
    per_class_errors: FloatArray | None = None
    intervals: Mapping[str, Any] | None = None


def resolve_groups(given: Any, features: Sequence[str]) -> FeatureGroups:
    """Return the groups that an option gives for the features of a model.

    Args:
        given: A dictionary of group names with lists of features, or a function that returns the
            name of a feature's group, None for no group.
        features: The names of all features.

    Raises:
        OptionError: A group has an unknown feature, or the name of a feature that it does not
            have; groups overlap or are empty; or the function fails.
    """
    columns = _call(given, features) if callable(given) else given
    if callable(given) and not columns:
        raise option_problem(
            _ARGUMENT, _ALLOWED_FUNCTION, f"None for each column ({_some(features)})"
        )
    check_feature_groups(columns)
    known = set(features)
    for group, names in columns.items():
        unknown = [name for name in names if name not in known]
        if unknown:
            raise option_problem(
                _ARGUMENT,
                f"groups of columns that the model has ({_some(features)})",
                f"{_some(unknown)} for {describe_value(group)}",
            )
    return _groups(columns, features)


def present_groups(given: Any, features: Sequence[str]) -> FeatureGroups:
    """Return the groups that an option gives, without columns that a model does not have.

    Groups of which the model has no column are left out. The arguments and errors are those of
    `resolve_groups`, but unknown features are no error.
    """
    columns = _call(given, features) if callable(given) else given
    known = set(features)
    present = {group: [n for n in names if n in known] for group, names in columns.items()}
    present = {group: names for group, names in present.items() if names}
    if present:
        check_feature_groups(present)
    return _groups(present, features)


def _groups(columns: Mapping[str, Sequence[str]], features: Sequence[str]) -> FeatureGroups:
    """The groups with their columns in the order of the features."""
    known = set(features)
    for group, names in columns.items():
        if group in known and group not in names:
            raise option_problem(
                _ARGUMENT,
                "groups with names of their own",
                f"the group {describe_value(group)}, which is also a column outside of the group",
            )
    members = {str(group): set(names) for group, names in columns.items()}
    in_order = {
        group: tuple(name for name in features if name in names) for group, names in members.items()
    }
    return FeatureGroups(in_order, tuple(features))


def group_importances(groups: FeatureGroups, local_values: FloatArray) -> GroupImportances:
    """Return the importances of groups from the contributions of single rows.

    Args:
        groups: The groups.
        local_values: ``(C, R, F)`` contributions, ``(R, F)`` for a single output.
    """
    size = np.abs(groups.sums(local_values))
    by_output = size if size.ndim == 3 else size[None]
    by_row = by_output.mean(axis=0)
    has_outputs, n_rows = size.ndim == 3, size.shape[-2]
    errors = class_errors = None
    if n_rows > 1:
        errors = by_row.std(axis=0, ddof=1) / np.sqrt(n_rows)
        class_errors = by_output.std(axis=1, ddof=1) / np.sqrt(n_rows)
    return GroupImportances(
        columns=groups.columns,
        names=groups.names,
        values=by_row.mean(axis=0),
        errors=errors,
        per_class_values=by_output.mean(axis=1) if has_outputs else None,
        per_class_errors=class_errors if has_outputs else None,
    )


def _call(function: Callable[[str], Any], features: Sequence[str]) -> dict[str, list[str]]:
    """The groups that a function of the feature's name returns."""
    columns: dict[str, list[str]] = {}
    for name in features:
        try:
            group = function(name)
        except Exception as error:
            problem = f"{type(error).__name__} for {name!r}: {one_line(error)}"
            raise option_problem(_ARGUMENT, _ALLOWED_FUNCTION, problem) from error
        if group is None:
            continue
        if not isinstance(group, str):
            raise option_problem(
                _ARGUMENT, _ALLOWED_FUNCTION, f"{describe_value(group)} for {name!r}"
            )
        columns.setdefault(group, []).append(name)
    return columns


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:3])
    return f"{shown} and {len(names) - 3:,} more" if len(names) > 3 else shown
