"""The description of a run: a few lines of Markdown about its explanation."""

from __future__ import annotations

import re
from typing import Any

from mlflow_interpret.core.details import RowCounts
from mlflow_interpret.core.directions import direction_of
from mlflow_interpret.core.explanation import Explanation, estimator_name
from mlflow_interpret.core.importance_tables import RankedFeature, ranked_features
from mlflow_interpret.core.statistics import rank, shares
from mlflow_interpret.core.text import format_number, format_percent, truncate

_TOP = 10
_LEADING = 3
_BAR = 20  # characters of a share of 1
_SMALLEST = 0.005  # share that is not rounded to 0 %
_NAME_LENGTH = 60
METHODS = {
    "shap_tree": "tree SHAP",
    "shap_linear": "linear SHAP in closed form",
    "shap_additive": "SHAP values of additive models in closed form",
    "shap_quadratic": "SHAP values of quadratic models in closed form",
    "shap_product_kernel": "SHAP values of product kernels, exact",
    "shap_permutation": "sampled permutations",
    "shap_kernel": "kernel SHAP",
    "shap_sum": "weighted sums of the members' SHAP values",
    "ebm": "the model's own terms",
}
"""The methods in words."""

# Showdown and CommonMark read these characters as markup, also inside of words and table cells.
_MARKUP = re.compile(r"([\\`*_\[\]|~#!])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
# Some Markdown flavours turn bare addresses into links.
_ADDRESS = re.compile(r"(?i)\bwww\.|://")


def describe(explanation: Explanation, report: str | None = None, limit: int = 5000) -> str:
    """Return a sentence, a table of the leading features and the way of computing, in Markdown.

    Names come from data, so they are escaped.

    Args:
        explanation: The explanation.
        report: The address of the report, None where it has none.
        limit: The largest number of characters. The table has fewer rows where it would be longer.
    """
    # MLflow's page shows the first lines, so the link follows the sentence.
    link = "" if report is None else f" [Open the report]({report})"
    first, last = summary(explanation, markdown=True) + link, origin(explanation, markdown=True)
    features = ranked_features(explanation, _TOP)
    for n_rows in range(len(features), -1, -1):
        table = _table(features[:n_rows], has_directions=bool(explanation.details.directions))
        text = "\n\n".join(part for part in (first, table, last) if part)
        if len(text) <= limit:
            return text
    return text[:limit] if report is None else describe(explanation, None, limit)


def summary(explanation: Explanation, *, markdown: bool = False) -> str:
    """Return a sentence about the leading features, for readers without knowledge of SHAP.

    Args:
        explanation: The explanation.
        markdown: Return Markdown with escaped names. Default: plain text.
    """

    def shown(name: Any) -> str:
        text = truncate(name, _NAME_LENGTH)
        return f"**{escape(text)}**" if markdown else text

    parts = shares(explanation.global_values)
    order = [int(i) for i in rank(explanation.global_values) if parts[i] >= _SMALLEST][:_LEADING]
    model = estimator_name(explanation.model_class, explanation.details) or "the model"
    model = escape(model) if markdown else model
    if not order:
        return f"No feature changes the output of {model}."
    names = [shown(explanation.features[i]) for i in order]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    verb = "carries" if len(names) == 1 else "carry"
    share = format_percent(float(parts[order].sum()), 0)
    sentence = f"{listed} {verb} {share} of the importance in {model}"
    direction = direction_of(explanation.details.directions, explanation.features[order[0]])
    if direction is None or not direction.is_clear:
        return f"{sentence}."
    change = "raise" if (direction.correlation or 0.0) > 0 else "lower"
    return f"{sentence}; higher values of {names[0]} {change} {_output(explanation, markdown)}."


def origin(explanation: Explanation, *, markdown: bool = False) -> str:
    """Return a sentence about the method, the rows and the scale.

    Args:
        explanation: The explanation.
        markdown: Return Markdown. Default: plain text.
    """
    details = explanation.details
    rows, method = details.rows or RowCounts(), METHODS.get(explanation.method, explanation.method)
    text = f"Computed by {method}"
    if rows.explained is not None:
        source = str(rows.source or "rows").replace("_", " ")
        text += f" for {format_number(rows.explained)} of {format_number(rows.available)} {source}"
    if details.output_scale:
        text += f", on the scale of the {details.output_scale}"
    text = f"{text}. {details.partial_reason or ''}".rstrip()
    return escape(text) if markdown else text


def escape(text: str) -> str:
    """Escape the characters of a single line that Markdown or HTML would read as markup."""
    text = "".join(_ENTITIES.get(character, character) for character in text)
    text = _MARKUP.sub(r"\\\1", text)
    return _ADDRESS.sub(lambda match: match[0].replace(".", "&#46;").replace(":", "&#58;"), text)


def _output(explanation: Explanation, markdown: bool) -> str:
    if explanation.classes is None:
        return "the prediction"
    name = truncate(explanation.classes[-1], _NAME_LENGTH)
    return f"the output for class {escape(name) if markdown else name}"


def _table(features: list[RankedFeature], *, has_directions: bool) -> str:
    if not features:
        return ""
    head, line = "| # | Feature | Share | |", "|--:|:--|--:|:--|"
    lines = [
        f"{head} Direction |" if has_directions else head,
        f"{line}:--|" if has_directions else line,
    ]
    for feature in features:
        name = escape(truncate(feature.name, _NAME_LENGTH))
        bar = "█" * round(feature.share * _BAR) if feature.share > 0 else ""
        cells = [str(feature.rank), name, format_percent(feature.share, 0), bar]
        if has_directions:
            cells.append(escape(feature.direction))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
