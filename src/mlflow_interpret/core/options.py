"""The options of the public functions, each with its check.

A check takes a value and returns None where it is allowed, else the text for the error message. An
option that belongs to a store, as ``azureml``, is checked by the store.
"""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.text import describe_value

MAX_METRICS = 30
"""Metric names of a run for this package; the servers with the lowest limit allow 50 in all."""

METRICS = ("importance", "share")
"""The kinds of metrics, the most important first."""

ENGINES = ("auto", "kernel", "tabular")

_MAX_SEED = 2**32 - 1
_MAX_POINTS = 20_000  # rows that Azure ML studio shows
_MAX_COMMENT = 1000  # characters of a property or tag in Azure ML

Check = Callable[[Any], "str | None"]


def option_error(argument: str, allowed: str, given: Any) -> OptionError:
    """Return the error for a value that is not allowed.

    Args:
        argument: The name of the argument.
        allowed: The allowed values.
        given: The value.
    """
    return _error(argument, allowed, describe_value(given))


def _error(argument: str, allowed: str, given: str) -> OptionError:
    shown = given if len(given) <= 80 else f"{given[:77]}..."
    return OptionError(f"{argument} must be {allowed}, got {shown}.", argument=argument)


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "True or False"


def _one_of(*allowed: str) -> Check:
    return lambda value: None if value in allowed else " or ".join(map(repr, allowed))


def _integer(low: int, high: int | None = None, *, optional: bool = False) -> Check:
    allowed = "a positive integer" if high is None else f"an integer from {low} to {high}"
    allowed += " or None" if optional else ""

    def check(value: Any) -> str | None:
        if value is None and optional:
            return None
        fits = _is_integer(value) and value >= low and (high is None or value <= high)
        return None if fits else allowed

    return check


def _text(allowed: str, *, longest: int | None = None, empty: bool = False) -> Check:
    def check(value: Any) -> str | None:
        if value is None:
            return None
        fits = isinstance(value, str) and (bool(value) or empty)
        return None if fits and (longest is None or len(value) <= longest) else allowed

    return check


def _seconds(value: Any) -> str | None:
    return None if _is_positive(value) else "a positive number of seconds"


def _time_budget(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value == "auto") or _is_positive(value):
        return None
    return "a positive number of seconds, 'auto' or None"


def _n_jobs(value: Any) -> str | None:
    if value is None or (_is_integer(value) and value != 0):
        return None
    return "a positive integer, a negative one for all cores but some, or None"


def _labels(value: Any) -> str | None:
    if value is None:
        return None
    fits = not isinstance(value, str) and _is_listlike(value) and len(list(value)) >= 2
    return None if fits else "a list of two or more class names in the order of the model"


def _metric_kinds(value: Any) -> str | None:
    kinds = [value] if isinstance(value, str) else value
    fits = (
        isinstance(kinds, (list, tuple)) and bool(kinds) and all(kind in METRICS for kind in kinds)
    )
    return None if fits else "'importance', 'share' or a list of both"


