"""Checks of option values.

A check takes a value and returns None if it is allowed, else the text for the error message.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlflow_interpret.core.errors import OptionError, one_line
from mlflow_interpret.core.text import describe_value

MAX_INTERACTING = 30
"""Number of features whose interactions can be computed."""

Check = Callable[[Any], "str | None"]


def option_error(argument: str, allowed: str, given: Any) -> OptionError:
    """Return the error for a value that is not allowed.

    Args:
        argument: The name of the argument.
        allowed: The allowed values.
        given: The value.
    """
    return option_problem(argument, allowed, describe_value(given))


def option_problem(argument: str, allowed: str, problem: str) -> OptionError:
    """Return the error for a part of a value that is not allowed.

    Args:
        argument: The name of the argument.
        allowed: The allowed values.
        problem: The part and its problem, in a few words.
    """
    shown = one_line(problem)
    return OptionError(f"{argument} must be {allowed}, got {shown}.", argument=argument)


def flag(value: Any) -> str | None:
    """Check a boolean."""
    return None if isinstance(value, bool) else "True or False"


def one_of(*allowed: str) -> Check:
    """Return a check for one of several strings."""
    return lambda value: None if value in allowed else " or ".join(map(repr, allowed))


def integer(low: int, high: int | None = None, *, optional: bool = False) -> Check:
    """Return a check for an integer in a range."""
    allowed = "a positive integer" if high is None else f"an integer from {low} to {high}"
    allowed += " or None" if optional else ""

    def check(value: Any) -> str | None:
        if value is None and optional:
            return None
        fits = _is_integer(value) and value >= low and (high is None or value <= high)
        return None if fits else allowed

    return check


def number_of_features(value: Any) -> str | None:
    """Check a number of interacting features."""
    fits = isinstance(value, bool) or (_is_integer(value) and 2 <= value <= MAX_INTERACTING)
    return None if fits else f"True, False or a number of features from 2 to {MAX_INTERACTING}"


def text(allowed: str, *, longest: int | None = None, empty: bool = False) -> Check:
    """Return a check for a string or None; ``allowed`` is the text for the error message."""

    def check(value: Any) -> str | None:
        if value is None:
            return None
        fits = isinstance(value, str) and (bool(value) or empty)
        return None if fits and (longest is None or len(value) <= longest) else allowed

    return check


def seconds(value: Any) -> str | None:
    """Check a duration."""
    return None if _is_positive(value) else "a positive number of seconds"


def time_budget(value: Any) -> str | None:
    """Check a time budget."""
    if value is None or (isinstance(value, str) and value == "auto") or _is_positive(value):
        return None
    return "a positive number of seconds, 'auto' or None"


def n_jobs(value: Any) -> str | None:
    """Check a number of jobs."""
    if value is None or (_is_integer(value) and value != 0):
        return None
    return "a positive integer, a negative one for all cores but some, or None"


def labels(value: Any) -> str | None:
    """Check class names."""
    if value is None:
        return None
    fits = _is_listlike(value) and len(list(value)) >= 2
    return None if fits else "a list of two or more class names in the order of the model"


def tags(value: Any) -> str | None:
    """Check tags."""
    if value is None or (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        return None
    return "a dictionary with string keys or None"


def strings(value: Any) -> str | None:
    """Check a list of strings or None."""
    fits = value is None or (_is_listlike(value) and all(isinstance(item, str) for item in value))
    return None if fits else "a list of strings or None"


def filter_string(value: Any) -> str | None:
    """Check a filter string."""
    return None if isinstance(value, str) else "a filter string as for mlflow.search_runs"


def label(value: Any) -> str | None:
    """Check the name of a class or target, or None."""
    fits = value is None or isinstance(value, str)
    return None if fits else "the name of a class or target as a string, or None"


def check_rows(argument: str, rows: Any) -> None:
    """Check a table of rows.

    Raises:
        OptionError: The value is not allowed.
    """
    if rows is None:
        return
    allowed = "a table of rows (DataFrame, 2-D array, sparse matrix), a column of texts"
    if argument == "evaluation_examples":
        allowed += ", a Dask DataFrame, a Parquet dataset, its path or a pair (rows, labels)"
    allowed += " or None"
    if _is_column_of_texts(rows) or _is_lazy(rows):
        return
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2:
        raise option_error(argument, allowed, rows)
    if shape[0] == 0 or shape[1] == 0:
        raise option_error(argument, f"{allowed}, with at least one row and one column", rows)


def _is_lazy(rows: Any) -> bool:
    """Whether the rows are a Dask DataFrame, whose shape would have to be computed."""
    # By the module's name, so that Dask is not imported for a check.
    return type(rows).__module__.startswith(("dask.dataframe", "dask_expr"))


def _is_column_of_texts(rows: Any) -> bool:
    """Whether the rows are a Series, an array or a list of texts."""
    is_column = isinstance(rows, list) or len(getattr(rows, "shape", ())) == 1
    return is_column and isinstance(next(iter(rows), None), str)


def check_pair(examples: Any) -> None:
    """Check that a pair of rows and labels has as many labels as rows.

    Raises:
        OptionError: The value is not allowed.
    """
    if not is_pair(examples) or examples[1] is None:
        return
    n_rows, n_labels = _length(examples[0]), _length(examples[1])
    if n_labels != n_rows:
        raise option_error(
            "evaluation_examples",
            "a pair (rows, labels) with a label for each row",
            f"{n_rows} rows and {n_labels} labels",
        )


def check_features(names: Any) -> None:
    """Check feature names.

    Raises:
        OptionError: The value is not allowed.
    """
    if names is None:
        return
    allowed = "a list of different strings, one for each column, or None"
    if not _is_listlike(names):
        raise option_error("features", allowed, names)
    listed = list(names)
    if not listed or not all(isinstance(name, str) for name in listed):
        raise option_error("features", allowed, names)
    if len(set(listed)) != len(listed):
        repeated = next(name for name in listed if listed.count(name) > 1)
        raise option_problem("features", allowed, f"{describe_value(repeated)} more than once")


def check_feature_groups(groups: Any) -> None:
    """Check groups of features, as far as the names of all features are not needed.

    Raises:
        OptionError: The value is not allowed.
    """
    if groups is None or callable(groups):
        return
    allowed = (
        "a dictionary of group names with lists of column names, a function that returns the name "
        "of a column's group, or None"
    )
    if not isinstance(groups, Mapping):
        raise option_error("feature_groups", allowed, groups)
    if not groups:
        raise option_problem("feature_groups", allowed, "an empty dictionary")
    group_of: dict[str, str] = {}
    for group, columns in groups.items():
        if not isinstance(group, str) or not group.strip():
            raise option_problem(
                "feature_groups", allowed, f"the group name {describe_value(group)}"
            )
        are_names = _is_listlike(columns) and all(isinstance(name, str) for name in columns)
        if not are_names or not len(columns):
            problem = f"{describe_value(columns)} for {describe_value(group)}"
            raise option_problem("feature_groups", allowed, problem)
        for name in columns:
            if name in group_of:
                allowed = "groups that share no column and name each column once"
                names = map(describe_value, (name, group_of[name], group))
                problem = "{} in {} and {}".format(*names)
                raise option_problem("feature_groups", allowed, problem)
            group_of[name] = group


def check_estimators(estimators: Any) -> None:
    """Check classes of estimators.

    Raises:
        OptionError: The value is not allowed.
    """
    if estimators is None:
        return
    allowed = "a list of classes with methods fit and predict, or None"
    if not _is_listlike(estimators):
        raise option_error("estimators", allowed, estimators)
    for cls in estimators:
        methods = (getattr(cls, name, None) for name in ("fit", "predict"))
        if not isinstance(cls, type) or not all(map(callable, methods)):
            raise option_error("estimators", allowed, cls)


def is_pair(examples: Any) -> bool:
    """Return whether examples are a pair of rows and labels."""
    return isinstance(examples, tuple) and len(examples) == 2


def rows_of(examples: Any) -> Any:
    """Return the rows of examples, without labels."""
    return examples[0] if is_pair(examples) else examples


def _length(labels: Any) -> int:
    shape = getattr(labels, "shape", None)
    return int(shape[0]) if shape else len(labels)


def _is_listlike(value: Any) -> bool:
    """Whether a value is a list, a tuple, an array or the like, but no string or dictionary."""
    is_sized = hasattr(value, "__len__") and hasattr(value, "__iter__")
    return is_sized and not isinstance(value, (str, dict))


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and 0 < float(value) < float("inf")


def check_columns(
    argument: str, given: Sequence[Any], expected: Sequence[Any], *, may_have_more: bool = False
) -> None:
    """Check that rows have the columns of the model, in any order.

    Args:
        argument: The name of the argument.
        given: The columns of the rows.
        expected: The columns of the model.
        may_have_more: Further columns are allowed.

    Raises:
        OptionError: A column is missing, or there are further ones.
    """
    known, present = set(expected), set(given)
    missing = [column for column in expected if column not in present]
    further = [] if may_have_more else [column for column in given if column not in known]
    if missing or further:
        differences = [
            f"{word} {', '.join(repr(column) for column in columns[:5])}"
            + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")
            for word, columns in (("without", missing), ("with the further", further))
            if columns
        ]
        raise OptionError(
            f"{argument} must have the {len(expected)} columns of the model, got a table "
            f"{' and '.join(differences)}.",
            argument=argument,
        )
