"""Path-dependent Shapley values of trees by shap's TreeExplainer.

They are used where shapiq is not installed, and for trees of packages that `sklearn_trees` does
not read. The algorithm is the one of Lundberg et al. (2020).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import attributions_of, split_by_output
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    refuse_given_background,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.explainers.interaction_matrices import n_rows_of_call
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.sklearn_trees import is_tree_ensemble, tree_notes
from mlflow_interpret.runtime.optional_import import import_optional

_logger = logging.getLogger(__name__)

MAX_ROWS = 1_000
MIN_ROWS = 20
_PACKAGES = frozenset(
    ("causalml", "econml", "gpboost", "imblearn", "lightgbm", "ngboost", "pyod", "pyspark", "skopt")
)
"""Other packages with tree ensembles that shap knows."""
TREE_STEPS = 5_000_000_000
"""Default limit of the cost of tree SHAP, in leaves x depth x features of a path; a core does some
10^9 a second."""


@register(priority=45)
class ShapTreeExplainer(Explainer):
    """Explains tree ensembles of several packages; needs shap."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        packages = {base.__module__.partition(".")[0] for base in type(adapter.model).__mro__}
        is_known = is_tree_ensemble(adapter.model) or not packages.isdisjoint(_PACKAGES)
        return is_known and find_spec("shap") is not None

    @classmethod
    def import_packages(cls) -> None:  # noqa: D102
        with suppress(Exception):  # the constructor raises the reason
            import_optional("shap")

    def __init__(self, request: ExplainRequest) -> None:
        refuse_given_background(request)
        if not is_numeric(request.background.frame):
            raise CannotExplainError(NOT_NUMBERS)
        self._adapter = request.adapter
        model = request.adapter.model
        self._explainer  # noqa: B018 - raises where shap cannot explain the model
        self.info = ExplainerInfo(
            method="shap_tree",
            implementation="shap, TreeExplainer",
            max_rows=tree_rows(model),
            rows_in_full=tree_rows(model, TREE_STEPS // 5),
            notes=(*tree_notes(model), *weight_notes(request.background, of_trees=True)),
            is_parallel=True,
        )

    @cached_property
    def _explainer(self) -> Any:
        try:
            return import_optional("shap").TreeExplainer(self._adapter.model)
        except Exception as error:
            _logger.debug("shap has no TreeExplainer for %s", self._adapter.name, exc_info=True)
            raise CannotExplainError(
                f"shap cannot explain the trees of {self._adapter.name}", error
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_explainer"}

    def outputs(self, batch: RowBatch, scale: str | None) -> FloatArray:  # noqa: D102
        if scale is None:
            return super().outputs(batch, scale)
        return self._adapter.output(scale)(batch.original)

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        adapter, explainer = self._adapter, self._explainer
        try:
            raw = _output_first(explainer.shap_values(numbers(batch.frame)))
            values, expected = split_by_output(adapter, raw, explainer.expected_value)
        except Exception as error:
            _logger.debug("shap failed for %s", adapter.name, exc_info=True)
            raise CannotExplainError("shap's TreeExplainer failed", error) from error
        return attributions_of(adapter, batch, values, expected, scale)

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        if not is_numeric(batch.frame):
            raise CannotExplainError(NOT_NUMBERS)
        n_outputs = np.size(self._explainer.expected_value)
        n_rows = n_rows_of_call(batch.frame.shape[1], n_outputs)
        parts = [
            self._interactions(batch.subset(slice(start, start + n_rows)), columns)
            for start in range(0, len(batch), n_rows)
        ]
        return np.concatenate(parts, axis=1)

    def _interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:
        adapter, explainer = self._adapter, self._explainer
        try:
            raw = explainer.shap_interaction_values(numbers(batch.frame))
            values = _output_first(raw, n_dimensions=4)
            flat = values.reshape(*values.shape[:-2], -1)
            by_output, _ = split_by_output(adapter, flat, explainer.expected_value)
        except Exception as error:
            raise CannotExplainError("shap's TreeExplainer failed", error) from error
        pairs = by_output.reshape(-1, *values.shape[-3:])[..., columns[:, None], columns]
        diagonal = np.arange(len(columns))
        pairs[..., diagonal, diagonal] = 0.0
        return pairs


def tree_rows(model: Any, steps: int = TREE_STEPS) -> int:
    """Number of rows that cost at most ``steps``, by the leaves and the depth of the trees."""
    trees = np.ravel(np.asarray(getattr(model, "estimators_", [model]), dtype=object))
    nodes = [tree.tree_ for tree in trees if hasattr(tree, "tree_")]
    row_steps = sum(
        tree.n_leaves * tree.max_depth * min(tree.max_depth, model.n_features_in_) for tree in nodes
    )
    if not row_steps:
        return MAX_ROWS
    return int(np.clip(steps // row_steps, MIN_ROWS, MAX_ROWS))


def _output_first(values: Any, n_dimensions: int = 3) -> FloatArray:
    """``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)`` values.

    Interactions have one more dimension of features: ``n_dimensions`` is 4.

    Since version 0.45 shap has the outputs last; before, it returned a list with one array for each
    output.
    """
    array: FloatArray = np.asarray(values, dtype=np.float64)
    several_last = array.ndim == n_dimensions and not isinstance(values, list)
    return np.moveaxis(array, -1, 0) if several_last else array
