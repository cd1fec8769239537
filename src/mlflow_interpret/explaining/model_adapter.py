"""The fitted model: what of it is explained, its targets, its classes and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse, special
from sklearn.base import (
    DensityMixin,
    is_classifier,
    is_clusterer,
    is_outlier_detector,
    is_regressor,
)
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Task, distinct_names
from mlflow_interpret.core.statistics import FloatArray

Output = Callable[[Any], FloatArray]

AVERAGE_PATH = "average path length"
_DECISION = "decision function"
_LOG_ODDS = "log-odds"
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ModelAdapter:
    """A fitted model that takes the user's rows.

    Attributes:
        model: The fitted model.
        task: What it does; the score of an outlier detector counts as a regression.
        labels: For each target the class labels as the model predicts them, None for regression.
        classes: The names of the classes, in the order of the labels of all targets, None for
            regression. For one target they are its labels unless the user gave others, for several
            they are ``target: label``.
        targets: The names of the targets where the model has several, else None.
        path: How it was found in the estimator that the user fitted, e.g.
            ``GridSearchCV.best_estimator_``; empty for that estimator itself.
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
        return type(self.model).__name__

    @property
    def output_names(self) -> tuple[Any, ...] | None:
        """What each block of contributions belongs to: a class, a target; None for a single one."""
        return self.targets if self.classes is None else self.classes

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """``(n_rows,)`` predictions, ``(n_rows, n_targets)`` for several targets."""
        # A model that was fitted on a column of labels, (n_rows, 1), may predict such a column.
        array = _dense(self.model.predict(rows))
        if self.targets is None and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.shape[1:] != (() if self.targets is None else (len(self.targets),)):
            raise CannotExplainError(f"{self.name} predicts an array of shape {array.shape}")
        return array

    def probabilities(self, rows: Any) -> FloatArray | None:
        """``(n_rows, n_classes)`` probabilities, or None where the model has none."""
        if self.classes is None or not hasattr(self.model, "predict_proba"):
            return None
        try:
            return self._scores("predict_proba", rows)
        except Exception:  # it was not needed to explain the model
            return None

    def outputs(self) -> Iterator[tuple[str, Output]]:
        """The scales on which the model can be explained, the preferred one first.

        Yields:
            The scale's name and a function that maps rows to ``(n_rows,)``, or to
            ``(n_rows, n_outputs)`` where there are `blocks`.
        """
        if self.classes is None:
            yield from self._values()
            return
        for scale, method in (("probability", "predict_proba"), (_DECISION, "decision_function")):
            if hasattr(self.model, method) and not self._is_by_pairs(method):
                yield scale, partial(self._scores, method)
        yield "predicted label", self._votes

    def output(self, scale: str) -> Output:
        """The output on a scale that `outputs` or `scale_of` named.

        Raises:
            CannotExplainError: There is none.
        """
        own = _DECISION if scale == _LOG_ODDS else scale
        for name, output in self.outputs():
            if name == own:
                return output
        raise CannotExplainError(f"{self.name} has no output on the scale {scale!r}")

    def scale_of(self, scale: str, scores: FloatArray, rows: Any) -> str:
        """The scale's usual name: a decision function may be the log-odds of the probabilities."""
        if scale != _DECISION or self.labels is None or self.targets is not None:
            return scale
        probabilities = self.probabilities(rows)
        if probabilities is None:
            return scale
        binary = len(self.labels[0]) == 2
        softened = special.expit(scores) if binary else special.softmax(scores, axis=1)
        return _LOG_ODDS if np.allclose(softened, probabilities, atol=1e-6) else scale

    def _values(self) -> Iterator[tuple[str, Output]]:
        if not _is(is_outlier_detector, self.model):
            yield "prediction", lambda rows: self.predict(rows).astype(np.float64)
            return
        yield _DECISION, lambda rows: np.asarray(self.model.decision_function(rows), np.float64)
        if isinstance(self.model, IsolationForest):
            yield AVERAGE_PATH, partial(_average_path, self.model)

    def _is_by_pairs(self, method: str) -> bool:
        """Whether the scores are of pairs of classes; of three classes there are three pairs."""
        last = _last(self.model)
        pairs = getattr(last, "decision_function_shape", None) == "ovo"
        return pairs and method == "decision_function" and len((self.labels or ((),))[0]) > 2

    def _scores(self, method: str, rows: Any) -> FloatArray:
        probabilities = method == "predict_proba"
        sizes = [len(one) for one in self.labels or ()]
        scores = per_class(getattr(self.model, method)(rows), sizes, complement=probabilities)
        if probabilities and (scores.min(initial=0.0) < -_ROUNDING or scores.max() > 1 + _ROUNDING):
            # as of a booster with an objective of the user's own, which has raw scores only
            raise CannotExplainError(f"predict_proba of {self.name} gives no probabilities")
        return scores

    def _votes(self, rows: Any) -> FloatArray:
        predicted = self.predict(rows)
        predicted = predicted[:, None] if predicted.ndim == 1 else predicted
        votes = [
            predicted[:, target, None] == np.asarray(labels)[None, :]
            for target, labels in enumerate(self.labels or ())
        ]
        shares: FloatArray = np.concatenate(votes, axis=1).astype(np.float64)
        return shares


