"""HTML page of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_interpret.compare.ranking import MAX_DRAWN_RUNS, run_labels, share_table
from mlflow_interpret.compare.run_facts import (
    MAX_METRICS,
    MAX_PARAMS,
    best_runs,
    differing_params,
    metric_names,
)
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import INTERVAL
from mlflow_interpret.core.text import format_number
from mlflow_interpret.rendering.html import render

if TYPE_CHECKING:
    from mlflow_interpret.compare.comparison import RunComparison
    from mlflow_interpret.rendering.figure import Image

_MAX_FEATURES = 200
_MAX_DIFFERENCES = 200
_MAX_REASONS = 5


def render_comparison(comparison: RunComparison) -> str:
    """Render the page: runs, figures, ranks, agreement of the rankings, and differences."""
    runs = comparison.importances
    drawn_runs = runs[:MAX_DRAWN_RUNS]
    labels = run_labels(drawn_runs)
    all_features = share_table(runs).index
    features = all_features[:_MAX_FEATURES]
    cells = _feature_cells(comparison, drawn_runs, features)
    context = {
        "heading": f"{len(runs):,} runs compared",
        "reference": labels[0],
        "notices": _notices(comparison, len(drawn_runs), len(all_features)),
        "runs": _run_rows(comparison, drawn_runs, labels),
        "run_facts": _run_facts(drawn_runs),
        "fact_limits": _fact_limits(drawn_runs),
        "slope_chart": _image(comparison, "slope"),
        "heat_map": _image(comparison, "heatmap"),
        "features": [
            {"name": name, "cells": [cells.get((run.run_id, name)) for run in drawn_runs]}
            for name in features
        ],
        "agreement": _agreement(comparison, len(drawn_runs)),
        **_differences(comparison, labels),
    }
    return render(
        "mlflow_interpret.compare",
        "compare.html",
        context,
        scripts=("compare.js",),
        styles=("compare.css",),
    )


def _image(comparison: RunComparison, kind: Any) -> Image:
    from mlflow_interpret.rendering.figure import svg_image

    return svg_image(lambda: comparison.plot(kind))


def _notices(comparison: RunComparison, n_runs: int, n_features: int) -> list[str]:
    notices = []
    if n_runs < len(comparison.importances):
        notices.append(f"The first {n_runs} of {len(comparison.importances):,} runs are shown.")
    if n_features > _MAX_FEATURES:
        notices.append(f"The first {_MAX_FEATURES} of {n_features:,} features are shown.")
    reasons = list(comparison.skipped.items())
    notices += [
        f"Run {run_id} is not compared: {reason}." for run_id, reason in reasons[:_MAX_REASONS]
    ]
    if len(reasons) > _MAX_REASONS:
        notices.append(f"{len(reasons) - _MAX_REASONS:,} more runs are not compared.")
    return notices


def _run_rows(
    comparison: RunComparison, runs: Sequence[Importances], labels: list[str]
) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "run_id": run.run_id,
            "model_class": run.model_class,
            "method": run.method,
            "scale": run.scale,
            "row_counts": _row_counts(run),
            "features": len(run.features),
            "marks": marks,
        }
        for label, run, marks in zip(labels, runs, comparison.runs["marks"], strict=False)
    ]


def _run_facts(runs: Sequence[Importances]) -> list[dict[str, Any]]:
    """Rows of metrics and of differing params, with a cell for each run."""
    metrics, params = metric_names(runs), differing_params(runs)
    rows = [
        {
            "kind": "metric",
            "name": name,
            "cells": [format_number(run.metrics.get(name), 4) for run in runs],
            "best": best_runs(name, runs),
        }
        for name in metrics[:MAX_METRICS]
    ]
    rows += [
        {
            "kind": "param",
            "name": name,
            "cells": [run.params.get(name, "") for run in runs],
            "best": set(),
        }
        for name in params[:MAX_PARAMS]
    ]
    return rows


def _fact_limits(runs: Sequence[Importances]) -> str:
    lists = (
        ("metrics", len(metric_names(runs)), MAX_METRICS),
        ("differing params", len(differing_params(runs)), MAX_PARAMS),
    )
    return " ".join(
        f"The first {limit} of {count:,} {kind} are shown."
        for kind, count, limit in lists
        if count > limit
    )


def _row_counts(run: Importances) -> str:
    explained, available = run.rows.explained, run.rows.available
    if explained is None:
        return "unknown"
    of_available = "" if available is None else f" of {available:,}"
    return f"{explained:,}{of_available} {run.rows.source or ''}".strip()


def _feature_cells(
    comparison: RunComparison, runs: Sequence[Importances], features: pd.Index
) -> dict[tuple[str, str], dict[str, Any]]:
    """Contents of the cells of the feature table, by run id and feature."""
    keys = ["run_id", "feature"]
    table, differences = comparison.table, comparison.differences
    table = table[table["run_id"].isin([run.run_id for run in runs])]
    table = table[table["feature"].isin(features)]
    table = table.merge(differences[[*keys, "rank_change", "differs"]], on=keys, how="left")
    return {(row["run_id"], row["feature"]): _cell(row) for row in table.to_dict("records")}


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    change = 0 if pd.isna(row["rank_change"]) else int(row["rank_change"])
    error = row["standard_error"]
    interval = f" ± {format_number(INTERVAL * error)}" if math.isfinite(error) else ""
    return {
        "rank": "" if pd.isna(row["rank"]) else row["rank"],
        "share": f"{row['share']:.1%}" if math.isfinite(row["share"]) else "not finite",
        "up": max(change, 0),
        "down": max(-change, 0),
        "differs": not pd.isna(row["differs"]) and bool(row["differs"]),
        "importance": f"importance {format_number(row['importance'])}{interval}",
    }


def _agreement(comparison: RunComparison, n_runs: int) -> list[list[dict[str, Any] | None]]:
    """The matrix of the agreement of each pair; None on the diagonal and for unknown pairs."""
    positions = {run.run_id: i for i, run in enumerate(comparison.importances[:n_runs])}
    pairs = {
        (positions[row["run_a"]], positions[row["run_b"]]): row
        for row in comparison.agreement.to_dict("records")
        if row["run_a"] in positions and row["run_b"] in positions
    }
    return [
        [_agreement_cell(pairs.get((min(a, b), max(a, b)))) for b in range(n_runs)]
        for a in range(n_runs)
    ]


def _agreement_cell(pair: dict[str, Any] | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    spearman, kendall = (
        f"{pair[name]:.2f}" if math.isfinite(pair[name]) else None
        for name in ("spearman", "kendall")
    )
    common = f"{pair['top_k_overlap'] * pair['k']:.0f} of {pair['k']}" if pair["k"] else "none"
    return {
        "spearman": spearman or "?",
        "common": common,
        "details": f"Kendall {kendall or 'unknown'}, {pair['shared_features']} shared features",
    }


def _differences(comparison: RunComparison, labels: list[str]) -> dict[str, Any]:
    drawn_labels = dict(zip((run.run_id for run in comparison.importances), labels, strict=False))
    table = comparison.differences
    significant = table[table["differs"].fillna(False).astype(bool)]
    significant = significant.sort_values("p_adjusted", kind="stable")
    rows = [
        {
            "feature": row["feature"],
            "run": drawn_labels.get(row["run_id"], row["name"]),
            "compared": row["compared"],
            **{name: format_number(row[name]) for name in ("reference", "value", "difference")},
            "interval": f"{format_number(row['low'])} to {format_number(row['high'])}",
            "p": "< 0.0001" if row["p_adjusted"] < 1e-4 else f"{row['p_adjusted']:.4f}",
        }
        for row in significant.head(_MAX_DIFFERENCES).to_dict("records")
    ]
    return {
        "differences": rows,
        "n_significant": len(significant),
        "n_tested": int(table["differs"].notna().sum()),
        "n_shared": len(table),
    }
