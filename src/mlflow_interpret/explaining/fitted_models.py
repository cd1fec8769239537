"""The kind, the targets and the classes of a fitted estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import (
    DensityMixin,
    is_classifier,
    is_clusterer,
    is_outlier_detector,
    is_regressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Task
from mlflow_interpret.explaining.native_models import original_model


def unwrap(estimator: Any) -> tuple[Any, str]:
    """The inner estimator of a search or a frozen estimator, and the path to it.

    Any other estimator is returned unchanged, with an empty path.

    Raises:
        CannotExplainError: A search has no best estimator.
    """
    name = type(estimator).__name__
    if hasattr(estimator, "best_estimator_"):
        inner, step = estimator.best_estimator_, f"{name}.best_estimator_"
    elif getattr(estimator, "refit", None) is False:
        raise CannotExplainError(
            f"{name} was fitted with refit=False and has no best estimator; use refit=True"
        )
    elif name == "FrozenEstimator":  # new in scikit-learn 1.6
        inner, step = estimator.estimator, f"{name}.estimator"
    else:
        return estimator, ""
    inner, rest = unwrap(inner)
    return inner, f"{step}.{rest}" if rest else step


def last_step(model: Any) -> str:
    """The class of the model at the end of pipelines and searches."""
    return type(original_model(model_of_last_step(model))).__name__


def model_of_last_step(model: Any) -> Any:
    """The model at the end of pipelines and searches."""
    model, _ = unwrap(model)
    while hasattr(model, "steps"):
        model, _ = unwrap(model.steps[-1][1])
    return model


def clusters_only(model: Any) -> str:
    """The reason why a clusterer is not explained."""
    name = last_step(model)
    return f"{name} is a clusterer; it predicts no target that could be explained"


def task_of(model: Any) -> Task:
    """Whether a model is explained as a classifier or as a regressor.

    Raises:
        CannotExplainError: It is neither, or it predicts nothing that could be explained.
    """
    name = type(model).__name__
    if is_of_kind(is_outlier_detector, model):
        if hasattr(model, "decision_function"):
            return "regression"
        raise CannotExplainError(
            f"{name} scores its training rows only; there is no prediction to explain"
        )
    if is_of_kind(is_clusterer, model):
        raise CannotExplainError(clusters_only(model))
    if is_of_kind(is_regressor, model):
        return "regression"
    if is_of_kind(is_classifier, model) or hasattr(model, "predict_proba"):
        if not isinstance(model, DensityMixin):
            return "classification"
    elif hasattr(model, "predict") and not isinstance(model, DensityMixin):
        return "classification" if _has_classes(model) else "regression"
    raise CannotExplainError(
        f"{name} is neither a classifier nor a regressor; there is no prediction to explain"
    )


def _has_classes(model: Any) -> bool:
    classes = getattr(model, "classes_", None)
    return classes is not None and len(classes) > 0  # CatBoost's rankers have an empty list


def is_of_kind(kind: Callable[[Any], bool], model: Any) -> bool:
    """Whether a function of scikit-learn as `is_classifier` holds for a model."""
    try:
        return bool(kind(model))
    except Exception:  # not a scikit-learn estimator, or one with tags of another kind
        return False


def count_targets(model: Any, row: Any) -> int:
    """The number of targets of a model.

    Args:
        model: The model.
        row: One of its rows, or None. The prediction shows the number of targets if the attributes
            of the model do not.
    """
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list) and classes and np.ndim(classes[0]) == 1:
        return len(classes)
    if row is None:
        return 1
    try:
        predicted = dense_predictions(model.predict(row)).shape
    except Exception:  # the explainers report the error
        return 1
    return int(predicted[1]) if len(predicted) == 2 and predicted[1] > 1 else 1


def dense_predictions(predicted: Any) -> npt.NDArray[Any]:
    """Predictions as an array; multilabel predictions may be a sparse matrix."""
    return predicted.toarray() if sparse.issparse(predicted) else np.asarray(predicted)


def class_labels(model: Any, n_targets: int) -> tuple[tuple[Any, ...], ...]:
    """The class labels of each target, as the model predicts them.

    Raises:
        CannotExplainError: The model has no class labels.
    """
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise CannotExplainError(
            f"{type(model).__name__} has no attribute classes_ after fit; a classifier needs the "
            "class labels there, in the order of its probabilities"
        )
    if n_targets == 1:
        return (tuple(np.asarray(classes).ravel().tolist()),)
    if isinstance(classes, list):
        return tuple(tuple(np.asarray(labels).tolist()) for labels in classes)
    return ((0, 1),) * n_targets  # multilabel: classes_ holds the numbers of the targets


def refuse_unfitted(model: Any) -> None:
    """Check that a model is fitted.

    Raises:
        CannotExplainError: It is not.
    """
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        if _has_state(model):
            return
        raise CannotExplainError(f"{type(model).__name__} is not fitted; call fit first") from error
    except Exception:  # not a complete scikit-learn estimator
        return


def _has_state(model: Any) -> bool:
    """Whether a model has attributes beyond its parameters.

    Classes of users do not always follow scikit-learn in ending the names of learned attributes
    with an underscore.
    """
    return not vars(model).keys() <= model.get_params(deep=False).keys()
