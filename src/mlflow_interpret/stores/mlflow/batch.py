"""The metrics and tags of an explanation, logged in one batch that can be repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag

from mlflow_interpret.core.options import MAX_METRICS
from mlflow_interpret.stores.base import StoreLimits
from mlflow_interpret.stores.mlflow.layout import explanations_of, get_run
from mlflow_interpret.stores.mlflow.metrics import (
    GROUP,
    GROUP_SHARE,
    OWN_METRIC,
    PREFIX,
    SHARE,
    SHIFT,
    MetricRoom,
)
from mlflow_interpret.stores.mlflow.places import Place

TagsFor = Callable[[Run, int, list[int]], list[RunTag]]
"""Return the tags for the run as it is now, the count of its explanations, and the numbers of the
explanations with a table."""


def log_batch(
    client: MlflowClient,
    run_id: str,
    metrics: Sequence[Metric],
    tags_for: TagsFor,
    stored_numbers: Callable[[], Mapping[int, bool]],
) -> None:
    """Log metrics and tags, and the shared tags again while other threads log into the run.

    The count of explanations and the list of tables are read and written back; a parallel log may
    have overwritten them with an older state. Metrics that the run holds already are not logged
    again, which would add a point to their history.

    Args:
        client: The client.
        run_id: The run.
        metrics: The metrics.
        tags_for: Returns the tags.
        stored_numbers: Returns the numbers that this process has stored, True for those of
            explanations.
    """
    stored: Mapping[int, bool] = {}
    while stored != (latest := stored_numbers()):
        stored = latest
        run = get_run(client, run_id)
        count = max(*stored, explanations_of(run))  # another process may have counted further
        tables = sorted(number for number, explained in stored.items() if explained)
        missing = [metric for metric in metrics if not _is_logged(metric, run)]
        client.log_batch(run_id, metrics=missing, tags=tags_for(run, count, tables))
        metrics = []


def metric_entities(
    metrics: Mapping[str, float],
    created: str,
    model_id: str | None,
    dataset: tuple[str | None, str | None] = (None, None),
) -> list[Metric]:
    """Return MLflow's metrics, at the time ``created``, which is the same when they are repeated.

    Args:
        metrics: The metrics by name.
        created: The time, ISO 8601.
        model_id: The logged model of the metrics.
        dataset: The name and digest of the dataset of the metrics.
    """
    milliseconds = int(datetime.fromisoformat(created).timestamp() * 1000)
    name, digest = dataset
    return [
        Metric(
            key, value, milliseconds, 0, model_id=model_id, dataset_name=name, dataset_digest=digest
        )
        for key, value in metrics.items()
    ]


def metric_room(run: Run, place: Place, limits: StoreLimits) -> MetricRoom:
    """Return the number of metric names that an explanation may add to a run.

    Args:
        run: The run.
        place: The place of the explanation; its own metrics take no room.
        limits: The limits of the server. With a limit, the kinds of metrics share the room.
    """
    own_number = f"-{place.number}" if place.number > 1 else ""
    kinds: Counter[str] = Counter()  # of the metrics of other explanations
    n_own = 0
    for match in filter(None, map(OWN_METRIC.match, run.data.metrics)):
        if place.is_begun and (match[2] or "") == own_number:
            n_own += 1
        else:
            kinds[match[1]] += 1
    if limits.metrics is None:
        n_groups = max(kinds[GROUP], kinds[GROUP_SHARE])
        n_all = kinds[PREFIX] + kinds[SHIFT]
        return MetricRoom(MAX_METRICS - n_all, MAX_METRICS - kinds[SHARE], MAX_METRICS - n_groups)
    n_others = len(run.data.metrics) - n_own
    return MetricRoom(min(MAX_METRICS - kinds.total(), limits.metrics - n_others))


def _is_logged(metric: Metric, run: Run) -> bool:
    """Return whether a run holds a metric. Whether a logged model holds it is not known."""
    return metric.model_id is None and run.data.metrics.get(metric.key) == metric.value
