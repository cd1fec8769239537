"""HTML report of an explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlflow_interpret.core.details import Details, ModelInfo
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import by_group
from mlflow_interpret.core.statistics import INTERVAL, FloatArray, rank, shares
from mlflow_interpret.core.text import NAME_LENGTH, format_number, format_percent, truncate
from mlflow_interpret.rendering import html
from mlflow_interpret.report.baseline_section import baseline_section
from mlflow_interpret.report.description import summary
from mlflow_interpret.report.facts import facts
from mlflow_interpret.report.folds_section import folds_section
from mlflow_interpret.report.interaction_figures import interaction_rows
from mlflow_interpret.report.page_data import Selection, page_data, select
from mlflow_interpret.report.tiles import tiles

_MAX_METRICS = 12  # beside the headline
_MAX_GROUPS = 50  # rows of the table of groups
_MAX_COLUMNS = 12  # names of a group's columns


def render_report(explanation: Explanation, run_facts: Mapping[str, Any] | None = None) -> str:
    """Render the report as a self-contained HTML page.

    Args:
        explanation: The explanation. Without values of single rows, only aggregates are shown.
        run_facts: Facts about the run, if they are known: ``run_id``, ``created``, ``comment``, and
            ``metrics``, numbers by name.
    """
    selection = select(explanation)
    details = explanation.details
    run_facts = run_facts or {}
    context = {
        "heading": _heading(explanation),
        "headline": summary(explanation),
        **_metrics(run_facts.get("metrics") or {}),
        "lead": _lead(explanation),
        "tiles": tiles(explanation),
        "notices": _notices(details),
        "rows": _rows(explanation, selection.features),
        "has_errors": explanation.standard_errors() is not None,
        "unit": details.output_scale or "",
        "outputs": [
            (number, truncate((explanation.output_names or ())[position], 80))
            for number, position in enumerate(selection.outputs, start=1)
        ],
        "output_kind": explanation.output_kind,
        "has_points": selection.n_distributions > 0,
        **_row_section(explanation, selection),
        "groups": _group_rows(explanation),
        "folds": folds_section(explanation),
        "interactions": interaction_rows(explanation),
        "interactions_kind": _interactions_kind(explanation),
        "baseline": baseline_section(explanation),
        "facts": facts(explanation, run_facts),
        "notes": [str(note) for note in details.notes],
        "limits": _limits(explanation, selection, has_run=bool(run_facts.get("run_id"))),
    }
    return html.render(
        "mlflow_interpret.report",
        "report.html",
        context,
        data=page_data(explanation, selection),
        scripts=("values.js", "rows.js", "plots.js", "strips.js", "report.js"),
        styles=("report.css",),
    )


def _row_section(explanation: Explanation, selection: Selection) -> dict[str, Any]:
    """Variables of the section about a single row."""
    local, n_classes = explanation.local_values, len(explanation.classes or ())
    is_predicted = n_classes == len(selection.outputs) and explanation.targets is None
    choice = "Predicted class" if is_predicted else "Largest output"
    return {
        "n_rows": 0 if local is None else local.shape[-2],
        "row_output": choice if n_classes > 2 else None,
        "no_rows": (
            "no contributions of single rows were stored, as with log_data=False"
            if local is None
            else "no rows were explained"
        ),
    }


def _heading(explanation: Explanation) -> str:
    model = explanation.details.model or ModelInfo()
    name = (explanation.model_class or "model").rpartition(".")[2]
    fitted, estimator = model.fitted or name, model.estimator or name
    return fitted if fitted == estimator else f"{fitted} with {estimator}"


def _metrics(metrics: Mapping[str, float]) -> dict[str, Any]:
    """Variables of the metrics beside the headline: names, numbers and the number of others."""
    shown = [(name, format_number(float(value), 4)) for name, value in metrics.items()]
    return {"metrics": shown[:_MAX_METRICS], "n_more_metrics": max(len(shown) - _MAX_METRICS, 0)}


def _lead(explanation: Explanation) -> str:
    scale = explanation.details.output_scale
    unit = f" ({scale})" if scale else ""
    text = (
        "The importance of a feature is its mean absolute contribution to the model's output"
        f"{unit}, averaged over the explained rows"
    )
    if explanation.output_names is None:
        return f"{text}."
    count = len(explanation.output_names)
    outputs = (
        f"both {explanation.output_kind_plural}"
        if count == 2
        else f"all {count} {explanation.output_kind_plural}"
    )
    text = f"{text} and {outputs}."
    if explanation.classes is None:  # the targets may have different units
        text += " Targets with larger values have more weight: select a target to see it alone."
    return text


def _interactions_kind(explanation: Explanation) -> str:
    interactions = explanation.interactions
    if interactions is None:
        return ""
    pairs = f"the {len(interactions.features)} most important features"
    rows = "1 row" if interactions.n_rows == 1 else f"{interactions.n_rows:,} rows"
    if interactions.is_sampled:
        return f"Pairs of {pairs}, estimated from sampled coalitions of {rows}."
    return f"Pairs of {pairs}, exact, over {rows}."


def _notices(details: Details) -> list[str]:
    """Warnings about the reliability of the numbers."""
    notices = [details.additivity_breach, details.partial_reason]
    return [str(notice) for notice in notices if notice]


def _rows(explanation: Explanation, features: list[int]) -> list[dict[str, Any]]:
    """Rows of the table of importances; the widths of bars are percentages of the axis."""
    values, errors = explanation.global_values, explanation.standard_errors()
    half_widths = np.zeros(len(values)) if errors is None else INTERVAL * errors
    with np.errstate(invalid="ignore"):  # of infinite importances
        low, high = values - half_widths, values + half_widths
        spans = high - np.maximum(low, 0.0)
    axis_end = _largest_finite(high) or 1.0
    return [
        {
            "rank": position,
            "name": explanation.features[i],
            "value": format_number(float(values[i])),
            "half_width": "" if errors is None else format_number(float(half_widths[i]), 2),
            "width": _percent_of_axis(values[i], axis_end),
            "low": _percent_of_axis(low[i], axis_end),
            "span": _percent_of_axis(spans[i], axis_end),
        }
        for position, i in enumerate(features, start=1)
    ]


def _group_rows(explanation: Explanation) -> list[dict[str, Any]]:
    """Rows of the table of groups and of features in no group; empty if there are no groups."""
    if explanation.groups is None:
        return []
    view, columns = by_group(explanation), explanation.groups.columns
    leading = [int(i) for i in rank(view.global_values)[:_MAX_GROUPS]]
    parts = shares(view.global_values)
    return [
        {
            **row,
            "share": format_percent(float(parts[i])),
            "columns": _some(columns.get(view.features[i], ())),
        }
        for i, row in zip(leading, _rows(view, leading), strict=True)
    ]


def _some(columns: Sequence[str]) -> str:
    names = [truncate(name, 60) for name in columns[:_MAX_COLUMNS]]
    n_others = len(columns) - len(names)
    return ", ".join(names) + (f" and {n_others:,} more" if n_others > 0 else "")


def _largest_finite(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else 0.0


def _percent_of_axis(value: float, axis_end: float) -> str:
    with np.errstate(invalid="ignore"):  # of infinite importances
        fraction = float(np.nan_to_num(value / axis_end, nan=0.0))
    percent = 100 * min(max(fraction, 0.0), 1.0)
    return f"{percent:.2f}".rstrip("0").rstrip(".")


def _limits(explanation: Explanation, selection: Selection, *, has_run: bool) -> list[str]:
    """Sentences about the parts of the explanation that the page does not show."""
    limits = []
    n_features = len(explanation.features)
    if len(selection.features) < n_features:
        limits.append(
            f"The table lists the {len(selection.features):,} most important of {n_features:,} "
            "features."
        )
    limits += _distribution_limits(explanation, selection)
    n_outputs = len(explanation.output_names or ())
    if len(selection.outputs) < n_outputs:
        count = f"{len(selection.outputs)} of {n_outputs} {explanation.output_kind_plural}"
        limits.append(f"The {count} with the largest importances can be selected.")
    if any(len(name) > NAME_LENGTH for name in explanation.features):
        limits.append("Long names are shortened.")
    if has_run:
        limits.append("The run's explanation.json has all numbers.")
    return limits


def _distribution_limits(explanation: Explanation, selection: Selection) -> list[str]:
    local = explanation.local_values
    if local is None:
        return ["There are no distributions, since no values of single rows were stored."]
    limits = []
    n_rows, n_features = local.shape[-2:]
    if len(selection.rows) < n_rows:
        limits.append(
            f"Distributions show a random sample of {len(selection.rows):,} of {n_rows:,} "
            "explained rows."
        )
    if selection.n_distributions < n_features:
        limits.append(
            f"The {selection.n_distributions} most important features have distributions."
        )
    if selection.n_bytes == 1:
        limits.append(
            "Values and contributions of single rows are rounded to 1/255 of their range."
        )
    return limits
