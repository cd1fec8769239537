"""Choose the explainer: the fastest one whose attributions are right for a model."""

from __future__ import annotations

import logging
from dataclasses import replace

from mlflow_interpret.core.details import note_because
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.explaining.attribution_check import MisattributedError
from mlflow_interpret.explaining.attributions import AttributionResult
from mlflow_interpret.explaining.explainers.base import (
    SAMPLING_SHARE,
    Explainer,
    ExplainRequest,
    exact_explainer,
    registered_explainers,
)
from mlflow_interpret.explaining.requested_output import is_requested
from mlflow_interpret.explaining.row_scheduler import run
from mlflow_interpret.explaining.row_sources import RowSource
from mlflow_interpret.explaining.time_budget import TooSlowError

__all__ = ["exact_explainer", "exact_explainer_on_scale", "explain_rows", "sampling_explainer"]

_logger = logging.getLogger(__name__)

_PROBE_ROWS = 5
"""Number of rows that show the scale of an explainer."""
_MORE_ROWS = 3
"""Sampling must explain this many times the rows of an exact explainer to be preferred to it: fewer
rows do not make up for the error of sampling."""


def explain_rows(request: ExplainRequest, source: RowSource) -> AttributionResult:
    """Explain rows of a source with the fastest explainer that is right for the model.

    Args:
        request: The model, its background rows and the options.
        source: The rows to choose from.

    Raises:
        CannotExplainError: No explainer can explain this model on these rows.
    """
    request = replace(request, sample=source.head())
    if source.is_partitioned and request.plan.engine == "kernel":
        # The kernel explainer of TabularExplainer is too slow for all rows of partitions.
        request = replace(request, plan=replace(request.plan, engine="auto"))
    is_known = any(registered_explainers(request.plan.engine, exact=True))
    if request.plan.is_sampled or not is_known:
        return _sample(request, source)
    try:
        return run(
            exact_explainer_on_scale(request),
            source,
            request.plan,
            request.budget,
            exact=True,
            fallback=lambda n_rows: _faster_explainer(request, n_rows),
        )
    except TooSlowError:
        raise
    except CannotExplainError as error:
        reason = error
    _logger.debug("No exact explainer for %s: %s", request.adapter.name, reason)
    result = _sample(request, source)
    return replace(
        result,
        notes=(note_because("Explained as a black box", reason), *result.notes),
        attribution_check=reason.check if isinstance(reason, MisattributedError) else None,
    )


def exact_explainer_on_scale(request: ExplainRequest) -> Explainer:
    """Prepare the first exact explainer that supports the model, if it is on the requested scale.

    Raises:
        CannotExplainError: There is none; the message completes a sentence that ends with
            "because".
    """
    explainer = exact_explainer(request)
    _check_scale(explainer, request)
    return explainer


def _check_scale(explainer: Explainer, request: ExplainRequest) -> None:
    """Check that attributions are on the requested scale.

    Raises:
        CannotExplainError: They are not.
    """
    requested, rows = request.plan.output, request.sample or request.background
    if requested == "auto":
        return
    scale = explainer.explain(rows.subset(slice(_PROBE_ROWS))).scale
    if not is_requested(requested, scale, request.adapter):
        raise CannotExplainError(
            f"the exact values of {explainer.info.method} add up to the {scale or 'raw output'}, "
            f"and output={requested!r} is requested"
        )


def sampling_explainer(request: ExplainRequest) -> Explainer:
    """Prepare the preferred explainer that needs the predictions of the model only.

    Raises:
        CannotExplainError: The model cannot predict the background rows.
    """
    return next(registered_explainers(request.plan.engine, exact=False))(request)


def _faster_explainer(request: ExplainRequest, n_rows: int) -> Explainer | None:
    """The sampling explainer, if it explains many more than ``n_rows`` in the remaining time."""
    budget = request.budget
    if request.plan.engine != "auto" or budget.seconds is None:
        return None
    if budget.remaining < SAMPLING_SHARE * budget.seconds:
        return None
    try:
        explainer = sampling_explainer(request)
    except CannotExplainError:
        return None
    return explainer if explainer.affordable_rows >= _MORE_ROWS * n_rows else None


def _sample(request: ExplainRequest, source: RowSource) -> AttributionResult:
    """Explain rows by the first sampling explainer that succeeds."""
    failure: CannotExplainError | None = None
    engine = "auto" if source.is_partitioned else request.plan.engine
    for explainer_class in registered_explainers(engine, exact=False):
        try:
            explainer = explainer_class(request)
            result = run(explainer, source, request.plan, request.budget)
        except TooSlowError:
            if failure is None:
                raise
        except CannotExplainError as error:
            failure = failure or error
        except Exception:
            if failure is None:
                raise
        else:
            if failure is None:
                return result
            note = note_because(f"Explained by {result.method}", failure)
            return replace(result, notes=(note, *result.notes))
    if failure is not None:
        raise failure
    raise CannotExplainError(f"no explainer is registered for engine={request.plan.engine!r}")
