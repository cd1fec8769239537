"""Compare a new explanation with that of a baseline run, and deliver it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlflow_interpret.core.errors import MlflowInterpretError
from mlflow_interpret.core.explanation import Explanation, Importances, importances_of
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.messages import warn

if TYPE_CHECKING:
    from mlflow_interpret.stores import mlflow as mlflow_store

_logger = logging.getLogger("mlflow_interpret")


def log_to_run(
    explanation: Explanation,
    run_id: str,
    tracking_uri: str,
    options: Options,
    *,
    created: str | None = None,
    draw_later: bool = False,
) -> mlflow_store.Logged:
    """Compare an explanation with the baseline and deliver it to a run.

    Args:
        explanation: The explanation.
        run_id: An existing run.
        tracking_uri: The tracking URI.
        options: The options.
        created: The time of an earlier attempt to log it, ISO 8601. Default: now.
        draw_later: Draw the figures and the report beside the training.
    """
    from mlflow_interpret.stores import delivery

    if options.baseline is not None:
        current = importances_of(explanation)
        compared = baseline_details(current, run_id, tracking_uri, options)
        explanation = with_details(explanation, compared)
    return delivery.deliver_explanation(
        explanation, run_id, tracking_uri, options, created=created, draw_later=draw_later
    )


def baseline_details(
    current: Importances, run_id: str, tracking_uri: str, options: Options
) -> dict[str, Any]:
    """Return the details ``baseline`` and, where there is none, ``baseline_missing``.

    A baseline that cannot be read is one warning; the explanation is logged all the same. It is no
    warning that ``"latest"`` finds no run, as in the first run of an experiment.

    Args:
        current: The importances of the new explanation.
        run_id: The run of the new explanation.
        tracking_uri: The tracking URI.
        options: The options, with a baseline.
    """
    try:
        from mlflow_interpret.compare.baseline import compare_with_baseline
        from mlflow_interpret.stores.mlflow.search import load_baseline

        baseline = load_baseline(str(options.baseline), run_id, current.model_class, tracking_uri)
        if baseline is None:
            reason = "no other finished run of the experiment holds an explanation"
            return {"baseline": None, "baseline_missing": reason}
        return {"baseline": compare_with_baseline(current, baseline)}
    except Exception as error:
        _logger.debug("The baseline cannot be read", exc_info=True)
        # The texts of other errors may hold addresses with credentials.
        is_ours = isinstance(error, MlflowInterpretError)
        reason = str(error) if is_ours else type(error).__name__
        warn(
            options,
            f"Run {run_id} was not compared with its baseline {options.baseline!r}: "
            f"{reason.rstrip('.')}. Name a run or model version that holds an explanation.",
        )
        return {"baseline": None, "baseline_missing": reason}


def with_details(explanation: Explanation, details: Mapping[str, Any]) -> Explanation:
    """Return the explanation with further details."""
    return replace(explanation, details=replace(explanation.details, **details))
