"""The choice of the engine: the fastest one that gives right values for a model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.blackbox import sampled
from mlflow_interpret.explaining.boosters import is_booster, native
from mlflow_interpret.explaining.contributions import (
    Contributions,
    Engineered,
    check_shapes,
    difference,
    is_sum,
)
from mlflow_interpret.explaining.models import Predictor
from mlflow_interpret.explaining.pipelines import take_apart
from mlflow_interpret.explaining.tables import Table, sample
from mlflow_interpret.explaining.tabular import (
    TREE_ROWS,
    TREES_NOTE,
    fast,
    kernel,
)

_logger = logging.getLogger(__name__)

_ENGINEERED_CELLS = 20_000_000  # a vectorizer may make thousands of columns of one
_FEWEST_ROWS = 20

Engine = Callable[[Predictor, Table, Table, int | None, int], "Contributions | str"]


def contributions(
    predictor: Predictor,
    rows: Table,
    background: Table,
    max_rows: int | None,
    seed: int,
    engine: str = "auto",
) -> Contributions:
    """Explain some of ``rows``, with the fastest engine that gives right values.

    Args:
        predictor: The model.
        rows: The rows to choose from.
        background: The rows that stand for "feature unknown".
        max_rows: At most so many rows, None for the engine's own cap.
        seed: Chooses the rows.
        engine: ``auto``, or ``kernel`` for TabularExplainer's kernel explainer.

    Raises:
        CannotExplainError: No engine can explain this model on these rows.
    """
    if engine == "kernel":
        return kernel(predictor, rows, background, max_rows, seed)
    known = _pipeline if hasattr(predictor.model, "steps") else _known
    result = known(predictor, rows, background, max_rows, seed)
    if isinstance(result, Contributions):
        return result
    _logger.debug("No fast engine for %s: %s", predictor.name, result)
    found = _black_box(predictor, rows, background, max_rows, seed)
    return replace(found, notes=(f"Explained as a black box, because {result}.", *found.notes))


def _black_box(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions:
    try:
        return sampled(predictor, rows, background, max_rows, seed)
    except CannotExplainError as error:
        # Some models know nothing of rows far from all others; k-means centres are less far.
        try:
            found = kernel(predictor, rows, background, max_rows, seed)
        except Exception:
            raise error from None
        return replace(found, notes=(f"Kernel explainer, because {error}.", *found.notes))


def _pipeline(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    parts = take_apart(predictor, rows)
    if isinstance(parts, str):
        return parts
    limit = max(_FEWEST_ROWS, _ENGINEERED_CELLS // max(len(parts.lineage.names), 1))
    chosen = sample(len(rows), limit if max_rows is None else max_rows, seed)
    rows, background = rows.subset(chosen), background.subset(sample(len(background), limit, seed))
    try:
        engineered, ground = parts.engineer(rows), parts.engineer(background)
    except Exception as error:
        return f"the steps in front of {parts.last.name} failed: {one_line(error)}"
    result = _known(parts.last, engineered, ground, max_rows, seed)
    if isinstance(result, str):
        return result
    return replace(
        result,
        local_values=parts.by_raw_column(result.local_values, rows.frame.shape[1]),
        rows=chosen[result.rows],
        engineered=Engineered(engineered.subset(result.rows), result.local_values),
        notes=(*parts.notes, *result.notes),
    )


def _known(
    predictor: Predictor, rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    """By an engine that knows the model's inside."""
    single = _each_target(predictor)
    if len(single) == 1:
        return _known(single[0], rows, background, max_rows, seed)
    if single:
        return _stacked(single, rows, background, max_rows, seed)
    if is_booster(predictor.model):
        return _native(predictor, rows, max_rows, seed)
    return fast(predictor, rows, background, max_rows, seed)


def _native(
    predictor: Predictor, rows: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    """By the contributions that a booster computes itself."""
    picked = sample(len(rows), TREE_ROWS if max_rows is None else max_rows, seed)
    n_classes = None if predictor.classes is None else len(predictor.classes)
    try:
        found = native(predictor.model, rows.subset(picked).original, n_classes)
        check_shapes(predictor, found.local_values, found.expected_values)
    except Exception as error:
        _logger.debug("%s gave no contributions", predictor.name, exc_info=True)
        return f"{predictor.name} gave no contributions of its own: {one_line(error)}"
    missed = difference(found.local_values, found.expected_values, found.outputs)
    if not is_sum(found.local_values, found.outputs, missed):
        return f"{found.engine} does not add up to the model's output (off by {missed:.3g})"
    return Contributions(
        method="shap_tree",
        engine=found.engine,
        local_values=found.local_values,
        expected_values=found.expected_values,
        scale=found.scale,
        additivity_error=missed,
        rows=picked,
        background_rows=None,
        notes=(TREES_NOTE, *found.notes),
    )


def _each_target(predictor: Predictor) -> list[Predictor]:
    """The models of the single targets, where a model is made of one for each; else none."""
    from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor

    if not isinstance(predictor.model, (MultiOutputClassifier, MultiOutputRegressor)):
        return []
    labels = predictor.labels or (None,) * len(predictor.model.estimators_)
    return [
        Predictor(model, predictor.task, None if own is None else (own,), own, "")
        for model, own in zip(predictor.model.estimators_, labels, strict=True)
    ]


def _stacked(
    predictors: list[Predictor], rows: Table, background: Table, max_rows: int | None, seed: int
) -> Contributions | str:
    results: list[Contributions] = []
    for predictor in predictors:
        limit = len(results[0].rows) if results else max_rows  # all explain the same rows
        result = _known(predictor, rows, background, limit, seed)
        if isinstance(result, str):
            return result
        results.append(result)
    first = results[0]
    if len({(one.scale, one.method, len(one.rows)) for one in results}) > 1:
        return "its targets' models are explained on different scales"
    return replace(
        first,
        local_values=np.concatenate(
            [one.local_values.reshape(-1, *one.local_values.shape[-2:]) for one in results]
        ),
        expected_values=np.concatenate([one.expected_values for one in results]),
        additivity_error=max(one.additivity_error for one in results),
    )
