"""The explained part of a fitted estimator: its targets, classes and outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special
from sklearn.base import (
    is_outlier_detector,
)
from sklearn.ensemble import IsolationForest

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Task, distinct_names
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.fitted_models import (
    class_labels,
    count_targets,
    dense_predictions,
    is_of_kind,
    model_of_last_step,
    refuse_unfitted,
    task_of,
    unwrap,
)
from mlflow_interpret.explaining.native_models import adapt_native, original_model

Output = Callable[[Any], FloatArray]

AVERAGE_PATH = "average path length"
PREDICTED_LABEL = "predicted label"
PREDICTION = "prediction"
PROBABILITY = "probability"
DECISION_FUNCTION = "decision function"
LOG_ODDS = "log-odds"
PROBABILITY_LOG_ODDS = "log-odds of the probabilities"
"""The log-odds computed from ``predict_proba``, for a model whose margin they are not."""
SMALLEST_PROBABILITY = 1e-6
"""Smaller probabilities count as this one in the log-odds, which would be infinite for 0."""
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ModelAdapter:
    """A fitted model that takes the user's rows.

    Attributes:
        model: The fitted model.
        task: The task; the score of an outlier detector counts as a regression.
        labels: The class labels of each target, as the model predicts them; None for regression.
        classes: Names of the classes, in the order of the labels of all targets; None for
            regression. Default names are the labels, for several targets ``target: label``.
        targets: Names of the targets if the model has several, else None.
        path: Path from the user's estimator to the model, such as ``GridSearchCV.best_estimator_``;
            empty if both are the same.
    """

    model: Any
    task: Task
    labels: tuple[tuple[Any, ...], ...] | None
    classes: tuple[Any, ...] | None
    path: str
    targets: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """The class of the model."""
        return type(original_model(self.model)).__name__

    @property
    def class_path(self) -> str:
        """The module and the class of the model."""
        model_class = type(original_model(self.model))
        return f"{model_class.__module__}.{model_class.__qualname__}"

    @property
    def output_names(self) -> tuple[Any, ...] | None:
        """The class or target of each output; None for a model with a single output."""
        return self.targets if self.classes is None else self.classes

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` predictions, ``(n_rows, n_targets)`` for several targets."""
        # A model that was fitted on labels of shape (n_rows, 1) may predict in that shape.
        array = dense_predictions(self.model.predict(rows))
        if self.targets is None and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.shape[1:] != (() if self.targets is None else (len(self.targets),)):
            raise CannotExplainError(f"{self.name} predicts an array of shape {array.shape}")
        return array

    def probabilities(self, rows: Any) -> FloatArray | None:
        """``(n_rows, n_classes)`` probabilities, or None if the model has none."""
        if self.classes is None or not hasattr(self.model, "predict_proba"):
            return None
        try:
            return self._scores("predict_proba", rows)
        except Exception:  # the attributions do not need them
            return None

    def outputs(self) -> Iterator[tuple[str, Output]]:
        """The outputs of the model that can be explained, the preferred one first.

        Yields:
            The name of the scale, and a function that maps rows to ``(n_rows,)``, or to
            ``(n_rows, n_outputs)`` for a model with `output_names`.
        """
        if self.classes is None:
            yield from self._values()
            return
        methods = {PROBABILITY: "predict_proba", DECISION_FUNCTION: "decision_function"}
        for scale, method in methods.items():
            if hasattr(self.model, method) and not self._is_by_pairs(method):
                yield scale, partial(self._scores, method)
        if hasattr(self.model, "predict_joint_log_proba"):  # naive Bayes: no decision function
            yield DECISION_FUNCTION, self._log_odds
        yield PREDICTED_LABEL, self._votes

    def output(self, scale: str) -> Output:
        """The output on a scale.

        Args:
            scale: Name of the scale, from `outputs` or `scale_of`, or `PROBABILITY_LOG_ODDS`.

        Raises:
            CannotExplainError: The model has no such output.
        """
        if scale == PROBABILITY_LOG_ODDS:
            return self._probability_log_odds
        wanted = DECISION_FUNCTION if scale == LOG_ODDS else scale
        for name, output in self.outputs():
            if name == wanted:
                return output
        raise CannotExplainError(f"{self.name} has no output on the scale {scale!r}")

    def scale_of(self, scale: str, scores: FloatArray, rows: Any) -> str:
        """The specific name of a scale: a decision function may be the log-odds.

        Args:
            scale: Name of the scale, from `outputs`.
            scores: ``(n_rows,)`` or ``(n_rows, n_outputs)`` outputs on that scale.
            rows: The rows.
        """
        if scale == PROBABILITY_LOG_ODDS:
            return LOG_ODDS
        if scale != DECISION_FUNCTION or self.labels is None or self.targets is not None:
            return scale
        probabilities = self.probabilities(rows)
        if probabilities is None:
            return scale
        binary = len(self.labels[0]) == 2
        softened = special.expit(scores) if binary else special.softmax(scores, axis=1)
        return LOG_ODDS if np.allclose(softened, probabilities, atol=1e-6) else scale

    def _values(self) -> Iterator[tuple[str, Output]]:
        if not is_of_kind(is_outlier_detector, self.model):
            yield PREDICTION, lambda rows: self.predict(rows).astype(np.float64)
            return
        scores = self.model.decision_function
        yield DECISION_FUNCTION, lambda rows: np.asarray(scores(rows), np.float64)
        if isinstance(self.model, IsolationForest):
            yield AVERAGE_PATH, partial(_average_path, self.model)

    def _is_by_pairs(self, method: str) -> bool:
        """Whether the scores belong to pairs of classes instead of classes."""
        last = model_of_last_step(self.model)
        pairs = getattr(last, "decision_function_shape", None) == "ovo"
        return pairs and method == "decision_function" and len((self.labels or ((),))[0]) > 2

    def _scores(self, method: str, rows: Any) -> FloatArray:
        probabilities = method == "predict_proba"
        sizes = [len(labels) for labels in self.labels or ()]
        scores = per_class(getattr(self.model, method)(rows), sizes, complement=probabilities)
        if probabilities and (scores.min(initial=0.0) < -_ROUNDING or scores.max() > 1 + _ROUNDING):
            # raw scores, as of a booster with a custom objective
            raise CannotExplainError(f"predict_proba of {self.name} gives no probabilities")
        return scores

    def _log_odds(self, rows: Any) -> FloatArray:
        """Log-odds of two classes; of several, log-probabilities less their mean."""
        return _less_others(np.asarray(self.model.predict_log_proba(rows), np.float64))

    def _probability_log_odds(self, rows: Any) -> FloatArray:
        """The log-odds as in `_log_odds`, from ``predict_proba``, by target."""
        logs = np.log(np.maximum(self._scores("predict_proba", rows), SMALLEST_PROBABILITY))
        ends = np.cumsum([len(labels) for labels in self.labels or ()])
        targets = np.split(logs, ends[:-1], axis=1)
        return np.concatenate([_less_others(target) for target in targets], axis=1)

    def _votes(self, rows: Any) -> FloatArray:
        predicted = self.predict(rows)
        predicted = predicted[:, None] if predicted.ndim == 1 else predicted
        votes = [
            predicted[:, target, None] == np.asarray(labels)[None, :]
            for target, labels in enumerate(self.labels or ())
        ]
        shares: FloatArray = np.concatenate(votes, axis=1).astype(np.float64)
        return shares


