"""Text of a comparison for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_interpret.cli.terminal import table_lines
from mlflow_interpret.compare.ranking import run_labels, share_table
from mlflow_interpret.compare.run_facts import best_runs, differing_params, metric_names
from mlflow_interpret.core.text import display_width, format_number, truncate

if TYPE_CHECKING:
    from mlflow_interpret.compare import RunComparison
    from mlflow_interpret.core.explanation import Importances

_NAME_LENGTH = 40
_CELL_WIDTH = 15
_MAX_LISTED_RUNS = 30
_MAX_METRICS = 10  # and as many params
_MIN_WRAP, _MAX_WRAP = 30, 88  # characters of wrapped lines
_LEGEND = (
    "Rank, change of rank from run 1, share of the total; * the importance (the share, if the "
    "scales differ) is significantly different from run 1."
)


def comparison_text(
    comparison: RunComparison, *, width: int, arrows: tuple[str, str] = ("▲", "▼")
) -> str:
    """The runs, the ranks and shares of their top features, and the agreement of the rankings.

    Args:
        comparison: The comparison.
        width: Width of the terminal, which limits the number of runs with a column.
        arrows: Signs for features that rose and fell in rank.
    """
    return "\n".join(
        [
            *_run_lines(comparison, width),
            "",
            *_metric_and_param_lines(comparison, width),
            *_feature_lines(comparison, width, arrows),
            "",
            *_agreement_lines(comparison),
            *_skipped_lines(comparison),
        ]
    )


def _run_lines(comparison: RunComparison, width: int) -> list[str]:
    """A line for each run; in a narrow terminal, further lines with the facts of each run."""
    header = ("", "run", "id", "model", "method", "scale", "rows", "notes")
    rows = [header]
    for number, run in enumerate(comparison.runs[:_MAX_LISTED_RUNS].to_dict("records"), start=1):
        label = run_labels([comparison.importances[number - 1]])[0]
        facts = [
            truncate(run[name], _NAME_LENGTH) if isinstance(run[name], str) else "?"
            for name in ("model_class", "method", "scale")
        ]
        explained = "" if pd.isna(run["rows"]) else f"{run['rows']:,}"
        notes = truncate(run["marks"], 200) if run["marks"] else ""
        rows.append((str(number), label, run["run_id"], *facts, explained, notes))
    lines = table_lines(rows)
    if max(map(display_width, lines)) > width:
        head, *first_lines = table_lines([row[:3] for row in rows])
        lines = [head]
        for row, first_line in zip(rows[1:], first_lines, strict=True):
            lines += [first_line, *_fact_lines(row, width)]
    return lines + _rest(len(comparison.importances) - _MAX_LISTED_RUNS, "run")


def _fact_lines(row: tuple[str, ...], width: int) -> list[str]:
    *_, model, method, scale, explained, notes = row
    rows = f"{explained} rows" if explained else ""
    facts = ", ".join(filter(None, (model, method, scale, rows)))
    return _wrap(f"{facts}. {notes}" if notes else facts, width, indent=3)


def _wrap(text: str, width: int, indent: int = 0) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text, max(width, _MIN_WRAP), initial_indent=margin, subsequent_indent=margin
    )


def _metric_and_param_lines(comparison: RunComparison, width: int) -> list[str]:
    """A line for each metric and each differing param, with a column for each run that fits."""
    runs = comparison.importances
    names = {"metric": metric_names(runs), "param": differing_params(runs)}
    rows = [
        [truncate(name, _NAME_LENGTH), *_metric_cells(name, runs)]
        for name in names["metric"][:_MAX_METRICS]
    ]
    rows += [
        [truncate(name, _NAME_LENGTH), *(_param_cell(run.params.get(name)) for run in runs)]
        for name in names["param"][:_MAX_METRICS]
    ]
    if not rows:
        return []
    n_shown = _n_columns([row[0] for row in rows], width)
    header = ["metric or param", *_run_headers(len(runs))]
    rest = [line for kind in names for line in _rest(len(names[kind]) - _MAX_METRICS, kind)]
    return [
        *table_lines([row[: 1 + n_shown] for row in [header, *rows]]),
        *rest,
        *_rest(len(runs) - n_shown, "run"),
        "",
    ]


def _metric_cells(name: str, runs: Sequence[Importances]) -> list[str]:
    best = best_runs(name, runs)
    numbers = [format_number(run.metrics.get(name), 4) or "-" for run in runs]
    return [f"{number} best" if i in best else number for i, number in enumerate(numbers)]


def _param_cell(value: str | None) -> str:
    return "-" if value is None else truncate(value, _CELL_WIDTH - 2)


def _run_headers(n_runs: int) -> list[str]:
    return [f"run {number}" for number in range(1, n_runs + 1)]


def _n_columns(names: Sequence[str], width: int) -> int:
    """The number of columns of runs that fit beside the names, at least two."""
    name_width = max(map(display_width, names)) + 2
    return max(2, (width - name_width) // _CELL_WIDTH)


def _feature_lines(comparison: RunComparison, width: int, arrows: tuple[str, str]) -> list[str]:
    """A line for each of the top features, with a column for each run that fits."""
    runs = comparison.importances
    shares = share_table(runs)
    features = shares.index[: comparison.top_k]
    names = [truncate(name, _NAME_LENGTH) for name in features]
    shown_runs = runs[: _n_columns(["feature", *names], width)]
    ranks = comparison.table.set_index(["run_id", "feature"])["rank"].to_dict()
    differences = comparison.differences.set_index(["run_id", "feature"])
    changes, differs = differences["rank_change"].to_dict(), differences["differs"].to_dict()

    def cell(position: int, run_id: str, feature: str) -> str:
        key = (run_id, feature)
        share = shares.loc[feature, position]
        return _cell(
            ranks.get(key, pd.NA), share, changes.get(key), differs.get(key), arrows
        ).ljust(_CELL_WIDTH - 2)

    header = ["feature", *_run_headers(len(shown_runs))]
    rows = [
        [name, *(cell(i, run.run_id, feature) for i, run in enumerate(shown_runs))]
        for feature, name in zip(features, names, strict=True)
    ]
    return [
        *table_lines([header, *rows]),
        *_rest(len(shares) - len(features), "feature"),
        *_rest(len(runs) - len(shown_runs), "run"),
        *_wrap(_LEGEND, min(width, _MAX_WRAP)),
    ]


def _cell(
    rank: object, share: float, change: object, differs: object, arrows: tuple[str, str]
) -> str:
    if rank is pd.NA or not math.isfinite(share):
        return "-"
    move = ""
    if isinstance(change, int) and change:
        move = f"{arrows[0] if change > 0 else arrows[1]}{abs(change)}"
    return f"{rank!s:>3} {move:<3} {share:>4.0%}{'*' if differs is True else ''}"


def _agreement_lines(comparison: RunComparison) -> list[str]:
    reference = comparison.importances[0].run_id
    pairs = comparison.agreement[comparison.agreement["run_a"] == reference]
    rows: list[tuple[str, ...]] = [
        ("agreement with run 1", "Spearman", "Kendall", "top features in common")
    ]
    for number, pair in enumerate(pairs.to_dict("records"), start=2):
        common = f"{pair['top_k_overlap'] * pair['k']:.0f} of {pair['k']}" if pair["k"] else "?"
        correlations = (_correlation(pair[name]) for name in ("spearman", "kendall"))
        rows.append((f"run {number}", *correlations, common))
    lines = table_lines(rows[: 1 + _MAX_LISTED_RUNS])
    return lines + _rest(len(rows) - 1 - _MAX_LISTED_RUNS, "run")


def _correlation(value: Any) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "?"


def _skipped_lines(comparison: RunComparison) -> list[str]:
    reasons = list(comparison.skipped.items())
    lines = [
        f"Not compared: run {run_id}: {truncate(reason, 300)}"
        for run_id, reason in reasons[:_MAX_LISTED_RUNS]
    ]
    return ["", *lines, *_rest(len(reasons) - len(lines), "run")] if reasons else []


def _rest(count: int, noun: str) -> list[str]:
    return [f"... and {count:,} more {noun}{'s' if count > 1 else ''}"] if count > 0 else []
