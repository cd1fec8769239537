"""The output of a model that the option ``output`` requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.booster_libraries import is_booster
from mlflow_interpret.explaining.fitted_models import model_of_last_step
from mlflow_interpret.explaining.model_adapter import (
    DECISION_FUNCTION,
    LOG_ODDS,
    PREDICTED_LABEL,
    PROBABILITY,
    PROBABILITY_LOG_ODDS,
    SMALLEST_PROBABILITY,
    ModelAdapter,
    Output,
)

_CHECKED_ROWS = 20
"""Number of rows that show whether a decision function is the log-odds."""


def with_available_output(
    plan: Plan, adapter: ModelAdapter, rows: RowBatch
) -> tuple[Plan, tuple[str, ...]]:
    """Return a plan whose output the model has, and notes on the replacement of another one.

    Args:
        plan: The options.
        adapter: The model.
        rows: Rows, of which the first is predicted.

    Raises:
        OptionError: The model lacks the requested output, which is not optional.
    """
    problem = _problem(plan.output, adapter, rows)
    if problem is None:
        return plan, ()
    if not plan.is_output_optional:
        raise OptionError(
            f"output must be 'auto' or 'raw' for {adapter.name}, which {problem}, got "
            f"{plan.output!r}.",
            argument="output",
        )
    note = (
        f"output={plan.output!r} does not apply to {adapter.name}, which {problem}; it is "
        "explained as by output='auto'."
    )
    return replace(plan, output="auto"), (note,)


def _problem(output: str, adapter: ModelAdapter, rows: RowBatch) -> str | None:
    if output not in {PROBABILITY, LOG_ODDS}:
        return None
    if adapter.classes is None:
        return "is no classifier"
    if adapter.probabilities(rows.subset(slice(1)).original) is None:
        return "gives no probabilities"
    return None


def is_requested(output: str, scale: str | None, adapter: ModelAdapter) -> bool:
    """Whether the scale of attributions is the requested output."""
    if output == "auto" or adapter.classes is None:
        return True
    if output == "raw":
        return scale not in {PROBABILITY, PREDICTED_LABEL} or not _has_margin(adapter)
    return scale == output


def requested_outputs(
    output: str, adapter: ModelAdapter, rows: RowBatch
) -> Iterator[tuple[str, Output]]:
    """The outputs of a model that an explainer of any function may explain, the preferred first.

    Args:
        output: The option.
        adapter: The model.
        rows: Some rows, which show whether the decision function is the log-odds.
    """
    outputs = dict(adapter.outputs())
    if output == "auto" or adapter.classes is None:
        yield from outputs.items()
    elif output == PROBABILITY:
        yield PROBABILITY, adapter.output(PROBABILITY)
    elif output == LOG_ODDS:
        margin = DECISION_FUNCTION if _is_log_odds(adapter, rows) else PROBABILITY_LOG_ODDS
        yield margin, adapter.output(margin)
    elif DECISION_FUNCTION in outputs:
        yield DECISION_FUNCTION, outputs[DECISION_FUNCTION]
    elif _has_margin(adapter):
        yield PROBABILITY_LOG_ODDS, adapter.output(PROBABILITY_LOG_ODDS)
    else:
        yield from outputs.items()


def output_notes(output: str, scale: str, adapter: ModelAdapter) -> tuple[str, ...]:
    """Notes on the explained output, for the status record.

    Args:
        output: The option.
        scale: Name of the explained output, from `requested_outputs` or of attributions.
        adapter: The model.
    """
    if output == "raw" and adapter.classes is not None and scale == PROBABILITY:
        return (f"{adapter.name} has no decision function; its probabilities are explained.",)
    if scale == PROBABILITY_LOG_ODDS:
        smallest = f"{SMALLEST_PROBABILITY:g}"
        return (f"The log-odds are of predict_proba; less than {smallest} counts as {smallest}.",)
    return ()


def _has_margin(adapter: ModelAdapter) -> bool:
    is_scored = any(name == DECISION_FUNCTION for name, _ in adapter.outputs())
    return is_scored or is_booster(model_of_last_step(adapter.model))


def _is_log_odds(adapter: ModelAdapter, rows: RowBatch) -> bool:
    try:
        checked = rows.subset(slice(_CHECKED_ROWS)).original
        scores = adapter.output(DECISION_FUNCTION)(checked)
        return adapter.scale_of(DECISION_FUNCTION, scores, checked) == LOG_ODDS
    except Exception:  # the model lacks this output
        return False
