"""Section of the report about the folds of a cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import rank
from mlflow_interpret.core.text import format_number
from mlflow_interpret.report.facts import words

_MAX_FEATURES = 15
_MAX_FOLDS = 10
_MAX_SCORES = 6


def folds_section(explanation: Explanation) -> dict[str, Any] | None:
    """Variables of the template for the section, or None for the explanation of one model."""
    folds = explanation.cross_validation
    if folds is None:
        return None
    shown = range(min(len(folds), _MAX_FOLDS))
    scores = list(folds.scores.items())[-_MAX_SCORES:]  # times come first
    facts = [("Splitter", folds.splitter)]
    if folds.ranking_agreement is not None:
        facts.append(("Agreement of the rankings", format_number(folds.ranking_agreement, 3)))
    return {
        "facts": facts,
        "numbers": [number + 1 for number in shown],
        "n_more": len(folds) - len(shown),
        "features": [
            _row(explanation.features[i], folds.importances[:, i], len(shown))
            for i in rank(explanation.global_values)[:_MAX_FEATURES]
        ],
        # As scikit-learn's std_test_score, and the metric of the same name.
        "scores": [_row(words(name), np.asarray(v), len(shown), ddof=0) for name, v in scores],
    }


def _row(name: str, values: Any, n_shown: int, ddof: int = 1) -> dict[str, Any]:
    return {
        "name": name,
        "mean": format_number(float(values.mean())),
        "deviation": format_number(float(values.std(ddof=ddof)), 2),
        "folds": [format_number(float(value)) for value in values[:n_shown]],
    }
