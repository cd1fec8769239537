"""The choice of the engine: the fastest one that gives right values for a model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError, one_line
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import sample_rows
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.additivity import (
    AttributionResult,
    EngineeredAttributions,
)
from mlflow_interpret.explaining.explainers.base import Attributions, Explainer
from mlflow_interpret.explaining.explainers.boosters import NativeContributions, is_booster
from mlflow_interpret.explaining.explainers.linear import Linear
from mlflow_interpret.explaining.explainers.permutation import KEPT, Sampled
from mlflow_interpret.explaining.explainers.tabular_explainer import Fast, Kernel
from mlflow_interpret.explaining.explainers.trees import Quadrature
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.pipeline_split import SplitPipeline, split_pipeline
from mlflow_interpret.explaining.row_scheduler import run
from mlflow_interpret.explaining.time_budget import Budget, TooSlowError

_logger = logging.getLogger(__name__)

_ENGINEERED_CELLS = 20_000_000  # a vectorizer may make thousands of columns of one
_FEWEST_ROWS = 20
_MANY_MORE = 3
"""So many times the rows of an exact engine make up for what sampling adds to their error."""


def contributions(
    adapter: ModelAdapter,
    rows: RowBatch,
    background: RowBatch,
    plan: Plan,
    budget: Budget | None = None,
    n_available: int | None = None,
) -> AttributionResult:
    """Explain some of ``rows``, with the fastest engine that gives right values.

    Args:
        adapter: The model.
        rows: The rows to choose from.
        background: The rows that stand for "feature unknown".
        plan: How many rows, by which engine.
        budget: The time that is left. Default: the plan's, from now on.
        n_available: How many rows there are, of which ``rows`` are a sample. Default: all of them.

    Raises:
        CannotExplainError: No engine can explain this model on these rows.
    """
    budget = Budget(plan.time_budget) if budget is None else budget
    n_available = len(rows) if n_available is None else n_available
    if plan.engine == "kernel":
        return run(Kernel(adapter, background, plan, budget), rows, plan, budget, n_available)
    try:
        engine = prepare(adapter, rows, background, plan)
        fallback = partial(_more_rows, adapter, background, plan, budget)
        return run(engine, rows, plan, budget, n_available, exact=True, fallback=fallback)
    except TooSlowError:
        raise
    except CannotExplainError as error:
        reason = str(error)
    _logger.debug("No fast engine for %s: %s", adapter.name, reason)
    if plan.engine == "tabular":
        kernel = Kernel(adapter, background, plan, budget)
        found = run(kernel, rows, plan, budget, n_available)
    else:
        found = _black_box(adapter, rows, background, plan, budget, n_available)
    return replace(found, notes=(f"Explained as a black box, because {reason}.", *found.notes))


def prepare(adapter: ModelAdapter, rows: RowBatch, background: RowBatch, plan: Plan) -> Explainer:
    """The engine that knows the model's inside, ready to explain rows like ``rows``.

    Args:
        adapter: The model.
        rows: Some rows, which show what the steps of a pipeline make of them.
        background: The rows that stand for "feature unknown".
        plan: Has the seed.

    Raises:
        CannotExplainError: There is none for this model; the reason follows a "because".
    """
    if hasattr(adapter.model, "steps"):
        return _taken_apart(adapter, rows, background, plan)
    return _known(adapter, background, plan)


def _more_rows(
    adapter: ModelAdapter, background: RowBatch, plan: Plan, budget: Budget, n_rows: int
) -> Explainer | None:
    """The sampler, where it explains many more rows than ``n_rows`` in the time that is left."""
    if plan.engine != "auto" or budget.seconds is None or budget.left < KEPT * budget.seconds:
        return None
    try:
        sampled = Sampled(adapter, background, plan, budget)
    except CannotExplainError:
        return None
    return sampled if sampled.affordable_rows >= _MANY_MORE * n_rows else None


def _black_box(
    adapter: ModelAdapter,
    rows: RowBatch,
    background: RowBatch,
    plan: Plan,
    budget: Budget,
    n_available: int,
) -> AttributionResult:
    try:
        return run(Sampled(adapter, background, plan, budget), rows, plan, budget, n_available)
    except TooSlowError:
        raise
    except CannotExplainError as error:
        # Some models know nothing of rows far from all others; k-means centres are less far.
        try:
            kernel = Kernel(adapter, background, plan, budget)
            found = run(kernel, rows, plan, budget, n_available)
        except Exception:
            raise error from None
        return replace(found, notes=(f"Kernel explainer, because {error}.", *found.notes))


def _known(adapter: ModelAdapter, background: RowBatch, plan: Plan) -> Explainer:
    single = _each_target(adapter)
    if len(single) == 1:
        return _known(single[0], background, plan)
    if single:
        return _Stacked([_known(one, background, plan) for one in single])
    tabular = partial(Fast, adapter, background, plan.random_state)
    if plan.engine == "tabular":
        return tabular()
    if is_booster(adapter.model):
        return NativeContributions(adapter)
    for engine in (partial(Linear, adapter, background), partial(Quadrature, adapter)):
        try:
            return engine()
        except CannotExplainError as error:
            _logger.debug("Not %s for %s: %s", engine.func.__name__, adapter.name, error)
    return tabular()


def _taken_apart(
    adapter: ModelAdapter, rows: RowBatch, background: RowBatch, plan: Plan
) -> Explainer:
    parts = split_pipeline(adapter, rows)
    if isinstance(parts, str):
        raise CannotExplainError(parts)
    limit = max(_FEWEST_ROWS, _ENGINEERED_CELLS // max(len(parts.lineage.names), 1))
    chosen = sample_rows(len(background), limit, plan.random_state)
    ground = _engineer(parts, background.subset(chosen))
    return _Pipeline(parts, _known(parts.last, ground, plan), limit)


def _engineer(parts: SplitPipeline, rows: RowBatch) -> RowBatch:
    try:
        return parts.engineer(rows)
    except Exception as error:
        raise CannotExplainError(
            f"the steps in front of {parts.last.name} failed: {one_line(error)}"
        ) from error


@dataclass(frozen=True, eq=False)
class _Pipeline:
    """A pipeline taken apart, its last step explained by ``last``."""

    parts: SplitPipeline
    last: Explainer
    limit: int

    shortened = False

    @property
    def spreads(self) -> bool:
        return self.last.spreads

    @property
    def method(self) -> str:
        return self.last.method

    @property
    def engine(self) -> str:
        return self.last.engine

    @property
    def ceiling(self) -> int:
        return min(self.last.ceiling, self.limit)

    @property
    def whole(self) -> int:
        return min(self.last.whole, self.limit)

    @property
    def background_rows(self) -> int | None:
        return self.last.background_rows

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.parts.notes, *self.last.notes)

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:
        engineered = _engineer(self.parts, rows)
        found = self.last.explain(engineered, scale)
        raw = self.parts.by_raw_column(found.local_values, rows.frame.shape[1])
        view = EngineeredAttributions(engineered, found.local_values)
        return replace(found, local_values=raw, engineered=view)


@dataclass(frozen=True, eq=False)
class _Stacked:
    """One engine for each target, all for the same rows."""

    each: list[Explainer]

    shortened = False

    @property
    def spreads(self) -> bool:
        return self.each[0].spreads

    @property
    def method(self) -> str:
        return self.each[0].method

    @property
    def engine(self) -> str:
        return self.each[0].engine

    @property
    def ceiling(self) -> int:
        return self.each[0].ceiling

    @property
    def whole(self) -> int:
        return self.each[0].whole

    @property
    def background_rows(self) -> int | None:
        return self.each[0].background_rows

    @property
    def notes(self) -> tuple[str, ...]:
        return self.each[0].notes

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:
        found = [engine.explain(rows, scale) for engine in self.each]
        scales = {one.scale for one in found}
        if len(scales) > 1 or len({engine.method for engine in self.each}) > 1:
            raise CannotExplainError("its targets' models are explained on different scales")
        values = [one.local_values for one in found]
        return replace(
            found[0],
            local_values=np.concatenate([one.reshape(-1, *one.shape[-2:]) for one in values]),
            expected_values=np.concatenate([one.expected_values for one in found]),
            outputs=np.column_stack([one.outputs for one in found]),
        )


def _each_target(adapter: ModelAdapter) -> list[ModelAdapter]:
    """The models of the single targets, where a model is made of one for each; else none."""
    from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor

    if not isinstance(adapter.model, (MultiOutputClassifier, MultiOutputRegressor)):
        return []
    labels = adapter.labels or (None,) * len(adapter.model.estimators_)
    return [
        ModelAdapter(model, adapter.task, None if own is None else (own,), own, "")
        for model, own in zip(adapter.model.estimators_, labels, strict=True)
    ]
