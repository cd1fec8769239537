"""An explanation as one HTML page that stands alone; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlflow_interpret.core.details import Details, ModelInfo, RowCounts
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.core.text import NAME_LENGTH, format_number, truncate
from mlflow_interpret.rendering import html
from mlflow_interpret.report import baseline_section, page_data

INTERVAL = 1.96
"""Standard errors to each side of a mean that make an interval of 95 %."""

_CLASSES = 10  # whose expected values are listed
_ENDS = {
    "all rows": "yes, all that there are",
    "settled": "yes, the ranking of the leading features was settled",
    "max_rows": "max_rows were explained; the ranking may not be settled",
    "time_budget": "no, the time budget was spent",
}


def render_report(explanation: Explanation, made: Mapping[str, Any] | None = None) -> str:
    """The report.

    Args:
        explanation: What to show. Without values of single rows it shows the aggregates.
        made: Where it is kept, as far as it is known: ``run_id``, ``created``, ``comment``.
    """
    shown = page_data.choose(explanation)
    details = explanation.details
    context = {
        "heading": _heading(explanation),
        "lead": _lead(explanation),
        "tiles": _tiles(explanation),
        "notices": _notices(details),
        "rows": _rows(explanation, shown.listed),
        "has_errors": explanation.standard_errors() is not None,
        "unit": details.output_scale or "",
        "blocks": [
            (number, truncate((explanation.output_names or ())[position], 80))
            for number, position in enumerate(shown.blocks, start=1)
        ],
        "output_kind": explanation.output_kind,
        "has_points": shown.n_distributions > 0,
        "baseline": baseline_section.section(explanation),
        "facts": _facts(explanation, made or {}),
        "notes": [str(note) for note in details.notes],
        "shown_notes": _what_is_shown(explanation, shown, in_run=bool((made or {}).get("run_id"))),
    }
    return html.render(
        "mlflow_interpret.report",
        "report.html",
        context,
        data=page_data.data(explanation, shown),
        scripts=("values.js", "plots.js", "strips.js", "report.js"),
        styles=("report.css",),
    )


def _notices(details: Details) -> list[str]:
    """What a reader has to know before believing a number."""
    partial = (
        "The time budget ended before the ranking was settled: rows or permutations were left out."
    )
    notices = [details.additivity_breach, partial if details.partial else None]
    return [str(notice) for notice in notices if notice]


def _heading(explanation: Explanation) -> str:
    model = explanation.details.model or ModelInfo()
    name = (explanation.model_class or "model").rpartition(".")[2]
    fitted, last = model.fitted or name, model.estimator or name
    return fitted if fitted == last else f"{fitted} with {last}"


def _lead(explanation: Explanation) -> str:
    scale = explanation.details.output_scale
    unit = f" ({scale})" if scale else ""
    what = f"Importance is the mean absolute contribution of a feature to the model's output{unit}"
    if explanation.output_names is None:
        return f"{what}, over the explained rows."
    all_of_them = f"all {len(explanation.output_names)} {explanation.output_kind_plural}"
    told = f"{what}, over the explained rows and {all_of_them}."
    if explanation.classes is None:  # their units may differ
        told += " Targets of larger numbers weigh more: look at each by itself."
    return told


def _tiles(explanation: Explanation) -> list[tuple[str, str, str]]:
    """Name, value and remark of what is seen first."""
    details = explanation.details
    rows = details.rows
    tiles = [("Method", explanation.method, "")]
    if rows:
        source = _words(rows.source or "rows", lower=True)
        remark = f"of {format_number(rows.available)} {source}"
        tiles.append(("Rows explained", format_number(rows.explained), remark))
    tiles.append(("Features", format_number(len(explanation.features)), _columns(explanation)))
    if explanation.output_names is not None:
        tiles.append(
            (
                explanation.output_kind_plural.capitalize(),
                format_number(len(explanation.output_names)),
                "",
            )
        )
    if details.output_scale:
        tiles.append(("Scale", details.output_scale, ""))
    error = details.additivity_error
    if error is not None:
        remark = "does not add up" if details.additivity_breach else "values add up"
        tiles.append(("Additivity error", format_number(float(error), 2), remark))
    return tiles


def _columns(explanation: Explanation) -> str:
    if explanation.is_engineered:
        return "engineered columns"
    return "raw columns" if explanation.is_raw else ""


def _rows(explanation: Explanation, listed: list[int]) -> list[dict[str, Any]]:
    """The table: importances from the largest on, with bars in percent of the axis."""
    values, errors = explanation.global_values, explanation.standard_errors()
    reach = np.zeros(len(values)) if errors is None else INTERVAL * errors
    with np.errstate(invalid="ignore"):  # of infinite importances
        low, high = values - reach, values + reach
        spans = high - np.maximum(low, 0.0)
    longest = _finite_max(high) or 1.0
    return [
        {
            "rank": position,
            "name": explanation.features[i],
            "value": format_number(float(values[i])),
            "reach": "" if errors is None else format_number(float(reach[i]), 2),
            "width": _percent_of(values[i], longest),
            "low": _percent_of(low[i], longest),
            "span": _percent_of(spans[i], longest),
        }
        for position, i in enumerate(listed, start=1)
    ]


def _finite_max(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else 0.0


def _percent_of(value: float, longest: float) -> str:
    with np.errstate(invalid="ignore"):  # of infinite importances
        share = float(np.nan_to_num(value / longest, nan=0.0))
    percent = 100 * min(max(share, 0.0), 1.0)
    return f"{percent:.2f}".rstrip("0").rstrip(".")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if np.isfinite(share) else ""


def _facts(explanation: Explanation, made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was explained and how, as pairs of words and values."""
    details = explanation.details
    sampling, error, budget = (
        details.sampling_error,
        details.additivity_error,
        details.time_budget,
    )
    facts = [
        ("Run", made.get("run_id")),
        ("Created", made.get("created")),
        ("Comment", made.get("comment")),
        ("Model", explanation.model_class),
        ("Fitted, explained", _path(details.model)),
        ("Task", explanation.task),
        ("Method", f"{explanation.method}, {details.engine or 'engine not recorded'}"),
        ("Scale", details.output_scale),
        ("Expected output", _expected(explanation)),
        ("Rows", _rows_fact(details.rows)),
        ("Enough rows", _ENDS.get(str(details.stopped))),
        ("Background rows", details.background_rows),
        ("Seed", details.random_state),
        ("Additivity error", None if error is None else format_number(float(error), 2)),
        ("Sampling error", None if sampling is None else f"{_percent(float(sampling))} of a row's "
         "largest contribution, typically"),
        ("Duration", None if details.seconds is None else f"{details.seconds} s"),
        ("Time budget", None if budget is None else f"{budget:g} s"),
        ("Explanation", explanation.id),
        ("Sums up to", details.raw_explanation_id),
    ]  # fmt: skip
    facts += [("Baseline missing", details.baseline_missing), ("Histograms", details.histograms)]
    facts += [(_words(key), value) for key, value in details.extra.items()]
    facts.append(("Versions", details.versions))
    return [(name, _text(value)) for name, value in facts if value not in (None, "", [], {})]