def _average_path(forest: Any, rows: Any) -> FloatArray:
    """``(n_rows,)`` mean depths at which the forest isolates rows, what its trees add up to.

    The anomaly score is a function of it: Liu, Ting and Zhou (2008), equation 2.
    """
    n = float(forest.max_samples_)
    normal = 2.0 * (np.log(n - 1.0) + np.euler_gamma - (n - 1.0) / n) if n > 2 else float(n > 1)
    depth: FloatArray = -np.log2(-np.asarray(forest.score_samples(rows), np.float64)) * normal
    return depth


def per_class(scores: Any, n_classes: Sequence[int], *, complement: bool = False) -> FloatArray:
    """``(n_rows, n_outputs)`` scores of all classes of all targets.

    Args:
        scores: What ``predict_proba`` or ``decision_function`` gave; a list has an array for each
            target.
        n_classes: The number of classes of each target.
        complement: A binary target's single column is a probability, so its other class has the
            rest; else it is a score, so its other class has the negated one.

    Raises:
        CannotExplainError: The scores have another number of columns.
    """
    if isinstance(scores, list) and len(scores) == len(n_classes) == np.ndim(scores[0]) - 1 == 1:
        scores = scores[0]
    if isinstance(scores, list) and len(scores) == len(n_classes) > 1:
        parts = [
            per_class(one, [n], complement=complement)
            for one, n in zip(scores, n_classes, strict=True)
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
    """The part of a fitted estimator that is explained.

    Args:
        estimator: What ``fit`` was called on.
        classes: Names that replace the model's class labels, in its order, or None.
        row: One of the rows that it was fitted on, in their container; it tells whether the model
            predicts several targets where its attributes do not.
        targets: The names of the targets where there are several, or None for ``y0``, ``y1``, ...

    Raises:
        CannotExplainError: There is nothing in it that can be explained.
    """
    model, path = unwrap(estimator)
    _refuse_unfitted(model)
    task = _task(model)
    n_targets = _n_targets(model, row)
    names = None if n_targets == 1 else _target_names(targets, n_targets)
    if task == "regression" and classes is not None:
        raise CannotExplainError(
            f"classes has {len(classes)} names and {type(model).__name__} predicts no classes; "
            "leave classes out"
        )
    if task == "regression":
        return ModelAdapter(model, task, None, None, path, names)
    labels = _labels(model, n_targets)
    if all(len(one) < 2 for one in labels):
        raise CannotExplainError(
            f"{type(model).__name__} was trained on the one class {labels[0][0]!r}; "
            "there is no difference to explain"
        )
    return ModelAdapter(model, task, labels, _class_names(labels, names, classes), path, names)


def _task(model: Any) -> Task:
    name = type(model).__name__
    if name == "Booster" and type(model).__module__.startswith("xgboost"):
        raise CannotExplainError(
            "a Booster of XGBoost takes no rows but a DMatrix; explain an XGBClassifier or "
            "XGBRegressor"
        )
    if _is(is_outlier_detector, model):
        if hasattr(model, "decision_function"):
            return "regression"
        raise CannotExplainError(
            f"{name} scores only the rows it was fitted on; there is no prediction to explain"
        )
    if _is(is_clusterer, model):
        raise CannotExplainError(clusters_only(model))
    if _is(is_regressor, model):
        return "regression"
    if _is(is_classifier, model) or hasattr(model, "predict_proba"):
        if not isinstance(model, DensityMixin):
            return "classification"
    elif hasattr(model, "predict") and not isinstance(model, DensityMixin):
        return "classification" if hasattr(model, "classes_") else "regression"
    raise CannotExplainError(
        f"{name} is neither a classifier nor a regressor; there is no prediction to explain"
    )


def clusters_only(model: Any) -> str:
    """Why a clusterer is not explained."""
    name = last_step(model)
    return f"{name} is a clusterer; it predicts no target whose drivers could be explained"


def _is(kind: Callable[[Any], bool], model: Any) -> bool:
    try:
        return bool(kind(model))
    except Exception:  # no scikit-learn estimator, or one with tags of its own
        return False


def last_step(model: Any) -> str:
    """The class of the model at the end of pipelines and searches."""
    return type(_last(model)).__name__


def _last(model: Any) -> Any:
    model, _ = unwrap(model)
    while hasattr(model, "steps"):
        model, _ = unwrap(model.steps[-1][1])
    return model


def unwrap(estimator: Any) -> tuple[Any, str]:
    """The best estimator of a search or the frozen one, and the way to it; others are their own."""
    name = type(estimator).__name__
    if hasattr(estimator, "best_estimator_"):
        inner, step = estimator.best_estimator_, f"{name}.best_estimator_"
    elif getattr(estimator, "refit", None) is False:
        raise CannotExplainError(
            f"{name} was fitted with refit=False and holds no best estimator; use refit=True"
        )
    elif name == "FrozenEstimator":  # new in scikit-learn 1.6
        inner, step = estimator.estimator, f"{name}.estimator"
    else:
        return estimator, ""
    inner, rest = unwrap(inner)
    return inner, f"{step}.{rest}" if rest else step


def _n_targets(model: Any, row: Any) -> int:
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list) and classes and np.ndim(classes[0]) == 1:
        return len(classes)
    if row is None:
        return 1
    try:
        predicted = _dense(model.predict(row)).shape
    except Exception:  # the engines will say what is wrong with the rows
        return 1
    return int(predicted[1]) if len(predicted) == 2 and predicted[1] > 1 else 1


