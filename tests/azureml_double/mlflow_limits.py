"""Limits of Azure ML's MLflow service that a plain MLflow server does not have."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .history import RunHistory, check_tags
from .messages import Response, ServiceError, now
from .workspace import REGION

MAX_METRIC_NAMES = 50
MAX_METRIC_ROWS = 250
MAX_PARAMS = 200


class LimitError(ServiceError):
    """A refusal with the error body of the MLflow service, which MLflow's client understands."""

    def response(self) -> Response:
        """The response of this refusal."""
        body = {
            "Error": {"Code": self.code, "Severity": None, "Message": self.message, "Details": []},
            "Correlation": {},
            "Environment": REGION,
            "Location": REGION,
            "Time": now(),
            "ComponentName": "mlflow",
            "error_code": "BAD_REQUEST",
            "message": self.message,
        }
        return Response.of_json(body, self.status)


class RunLimits:
    """Counts the contents of each run and refuses requests that exceed a limit."""

    def __init__(self, history: RunHistory) -> None:
        """Start with empty runs.

        Args:
            history: Knows the tags of the runs.
        """
        self._history = history
        self._lock = threading.Lock()
        self._metrics: dict[str, set[str]] = {}
        self._params: dict[str, set[str]] = {}

    def check(self, operation: str, body: Mapping[str, Any]) -> None:
        """Refuse a call that breaks a limit.

        Args:
            operation: The call, such as ``runs/log-batch``.
            body: Its arguments.

        Raises:
            LimitError: With status 400.
        """
        written = Written.by(operation, body)
        if written.metric_rows > MAX_METRIC_ROWS:
            raise _too_many("metric rows in a batch", MAX_METRIC_ROWS, written.metric_rows)
        with self._lock:
            metrics = self._metrics.get(written.run_id, set()) | written.metrics
            params = self._params.get(written.run_id, set()) | written.params
        if len(metrics) > MAX_METRIC_NAMES:
            raise _too_many("metric names in a run", MAX_METRIC_NAMES, len(metrics))
        if len(params) > MAX_PARAMS:
            raise _too_many("params in a run", MAX_PARAMS, len(params))
        run = self._history.runs.get(written.run_id, {"tags": {}})
        try:
            check_tags({**run["tags"], **written.tags})
        except ServiceError as error:
            raise LimitError(error.status, error.code, error.message) from error

    def count(self, operation: str, body: Mapping[str, Any]) -> None:
        """Count a request that succeeded."""
        written = Written.by(operation, body)
        with self._lock:
            self._metrics.setdefault(written.run_id, set()).update(written.metrics)
            self._params.setdefault(written.run_id, set()).update(written.params)
        run = self._history.runs.get(written.run_id)
        if run is not None and written.tags:
            self._history.merge_tags(run, written.tags)


class Written:
    """The entries that a request writes into a run.

    Attributes:
        run_id: The run; empty for one that is only about to be made.
        metrics: Names of metrics.
        metric_rows: Number of metric values.
        params: Names of params.
        tags: Tags with their values.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        """Take the run from a call's arguments."""
        self.run_id = str(body.get("run_id") or body.get("run_uuid") or "")
        self.metrics: set[str] = set()
        self.metric_rows = 0
        self.params: set[str] = set()
        self.tags: dict[str, str] = {}

    @classmethod
    def by(cls, operation: str, body: Mapping[str, Any]) -> Written:
        """Read a call's arguments.

        Args:
            operation: The call, such as ``runs/log-batch``.
            body: Its arguments.
        """
        written = cls(body)
        if operation == "runs/log-metric":
            written.metrics, written.metric_rows = {body["key"]}, 1
        elif operation == "runs/log-parameter":
            written.params = {body["key"]}
        elif operation == "runs/set-tag":
            written.tags = {body["key"]: body.get("value", "")}
        elif operation in ("runs/log-batch", "runs/log-batch-async", "runs/create"):
            metrics = body.get("metrics", [])
            written.metrics = {item["key"] for item in metrics}
            written.metric_rows = len(metrics)
            written.params = {item["key"] for item in body.get("params", [])}
            written.tags = {item["key"]: item.get("value", "") for item in body.get("tags", [])}
        return written


def _too_many(what: str, limit: int, got: int) -> LimitError:
    return LimitError(400, "ValidationError", f"At most {limit} {what}, got {got}.")
