"""Contributions that XGBoost, LightGBM and CatBoost compute for their own models.

They are the path-dependent values of tree SHAP: for an unknown feature, both sides of a split count
in proportion to the training rows. The caller checks their sums: CatBoost's contributions of some
models with a single output and asymmetric trees (``grow_policy``) are wrong and do not add up. Sums
do not show that contributions are exchanged between columns, so models for which CatBoost does that
are refused.
"""

from __future__ import annotations

import logging
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy import special

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.booster_libraries import as_float64, is_booster, library_of
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.additivity import check_shapes
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    refuse_given_background,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.booster_interactions import (
    LightGBMInteractions,
    own_interactions,
)
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.sklearn_trees import TREES_NOTE

_logger = logging.getLogger(__name__)

MAX_ROWS = 1_000


@register(priority=70)
class BoosterExplainer(Explainer):
    """Explains a booster by the contributions that its own library computes."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return is_booster(adapter.model)

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter = request.adapter
        model = request.adapter.model
        library = library_of(model)
        if library is None:
            raise CannotExplainError(f"{request.adapter.name} is no booster")
        library.check(model)
        refuse_given_background(request)
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation=library.implementation,
            max_rows=MAX_ROWS,
            notes=(
                TREES_NOTE,
                *library.notes(model),
                *weight_notes(request.background, of_trees=True),
            ),
            is_parallel=False,  # the library uses all cores itself
        )

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: ARG002
        """Compute the attributions of a batch; the scale follows from the outputs of the batch.

        Raises:
            CannotExplainError: The library gives no contributions for the model or these rows.
        """
        adapter = self._adapter
        n_classes = None if adapter.classes is None else len(adapter.classes)
        try:
            attributions = booster_attributions(adapter.model, batch.original, n_classes)
            check_shapes(adapter, attributions.local_values, attributions.expected_values)
        except Exception as error:
            _logger.debug("%s gave no contributions", adapter.name, exc_info=True)
            raise CannotExplainError(
                f"{adapter.name} gave no contributions of its own", error
            ) from error
        return attributions

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        model, library = self._adapter.model, library_of(self._adapter.model)
        if library is None:
            raise CannotExplainError(f"{self._adapter.name} is no booster")

        def contributions(rows: Any) -> FloatArray:
            return library.compute(model, rows)[0]

        try:
            if library.interactions is None:
                values = self._lightgbm_interactions.explain(contributions, batch, columns)
            else:
                matrices = partial(library.interactions, model)
                values = own_interactions(matrices, contributions, batch, columns)
        except CannotExplainError:
            raise
        except Exception as error:
            name = self._adapter.name
            raise CannotExplainError(f"{name} gave no interactions", error) from error
        is_binary = len(values) == 1 and len(self._adapter.classes or ()) == 2
        return np.concatenate([-values, values]) if is_binary else values

    @cached_property
    def _lightgbm_interactions(self) -> LightGBMInteractions:
        n_classes = len(self._adapter.classes or ())
        return LightGBMInteractions(self._adapter.model, n_classes if n_classes > 2 else 1)


def booster_attributions(model: Any, rows: Any, n_classes: int | None) -> Attributions:
    """Compute the contributions of a booster; the model is not changed.

    Args:
        model: A fitted model of XGBoost, LightGBM or CatBoost.
        rows: ``(n_rows, n_features)`` in the container that the model was fitted with.
        n_classes: Number of classes, None for regression.

    Returns:
        Attributions on the scale ``log-odds`` if the class probabilities are their logistic
        function or softmax, ``prediction`` if they add up to the predictions, else ``raw
        prediction``: the model has a link function or a custom objective.

    Raises:
        CannotExplainError: The library has no right contributions for the model.
        Exception: Any error of the library.
    """
    library = library_of(model)
    if library is None:
        raise CannotExplainError(f"{type(model).__name__} is no booster")
    values, margins = library.compute(model, rows)  # the last column of the values is the bias
    if values.shape[:2] != margins.shape or values.shape[2] != rows.shape[1] + 1:
        raise CannotExplainError(
            f"{library.implementation} gave contributions of shape {values.shape} for outputs of "
            f"shape {margins.shape} and rows of shape {tuple(rows.shape)}"
        )
    local, expected = values[:, :, :-1].transpose(1, 0, 2), values[0, :, -1]
    if n_classes is None:
        single = margins.shape[1] == 1
        outputs = margins[:, 0] if single else margins
        scale = "prediction" if _is_prediction(model, rows, outputs) else "raw prediction"
        return Attributions(local[0] if single else local, expected, outputs, scale)
    _refuse_several_labels(model, rows)
    scale = "log-odds" if _are_log_odds(model, rows, margins) else "raw prediction"
    if margins.shape[1] == 1 and n_classes == 2:  # the margin of the second class
        local, expected = np.concatenate([-local, local]), np.concatenate([-expected, expected])
        margins = np.hstack([-margins, margins])
    if margins.shape[1] != n_classes:
        raise CannotExplainError(
            f"{library.implementation} has {margins.shape[1]} outputs for {n_classes} classes"
        )
    return Attributions(local, expected, margins, scale)


def _refuse_several_labels(model: Any, rows: Any) -> None:
    shape = np.shape(model.predict(rows))
    if len(shape) == 2 and shape[1] > 1:
        raise CannotExplainError(
            f"{type(model).__name__} predicts {shape[1]} values for a row, not one class"
        )


# A link function is detected by the outputs, not by the objective: each library has dozens of
# objectives, with aliases and with parameters that change the link function.


def _is_prediction(model: Any, rows: Any, outputs: FloatArray) -> bool:
    predicted = as_float64(model.predict(rows))
    return predicted.shape == outputs.shape and np.allclose(predicted, outputs, rtol=1e-5)


def _are_log_odds(model: Any, rows: Any, margins: FloatArray) -> bool:
    probabilities = as_float64(model.predict_proba(rows))
    if probabilities.ndim != 2:  # raw scores of a custom objective
        return False
    if margins.shape[1] == 1:
        return np.allclose(special.expit(margins[:, 0]), probabilities[:, -1], atol=1e-5)
    candidates = (special.softmax(margins, axis=1), special.expit(margins))
    return any(
        candidate.shape == probabilities.shape and np.allclose(candidate, probabilities, atol=1e-5)
        for candidate in candidates
    )
