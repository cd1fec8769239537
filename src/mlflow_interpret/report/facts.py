"""Names and values of the facts in the details section of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlflow_interpret.core.details import AttributionCheck, ModelInfo, RowCounts
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.text import format_number, format_percent, truncate

_MAX_EXPECTED_VALUES = 10
_STOPPING_REASONS = {
    "all rows": "yes, all available rows",
    "settled": "yes, the ranking of the leading features was stable",
    "max_rows": "stopped at max_rows; the ranking may not be stable",
    "time_budget": "no, the time budget was used up",
}


def facts(explanation: Explanation, run_facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of the facts in the details section."""
    details = explanation.details
    sampling_error, additivity_error = details.sampling_error, details.additivity_error
    entries = [
        ("Run", run_facts.get("run_id")),
        ("Created", run_facts.get("created")),
        ("Comment", run_facts.get("comment")),
        ("Model", explanation.model_class),
        ("Fitted and explained models", _model_path(details.model or ModelInfo())),
        ("Task", explanation.task),
        ("Method", f"{explanation.method}, {details.engine or 'engine not recorded'}"),
        ("Scale", details.output_scale),
        ("Base value", _expected_values(explanation)),
        ("Rows", _row_counts(details.rows)),
        ("Enough rows", _STOPPING_REASONS.get(str(details.stopped))),
        ("Background rows", details.background_rows),
        ("Seed", details.random_state),
        ("Additivity error",
         None if additivity_error is None else format_number(float(additivity_error), 2)),
        ("Sampling error", None if sampling_error is None else
         f"typically {format_percent(float(sampling_error))} of a row's largest contribution"),
        ("Attribution check", _attribution_check(details.attribution_check)),
        ("Duration", None if details.seconds is None else f"{details.seconds} s"),
        ("Time budget", None if details.time_budget is None else f"{details.time_budget:g} s"),
        ("Explanation", explanation.id),
        ("Aggregated in explanation", details.raw_explanation_id),
    ]  # fmt: skip
    entries += [
        ("Missing baseline", details.baseline_missing),
        ("Missing groups", details.groups_missing),
        ("Histograms", details.histograms),
    ]
    entries += [(words(key), value) for key, value in details.extra.items()]
    entries.append(("Versions", details.versions))
    return [(name, _to_text(value)) for name, value in entries if value not in (None, "", [], {})]


def _attribution_check(check: AttributionCheck | None) -> str | None:
    if check is None or check.outcome is None:
        return None
    if check.outcome == "passed":
        return f"passed, {check.columns} columns of {check.rows} rows"
    return f"{check.outcome}, {check.explainer}: {check.reason}"


def _model_path(model: ModelInfo) -> str:
    names = (model.fitted, model.explained, model.estimator)
    return " → ".join(dict.fromkeys(name for name in names if name))


def _row_counts(rows: RowCounts | None) -> str:
    if rows is None:
        return ""
    counts = f"{format_number(rows.explained)} of {format_number(rows.available)}"
    return f"{counts} {words(rows.source or '', lower=True)}"


def _expected_values(explanation: Explanation) -> str:
    values = explanation.expected_values
    if values is None:
        return ""
    numbers = [format_number(float(value)) for value in np.ravel(values)]
    outputs = explanation.output_names
    if outputs is None or len(outputs) != len(numbers):
        return ", ".join(numbers[:_MAX_EXPECTED_VALUES])
    pairs = [f"{truncate(output, 40)}: {number}"
             for output, number in zip(outputs, numbers, strict=True)]  # fmt: skip
    n_others = len(pairs) - _MAX_EXPECTED_VALUES
    others = f", and {n_others} more" if n_others > 0 else ""
    return ", ".join(pairs[:_MAX_EXPECTED_VALUES]) + others


def words(key: Any, *, lower: bool = False) -> str:
    """The key of a record in words: spaces for underscores, and a capital at the beginning."""
    text = str(key).replace("_", " ").strip()
    return text if lower or not text else text[0].upper() + text[1:]


def _to_text(value: Any) -> str:
    if isinstance(value, Mapping):
        items = value.items()
        return ", ".join(f"{words(key, lower=True)} {_to_text(item)}" for key, item in items)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_to_text, value))
    return format_number(value) if isinstance(value, (float, int)) else str(value)
