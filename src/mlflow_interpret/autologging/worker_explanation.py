"""An explanation that the background worker computes and writes."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlflow_interpret.autologging.snapshots import PendingFit
from mlflow_interpret.core import explanation_io
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime import worker_process
from mlflow_interpret.stores.record import Record

_logger = logging.getLogger("mlflow_interpret")

WORKER = "mlflow_interpret.autologging.background_worker"


class WorkerExplanation:
    """The explanation of a pending fit, held by the worker until it is written.

    Args:
        worker: The worker.
        fit: The pending fit.
        explanation_id: The id of the explanation.
        log_data: Rows of data may be logged.
        compared: The importances are needed for a comparison with a baseline.
    """

    def __init__(
        self,
        worker: worker_process.Worker,
        fit: PendingFit,
        explanation_id: str,
        *,
        log_data: bool,
        compared: bool,
    ) -> None:
        self.explanation_id = explanation_id
        self._worker = worker
        self._fit = fit
        self._log_data = log_data
        self._importances = fit.snapshot.with_name("importances.pkl") if compared else None

    def explain(self) -> None:
        """Compute the explanation.

        Raises:
            CannotExplainError: It cannot be explained.
        """
        path = self._importances
        if path is not None:
            path.unlink(missing_ok=True)
        self._ask(
            {
                "snapshot": str(self._fit.snapshot),
                "id": self.explanation_id,
                "importances": None if path is None else str(path),
            }
        )

    def importances(self) -> Importances:
        """Return the importances, for a comparison with a baseline."""
        if self._importances is None:
            raise CannotExplainError("the importances were not asked for")
        with self._importances.open("rb") as file:
            importances: Importances = pickle.load(file)  # noqa: S301 - our worker wrote it
        return importances

    def write(
        self,
        folder: Path,
        options: Options,
        run_id: str | None,
        details: Mapping[str, Any],
        read_metrics: Callable[[], Mapping[str, float]] = dict,
    ) -> Record:
        """Let the worker write the folder of the explanation.

        A worker that died has lost the explanation; it is computed again, once.

        Raises:
            CannotExplainError: The worker died again, or the folder cannot be written.
        """
        request = {
            "write": str(folder),
            "details": dict(details),
            "figures": options.log_figures,
            "report": options.log_report,
            "run_id": run_id,
            "comment": options.comment,
            "metrics": dict(read_metrics()) if options.log_report else {},
        }
        try:
            answer = self._ask(request)
        except CannotExplainError:
            shutil.rmtree(folder)
            folder.mkdir(mode=0o700)
            self.explain()
            answer = self._ask(request)
        explanation = explanation_io.read(folder)
        return Record(explanation, folder, answer["created"], answer["not_drawn"])

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        common = {"log_data": self._log_data, "cwd": str(Path.cwd())}
        try:
            answer = self._worker.ask({**request, **common})
        except worker_process.ProcessDiedError as error:
            text = f": {error.last_line}" if error.last_line and self._log_data else ""
            raise CannotExplainError(f"{error}{text}") from error
        if not answer["ok"]:
            _logger.debug("The model could not be explained\n%s", answer["traceback"])
            raise CannotExplainError(answer["reason"])
        return answer
