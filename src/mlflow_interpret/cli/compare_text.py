"""A comparison of runs as text for a terminal; pure."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

import pandas as pd

from mlflow_interpret.compare.ranking import by_share, labels_of
from mlflow_interpret.core.text import display_width, pad_to_width, truncate

if TYPE_CHECKING:
    from mlflow_interpret.compare.comparison import RunComparison

_NAME = 40
_CELL = 15
_MOST_LISTED = 30  # runs
_NARROWEST, _WIDE = 30, 88  # characters of wrapped lines
_LEGEND = (
    "Rank, ranks moved against run 1, share; * the importance (on another scale the share) differs "
    "from that of run 1 beyond the error bars."
)


def text(comparison: RunComparison, *, width: int, arrows: tuple[str, str] = ("▲", "▼")) -> str:
    """The runs, the ranks and shares of their top features, and how far the rankings agree.

    Args:
        comparison: The comparison.
        width: Characters in a line; as many runs as fit are shown as columns.
        arrows: Stand before the ranks that a feature rose or fell against the first run.
    """
    return "\n".join(
        [
            *_runs(comparison, width),
            "",
            *_ranks(comparison, width, arrows),
            "",
            *_agreement(comparison),
            *_skipped(comparison),
        ]
    )


def _runs(comparison: RunComparison, width: int) -> list[str]:
    """A line for each run; where these are too long, its facts below it."""
    rows: list[tuple[str, ...]] = [("", "run", "id", "model", "method", "scale", "rows", "notes")]
    for number, run in enumerate(comparison.runs[:_MOST_LISTED].to_dict("records"), start=1):
        explained = "" if pd.isna(run["rows"]) else f"{run['rows']:,}"
        name = labels_of([comparison.importances[number - 1]])[0]
        facts = (run["model_class"], run["method"], run["scale"])
        told = [truncate(fact, _NAME) if isinstance(fact, str) else "?" for fact in facts]
        notes = truncate(run["marks"], 200) if run["marks"] else ""
        rows.append((str(number), name, run["run_id"], *told, explained, notes))
    lines = _aligned(rows)
    if max(map(display_width, lines)) > width:
        above = _aligned([row[:3] for row in rows])
        lines = [
            line
            for row, first in zip(rows, above, strict=True)
            for line in (first, *_below(row, width))
        ]
    return lines + _more(len(comparison.importances) - _MOST_LISTED, "run")


def _below(row: tuple[str, ...], width: int) -> list[str]:
    number, _, _, model, method, scale, explained, notes = row
    if not number:
        return []
    rows = f"{explained} rows" if explained else ""
    told = ", ".join(filter(None, (model, method, scale, rows)))
    return _wrapped(f"{told}. {notes}" if notes else told, width, indent=3)


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    margin = " " * indent
    wide = max(width, _NARROWEST)
    return textwrap.wrap(text, wide, initial_indent=margin, subsequent_indent=margin)


def _ranks(comparison: RunComparison, width: int, arrows: tuple[str, str]) -> list[str]:
    runs = comparison.importances
    table = by_share(runs)
    top = table.index[: comparison.top_k]
    names = [truncate(name, _NAME) for name in top]
    left = max(display_width(name) for name in ("feature", *names)) + 2
    fitting = max(2, (width - left) // _CELL)
    columns = runs[:fitting]
    own = comparison.table.set_index(["run_id", "feature"])["rank"]
    moves = comparison.differences.set_index(["run_id", "feature"])[["rank_change", "differs"]]
    changes, differs = moves["rank_change"].to_dict(), moves["differs"].to_dict()
    ranks = own.to_dict()
    heads = "".join(f"run {n}".ljust(_CELL) for n in range(1, len(columns) + 1))
    lines = [f"{'feature'.ljust(left)}{heads}".rstrip()]
    for feature, name in zip(top, names, strict=True):
        line = pad_to_width(name, left)
        for i, run in enumerate(columns):
            key = (run.run_id, feature)
            rank, share = ranks.get(key, pd.NA), table.loc[feature, i]
            line += _cell(rank, share, changes.get(key), differs.get(key), arrows).ljust(_CELL)
        lines.append(line.rstrip())
    lines += _more(len(table) - len(top), "feature")
    lines += _more(len(runs) - len(columns), "run")
    return [*lines, *_wrapped(_LEGEND, min(width, _WIDE))]


def _cell(
    rank: object, share: float, change: object, differs: object, arrows: tuple[str, str]
) -> str:
    if rank is pd.NA or not math.isfinite(share):
        return "-"
    moved = ""
    if isinstance(change, int) and change:
        moved = f"{arrows[0] if change > 0 else arrows[1]}{abs(change)}"
    return f"{rank!s:>3} {moved:<3} {share:>4.0%}{'*' if differs is True else ''}"


def _agreement(comparison: RunComparison) -> list[str]:
    first = comparison.importances[0].run_id
    pairs = comparison.agreement[comparison.agreement["run_a"] == first]
    rows: list[tuple[str, ...]] = [
        ("agreement with run 1", "Spearman", "Kendall", "top features in common")
    ]
    for number, pair in enumerate(pairs.to_dict("records"), start=2):
        told = [_number(pair[name]) for name in ("spearman", "kendall")]
        common = f"{pair['top_k_overlap'] * pair['k']:.0f} of {pair['k']}" if pair["k"] else "?"
        rows.append((f"run {number}", *told, common))
    return _aligned(rows[: 1 + _MOST_LISTED]) + _more(len(rows) - 1 - _MOST_LISTED, "run")


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "?"


def _skipped(comparison: RunComparison) -> list[str]:
    reasons = list(comparison.skipped.items())
    told = [
        f"Not compared: run {run_id}: {truncate(reason, 300)}"
        for run_id, reason in reasons[:_MOST_LISTED]
    ]
    return ["", *told, *_more(len(reasons) - len(told), "run")] if reasons else []


def _more(count: int, what: str) -> list[str]:
    return [f"... and {count:,} more {what}{'s' if count > 1 else ''}"] if count > 0 else []


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            pad_to_width(cell, width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