def _less_others(logs: FloatArray) -> FloatArray:
    """Log-probabilities less the other one of two, or less the mean of several."""
    others = logs[:, ::-1] if logs.shape[1] == 2 else logs.mean(axis=1, keepdims=True)
    log_odds: FloatArray = logs - others
    return log_odds


def _average_path(forest: Any, rows: Any) -> FloatArray:
    """``(n_rows,)`` mean depths at which the forest isolates rows: the sum of its trees.

    The anomaly score is a function of the mean depth: Liu, Ting and Zhou (2008), equation 2.
    """
    n = float(forest.max_samples_)
    normal = 2.0 * (np.log(n - 1.0) + np.euler_gamma - (n - 1.0) / n) if n > 2 else float(n > 1)
    depth: FloatArray = -np.log2(-np.asarray(forest.score_samples(rows), np.float64)) * normal
    return depth


def per_class(scores: Any, n_classes: Sequence[int], *, complement: bool = False) -> FloatArray:
    """``(n_rows, n_outputs)`` scores of all classes of all targets.

    Args:
        scores: Result of ``predict_proba`` or ``decision_function``; a list has an array for each
            target.
        n_classes: The number of classes of each target.
        complement: Whether the single column of a binary target is a probability ``p``, so that the
            other class has ``1 - p``. A score ``s`` of a binary target means ``-s`` for the other.

    Raises:
        CannotExplainError: The scores have another number of columns.
    """
    if isinstance(scores, list) and len(scores) == len(n_classes) == np.ndim(scores[0]) - 1 == 1:
        scores = scores[0]
    if isinstance(scores, list) and len(scores) == len(n_classes) > 1:
        parts = [
            per_class(target, [n], complement=complement)
            for target, n in zip(scores, n_classes, strict=True)
        ]
        return np.concatenate(parts, axis=1)
    array = np.asarray(scores, dtype=np.float64)
    columns = array[:, None] if array.ndim == 1 else array
    if columns.ndim == 2 and columns.shape[1] == sum(n_classes):
        return columns
    if columns.ndim == 2 and columns.shape[1] == len(n_classes) and set(n_classes) == {2}:
        other = 1.0 - columns if complement else -columns
        return np.stack([other, columns], axis=2).reshape(len(columns), -1)
    raise CannotExplainError(
        f"the model's output has shape {array.shape} for {sum(n_classes)} classes"
    )


