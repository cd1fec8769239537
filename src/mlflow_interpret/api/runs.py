"""Public functions for runs: compare them, finish their uploads, and wait for background work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlflow_interpret.core.options import Comparison, FeatureGrouping, Options
from mlflow_interpret.runtime.messages import show_messages
from mlflow_interpret.stores import mlflow as mlflow_store

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import Run

    from mlflow_interpret.compare import RunComparison


def compare_runs(
    runs: Iterable[str | Run] | pd.DataFrame | None = None,
    *,
    experiment_names: Sequence[str] | None = None,
    filter_string: str = "",
    order_by: Sequence[str] | None = None,
    max_results: int = 1000,
    top_k: int = 10,
    label: str | None = None,
    engineered: bool = False,
    feature_groups: FeatureGrouping | None = None,
    silent: bool = False,
) -> RunComparison:
    """Compare the explanations of several runs.

    The latest explanation of each run is read: one small file, in parallel, without rows of data.
    The first run is the reference of `RunComparison.differences` and of the marks.

    Args:
        runs: Run ids, `mlflow.entities.Run` objects, model versions (``"models:/name/1"``,
            ``"models:/name@alias"``), in any mixture and compared in this order, or a table of
            `mlflow.search_runs`. Default: the results of the search.
        experiment_names: Experiments to search, in addition to ``runs``. Default: the active
            experiment if ``runs`` is not given.
        filter_string: A filter string as for `mlflow.search_runs`. Only runs with an explanation
            are found.
        order_by: The order of the search; ``runs`` keep theirs. Default: the newest runs are found
            and compared from the oldest on, so the oldest of them is the reference.
        max_results: The most runs that the search returns.
        top_k: The number of features in figures and in the overlap of `RunComparison.agreement`.
        label: Compare the importances for this class or target instead of the mean over all.
        engineered: Compare by engineered columns.
        feature_groups: Compare by groups of columns, as for `autolog`, and by the columns in no
            group. Groups that a run did not log are computed from its contributions by row, which
            are then read, too; a run without them is left out. A run without some of the columns
            gets a mark.
        silent: Suppress warnings and progress bars.

    Returns:
        The comparison: ``.table``, ``.runs``, ``.agreement``, ``.differences``, ``.plot()``,
        ``.to_html()``. Runs without an explanation are left out, with one warning, and listed in
        ``.skipped``.

    Raises:
        OptionError: An argument is not allowed.
        RunNotFoundError: A run or model version does not exist.
        ExplanationNotFoundError: Fewer than two different runs hold an explanation.
        TrackingUnavailableError: The tracking server does not respond.

    Example:
        >>> rigid = Ridge(alpha=10).fit(X, y)
        >>> other_id = mlflow_interpret.log_explanation(mlflow_interpret.explain(rigid, X))
        >>> comparison = mlflow_interpret.compare_runs([run_id, other_id])
        >>> comparison.agreement["top_k_overlap"].tolist()
        [1.0]
    """
    from mlflow_interpret.api import compare_runs

    options = Comparison(
        experiment_names,
        filter_string,
        order_by,
        max_results,
        top_k,
        label,
        engineered,
        silent,
        feature_groups,
    )
    show_messages()
    return compare_runs.compare(runs, mlflow_store.current_tracking_uri(), options)


def push(
    run_id: str,
    *,
    azureml: Any = "auto",
    upload_timeout: float = 300.0,
    visualization_points: int | None = None,
) -> list[str]:
    """Finish uploads to Azure ML that failed or never started. Nothing is computed again.

    The explanations of the MLflow run are uploaded unless Azure ML has them, so a second call does
    nothing. It works on any machine that can read the run.

    Args:
        run_id: The MLflow run.
        azureml: The destination: ``"auto"`` if the MLflow run is an Azure ML run, or a run or a
            workspace as for `autolog`.
        upload_timeout: Seconds for each of the run's explanations.
        visualization_points: As for `autolog`. Default: the value for which the run was logged.

    Returns:
        The ids under which Azure ML has the run's explanations, oldest first.

    Raises:
        OptionError: An argument is not allowed.
        AzureMLError: An upload failed; the message gives the reason. Another call continues where
            this one ended.
        RunNotFoundError: There is no such run in the tracking store.
        ExplanationNotFoundError: The run holds no explanation.

    Example:
        >>> mlflow_interpret.push(run_id, azureml="config.json")  # doctest: +SKIP
    """
    from mlflow_interpret.api import push as push_runs

    options = Options(
        azureml=azureml, upload_timeout=upload_timeout, visualization_points=visualization_points
    )
    return push_runs.push(run_id, mlflow_store.current_tracking_uri(), options)


def flush(timeout: float | None = None) -> bool:
    """Wait for background work: explanations in the background, figures, reports and uploads.

    Afterwards, no thread or process of this package is running, unless the timeout has passed.

    Args:
        timeout: Maximum number of seconds to wait. Default: no limit; each upload ends after its
            ``upload_timeout``.

    Returns:
        Whether all work has ended.

    Example:
        >>> mlflow_interpret.flush()
        True
    """
    from mlflow_interpret.autologging import background, begun_logs
    from mlflow_interpret.stores import delivery

    deadline = None if timeout is None else time.monotonic() + timeout
    explained = background.flush(timeout)
    remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
    delivered = delivery.flush(remaining)
    background.end_idle_worker()
    begun_logs.end_idle()
    delivery.end_idle_workers()
    return delivered and explained
