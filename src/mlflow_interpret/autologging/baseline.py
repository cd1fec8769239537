"""An explanation is compared with that of a baseline run before it is logged."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from mlflow_interpret.core.errors import MlflowInterpretError
from mlflow_interpret.core.explanation import Explanation, importances_of
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.messages import warn

_logger = logging.getLogger("mlflow_interpret")


def compared(
    explanation: Explanation, run_id: str, tracking_uri: str, options: Options
) -> Explanation:
    """The explanation with ``details["baseline"]``, or with the reason that it has none.

    A baseline that cannot be read is one warning: the explanation is logged all the same. That
    ``"latest"`` finds no run, as in the first one of an experiment, is none.
    """
    if options.baseline is None:
        return explanation
    try:
        from mlflow_interpret.compare.baseline import compare_with_baseline
        from mlflow_interpret.stores.mlflow.search import load_baseline

        current = importances_of(explanation)
        baseline = load_baseline(options.baseline, run_id, current.model_class, tracking_uri)
        if baseline is None:
            reason = "no other finished run of the experiment holds an explanation"
            return _with(explanation, baseline=None, baseline_missing=reason)
        return _with(explanation, baseline=compare_with_baseline(current, baseline))
    except Exception as error:
        _logger.debug("The baseline cannot be read", exc_info=True)
        # Whatever else is raised may name addresses with what lets one in.
        told = str(error) if isinstance(error, MlflowInterpretError) else type(error).__name__
        warn(
            options,
            f"Run {run_id} was not compared with its baseline {options.baseline!r}: "
            f"{told.rstrip('.')}. Name a run or model version that holds an explanation.",
        )
        return _with(explanation, baseline=None, baseline_missing=told)


def _with(explanation: Explanation, **changes: Any) -> Explanation:
    return replace(explanation, details=replace(explanation.details, **changes))
