"""Meta-estimators whose output is a weighted sum of the outputs of their members.

- ``VotingRegressor``, ``VotingClassifier(voting="soft")`` and bagging average predictions or
  probabilities.
- Stacking with a linear last step, and ``TransformedTargetRegressor`` with a linear transformation,
  are linear in their members' outputs.
- ``OneVsRestClassifier`` has the decision function of a member for each class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils import check_array

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.model_adapter import (
    DECISION_FUNCTION,
    LOG_ODDS,
    PREDICTION,
    PROBABILITY,
    ModelAdapter,
    adapt_model,
)

_SCALES = {
    "predict": frozenset({PREDICTION}),
    "predict_proba": frozenset({PROBABILITY}),
    "decision_function": frozenset({DECISION_FUNCTION, LOG_ODDS}),
}
"""Scales of the members' outputs; a regressor's only is a number."""


@dataclass(frozen=True, eq=False)
class Member:
    """A member of a sum.

    Attributes:
        adapter: The model.
        scales: Names of the scale of the outputs that are added up.
        weights: ``(n_outputs, n_member_outputs)`` weights of its outputs in those of the sum.
        columns: ``(n_member_features,)`` columns that the member takes; None for all.
    """

    adapter: ModelAdapter
    scales: frozenset[str]
    weights: FloatArray
    columns: Indices | None = None


@dataclass(frozen=True, eq=False)
class ModelSum:
    """A model's output as a weighted sum of the outputs of other models.

    Attributes:
        members: The other models.
        offset: ``(n_outputs,)`` constants.
        coefficients: ``(n_outputs, n_features)`` coefficients of the model's own columns, or None.
        is_array: Whether the members take the rows as an array instead of the model's container.
    """

    members: tuple[Member, ...]
    offset: FloatArray
    coefficients: FloatArray | None = None
    is_array: bool = False


def is_sum_of_models(model: Any) -> bool:
    """Whether the model may be a weighted sum of other models."""
    return isinstance(model, tuple(_DECOMPOSITIONS))


def decompose(adapter: ModelAdapter, rows: Any) -> ModelSum:
    """Find the weighted sum of members that a meta-estimator computes.

    Args:
        adapter: The meta-estimator.
        rows: Some rows, in its container, to find the weights of a linear last step.

    Raises:
        CannotExplainError: Its output is no weighted sum of those of its members.
    """
    for family, decomposition in _DECOMPOSITIONS.items():
        if isinstance(adapter.model, family):
            return decomposition(adapter, rows)
    raise CannotExplainError(f"{adapter.name} is not known as a sum of models")


def member_rows(model_sum: ModelSum, rows: RowBatch) -> Iterator[RowBatch]:
    """The rows as each member takes them."""
    if not model_sum.is_array:
        yield from (rows for _ in model_sum.members)
        return
    array = _as_array(rows.original)
    whole = _array_batch(array, rows)
    for member in model_sum.members:
        columns = member.columns
        yield whole if columns is None else _array_batch(array[:, columns], rows)


def _as_array(rows: Any) -> Any:
    """Rows as bagging passes them to its members."""
    return check_array(rows, accept_sparse=["csr", "csc"], dtype=None, ensure_all_finite=False)


def _array_batch(array: Any, rows: RowBatch) -> RowBatch:
    names = [f"x{i}" for i in range(array.shape[1])]
    return replace(as_batch(array, names, array), numbers=rows.numbers, weights=rows.weights)


def _voting(adapter: ModelAdapter, rows: Any) -> ModelSum:
    model = adapter.model
    if getattr(model, "voting", "soft") != "soft":
        raise CannotExplainError("votes are no sum of its members' outputs")
    weights = np.ones(len(model.estimators_))
    if model.weights is not None:
        pairs = zip(model.weights, model.estimators, strict=True)
        weights = np.array([weight for weight, (_, member) in pairs if member != "drop"])
    method = "predict" if adapter.labels is None else "predict_proba"
    shares = weights / weights.sum()
    n_outputs = _n_outputs(adapter)
    members = (
        _member(member, method, share * np.eye(n_outputs), rows)
        for member, share in zip(model.estimators_, shares, strict=True)
    )
    return ModelSum(tuple(members), np.zeros(n_outputs))


def _bagging(adapter: ModelAdapter, rows: Any) -> ModelSum:
    model = adapter.model
    array = _as_array(rows)
    identity = np.eye(_n_outputs(adapter)) / len(model.estimators_)
    offset = np.zeros(len(identity))
    members = []
    for member, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        weights = identity
        if adapter.labels is not None:
            if not hasattr(member, "predict_proba"):
                raise CannotExplainError("votes are no sum of its members' outputs")
            weights = identity[:, member.classes_]  # a member may have seen some classes only
            if len(member.classes_) == 1:
                offset += weights[:, 0]
                continue
        is_all = np.array_equal(columns, np.arange(array.shape[1]))
        own_columns = None if is_all else np.asarray(columns, dtype=np.int64)
        own_rows = array if own_columns is None else array[:, own_columns]
        method = "predict" if adapter.labels is None else "predict_proba"
        members.append(_member(member, method, weights, own_rows, own_columns))
    return ModelSum(tuple(members), offset, is_array=True)


def _stacking(adapter: ModelAdapter, rows: Any) -> ModelSum:
    model = adapter.model
    outputs = np.asarray(model.transform(rows), dtype=np.float64)
    last = adapt_model(model.final_estimator_, row=outputs[:1])
    output = last.output(PREDICTION if adapter.labels is None else DECISION_FUNCTION)
    coefficients, offset = _linear_weights(output, outputs, last.name)
    members, start = [], 0
    for member, method in zip(model.estimators_, model.stack_method_, strict=True):
        own = _member(member, method, np.zeros((len(offset), 0)), rows)
        n_own = _n_outputs(own.adapter)
        is_binary = own.adapter.labels is not None and n_own == 2
        width = 1 if is_binary else n_own
        used = coefficients[:, start : start + width]
        # Of two classes, the last step gets the output of the second one.
        weights = np.column_stack([np.zeros(len(offset)), used]) if is_binary else used
        members.append(Member(own.adapter, own.scales, weights))
        start += width
    own_columns = coefficients[:, start:] if model.passthrough else None
    return ModelSum(tuple(members), offset, own_columns)


def _transformed_target(adapter: ModelAdapter, rows: Any) -> ModelSum:
    model = adapter.model
    n_outputs = _n_outputs(adapter)
    member = _member(model.regressor_, "predict", np.eye(n_outputs), rows)

    def inverse(values: FloatArray) -> FloatArray:
        return np.asarray(model.transformer_.inverse_transform(values), dtype=np.float64)

    predicted = member.adapter.predict(rows).astype(np.float64).reshape(-1, n_outputs)
    weights, offset = _linear_weights(inverse, predicted, "transformer")
    return ModelSum((Member(member.adapter, member.scales, weights),), offset)


def _one_vs_rest(adapter: ModelAdapter, rows: Any) -> ModelSum:
    model = adapter.model
    if adapter.targets is not None:
        raise CannotExplainError("its members have a target each")
    identity = np.eye(_n_outputs(adapter))
    if len(model.estimators_) == 1:
        members = [_member(model.estimators_[0], "decision_function", identity, rows)]
    else:
        members = [
            _member(member, "decision_function", np.outer(column, [0.0, 1.0]), rows)
            for member, column in zip(model.estimators_, identity, strict=True)
        ]
    return ModelSum(tuple(members), np.zeros(len(identity)))


def _member(
    model: Any, method: str, weights: FloatArray, rows: Any, columns: Indices | None = None
) -> Member:
    if method == "predict" and hasattr(model, "classes_"):
        raise CannotExplainError("class labels are no sum of its members' outputs")
    return Member(adapt_model(model, row=rows[:1]), _SCALES[method], weights, columns)


def _n_outputs(adapter: ModelAdapter) -> int:
    return len(adapter.output_names or (None,))


def _linear_weights(
    function: Callable[[FloatArray], FloatArray], rows: FloatArray, name: str
) -> tuple[FloatArray, FloatArray]:
    """``(n_outputs, n_columns)`` coefficients and ``(n_outputs,)`` constants of a linear function.

    Args:
        function: Maps ``(n_rows, n_columns)`` to ``(n_rows, n_outputs)`` or ``(n_rows,)``.
        rows: Rows on which the function has to be linear.
        name: Name of the function, for the message.

    Raises:
        CannotExplainError: The function is not linear.
    """

    def values(points: FloatArray) -> FloatArray:
        return np.asarray(function(points), dtype=np.float64).reshape(len(points), -1)

    centre, steps = rows.mean(axis=0), rows.std(axis=0)
    steps[steps == 0] = 1.0
    points = values(np.vstack([centre, centre + np.diag(steps)]))
    coefficients = (points[1:] - points[0]).T / steps
    offset: FloatArray = points[0] - coefficients @ centre
    expected = values(rows)
    size = np.abs(expected).max(initial=0.0)
    if not np.allclose(rows @ coefficients.T + offset, expected, rtol=1e-6, atol=1e-6 * size):
        raise CannotExplainError(f"its {name} is not linear")
    return coefficients, offset


_DECOMPOSITIONS: dict[type, Callable[[ModelAdapter, Any], ModelSum]] = {
    VotingRegressor: _voting,
    VotingClassifier: _voting,
    BaggingRegressor: _bagging,
    BaggingClassifier: _bagging,
    StackingRegressor: _stacking,
    StackingClassifier: _stacking,
    TransformedTargetRegressor: _transformed_target,
    OneVsRestClassifier: _one_vs_rest,
}
