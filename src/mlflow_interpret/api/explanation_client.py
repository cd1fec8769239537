"""A drop-in for azureml-interpret's ExplanationClient, without any Azure SDK."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_interpret import interpret_community
from mlflow_interpret.api.global_explanation import public_explanation
from mlflow_interpret.core.errors import ExplanationNotFoundError, OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.text import describe_value
from mlflow_interpret.stores.azureml.job import Run

if TYPE_CHECKING:
    from mlflow_interpret.stores.azureml.workspace import AzureRun

__all__ = ["ExplanationClient", "Run"]

_MAX_POINTS = 20_000  # of Azure ML studio
_SECONDS = 300.0


class ExplanationClient:
    """A drop-in replacement for azureml-interpret's ExplanationClient.

    It uploads explanations to an Azure ML run and downloads them, on Python 3.10 to 3.14, with or
    without azureml-core. Scripts change their import only. Nothing is written to the current
    directory or the environment. Uploads are retried, and an explanation is uploaded once.

    Example:
        >>> run = mlflow_interpret.Run.get_context()  # doctest: +SKIP
        >>> client = mlflow_interpret.ExplanationClient.from_run(run)  # doctest: +SKIP
        >>> client.upload_model_explanation(explanation)  # doctest: +SKIP
    """

    def __init__(self, run: Any, open_run: Callable[[], AzureRun]) -> None:
        """Create the client. Use `from_run` or `from_run_id`.

        Args:
            run: The value that names the run.
            open_run: Returns the run with a valid token.
        """
        self._run, self._open_run = run, open_run

    @classmethod
    def from_run(cls, run: Any, datastore_name: str | None = None) -> ExplanationClient:
        """Create a client for a run.

        Args:
            run: An ``azureml.core.Run``, a `mlflow_interpret.Run`, or a run as text:
                ``azureml://.../experiments/NAME/runs/ID`` or its resource id.
            datastore_name: Only the default datastore is supported.

        Raises:
            OptionError: The value is no run.
        """
        from mlflow_interpret.stores.azureml import resource_ids, targets

        _check_datastore(datastore_name)
        is_text = isinstance(run, str) and resource_ids.parse_run_id(run) is not None
        if not (is_text and resource_ids.is_workspace(run)) and not resource_ids.is_sdk_run(run):
            raise OptionError(
                "run must be an azureml.core.Run, a mlflow_interpret.Run or the resource id of a "
                f"run (azureml://.../experiments/NAME/runs/ID), got {describe_value(run)}. Outside "
                "of a job, take ExplanationClient.from_run_id(workspace, experiment_name, run_id)."
            )
        return cls(run, lambda: targets.find_run(run, "", ""))

    @classmethod
    def from_run_id(
        cls,
        workspace: Any,
        experiment_name: str,
        run_id: str,
        datastore_name: str | None = None,
    ) -> ExplanationClient:
        """Create a client for a run of a workspace.

        Args:
            workspace: An ``azureml.core.Workspace``, an ``azure.ai.ml.MLClient``, an ``azureml://``
                URI, a workspace's resource id, or the path of its ``config.json``.
            experiment_name: The name of the run's experiment.
            run_id: The run's id.
            datastore_name: Only the default datastore is supported.

        Raises:
            OptionError: The value names no workspace, or a name is no text.
        """
        from mlflow_interpret.stores.azureml.resource_ids import WORKSPACE_FORMS, is_workspace
        from mlflow_interpret.stores.azureml.workspace import (
            AzureRun,
            AzureWorkspace,
            open_workspace,
        )

        _check_datastore(datastore_name)
        opened = isinstance(workspace, AzureWorkspace)  # of mlflow_interpret.Run
        if not opened and not is_workspace(workspace):
            raise OptionError(
                f"workspace must be a Workspace of azureml.core, an MLClient, {WORKSPACE_FORMS}, "
                f"got {describe_value(workspace)}."
            )
        for name, value in (("experiment_name", experiment_name), ("run_id", run_id)):
            if not isinstance(value, str) or not value:
                raise OptionError(f"{name} must be a text, got {describe_value(value)}.")
        return cls(
            run_id,
            lambda: AzureRun(
                workspace if opened else open_workspace(workspace), experiment_name, run_id
            ),
        )

    @property
    def run(self) -> Any:
        """The run, as it was given."""
        return self._run

    def upload_model_explanation(
        self,
        explanation: Any,
        max_num_blocks: int | None = None,  # noqa: ARG002
        block_size: int | None = None,  # noqa: ARG002
        top_k: int | None = None,
        comment: str | None = None,
        init_dataset_id: str | None = None,
        eval_dataset_id: str | None = None,
        ys_pred_dataset_id: str | None = None,
        ys_pred_proba_dataset_id: str | None = None,
        upload_datasets: bool = False,
        model_id: str | None = None,
        true_ys: Any = None,
        visualization_points: int | Sequence[int] = 5000,
    ) -> None:
        """Upload an explanation, which the run then shows in its Explanations tab.

        Args:
            explanation: A global explanation, of this package or of interpret-community.
            max_num_blocks: Accepted for compatibility.
            block_size: Accepted for compatibility.
            top_k: Number of features whose importances are uploaded. Default: all.
            comment: A text that identifies the explanation.
            init_dataset_id: The id of the dataset of background rows.
            eval_dataset_id: The id of the dataset of explained rows.
            ys_pred_dataset_id: The id of the dataset of predictions.
            ys_pred_proba_dataset_id: The id of the dataset of class probabilities.
            upload_datasets: Must be False: datasets are not uploaded.
            model_id: The id of the registered model.
            true_ys: ``(n_rows,)`` true labels of the explained rows: a list, an array, a Series.
            visualization_points: Number of rows that studio shows, at most 20,000, or their
                positions. 0 for none.

        Raises:
            OptionError: An argument is not allowed.
            CannotExplainError: ``explanation`` is no global explanation.
            AzureMLError: The upload failed.
        """
        from mlflow_interpret.stores.azureml import rest_writer, sanitize

        if upload_datasets:
            raise OptionError(
                "upload_datasets must be False, got True: register the dataset and give its id as "
                "eval_dataset_id."
            )
        _check_count("top_k", top_k)
        record = interpret_community.to_record(explanation, true_ys)
        points = _check_points(visualization_points)
        if isinstance(points, list):
            record, points = _rows_at(record, points), len(points)
        record = sanitize.limit_rows(record, points, random_state=0) if points == 0 else record
        ids = {
            "init_dataset_id": init_dataset_id,
            "eval_dataset_id": eval_dataset_id,
            "eval_y_predicted": ys_pred_dataset_id,
            "eval_y_predicted_proba": ys_pred_proba_dataset_id,
            "model_id": model_id,
        }
        rest_writer.write(
            # The engineered view is an explanation of its own here, as in the original.
            replace(record, engineered=None),
            self._open_run(),
            comment,
            _SECONDS,
            points=points or None,
            top_k=top_k,
            properties={name: value for name, value in ids.items() if value is not None},
        )

    def download_model_explanation(
        self,
        explanation_id: str | None = None,
        top_k: int | None = None,
        comment: str | None = None,
        raw: bool | None = None,
        engineered: bool | None = None,
    ) -> Any:
        """Download an explanation of the run.

        Args:
            explanation_id: Its id. Default: the latest explanation.
            top_k: Number of features to rank. Default: all.
            comment: Only an explanation with this comment.
            raw: Only one that is, or is not, by raw columns.
            engineered: Only one that is, or is not, by engineered columns.

        Returns:
            A global explanation, as of `mlflow_interpret.load_explanation`.

        Raises:
            OptionError: An argument is not allowed.
            RunNotFoundError: There is no such run.
            ExplanationNotFoundError: The run has no such explanation.
            AzureMLError: The workspace refuses or does not respond.
        """
        from mlflow_interpret.stores.azureml import asset_reader

        _check_count("top_k", top_k)
        run = self._open_run()
        listed = _listed(run, comment, raw, engineered)
        ids = [entry["id"] for entry in listed if explanation_id in (None, entry["id"])]
        if not ids:
            filters = {
                "explanation_id": explanation_id,
                "comment": comment,
                "raw": raw,
                "engineered": engineered,
            }
            given = {name: value for name, value in filters.items() if value is not None}
            asked = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ExplanationNotFoundError(
                f"Azure ML run {run.run_id} has no explanation"
                + (f" with {asked}; list_model_explanations() lists them." if asked else ".")
            )
        selection = asset_reader.Selection(explanation_id=ids[-1])
        return public_explanation(asset_reader.read(run.workspace, run.run_id, selection), top_k)

    def list_model_explanations(
        self,
        comment: str | None = None,
        raw: bool | None = None,
        engineered: bool | None = None,
    ) -> list[dict[str, Any]]:
        """List the explanations of the run, oldest first.

        Args:
            comment: Only explanations with this comment.
            raw: Only those that are, or are not, by raw columns.
            engineered: Only those that are, or are not, by engineered columns.

        Returns:
            Dictionaries with ``id``, ``comment``, ``data_type``, ``explain_type``, ``model_type``,
            ``is_raw``, ``is_engineered`` and ``upload_time``.

        Raises:
            RunNotFoundError: There is no such run.
            AzureMLError: The workspace refuses or does not respond.
        """
        return _listed(self._open_run(), comment, raw, engineered)


def _listed(
    run: AzureRun, comment: str | None, raw: bool | None, engineered: bool | None
) -> list[dict[str, Any]]:
    from mlflow_interpret.stores.azureml import asset_reader

    names = ("comment", "data_type", "explain_type", "model_type", "is_raw", "is_engineered")
    return [
        {
            "id": asset.get("explanation_id"),
            **{name: asset.get(name) for name in names},
            "upload_time": asset.get("upload_time"),
        }
        for asset in asset_reader.list_assets(run.workspace, run.run_id)
        if comment in (None, asset.get("comment"))
        and raw in (None, _is_true(asset.get("is_raw")))
        and engineered in (None, _is_true(asset.get("is_engineered")))
    ]


def _is_true(text: Any) -> bool:
    return str(text).lower() == "true"


def _check_datastore(name: str | None) -> None:
    if name is not None:
        raise OptionError(
            f"datastore_name must be None, got {describe_value(name)}: the run's own storage holds "
            "its explanations."
        )


def _check_count(name: str, value: Any) -> None:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if value is not None and not (whole and value > 0):
        raise OptionError(
            f"{name} must be a positive integer or None, got {describe_value(value)}."
        )


def _check_points(points: Any) -> int | list[int]:
    """A number of rows, or their positions.

    Raises:
        OptionError: It is neither, or too large.
    """
    if isinstance(points, numbers.Integral) and not isinstance(points, bool):
        if 0 <= int(points) <= _MAX_POINTS:
            return int(points)
    elif isinstance(points, (list, tuple, np.ndarray)):
        positions = np.asarray(points)
        whole = positions.ndim == 1 and (not len(positions) or positions.dtype.kind in "iu")
        if whole and len(positions) <= _MAX_POINTS:
            chosen: list[int] = positions.tolist()
            return chosen or 0
    raise OptionError(
        f"visualization_points must be a number of rows from 0 to {_MAX_POINTS:,}, or a list of at "
        f"most {_MAX_POINTS:,} positions, got {describe_value(points)}."
    )


def _rows_at(record: Explanation, positions: list[int]) -> Explanation:
    """The record with some of its explained rows."""
    from mlflow_interpret.stores.azureml import sanitize

    count = sanitize.n_rows(record)
    if not count:
        return record
    if min(positions) < 0 or max(positions) >= count:
        raise OptionError(
            f"visualization_points must be positions from 0 to {count - 1}, got "
            f"{min(positions)} to {max(positions)}."
        )
    return sanitize.rows_at(record, positions)
