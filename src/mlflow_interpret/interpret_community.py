"""Convert records to explanations of interpret-community, and explanations to records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from mlflow_interpret.core.details import Details, as_notes
from mlflow_interpret.core.directions import directions_of
from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.core.explanation import Explanation, Task, distinct_names
from mlflow_interpret.core.statistics import FloatArray, rank
from mlflow_interpret.runtime.optional_import import import_failure, import_optional

RECORD_ATTRIBUTE = "_mlflow_interpret_record"
"""The attribute of an explanation that holds the record it was made of."""

_INSTALL = 'pip install "mlflow-interpret[interpret]"'


def is_available() -> bool:
    """Whether interpret-community can be imported."""
    return import_failure("interpret_community") is None


def to_interpret_community(record: Explanation, top_k: int | None = None) -> Any:
    """The global explanation of interpret-community for a record, as of TabularExplainer.

    The values are the record's to the last bit.

    Args:
        record: The record.
        top_k: Number of features to rank, as ExplanationClient downloads them. Default: all.

    Raises:
        CannotExplainError: interpret-community cannot be imported; the message says why.
    """
    module = _explanation_module()
    arguments = _arguments(record)
    if record.local_values is not None:
        arguments["local_explanation"] = module._create_local_explanation(
            local_importance_values=record.local_values, **arguments
        )
    arguments |= _ranking(record, top_k)
    explanation = module._create_global_explanation(**arguments)
    setattr(explanation, RECORD_ATTRIBUTE, record)
    return explanation


def to_local_interpret_community(record: Explanation) -> Any:
    """The local explanation of interpret-community for a record with local values.

    Raises:
        CannotExplainError: interpret-community cannot be imported; the message says why.
    """
    explanation = _explanation_module()._create_local_explanation(
        local_importance_values=record.local_values, **_arguments(record)
    )
    setattr(explanation, RECORD_ATTRIBUTE, record)
    return explanation


def _explanation_module() -> Any:
    try:
        import_optional("interpret_community")
        return import_optional("interpret_community.explanation.explanation")
    except ImportError as error:
        raise CannotExplainError(f"{error}. Install it with: {_INSTALL}") from None


def _arguments(record: Explanation) -> dict[str, Any]:
    """The arguments that interpret-community's local and global explanations share."""
    arguments: dict[str, Any] = {
        "method": record.method,
        "features": list(record.features),
        "num_features": len(record.features),
        "model_type": record.model_class,
        "is_raw": record.is_raw,
        "is_engineered": record.is_engineered,
        "expected_values": record.expected_values,
        # interpret-community treats several targets as it treats several classes.
        "classification": record.output_names is not None,
        "explanation_id": record.id,
        "eval_data": record.evaluation_rows,
        "eval_ys_predicted": record.predicted,
        "eval_ys_predicted_proba": record.predicted_probabilities,
    }
    if record.output_names is not None:
        arguments["classes"] = list(record.output_names)
    return arguments


def _ranking(record: Explanation, top_k: int | None) -> dict[str, Any]:
    """The arguments of a global explanation: values and ranks, or the leading ranked values."""
    order = rank(record.global_values)
    per_class = per_class_values(record)
    if top_k is None or top_k >= len(order):
        ranking: dict[str, Any] = {
            "global_importance_values": record.global_values,
            "global_importance_rank": order,
        }
        if per_class is not None:
            ranking |= {"per_class_values": per_class, "per_class_rank": rank(per_class)}
        return ranking
    names = np.asarray(record.features, dtype=object)
    order = order[:top_k]
    ranking = {
        "global_importance_rank": order,
        "ranked_global_names": names[order],
        "ranked_global_values": record.global_values[order],
    }
    if per_class is not None:
        orders = rank(per_class)[:, :top_k]
        ranking |= {
            "per_class_values": None,
            "per_class_rank": orders,
            "ranked_per_class_names": names[orders],
            "ranked_per_class_values": np.take_along_axis(per_class, orders, axis=1),
        }
    return ranking


def per_class_values(record: Explanation) -> FloatArray | None:
    """``(C, F)`` importances by class or target of a record, None for a single output."""
    if record.output_names is None:
        return None
    if record.per_class_values is None and record.local_values is not None:
        means: FloatArray = np.abs(record.local_values).mean(axis=1)
        return means
    return record.per_class_values


def to_record(explanation: Any, true_labels: Any = None) -> Explanation:
    """The record of a global explanation: of this package, or made with interpret-community.

    Args:
        explanation: A global explanation.
        true_labels: ``(n_rows,)`` true labels of the explained rows, or None.

    Raises:
        CannotExplainError: It is no global explanation of features.
        OptionError: The number of labels is not the number of explained rows.
    """
    record = getattr(explanation, RECORD_ATTRIBUTE, None)
    if not isinstance(record, Explanation) or not _is_global(explanation):
        record = _foreign_record(explanation)
    return record if true_labels is None else _with_labels(record, true_labels)


def _is_global(explanation: Any) -> bool:
    return hasattr(explanation, "get_feature_importance_dict")


def _foreign_record(explanation: Any) -> Explanation:
    """The record of an explanation that another package made."""
    if not _is_global(explanation):
        raise CannotExplainError(
            "explanation must be a global explanation, as explain(...) or "
            "TabularExplainer(...).explain_global(...) returns, got "
            f"{type(explanation).__name__}"
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
        details=Details(notes=as_notes(["Computed by the caller.", *notes])),
    )
    return replace(record, details=replace(record.details, directions=directions_of(record)))


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
