"""Models and functions of which only the predictions are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Explanation

Predict = Callable[[Any], Any]


class EvaluatedRegressor:
    """A function that predicts numbers.

    Args:
        predict_rows: Maps rows to predictions in any container.
    """

    def __init__(self, predict_rows: Predict) -> None:
        self._predict_rows = predict_rows

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` or ``(n_rows, n_targets)`` predictions."""
        return _as_array(self._predict_rows(rows))


class EvaluatedClassifier(EvaluatedRegressor):
    """A function that predicts class labels.

    Args:
        predict_rows: Maps rows to labels in any container.
        classes: ``(n_classes,)`` labels.
    """

    def __init__(self, predict_rows: Predict, classes: npt.NDArray[Any]) -> None:
        super().__init__(predict_rows)
        self.classes_ = classes


class EvaluatedProbabilities(EvaluatedClassifier):
    """A function that predicts the probability of each class, or of the second of two classes."""

    def predict_proba(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows, n_classes)`` probabilities."""
        predicted = super().predict(rows)
        return np.column_stack([1.0 - predicted, predicted]) if predicted.ndim == 1 else predicted

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` labels of the most probable classes."""
        labels: npt.NDArray[Any] = self.classes_[self.predict_proba(rows).argmax(axis=1)]
        return labels


def black_box(predict: Predict, rows: Any, labels: Any, model_type: str) -> EvaluatedRegressor:
    """Give a prediction function scikit-learn's interface.

    Args:
        predict: Maps rows to predictions in any container.
        rows: The evaluated rows.
        labels: Their true labels, or None.
        model_type: ``"classifier"`` or ``"regressor"``.
    """
    if model_type == "regressor":
        return EvaluatedRegressor(predict)
    predicted = _as_array(predict(rows))
    true = predicted[:0].ravel() if labels is None else np.asarray(labels)
    if predicted.ndim == 2:
        known = np.unique(true)
        n_classes = predicted.shape[1]
        classes = known if len(known) == n_classes else np.arange(n_classes)
        return EvaluatedProbabilities(predict, classes)
    known = np.unique(true)
    if len(known) == 2 and not np.isin(predicted, known).all() and _are_probabilities(predicted):
        return EvaluatedProbabilities(predict, known)
    return EvaluatedClassifier(predict, np.unique(np.concatenate([true, predicted])))


def explained_black_box(model: Any, record: Explanation) -> EvaluatedRegressor:
    """Give an explained model, of which only the predictions are known, scikit-learn's interface.

    Args:
        model: The model, with the method ``predict``.
        record: The explanation of the model.

    Raises:
        CannotExplainError: The explanation holds no rows on which the model could be tried.
    """
    base = record.raw or record
    rows = None if record.background is None else record.background.rows
    rows = base.evaluation_rows if rows is None else rows
    if rows is None:
        raise CannotExplainError(
            "the model has no flavor of scikit-learn, XGBoost, LightGBM or CatBoost, and the "
            "explanation holds no rows on which its predictions could be tried"
        )
    if base.task != "classification":
        return black_box(model.predict, rows.head(), None, "regressor")
    labels = _labels_of(record, np.ravel(model.predict(rows.head())).tolist())
    fitted = black_box(model.predict, rows.head(), labels, "classifier")
    if isinstance(fitted, EvaluatedClassifier) and set(fitted.classes_) == set(labels):
        fitted.classes_ = labels  # the names of the classes are in this order
    return fitted


def _labels_of(record: Explanation, predicted: list[Any]) -> Any:
    """``(C,)`` labels of the classes, or their display names where the model predicts these."""
    classes = record.classes or ()
    labels = None if record.background is None else record.background.labels
    return np.asarray(classes if labels is None or set(predicted) <= set(classes) else labels)


def _as_array(predicted: Any) -> npt.NDArray[Any]:
    """Predictions as an array, without the axis of a single column."""
    array = predicted.to_numpy() if hasattr(predicted, "to_numpy") else np.asarray(predicted)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _are_probabilities(predicted: npt.NDArray[Any]) -> bool:
    return predicted.dtype.kind == "f" and bool(((predicted >= 0) & (predicted <= 1)).all())
