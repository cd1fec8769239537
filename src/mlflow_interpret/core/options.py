"""Every option, checked in one place."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.text import describe_value

MAX_METRICS = 30
"""Metric names a run gets from us: Azure ML allows 50 in all, the rest belongs to training."""

ENGINES = ("auto", "kernel", "tabular")

_MAX_SEED = 2**32 - 1
_MAX_POINTS = 20_000  # rows that Azure ML studio shows at most
_MAX_COMMENT = 1000  # characters: Azure ML's limit for a property or tag value


@dataclass(frozen=True)
class Options:
    """The options of `autolog`, `explain` and `log_explanation`.

    Raises:
        OptionError: A value is not allowed. The message names the argument, what is allowed and
            what was given.
    """

    evaluation_examples: Any = None
    initialization_examples: Any = None
    features: Sequence[str] | None = None
    classes: Sequence[Any] | None = None
    max_rows: int | None = None
    engine: str = "auto"
    n_jobs: int | None = None
    time_budget: float | str | None = None
    top_k: int = 20
    baseline: str | None = None
    comment: str | None = None
    model_id: str | None = None
    random_state: int = 0
    azureml: Any = "auto"
    upload_timeout: float = 60.0
    visualization_points: int | None = None
    log_figures: bool = True
    log_report: bool = True
    log_data: bool = True
    background: bool = False
    disable: bool = False
    exclusive: bool = False
    silent: bool = False
    disable_for_unsupported_versions: bool = False
    extra_tags: Mapping[str, str] | None = None
    estimators: Sequence[type] | None = None

    def __post_init__(self) -> None:
        if not self.partitioned:
            _check_rows("evaluation_examples", _rows_of(self.evaluation_examples))
        _check_pair(self.evaluation_examples)
        _check_rows("initialization_examples", self.initialization_examples)
        _check_names("features", self.features)
        _check_labels("classes", self.classes)
        _check_integer("max_rows", self.max_rows, 1, None, optional=True)
        if self.engine not in ENGINES:
            raise _error("engine", " or ".join(map(repr, ENGINES)), self.engine)
        _check_jobs(self.n_jobs)
        _check_budget(self.time_budget)
        _check_integer("top_k", self.top_k, 1, MAX_METRICS)
        _check_integer("random_state", self.random_state, 0, _MAX_SEED)
        _check_baseline(self.baseline)
        _check_comment(self.comment)
        _check_model(self.model_id)
        _check_azureml(self.azureml)
        _check_seconds("upload_timeout", self.upload_timeout)
        _check_integer(
            "visualization_points", self.visualization_points, 0, _MAX_POINTS, optional=True
        )
        for name in (
            "log_figures",
            "log_report",
            "log_data",
            "background",
            "disable",
            "exclusive",
            "silent",
            "disable_for_unsupported_versions",
        ):
            _check_flag(name, getattr(self, name))
        _check_tags(self.extra_tags)
        _check_estimators(self.estimators)

    @property
    def azureml_place(self) -> str | bool:
        """``azureml`` as text, for files and commands: nothing in it opens anything."""
        from mlflow_interpret.stores.azureml.resource_ids import place_of

        return place_of(self.azureml)

    @property
    def partitioned(self) -> bool:
        """Whether ``evaluation_examples`` are a Parquet dataset, its path, or a Dask DataFrame.

        Raises:
            OptionError: There is nothing at the path.
        """
        rows = self.evaluation_examples
        if isinstance(rows, (str, os.PathLike)):
            if not Path(rows).exists():
                allowed = "the path of a Parquet file or folder that exists"
                raise _error("evaluation_examples", allowed, os.fspath(rows))
            return True
        # They are told by their looks: neither package is imported for a check.
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


@dataclass(frozen=True)
class Comparison:
    """The options of `compare_runs`, but for the runs themselves.

    Raises:
        OptionError: A value is not allowed.
    """

    experiment_names: Sequence[str] | None = None
    filter_string: str = ""
    order_by: Sequence[str] | None = None
    max_results: int = 1000
    top_k: int = 10
    label: str | None = None
    engineered: bool = False
    silent: bool = False

    def __post_init__(self) -> None:
        for name in ("experiment_names", "order_by"):
            given = getattr(self, name)
            if given is not None and not (
                _is_listlike(given) and not isinstance(given, str) and all(map(_is_text, given))
            ):
                raise _error(name, "a list of strings or None", given)
        if not isinstance(self.filter_string, str):
            raise _error("filter_string", "a filter as of mlflow.search_runs", self.filter_string)
        _check_integer("max_results", self.max_results, 2, 50_000)
        _check_integer("top_k", self.top_k, 1, None)
        if self.label is not None and not _is_text(self.label):
            raise _error("label", "the name of a class or target as a string, or None", self.label)
        for name in ("engineered", "silent"):
            _check_flag(name, getattr(self, name))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_pair(examples: Any) -> bool:
    return isinstance(examples, tuple) and len(examples) == 2


def _rows_of(examples: Any) -> Any:
    return examples[0] if _is_pair(examples) else examples


def _error(name: str, allowed: str, got: Any) -> OptionError:
    return _error_with(name, allowed, describe_value(got))


def _error_with(name: str, allowed: str, shown: str) -> OptionError:
    if len(shown) > 80:
        shown = f"{shown[:77]}..."
    return OptionError(f"{name} must be {allowed}, got {shown}.")


def _check_rows(name: str, rows: Any) -> None:
    if rows is None:
        return
    pair = " or a pair (rows, labels)" if name == "evaluation_examples" else ""
    stored = ", a Dask DataFrame, a Parquet dataset, its path" if pair else ""
    allowed = f"a table of rows (DataFrame, 2-D array, sparse matrix){stored}{pair} or None"
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2:
        raise _error(name, allowed, rows)
    if shape[0] == 0 or shape[1] == 0:
        raise _error(name, f"{allowed}, with at least one row and one column", rows)


def _check_pair(examples: Any) -> None:
    if not _is_pair(examples) or examples[1] is None:
        return
    rows, labels = examples[0].shape[0], _length(examples[1])
    if labels != rows:
        raise _error(
            "evaluation_examples",
            "a pair (rows, labels) with a label for each row",
            f"{rows} rows and {labels} labels",
        )


def _length(labels: Any) -> int:
    shape = getattr(labels, "shape", None)
    return int(shape[0]) if shape else len(labels)


def _check_names(name: str, names: Any) -> None:
    if names is None:
        return
    allowed = "a list of different strings, one for each column, or None"
    if isinstance(names, str) or not _is_listlike(names):
        raise _error(name, allowed, names)
    listed = list(names)
    if not listed or not all(isinstance(item, str) for item in listed):
        raise _error(name, allowed, names)
    if len(set(listed)) != len(listed):
        repeated = next(item for item in listed if listed.count(item) > 1)
        raise _error_with(name, allowed, f"{repeated!r} more than once")


def _check_labels(name: str, labels: Any) -> None:
    if labels is None:
        return
    if isinstance(labels, str) or not _is_listlike(labels) or len(list(labels)) < 2:
        raise _error(name, "a list of two or more class names in the order of the model", labels)


def _is_listlike(value: Any) -> bool:
    return hasattr(value, "__len__") and hasattr(value, "__iter__") and not isinstance(value, dict)


def _check_integer(
    name: str, value: Any, low: int, high: int | None, *, optional: bool = False
) -> None:
    if value is None and optional:
        return
    allowed = "a positive integer" if high is None else f"an integer from {low} to {high}"
    if optional:
        allowed += " or None"
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        raise _error(name, allowed, value)


def _check_baseline(baseline: Any) -> None:
    if baseline is not None and not (_is_text(baseline) and baseline):
        allowed = "a run id, a model version ('models:/name@alias'), 'latest' or None"
        raise _error("baseline", allowed, baseline)


def _check_jobs(n_jobs: Any) -> None:
    if n_jobs is None:
        return
    whole = isinstance(n_jobs, numbers.Integral) and not isinstance(n_jobs, bool)
    if not whole or n_jobs == 0:
        raise _error(
            "n_jobs", "a positive integer, a negative one for all cores but some, or None", n_jobs
        )


def _check_budget(budget: Any) -> None:
    if budget is None or (isinstance(budget, str) and budget == "auto"):
        return
    real = isinstance(budget, numbers.Real) and not isinstance(budget, bool)
    if not real or not 0 < float(budget) < float("inf"):
        raise _error("time_budget", "a positive number of seconds, 'auto' or None", budget)


def _check_comment(comment: Any) -> None:
    if comment is not None and (not isinstance(comment, str) or len(comment) > _MAX_COMMENT):
        raise _error("comment", f"a string of at most {_MAX_COMMENT} characters or None", comment)


def _check_model(model_id: Any) -> None:
    if model_id is not None and not (_is_text(model_id) and model_id):
        raise _error("model_id", "the id of a logged model or None", model_id)


def _check_azureml(target: Any) -> None:
    if target is False or target == "auto":
        return
    from mlflow_interpret.stores.azureml.resource_ids import is_run, is_workspace

    if is_run(target) or is_workspace(target):
        return
    allowed = (
        "'auto', False, a Run or a Workspace of azureml.core, an MLClient, an azureml:// URI, "
        "a workspace's resource id or the path of its config.json"
    )
    raise _error("azureml", allowed, target)


def check_views(*, engineered: bool, raw: bool) -> None:
    """Check the views that `load_explanation` is asked for."""
    if engineered and raw:
        raise _error("raw", "False where engineered is True: a view is one of the two", raw)


def check_workspace(workspace: Any) -> None:
    """Check what `load_explanation` is given as a workspace."""
    from mlflow_interpret.stores.azureml.resource_ids import FORMS, is_workspace

    if workspace is not None and not is_workspace(workspace):
        allowed = f"a Workspace of azureml.core, an MLClient, {FORMS}, or None"
        raise _error("workspace", allowed, workspace)


def _check_seconds(name: str, value: Any) -> None:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 < float(value) < float("inf"):
        raise _error(name, "a positive number of seconds", value)


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise _error(name, "True or False", value)


def _check_tags(tags: Any) -> None:
    if tags is None:
        return
    if not isinstance(tags, Mapping) or not all(isinstance(key, str) for key in tags):
        raise _error("extra_tags", "a dictionary with string keys or None", tags)


def _check_estimators(estimators: Any) -> None:
    if estimators is None:
        return
    allowed = "a list of classes with methods fit and predict, or None"
    if isinstance(estimators, str) or not _is_listlike(estimators):
        raise _error("estimators", allowed, estimators)
    for cls in estimators:
        methods = (getattr(cls, name, None) for name in ("fit", "predict"))
        if not isinstance(cls, type) or not all(map(callable, methods)):
            raise _error("estimators", allowed, cls)
