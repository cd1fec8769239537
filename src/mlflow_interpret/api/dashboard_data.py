"""Data of explanations in the format of interpret's dashboards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import FloatArray

_COLUMNS = {
    "actual": "Actual",
    "predicted": "Predicted",
    "predicted_score": "PrScore",
    "actual_score": "AcScore",
    "residual": "Resid",
}


def row_data(
    record: Explanation, key: int, features: list[str], scores: FloatArray, intercept: Any
) -> dict[str, Any]:
    """Return the data of an explained row.

    Args:
        record: The record.
        key: The position of the row.
        features: The feature names.
        scores: The contributions of all rows.
        intercept: The expected values, None if they are not known.
    """
    rows = record.evaluation_rows
    extra = {"extra": {"names": ["Base Value"], "scores": intercept, "values": [1]}}
    return {
        "mli": [],
        **({} if intercept is None else {**extra, "intercept": intercept}),
        "type": "univariate",
        "names": features,
        "perf": None if rows is None else _performance(record, key),
        "scores": scores,
        "values": None if rows is None else rows.to_numpy()[key, :],
    }


def overview(rows: list[dict[str, Any]], scores: list[Any], intercept: Any) -> dict[str, Any]:
    """Return the contributions and predictions of all rows as one entry."""
    value = {"scores": scores, "perf": [row["perf"] for row in rows], "intercept": intercept}
    return {"explanation_type": "local_feature_importance", "value": value}


def selector_table(record: Explanation, n_rows: int) -> pd.DataFrame:
    """Return the table of predictions in which users select a row."""
    rows = pd.DataFrame([_performance(record, key) for key in range(n_rows)])
    table = rows.rename(columns=_COLUMNS)
    table["AbsResid"] = table["Resid"].abs()
    columns = ["Actual", "Predicted", "PrScore", "AcScore", "Resid", "AbsResid"]
    return table[columns].round(3)


def _performance(record: Explanation, key: int) -> dict[str, Any] | None:
    """The prediction for a row; it also replaces the true label, as in interpret-community."""
    if record.predicted is None:
        return None
    value = record.predicted[key]
    is_label = isinstance(value, (str, bool, np.bool_))
    residual = 1 if is_label else value - value
    return {
        "actual": value,
        "predicted": value,
        "residual": residual,
        "actual_score": value,
        "predicted_score": value,
    }
