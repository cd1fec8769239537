"""The options of the public functions, each with its check.

An option that belongs to a store, as ``azureml``, is checked by the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mlflow_interpret.core import option_checks as checks

MAX_METRICS = 30
"""Metric names of a run for this package; the servers with the lowest limit allow 50 in all."""

METRICS = ("importance", "share")
"""The kinds of metrics, the most important first."""

FeatureGrouping = Mapping[str, Sequence[str]] | Callable[[str], str | None]
"""Groups of columns: lists of columns by group name, or a function that names a column's group."""

ENGINES = ("auto", "kernel", "tabular")

INTERACTING = 10
"""Number of leading features whose interactions are computed, unless the user gives another."""

OUTPUTS = ("auto", "probability", "log-odds", "raw")
"""Outputs of a model that contributions add up to."""

_MAX_SEED = 2**32 - 1
_MAX_POINTS = 20_000  # rows that Azure ML studio shows
_MAX_COMMENT = 1000  # characters of a property or tag in Azure ML


def _metric_kinds(value: Any) -> str | None:
    kinds = [value] if isinstance(value, str) else value
    fits = (
        isinstance(kinds, (list, tuple)) and bool(kinds) and all(kind in METRICS for kind in kinds)
    )
    return None if fits else "'importance', 'share' or a list of both"


def metric_kinds(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of metrics that an option names, in their order of importance."""
    kinds = [value] if isinstance(value, str) else value
    return tuple(kind for kind in METRICS if kind in kinds)


def _option(default: Any, check: checks.Check | None = None) -> Any:
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class Options:
    """The options of `autolog`, `explain` and `log_explanation`.

    Raises:
        OptionError: A value is not allowed. The message names the argument, the allowed values and
            the given one.
    """

    evaluation_examples: Any = None  # this and the next five are checked below
    initialization_examples: Any = None
    features: Sequence[str] | None = None
    feature_groups: FeatureGrouping | None = None
    estimators: Sequence[type] | None = None
    classes: Sequence[Any] | None = _option(None, checks.labels)
    max_rows: int | None = _option(None, checks.integer(1, optional=True))
    engine: str = _option("auto", checks.one_of(*ENGINES))
    output: str = _option("auto", checks.one_of(*OUTPUTS))
    interactions: bool | int = _option(False, checks.number_of_features)
    n_jobs: int | None = _option(None, checks.n_jobs)
    time_budget: float | str | None = _option(None, checks.time_budget)
    top_k: int = _option(20, checks.integer(1, MAX_METRICS))
    metrics: str | Sequence[str] = _option(METRICS, _metric_kinds)
    baseline: str | None = _option(
        None, checks.text("a run id, a model version ('models:/name@alias'), 'latest' or None")
    )
    comment: str | None = _option(
        None,
        checks.text(
            f"a string of at most {_MAX_COMMENT} characters or None",
            longest=_MAX_COMMENT,
            empty=True,
        ),
    )
    model_id: str | None = _option(None, checks.text("the id of a logged model or None"))
    random_state: int = _option(0, checks.integer(0, _MAX_SEED))
    azureml: Any = "auto"  # checked by its store
    upload_timeout: float = _option(60.0, checks.seconds)
    visualization_points: int | None = _option(None, checks.integer(0, _MAX_POINTS, optional=True))
    log_figures: bool = _option(True, checks.flag)
    log_report: bool = _option(True, checks.flag)
    log_data: bool = _option(True, checks.flag)
    log_description: bool = _option(True, checks.flag)
    background: bool = _option(False, checks.flag)
    disable: bool = _option(False, checks.flag)
    exclusive: bool = _option(False, checks.flag)
    silent: bool = _option(False, checks.flag)
    disable_for_unsupported_versions: bool = _option(False, checks.flag)
    extra_tags: Mapping[str, str] | None = _option(None, checks.tags)

    def __post_init__(self) -> None:
        if not self.partitioned:
            checks.check_rows("evaluation_examples", checks.rows_of(self.evaluation_examples))
        checks.check_pair(self.evaluation_examples)
        checks.check_rows("initialization_examples", self.initialization_examples)
        checks.check_features(self.features)
        checks.check_feature_groups(self.feature_groups)
        checks.check_estimators(self.estimators)
        _check_fields(self)

    @property
    def n_interacting(self) -> int:
        """Number of leading features whose interactions are computed, 0 for none."""
        if isinstance(self.interactions, bool):
            return INTERACTING if self.interactions else 0
        return int(self.interactions)

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
                raise checks.option_error("evaluation_examples", allowed, os.fspath(rows))
            return True
        # By the module's name, so that neither package is imported for a check.
        module = type(rows).__module__
        if module.startswith(("dask.dataframe", "dask_expr")):
            return True
        return module.startswith("pyarrow") and hasattr(rows, "get_fragments")

    @property
    def evaluation_rows(self) -> Any:
        """The rows of ``evaluation_examples``, without labels."""
        return checks.rows_of(self.evaluation_examples)

    @property
    def evaluation_labels(self) -> Any:
        """The labels of ``evaluation_examples=(rows, labels)``, or None."""
        return self.evaluation_examples[1] if checks.is_pair(self.evaluation_examples) else None


@dataclass(frozen=True)
class Comparison:
    """The options of `compare_runs`, except for the runs.

    Raises:
        OptionError: A value is not allowed.
    """

    experiment_names: Sequence[str] | None = _option(None, checks.strings)
    filter_string: str = _option("", checks.filter_string)
    order_by: Sequence[str] | None = _option(None, checks.strings)
    max_results: int = _option(1000, checks.integer(2, 50_000))
    top_k: int = _option(10, checks.integer(1))
    label: str | None = _option(None, checks.label)
    engineered: bool = _option(False, checks.flag)
    silent: bool = _option(False, checks.flag)
    feature_groups: FeatureGrouping | None = None

    def __post_init__(self) -> None:
        checks.check_feature_groups(self.feature_groups)
        _check_fields(self)


def check_views(*, engineered: bool, raw: bool) -> None:
    """Check the view that is requested from `load_explanation`.

    Raises:
        OptionError: Both views are requested.
    """
    if engineered and raw:
        raise checks.option_error(
            "raw", "False if engineered is True: a view is one of the two", raw
        )


def _check_fields(options: Options | Comparison) -> None:
    for option in fields(options):
        check: checks.Check | None = option.metadata.get("check")
        value = getattr(options, option.name)
        allowed = None if check is None else check(value)
        if allowed is not None:
            raise checks.option_error(option.name, allowed, value)