def _path(model: ModelInfo | None) -> str:
    names = [] if model is None else [model.fitted, model.explained, model.estimator]
    return " → ".join(dict.fromkeys(str(name) for name in names if name))


def _rows_fact(rows: RowCounts | None) -> str:
    if rows is None:
        return ""
    numbers = f"{format_number(rows.explained)} of {format_number(rows.available)}"
    return f"{numbers} {_words(rows.source or '', lower=True)}"


def _expected(explanation: Explanation) -> str:
    values = explanation.expected_values
    if values is None:
        return ""
    numbers = [format_number(float(value)) for value in np.ravel(values)]
    blocks = explanation.output_names
    if blocks is None or len(blocks) != len(numbers):
        return ", ".join(numbers[:_CLASSES])
    pairs = [f"{truncate(block, 40)}: {number}"
             for block, number in zip(blocks, numbers, strict=True)]  # fmt: skip
    rest = f", and {len(pairs) - _CLASSES} more" if len(pairs) > _CLASSES else ""
    return ", ".join(pairs[:_CLASSES]) + rest


def _words(key: Any, *, lower: bool = False) -> str:
    text = str(key).replace("_", " ").strip()
    return text if lower or not text else text[0].upper() + text[1:]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(key, lower=True)} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return format_number(value) if isinstance(value, (float, int)) else str(value)


def _what_is_shown(explanation: Explanation, shown: page_data.Shown, *, in_run: bool) -> list[str]:
    """What this page leaves out of the explanation."""
    notes = []
    if len(shown.listed) < len(explanation.features):
        notes.append(f"The {len(shown.listed):,} most important of "
                     f"{len(explanation.features):,} features are listed.")  # fmt: skip
    local = explanation.local_values
    if local is None:
        notes.append("No values of single rows were kept, so there are no distributions.")
    else:
        total, width = local.shape[-2], local.shape[-1]
        if len(shown.rows) < total:
            notes.append(f"Distributions show {len(shown.rows):,} of {total:,} explained rows, "
                         "drawn with the explanation's seed.")  # fmt: skip
        if shown.n_distributions < width:
            notes.append(
                f"Distributions are there for the {shown.n_distributions} most important features."
            )
        notes.append("Points are rounded to 1/255 of their range.")
    if explanation.output_names is not None and len(shown.blocks) < len(explanation.output_names):
        of = f"{len(shown.blocks)} of {len(explanation.output_names)} {explanation.output_kind_plural}"
        notes.append(f"{of}, those with the largest importances, can be chosen.")
    if any(len(name) > NAME_LENGTH for name in explanation.features):
        notes.append("Long names are shortened.")
    if in_run:
        notes.append("explanation.json in the run has all numbers.")
    return notes
