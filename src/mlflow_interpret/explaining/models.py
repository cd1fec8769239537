"""The fitted model: what of it is explained, its classes and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from mlflow_interpret.errors import CannotExplainError
from mlflow_interpret.records import FloatArray, Task

Output = Callable[[Any], FloatArray]


@dataclass(frozen=True)
class Predictor:
    """A fitted model that takes the user's rows.

    Attributes:
        model: The fitted model.
        task: What it does.
        labels: Its class labels as it predicts them, None for regression.
        classes: The names of its classes, in the same order; the labels unless the user gave
            others. None for regression.
        path: How it was found in the estimator that the user fitted, e.g.
            ``GridSearchCV.best_estimator_``; empty for that estimator itself.
    """

    model: Any
    task: Task
    labels: tuple[Any, ...] | None
    classes: tuple[Any, ...] | None
    path: str

    @property
    def name(self) -> str:
        """The class of the model."""
        return type(self.model).__name__

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` predictions.

        Raises:
            CannotExplainError: The model predicts several outputs.
        """
        return self._single(self.model.predict(rows))

    def probabilities(self, rows: Any) -> FloatArray | None:
        """``(n_rows, n_classes)`` probabilities, or None where the model has none."""
        if self.classes is None or not hasattr(self.model, "predict_proba"):
            return None
        try:
            return np.asarray(self.model.predict_proba(rows), dtype=np.float64)
        except Exception:  # it was not needed to explain the model
            return None

    def outputs(self) -> Iterator[tuple[str, Output]]:
        """The scales on which the model can be explained, the preferred one first.

        Yields:
            The scale's name and a function that maps rows to ``(n_rows,)`` for regression and
            ``(n_rows, n_classes)`` for classification.
        """
        if self.classes is None:
            yield "prediction", lambda rows: self.predict(rows).astype(np.float64)
            return
        for scale, method in (
            ("probability", "predict_proba"),
            ("decision function", "decision_function"),
        ):
            if hasattr(self.model, method):
                yield scale, partial(self._scores, method)
        yield "predicted label", self._votes

    def _scores(self, method: str, rows: Any) -> FloatArray:
        return per_class(getattr(self.model, method)(rows), len(self.classes or ()))

    def _votes(self, rows: Any) -> FloatArray:
        labels = self.predict(rows)
        known = np.asarray(self.labels)
        votes: FloatArray = (labels[:, None] == known[None, :]).astype(np.float64)
        return votes

    def _single(self, predictions: Any) -> npt.NDArray[Any]:
        # A linear model that was fitted on a column of labels, (n_rows, 1), predicts such a column.
        array = np.asarray(predictions)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise _several_outputs(self.name, array.shape[1])
        return array


def per_class(scores: Any, n_classes: int) -> FloatArray:
    """``(n_rows, n_classes)`` scores; a binary model's single column becomes two, one negated.

    Raises:
        CannotExplainError: The scores have another number of columns.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and n_classes == 2:
        return np.column_stack([-array, array])
    if array.ndim != 2 or array.shape[1] != n_classes:
        raise CannotExplainError(
            f"the model's output has shape {array.shape} for {n_classes} classes"
        )
    return array


def predictor(estimator: Any, classes: Any = None) -> Predictor:
    """The part of a fitted estimator that is explained.

    Args:
        estimator: What ``fit`` was called on.
        classes: Names that replace the model's class labels, in its order, or None.

    Raises:
        CannotExplainError: There is nothing in it that can be explained.
    """
    model, path = unwrap(estimator)
    _refuse_unfitted(model)
    if _is(is_regressor, model):
        _refuse_multioutput(model)
        return Predictor(model, "regression", None, None, path)
    if not _is(is_classifier, model):
        raise CannotExplainError(
            f"{type(model).__name__} is neither a classifier nor a regressor; "
            "there is no prediction to explain"
        )
    labels = _labels(model)
    if classes is not None and len(classes) != len(labels):
        raise CannotExplainError(
            f"classes has {len(classes)} names and the model has {len(labels)} classes; "
            "give one name for each class in the order of model.classes_"
        )
    if len(labels) < 2:
        raise CannotExplainError(
            f"{type(model).__name__} was trained on the one class {labels[0]!r}; "
            "there is no difference to explain"
        )
    names = labels if classes is None else tuple(classes)
    return Predictor(model, "classification", labels, names, path)


def _is(kind: Callable[[Any], bool], model: Any) -> bool:
    try:
        return bool(kind(model))
    except (AttributeError, TypeError):  # no scikit-learn estimator at all
        return False


def last_step(model: Any) -> str:
    """The class of the model at the end of pipelines and searches."""
    model, _ = unwrap(model)
    while hasattr(model, "steps"):
        model, _ = unwrap(model.steps[-1][1])
    return type(model).__name__


def unwrap(estimator: Any) -> tuple[Any, str]:
    """The best estimator of a search, and the way to it; any other estimator is its own."""
    searched = hasattr(estimator, "best_estimator_")
    if not searched and getattr(estimator, "refit", None) is not False:
        return estimator, ""
    name = type(estimator).__name__
    if not searched:
        raise CannotExplainError(
            f"{name} was fitted with refit=False and holds no best estimator; use refit=True"
        )
    inner, rest = unwrap(estimator.best_estimator_)
    step = f"{name}.best_estimator_"
    return inner, f"{step}.{rest}" if rest else step


def _labels(model: Any) -> tuple[Any, ...]:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise CannotExplainError(f"{type(model).__name__} has no classes_ after fit")
    if isinstance(classes, list):
        raise _several_outputs(type(model).__name__, len(classes))
    return tuple(np.asarray(classes).tolist())


def _refuse_unfitted(model: Any) -> None:
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise CannotExplainError(f"{type(model).__name__} is not fitted; call fit first") from error
    except TypeError:  # no scikit-learn estimator
        return


def _refuse_multioutput(model: Any) -> None:
    outputs = getattr(model, "n_outputs_", None)
    if isinstance(outputs, int) and outputs > 1:
        raise _several_outputs(type(model).__name__, outputs)


def _several_outputs(name: str, outputs: int) -> CannotExplainError:
    return CannotExplainError(
        f"{name} predicts {outputs} outputs; explain a model of one output at a time"
    )
