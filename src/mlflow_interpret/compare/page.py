"""A comparison of runs as one HTML page that stands alone."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlflow_interpret.compare.ranking import MOST_RUNS, by_share, labels_of, order_in_runs
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.rendering.html import render

if TYPE_CHECKING:
    from mlflow_interpret.compare.comparison import RunComparison

_MOST_FEATURES = 200
_MOST_DIFFERENCES = 200
# Pixels of the slope chart: all of it where there is room, its columns, the names beside them.
_WIDTH, _COLUMNS, _SIDES, _ROW, _HEAD = 1240, (124, 240), (120, 360), 30, 40
_LETTER = 8  # pixels; those of Chinese, Japanese and Korean take two
_HEATS = 9


def render_comparison(comparison: RunComparison) -> str:
    """The page: the runs, their rankings, how far they agree, and what differs beyond chance."""
    runs = comparison.importances
    drawn = runs[:MOST_RUNS]
    names = labels_of(drawn)
    table = by_share(runs)
    cells = _cells(comparison, drawn, table.index[:_MOST_FEATURES])
    features = [
        {"name": name, "cells": [cells.get((run.run_id, name)) for run in drawn]}
        for name in table.index[:_MOST_FEATURES]
    ]
    context = {
        "heading": f"{len(runs):,} runs compared",
        "first": names[0],
        "notices": _notices(comparison, len(drawn), len(table)),
        "runs": [
            {
                "label": label,
                "run_id": run.run_id,
                "model_class": run.model_class,
                "method": run.method,
                "scale": run.scale,
                "rows_told": _rows(run),
                "features": len(run.features),
                "marks": marks,
            }
            for label, run, marks in zip(names, drawn, comparison.runs["marks"], strict=False)
        ],
        "slope": _slope(comparison, names),
        "features": features,
        "agreement": _agreement(comparison, len(drawn)),
        **_differences(comparison, {run.run_id: i for i, run in enumerate(runs, start=1)}),
    }
    return render(
        "mlflow_interpret.compare",
        "compare.html",
        context,
        scripts=("compare.js",),
        styles=("compare.css",),
    )


def _notices(comparison: RunComparison, drawn: int, features: int) -> list[str]:
    told = []
    if drawn < len(comparison.importances):
        told.append(f"The first {drawn} of {len(comparison.importances):,} runs are shown.")
    if features > _MOST_FEATURES:
        told.append(f"The first {_MOST_FEATURES} of {features:,} features are shown.")
    reasons = list(comparison.skipped.items())
    told += [f"Run {run_id} is not compared: {reason}." for run_id, reason in reasons[:5]]
    if len(reasons) > 5:
        told.append(f"{len(reasons) - 5:,} further runs are not compared, either.")
    return told


def _rows(run: Importances) -> str:
    explained, available = run.rows.explained, run.rows.available
    if explained is None:
        return "not known"
    of = "" if available is None else f" of {available:,}"
    return f"{explained:,}{of} {run.rows.source or ''}".strip()


def _cells(
    comparison: RunComparison, runs: Sequence[Importances], features: pd.Index
) -> dict[tuple[str, str], dict[str, Any]]:
    """What is shown of some features in some runs, by run id and feature."""
    keys = ["run_id", "feature"]
    wanted = ["rank_change", "differs"]
    table, differences = comparison.table, comparison.differences[[*keys, *wanted]]
    table = table[table["run_id"].isin([run.run_id for run in runs])]
    table = table[table["feature"].isin(features)].merge(differences, on=keys, how="left")
    largest = float(np.nanmax(table["share"], initial=0)) or 1.0
    cells = {}
    for row in table.to_dict("records"):
        share = row["share"]
        known = math.isfinite(share)
        change = 0 if pd.isna(row["rank_change"]) else int(row["rank_change"])
        error = row["standard_error"]
        reach = f" ± {format_number(1.96 * error)}" if math.isfinite(error) else ""
        cells[row["run_id"], row["feature"]] = {
            "rank": "" if pd.isna(row["rank"]) else row["rank"],
            "share": f"{share:.1%}" if known else "not finite",
            "heat": round(_HEATS * math.sqrt(max(share, 0) / largest)) if known else 0,
            "up": max(change, 0),
            "down": max(-change, 0),
            "differs": row["differs"] is True or row["differs"] is np.True_,
            "importance": f"importance {format_number(row['importance'])}{reach}",
        }
    return cells


def _slope(comparison: RunComparison, names: list[str]) -> dict[str, Any]:
    order = order_in_runs(comparison.importances, comparison.top_k)
    columns, lines = order.places.shape
    longest = max((_letters(truncate(name)) for name in order.features), default=0)
    side = _within(_SIDES, 24 + _LETTER * longest)
    step = _within(_COLUMNS, (_WIDTH - 2 * side) // max(columns - 1, 1))
    last = side + step * (columns - 1)

    def x(column: int) -> int:
        return side + step * column

    def y(place: float) -> float:
        return _HEAD + _ROW * place

    drawn = []
    for line in range(lines):
        places = order.places[:, line]
        here = np.flatnonzero(np.isfinite(places)).tolist()
        marks = [{"x": x(c), "y": y(places[c]), "rank": int(order.ranks[c, line])} for c in here]
        path = "".join(f"{'L' if c - 1 in here else 'M'}{x(c)} {y(places[c]):.0f}" for c in here)
        drawn.append(
            {
                "name": order.features[line],
                "short": _fitted(order.features[line], (side - 24) // _LETTER),
                "colour": order.colours[line],
                "path": path,
                "marks": marks,
                "left": marks[0]["y"] if 0 in here else None,
                "right": marks[-1]["y"] if columns - 1 in here else None,
            }
        )
    return {
        "columns": [
            {"x": x(c), "name": name, "short": _fitted(name, step // _LETTER - 1)}
            for c, name in enumerate(names)
        ],
        "lines": drawn,
        "width": last + side,
        "height": _HEAD + _ROW * (order.deepest + 1),
        "top": _HEAD + 10,
        "first": side,
        "last": last,
    }


def _fitted(name: str, letters: int) -> str:
    """The name, without its middle where it would be wider than so many letters."""
    text = truncate(name)
    wide = _letters(text)
    return text if wide <= letters else truncate(name, letters * len(text) // wide)


def _letters(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _within(bounds: tuple[int, int], wanted: int) -> int:
    return min(max(wanted, bounds[0]), bounds[1])


def _agreement(comparison: RunComparison, drawn: int) -> list[list[dict[str, Any] | None]]:
    ids = {run.run_id: i for i, run in enumerate(comparison.importances[:drawn])}
    found = {
        (ids[row["run_a"]], ids[row["run_b"]]): row
        for row in comparison.agreement.to_dict("records")
        if row["run_a"] in ids and row["run_b"] in ids
    }
    return [[_pair(found.get((min(a, b), max(a, b)))) for b in range(drawn)] for a in range(drawn)]


def _pair(pair: dict[str, Any] | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    spearman = pair["spearman"]
    known = math.isfinite(spearman)
    common = f"{pair['top_k_overlap'] * pair['k']:.0f} of {pair['k']}" if pair["k"] else "none"
    kendall = f"{pair['kendall']:.2f}" if math.isfinite(pair["kendall"]) else "not known"
    return {
        "spearman": f"{spearman:.2f}" if known else "?",
        "heat": round(_HEATS * max(spearman, 0)) if known else 0,
        "common": common,
        "told": f"Kendall {kendall}, {pair['shared_features']} shared features",
    }


def _differences(comparison: RunComparison, numbers: dict[str, int]) -> dict[str, Any]:
    table = comparison.differences
    beyond = table[table["differs"].fillna(False).astype(bool)]
    beyond = beyond.sort_values("p_adjusted", kind="stable")
    rows = [
        {
            "feature": row["feature"],
            "run": numbers[row["run_id"]],
            "compared": row["compared"],
            **{name: format_number(row[name]) for name in ("reference", "value", "difference")},
            "interval": f"{format_number(row['low'])} to {format_number(row['high'])}",
            "p": "< 0.0001" if row["p_adjusted"] < 1e-4 else f"{row['p_adjusted']:.4f}",
        }
        for row in beyond.head(_MOST_DIFFERENCES).to_dict("records")
    ]
    return {
        "differences": rows,
        "beyond": len(beyond),
        "tested": int(table["differs"].notna().sum()),
        "shared": len(table),
    }
