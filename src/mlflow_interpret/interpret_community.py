"""The record <-> interpret-community's explanation type, which users hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mlflow_interpret.core.errors import CannotExplainError, ExplanationNotFoundError, OptionError
from mlflow_interpret.core.explanation import Explanation, Task, distinct_names
from mlflow_interpret.core.statistics import rank
from mlflow_interpret.runtime.isolation import suppress_warnings

_RECORD = "_mlflow_interpret_record"


def to_interpret(record: Explanation) -> Any:
    """interpret-community's explanation of a record, as TabularExplainer would return it.

    The values are the record's to the last bit.
    """
    with suppress_warnings():
        from interpret_community.explanation.explanation import (
            _create_global_explanation,
            _create_local_explanation,
        )
    common: dict[str, Any] = {
        "method": record.method,
        "features": list(record.features),
        "num_features": len(record.features),
        "model_type": record.model_class,
        "is_raw": record.is_raw,
        "is_engineered": record.is_engineered,
        "expected_values": record.expected_values,
        # Several targets are to interpret-community what several classes are.
        "classification": record.output_names is not None,
        "explanation_id": record.id,
        "eval_data": record.evaluation_rows,
        "eval_ys_predicted": record.predicted,
        "eval_ys_predicted_proba": record.predicted_probabilities,
    }
    if record.output_names is not None:
        common["classes"] = list(record.output_names)
    local = None
    if record.local_values is not None:
        local = _create_local_explanation(local_importance_values=record.local_values, **common)
    if record.per_class_values is not None:
        common["per_class_values"] = record.per_class_values
        common["per_class_rank"] = rank(record.per_class_values)
    explanation = _create_global_explanation(
        local_explanation=local,
        global_importance_values=record.global_values,
        global_importance_rank=rank(record.global_values),
        **common,
    )
    setattr(explanation, _RECORD, record)
    return explanation


def view(record: Explanation, *, engineered: bool, raw: bool = False) -> Explanation:
    """The record, or the one by engineered column beside it.

    Raises:
        ExplanationNotFoundError: There is none by engineered column, or by raw column of a
            pipeline where that is asked for.
    """
    if raw and not record.is_raw:
        raise ExplanationNotFoundError(
            f"The explanation {record.id} has no raw view: its model is no pipeline that could be "
            "taken apart. Leave raw out."
        )
    if not engineered or record.is_engineered:
        return record
    if record.engineered is None:
        raise ExplanationNotFoundError(
            f"The explanation {record.id} has no engineered view: its model is no pipeline that "
            "could be taken apart. Leave engineered out."
        )
    return record.engineered


def from_interpret(explanation: Any, true_labels: Any = None) -> Explanation:
    """The record of an explanation that anyone made with interpret-community.

    Args:
        explanation: A global explanation.
        true_labels: ``(n_rows,)`` true labels of the explained rows, or None.

    Raises:
        CannotExplainError: It is no global explanation of features.
        OptionError: There is not one label for each explained row.
    """
    known = getattr(explanation, _RECORD, None)
    if isinstance(known, Explanation):
        return known if true_labels is None else _with_labels(known, true_labels)
    if not hasattr(explanation, "get_feature_importance_dict"):
        raise CannotExplainError(
            "explanation must be a global explanation of interpret-community, as "
            f"TabularExplainer(...).explain_global(...) returns, got {type(explanation).__name__}"
        )
    values = np.asarray(explanation.global_importance_values, dtype=np.float64)
    names = explanation.features
    local, notes = _local_values(explanation)
    task: Task = "classification" if hasattr(explanation, "num_classes") else "regression"
    classes = getattr(explanation, "classes", None)
    if classes is None and task == "classification":
        classes = range(int(explanation.num_classes))
    record = Explanation(
        method=str(explanation.method),
        task=task,
        model_class=explanation.model_type,
        features=_names(names, len(values)),
        global_values=values,
        classes=None if classes is None else tuple(np.asarray(classes).tolist()),
        per_class_values=_array(getattr(explanation, "per_class_values", None)),
        local_values=local,
        expected_values=_array(getattr(explanation, "expected_values", None)),
        evaluation_rows=_frame(getattr(explanation, "_eval_data", None), values, names),
        predicted=_labels(getattr(explanation, "eval_y_predicted", None)),
        predicted_probabilities=_array(getattr(explanation, "eval_y_predicted_proba", None)),
        is_raw=bool(explanation.is_raw),
        is_engineered=bool(explanation.is_engineered),
        id=str(explanation.id),
        details={"notes": ["Computed by the caller.", *notes]},
    )
    return record if true_labels is None else _with_labels(record, true_labels)


def _with_labels(record: Explanation, true_labels: Any) -> Explanation:
    labels = _labels(true_labels)
    explained = record.predicted if record.evaluation_rows is None else record.evaluation_rows
    allowed = {()} if record.targets is None else {(), (len(record.targets),)}
    if explained is not None and (
        labels.shape[:1] != (len(explained),) or labels.shape[1:] not in allowed
    ):
        raise OptionError(
            f"true_ys must be one label for each of the {len(explained)} explained rows, "
            f"got {type(true_labels).__name__} of shape {labels.shape}."
        )
    return replace(record, true_labels=labels)


def _local_values(explanation: Any) -> tuple[Any, list[str]]:
    values = getattr(explanation, "_local_importance_values", None)
    if values is None:
        return None, []
    if sparse.issparse(values) or (isinstance(values, list) and sparse.issparse(values[0])):
        return None, ["Sparse local values were left out."]
    return np.asarray(values, dtype=np.float64), []


def _names(names: Any, width: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"x{i}" for i in range(width))
    return distinct_names([str(name) for name in names])


def _array(values: Any) -> Any:
    return None if values is None else np.asarray(values, dtype=np.float64)


def _labels(values: Any) -> Any:
    if values is None:
        return None
    labels = np.asarray(values)
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _frame(rows: Any, values: Any, names: Any) -> pd.DataFrame | None:
    if rows is None:
        return None
    rows = getattr(rows, "original_dataset", rows)
    if sparse.issparse(rows):
        rows = rows.toarray()
    frame = pd.DataFrame(rows)
    if frame.shape[1] != len(values):
        return None
    return frame.set_axis(list(_names(names, len(values))), axis=1)