def _dense(predicted: Any) -> npt.NDArray[Any]:
    """Predictions as an array; several labels at once may come as a sparse matrix."""
    return predicted.toarray() if sparse.issparse(predicted) else np.asarray(predicted)


def _target_names(names: Sequence[str] | None, n_targets: int) -> tuple[str, ...]:
    if names is None or len(names) != n_targets:
        return tuple(f"y{i}" for i in range(n_targets))
    return distinct_names([str(name) for name in names])


def _labels(model: Any, n_targets: int) -> tuple[tuple[Any, ...], ...]:
    """For each target its labels, as the model predicts them."""
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise CannotExplainError(
            f"{type(model).__name__} has no classes_ after fit; a classifier needs them, as "
            "scikit-learn's have, in the order of its probabilities"
        )
    if n_targets == 1:
        return (tuple(np.asarray(classes).ravel().tolist()),)
    if isinstance(classes, list):
        return tuple(tuple(np.asarray(one).tolist()) for one in classes)
    return ((0, 1),) * n_targets  # a row may have several labels at once; classes_ numbers them


def _class_names(
    labels: tuple[tuple[Any, ...], ...], targets: tuple[str, ...] | None, classes: Any
) -> tuple[Any, ...]:
    if targets is None:
        own = labels[0]
    else:
        pairs = zip(targets, labels, strict=True)
        own = tuple(f"{target}: {label}" for target, some in pairs for label in some)
    if classes is None:
        return own
    if len(classes) != len(own):
        raise CannotExplainError(
            f"classes has {len(classes)} names and the model has {len(own)} classes; "
            "give one name for each class in the order of model.classes_"
        )
    return tuple(classes)


def _refuse_unfitted(model: Any) -> None:
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise CannotExplainError(f"{type(model).__name__} is not fitted; call fit first") from error
    except Exception:  # no scikit-learn estimator, or not wholly one
        return
