"""The first page of a run: its description, and the address of the report."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities import Run, RunTag

from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores.base import StoreLimits
from mlflow_interpret.stores.record import Record

DESCRIPTION_TAG = "mlflow.note.content"
_REPORT = "report.html"


def description_tags(run: Run, record: Record, folder: str, limits: StoreLimits) -> list[RunTag]:
    """Return the tag of a run's description; nothing where the run has a description.

    Args:
        run: The run as it is now.
        record: The explanation.
        folder: Its artifact folder.
        limits: The limits of the server.
    """
    if run.data.tags.get(DESCRIPTION_TAG):
        return []
    # Relative to MLflow's pages, so that any address of the server works.
    link = _page(run, folder) if record.has_report and limits.has_mlflow_pages else None
    return [RunTag(DESCRIPTION_TAG, record.describe(link, limits.tag_length))]


def report_address(run: Run, tracking_uri: str, folder: str, limits: StoreLimits) -> str | None:
    """Return the address of a report on MLflow's pages, or its path on this machine.

    Args:
        run: The run.
        tracking_uri: The tracking URI.
        folder: The artifact folder of the explanation.
        limits: The limits of the server.

    Returns:
        None where the report is neither on pages of MLflow nor on this machine.
    """
    if urlsplit(tracking_uri).scheme in {"http", "https"}:
        if not limits.has_mlflow_pages:
            return None
        return f"{without_credentials(tracking_uri).rstrip('/')}/{_page(run, folder)}"
    artifacts = urlsplit(run.info.artifact_uri)
    if artifacts.scheme == "file":
        return str(Path(url2pathname(artifacts.path)) / folder / _REPORT)
    if len(artifacts.scheme) <= 1:  # a path; one letter is a drive of Windows
        return str(Path(run.info.artifact_uri) / folder / _REPORT)
    return None


def _page(run: Run, folder: str) -> str:
    run_path = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return f"#/{run_path}/artifacts/{folder}/{_REPORT}"