def metric_kinds(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of metrics that an option names, in their order of importance."""
    return tuple(kind for kind in METRICS if kind == value or kind in tuple(value))


def _tags(value: Any) -> str | None:
    if value is None or (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        return None
    return "a dictionary with string keys or None"


def _option(default: Any, check: Check | None = None) -> Any:
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class Options:
    """The options of `autolog`, `explain` and `log_explanation`.

    Raises:
        OptionError: A value is not allowed. The message names the argument, the allowed values and
            the given one.
    """

    evaluation_examples: Any = None  # this and the next four are checked below
    initialization_examples: Any = None
    features: Sequence[str] | None = None
    estimators: Sequence[type] | None = None
    classes: Sequence[Any] | None = _option(None, _labels)
    max_rows: int | None = _option(None, _integer(1, optional=True))
    engine: str = _option("auto", _one_of(*ENGINES))
    n_jobs: int | None = _option(None, _n_jobs)
    time_budget: float | str | None = _option(None, _time_budget)
    top_k: int = _option(20, _integer(1, MAX_METRICS))
    metrics: str | Sequence[str] = _option(METRICS, _metric_kinds)
    baseline: str | None = _option(
        None, _text("a run id, a model version ('models:/name@alias'), 'latest' or None")
    )
    comment: str | None = _option(
        None,
        _text(
            f"a string of at most {_MAX_COMMENT} characters or None",
            longest=_MAX_COMMENT,
            empty=True,
        ),
    )
    model_id: str | None = _option(None, _text("the id of a logged model or None"))
    random_state: int = _option(0, _integer(0, _MAX_SEED))
    azureml: Any = "auto"  # checked by its store
    upload_timeout: float = _option(60.0, _seconds)
    visualization_points: int | None = _option(None, _integer(0, _MAX_POINTS, optional=True))
    log_figures: bool = _option(True, _flag)
    log_report: bool = _option(True, _flag)
    log_data: bool = _option(True, _flag)
    log_description: bool = _option(True, _flag)
    background: bool = _option(False, _flag)
    disable: bool = _option(False, _flag)
    exclusive: bool = _option(False, _flag)
    silent: bool = _option(False, _flag)
    disable_for_unsupported_versions: bool = _option(False, _flag)
    extra_tags: Mapping[str, str] | None = _option(None, _tags)

    def __post_init__(self) -> None:
        if not self.partitioned:
            _check_rows("evaluation_examples", _rows_of(self.evaluation_examples))
        _check_pair(self.evaluation_examples)
        _check_rows("initialization_examples", self.initialization_examples)
        _check_features(self.features)
        _check_estimators(self.estimators)
        _check_fields(self)

    @property
    def partitioned(self) -> bool:
        """Whether ``evaluation_examples`` are a Parquet dataset, its path, or a Dask DataFrame.

        Raises:
            OptionError: The path does not exist.
        """
        rows = self.evaluation_examples
        if isinstance(rows, (str, os.PathLike)):
            if not Path(rows).exists():
                allowed = "the path of a Parquet file or folder that exists"
                raise option_error("evaluation_examples", allowed, os.fspath(rows))
            return True
        # By the module's name, so that neither package is imported for a check.
        module = type(rows).__module__
        if module.startswith(("dask.dataframe", "dask_expr")):
            return True
        return module.startswith("pyarrow") and hasattr(rows, "get_fragments")

    @property
    def evaluation_rows(self) -> Any:
        """The rows of ``evaluation_examples``, without labels."""
        return _rows_of(self.evaluation_examples)

    @property
    def evaluation_labels(self) -> Any:
        """The labels of ``evaluation_examples=(rows, labels)``, or None."""
        return self.evaluation_examples[1] if _is_pair(self.evaluation_examples) else None


def _strings(value: Any) -> str | None:
    fits = value is None or (
        _is_listlike(value)
        and not isinstance(value, str)
        and all(isinstance(item, str) for item in value)
    )
    return None if fits else "a list of strings or None"


def _filter(value: Any) -> str | None:
    return None if isinstance(value, str) else "a filter string as for mlflow.search_runs"


def _label(value: Any) -> str | None:
    fits = value is None or isinstance(value, str)
    return None if fits else "the name of a class or target as a string, or None"


@dataclass(frozen=True)
class Comparison:
    """The options of `compare_runs`, except for the runs.

    Raises:
        OptionError: A value is not allowed.
    """

    experiment_names: Sequence[str] | None = _option(None, _strings)
    filter_string: str = _option("", _filter)
    order_by: Sequence[str] | None = _option(None, _strings)
    max_results: int = _option(1000, _integer(2, 50_000))
    top_k: int = _option(10, _integer(1))
    label: str | None = _option(None, _label)
    engineered: bool = _option(False, _flag)
    silent: bool = _option(False, _flag)

    def __post_init__(self) -> None:
        _check_fields(self)


def check_views(*, engineered: bool, raw: bool) -> None:
    """Check the view that `load_explanation` is asked for.

    Raises:
        OptionError: Both views are asked for.
    """
    if engineered and raw:
        raise option_error("raw", "False where engineered is True: a view is one of the two", raw)


def _check_fields(options: Options | Comparison) -> None:
    for option in fields(options):
        check: Check | None = option.metadata.get("check")
        value = getattr(options, option.name)
        allowed = None if check is None else check(value)
        if allowed is not None:
            raise option_error(option.name, allowed, value)


def _check_rows(argument: str, rows: Any) -> None:
    if rows is None:
        return
    allowed = "a table of rows (DataFrame, 2-D array, sparse matrix), a column of texts"
    if argument == "evaluation_examples":
        allowed += ", a Dask DataFrame, a Parquet dataset, its path or a pair (rows, labels)"
    allowed += " or None"
    if _is_column_of_texts(rows):
        return
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2:
        raise option_error(argument, allowed, rows)
    if shape[0] == 0 or shape[1] == 0:
        raise option_error(argument, f"{allowed}, with at least one row and one column", rows)


def _is_column_of_texts(rows: Any) -> bool:
    """Whether the rows are a Series, an array or a list of texts."""
    is_column = isinstance(rows, list) or len(getattr(rows, "shape", ())) == 1
    return is_column and isinstance(next(iter(rows), None), str)


def _check_pair(examples: Any) -> None:
    if not _is_pair(examples) or examples[1] is None:
        return
    n_rows, n_labels = _length(examples[0]), _length(examples[1])
    if n_labels != n_rows:
        raise option_error(
            "evaluation_examples",
            "a pair (rows, labels) with a label for each row",
            f"{n_rows} rows and {n_labels} labels",
        )


def _check_features(names: Any) -> None:
    if names is None:
        return
    allowed = "a list of different strings, one for each column, or None"
    if isinstance(names, str) or not _is_listlike(names):
        raise option_error("features", allowed, names)
    listed = list(names)
    if not listed or not all(isinstance(name, str) for name in listed):
        raise option_error("features", allowed, names)
    if len(set(listed)) != len(listed):
        repeated = next(name for name in listed if listed.count(name) > 1)
        raise _error("features", allowed, f"{repeated!r} more than once")


def _check_estimators(estimators: Any) -> None:
    if estimators is None:
        return
    allowed = "a list of classes with methods fit and predict, or None"
    if isinstance(estimators, str) or not _is_listlike(estimators):
        raise option_error("estimators", allowed, estimators)
    for cls in estimators:
        methods = (getattr(cls, name, None) for name in ("fit", "predict"))
        if not isinstance(cls, type) or not all(map(callable, methods)):
            raise option_error("estimators", allowed, cls)


def _is_pair(examples: Any) -> bool:
    return isinstance(examples, tuple) and len(examples) == 2


def _rows_of(examples: Any) -> Any:
    return examples[0] if _is_pair(examples) else examples


def _length(labels: Any) -> int:
    shape = getattr(labels, "shape", None)
    return int(shape[0]) if shape else len(labels)


def _is_listlike(value: Any) -> bool:
    return hasattr(value, "__len__") and hasattr(value, "__iter__") and not isinstance(value, dict)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and 0 < float(value) < float("inf")