def adapt_model(
    estimator: Any, classes: Any = None, row: Any = None, targets: Sequence[str] | None = None
) -> ModelAdapter:
    """Find the part of a fitted estimator that is explained.

    Args:
        estimator: The estimator that the user fitted.
        classes: Names that replace the model's class labels, in its order, or None.
        row: One of the training rows, in their container. Its prediction shows whether the model
            has several targets if the attributes of the model do not.
        targets: Names of several targets, or None for ``y0``, ``y1``, ...

    Raises:
        CannotExplainError: The estimator cannot be explained.
    """
    model, path = unwrap(estimator)
    refuse_unfitted(model)
    model = adapt_native(model)
    task = task_of(model)
    n_targets = count_targets(model, row)
    names = None if n_targets == 1 else _target_names(targets, n_targets)
    if task == "regression" and classes is not None:
        raise CannotExplainError(
            f"classes has {len(classes)} names, but {type(model).__name__} predicts no classes; "
            "leave classes out"
        )
    if task == "regression":
        return ModelAdapter(model, task, None, None, path, names)
    labels = class_labels(model, n_targets)
    if all(len(classes_of_target) < 2 for classes_of_target in labels):
        raise CannotExplainError(
            f"{type(model).__name__} was trained on one class only, {labels[0][0]!r}; "
            "there is no difference to explain"
        )
    return ModelAdapter(model, task, labels, _class_names(labels, names, classes), path, names)


def _target_names(names: Sequence[str] | None, n_targets: int) -> tuple[str, ...]:
    if names is None or len(names) != n_targets:
        return tuple(f"y{i}" for i in range(n_targets))
    return distinct_names([str(name) for name in names])


def _class_names(
    labels: tuple[tuple[Any, ...], ...], targets: tuple[str, ...] | None, classes: Any
) -> tuple[Any, ...]:
    if targets is None:
        defaults = labels[0]
    else:
        pairs = zip(targets, labels, strict=True)
        defaults = tuple(f"{target}: {label}" for target, values in pairs for label in values)
    if classes is None:
        return defaults
    if len(classes) != len(defaults):
        raise CannotExplainError(
            f"classes has {len(classes)} names and the model has {len(defaults)} classes; "
            "give one name for each class in the order of model.classes_"
        )
    return tuple(classes)
