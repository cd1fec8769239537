"""The choice of the engine: the fastest one that gives right values for a model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mlflow_interpret.errors import CannotExplainError, one_line
from mlflow_interpret.explaining.blackbox import KEPT, Sampled
from mlflow_interpret.explaining.boosters import NativeContributions, is_booster
from mlflow_interpret.explaining.budget import Budget, TooSlowError
from mlflow_interpret.explaining.contributions import Contributions, Engineered
from mlflow_interpret.explaining.linear import Linear
from mlflow_interpret.explaining.models import Predictor
from mlflow_interpret.explaining.pipelines import TakenApart, take_apart
from mlflow_interpret.explaining.prepared import Block, Prepared
from mlflow_interpret.explaining.quadrature import Quadrature
from mlflow_interpret.explaining.running import run
from mlflow_interpret.explaining.tables import Table, sample
from mlflow_interpret.explaining.tabular import Fast, Kernel
from mlflow_interpret.records import Plan

_logger = logging.getLogger(__name__)

_ENGINEERED_CELLS = 20_000_000  # a vectorizer may make thousands of columns of one
_FEWEST_ROWS = 20
_MANY_MORE = 3
"""So many times the rows of an exact engine make up for what sampling adds to their error."""


def contributions(
    predictor: Predictor,
    rows: Table,
    background: Table,
    plan: Plan,
    budget: Budget | None = None,
    n_available: int | None = None,
) -> Contributions:
    """Explain some of ``rows``, with the fastest engine that gives right values.

    Args:
        predictor: The model.
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
        return run(Kernel(predictor, background, plan, budget), rows, plan, budget, n_available)
    try:
        engine = prepare(predictor, rows, background, plan)
        rival = partial(_more_rows, predictor, background, plan, budget)
        return run(engine, rows, plan, budget, n_available, exact=True, rival=rival)
    except TooSlowError:
        raise
    except CannotExplainError as error:
        reason = str(error)
    _logger.debug("No fast engine for %s: %s", predictor.name, reason)
    if plan.engine == "tabular":
        kernel = Kernel(predictor, background, plan, budget)
        found = run(kernel, rows, plan, budget, n_available)
    else:
        found = _black_box(predictor, rows, background, plan, budget, n_available)
    return replace(found, notes=(f"Explained as a black box, because {reason}.", *found.notes))


def prepare(predictor: Predictor, rows: Table, background: Table, plan: Plan) -> Prepared:
    """The engine that knows the model's inside, ready to explain rows like ``rows``.

    Args:
        predictor: The model.
        rows: Some rows, which show what the steps of a pipeline make of them.
        background: The rows that stand for "feature unknown".
        plan: Has the seed.

    Raises:
        CannotExplainError: There is none for this model; the reason follows a "because".
    """
    if hasattr(predictor.model, "steps"):
        return _taken_apart(predictor, rows, background, plan)
    return _known(predictor, background, plan)


def _more_rows(
    predictor: Predictor, background: Table, plan: Plan, budget: Budget, n_rows: int
) -> Prepared | None:
    """The sampler, where it explains many more rows than ``n_rows`` in the time that is left."""
    if plan.engine != "auto" or budget.seconds is None or budget.left < KEPT * budget.seconds:
        return None
    try:
        sampled = Sampled(predictor, background, plan, budget)
    except CannotExplainError:
        return None
    return sampled if sampled.affordable_rows >= _MANY_MORE * n_rows else None


def _black_box(
    predictor: Predictor,
    rows: Table,
    background: Table,
    plan: Plan,
    budget: Budget,
    n_available: int,
) -> Contributions:
    try:
        return run(Sampled(predictor, background, plan, budget), rows, plan, budget, n_available)
    except TooSlowError:
        raise
    except CannotExplainError as error:
        # Some models know nothing of rows far from all others; k-means centres are less far.
        try:
            kernel = Kernel(predictor, background, plan, budget)
            found = run(kernel, rows, plan, budget, n_available)
        except Exception:
            raise error from None
        return replace(found, notes=(f"Kernel explainer, because {error}.", *found.notes))


def _known(predictor: Predictor, background: Table, plan: Plan) -> Prepared:
    single = _each_target(predictor)
    if len(single) == 1:
        return _known(single[0], background, plan)
    if single:
        return _Stacked([_known(one, background, plan) for one in single])
    tabular = partial(Fast, predictor, background, plan.random_state)
    if plan.engine == "tabular":
        return tabular()
    if is_booster(predictor.model):
        return NativeContributions(predictor)
    for engine in (partial(Linear, predictor, background), partial(Quadrature, predictor)):
        try:
            return engine()
        except CannotExplainError as error:
            _logger.debug("Not %s for %s: %s", engine.func.__name__, predictor.name, error)
    return tabular()


def _taken_apart(predictor: Predictor, rows: Table, background: Table, plan: Plan) -> Prepared:
    parts = take_apart(predictor, rows)
    if isinstance(parts, str):
        raise CannotExplainError(parts)
    limit = max(_FEWEST_ROWS, _ENGINEERED_CELLS // max(len(parts.lineage.names), 1))
    chosen = sample(len(background), limit, plan.random_state)
    ground = _engineer(parts, background.subset(chosen))
    return _Pipeline(parts, _known(parts.last, ground, plan), limit)


def _engineer(parts: TakenApart, rows: Table) -> Table:
    try:
        return parts.engineer(rows)
    except Exception as error:
        raise CannotExplainError(
            f"the steps in front of {parts.last.name} failed: {one_line(error)}"
        ) from error


@dataclass(frozen=True, eq=False)
class _Pipeline:
    """A pipeline taken apart, its last step explained by ``last``."""

    parts: TakenApart
    last: Prepared
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

    def explain(self, rows: Table, scale: str | None = None) -> Block:
        engineered = _engineer(self.parts, rows)
        found = self.last.explain(engineered, scale)
        raw = self.parts.by_raw_column(found.local_values, rows.frame.shape[1])
        view = Engineered(engineered, found.local_values)
        return replace(found, local_values=raw, engineered=view)


@dataclass(frozen=True, eq=False)
class _Stacked:
    """One engine for each target, all for the same rows."""

    each: list[Prepared]

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

    def explain(self, rows: Table, scale: str | None = None) -> Block:
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
