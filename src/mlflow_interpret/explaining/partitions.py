"""Explain rows where they lie: partitions of a Parquet dataset or a Dask DataFrame.

Only sums, histograms and a seeded sample of rows come back, so memory does not grow with the number
of rows, and a partition that is lost with its worker is explained again by another.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import config_context

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.aggregates import Aggregates, Bins, aggregate, histograms, merge
from mlflow_interpret.explaining.attributions import AttributionResult, Attributions
from mlflow_interpret.explaining.batch import RowBatch, as_batch
from mlflow_interpret.explaining.convergence import LEADING, LEVEL
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.explainers.base import Explainer, ExplainRequest
from mlflow_interpret.explaining.inputs import ExplainInputs
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.row_sources import Source, source_of
from mlflow_interpret.explaining.select import exact_explainer, sampling_explainer

_logger = logging.getLogger(__name__)

SAMPLE_ROWS = 1_000
_PROBE_ROWS = 256
_CELLS = 2_000_000  # contributions that one block has, at most
_HISTOGRAMS = 30


@dataclass(frozen=True, eq=False)
class Explained:
    """What is known of all rows.

    Attributes:
        sums: Aggregates over all explained rows.
        sample: The contributions of a sample of them.
        rows: The sample.
        available: How many rows there were.
        histograms: Mean contributions by the values of the leading features.
    """

    sums: Aggregates
    sample: AttributionResult
    rows: RowBatch
    available: int
    histograms: list[Mapping[str, Any]]

    def intervals(self) -> list[dict[str, Any]]:
        """The confidence intervals of the leading importances."""
        importances = self.sums.importances().mean(axis=0)
        errors = self.sums.errors(self.available)
        if errors is None or not np.isfinite(importances).all():
            return []
        half = stats.norm.ppf((1.0 + LEVEL) / 2.0) * errors
        return [
            {
                "feature": self.rows.frame.columns[i],
                "low": float(max(importances[i] - half[i], 0.0)),
                "high": float(importances[i] + half[i]),
            }
            for i in np.argsort(-importances, kind="stable")[:LEADING]
        ]

    @property
    def sampling_error(self) -> float | None:
        """The typical standard error of a value, of the size of a row's largest value."""
        if not self.sums.noise.any():
            return None
        return float(np.sqrt(self.sums.spread / self.sums.n) / (self.sums.largest / self.sums.n))


def explain_partitions(subject: ExplainInputs, model: ModelAdapter, plan: Plan) -> Explained:
    """Explain all rows of a partitioned source, or ``max_rows`` of them.

    Args:
        subject: Its rows are the source.
        model: What is explained.
        plan: How many rows at most, the seed, and how many partitions at once.

    Raises:
        CannotExplainError: The model or its rows cannot be explained; the message says why.
    """
    source = source_of(subject.rows)
    columns = _columns(source, subject)
    background = subject.known()
    first = _first_rows(source, subject, columns)
    engine, probe = _ready(model, first, background, plan)
    sizes = source.sizes()
    total = sum(sizes)
    bins = [Bins.of(background.frame.iloc[:, i]) for i in range(len(subject.names))]
    work = _Work(
        engine, probe.scale, subject.names, subject.template, subject.nulls, columns, bins,
        plan.random_state, np.cumsum([0, *sizes[:-1]]), _chosen(total, sizes, plan),
        subject.settings,
    )  # fmt: skip
    found = source.reduced(work, partial(merge, SAMPLE_ROWS), columns, plan.n_jobs)
    if found is None:
        raise CannotExplainError("there are no rows to explain")
    return _explained(found, engine, probe, work, total, model)


def _explained(
    sums: Aggregates,
    engine: Explainer,
    probe: Attributions,
    work: _Work,
    total: int,
    model: ModelAdapter,
) -> Explained:
    drawn = sums.sample
    single = model.output_names is None
    # A link that shows in some rows only is a link.
    scale = probe.scale if sums.scales == {probe.scale} else "raw prediction"
    return Explained(
        sums=sums,
        sample=AttributionResult(
            method=engine.info.method,
            engine=engine.info.implementation,
            local_values=drawn.local_values[0] if single else drawn.local_values,
            expected_values=sums.expected,
            scale=str(scale),
            additivity_error=sums.missed,
            rows=np.arange(len(drawn.frame)),
            background_rows=engine.info.background_rows,
            notes=engine.info.notes,
        ),
        rows=RowBatch(drawn.frame, work.template, work.nulls),
        available=total,
        histograms=histograms(sums, work.bins, work.names, _HISTOGRAMS),
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """What is done where a partition lies."""

    engine: Explainer
    scale: str | None
    names: tuple[str, ...]
    template: Any
    nulls: frozenset[str]
    columns: list[str]
    bins: list[Bins]
    seed: int
    offsets: Indices
    chosen: list[Indices] | None
    settings: Mapping[str, Any]

    def __call__(self, number: int, pieces: Iterable[pd.DataFrame]) -> Aggregates | None:
        found, start = None, 0
        with config_context(**self.settings):
            for piece in pieces:
                positions = self._positions(number, start, len(piece))
                for block in self._blocks(number, piece, start, positions):
                    found = merge(SAMPLE_ROWS, found, block)
                start += len(piece)
        return found

    def _positions(self, number: int, start: int, length: int) -> Indices:
        if self.chosen is None:
            return np.arange(length)
        inside = self.chosen[number] - start
        return inside[(inside >= 0) & (inside < length)]

    def _blocks(
        self, number: int, piece: pd.DataFrame, start: int, positions: Indices
    ) -> Iterable[Aggregates]:
        size = max(1, _CELLS // len(self.names))
        for begin in range(0, len(positions), size):
            taken = positions[begin : begin + size]
            rows = as_table(piece.iloc[taken], self.columns, self.names, self.template, self.nulls)
            numbers = self.offsets[number] + start + taken
            rows = RowBatch(rows.frame, rows.template, rows.nulls, numbers)
            yield aggregate(
                self.engine.explain(rows, self.scale), rows.frame, numbers,
                _keys(self.seed, numbers), self.bins, SAMPLE_ROWS,
            )  # fmt: skip


def as_table(
    frame: pd.DataFrame,
    columns: list[str],
    names: tuple[str, ...],
    template: Any,
    nulls: frozenset[str],
) -> RowBatch:
    """Rows of a source as the model takes them."""
    rows = frame[columns].reset_index(drop=True)
    wanted = getattr(template, "columns", None)
    if wanted is not None:
        rows = rows.set_axis(list(wanted), axis=1)
    return as_batch(rows, names, template, "evaluation_examples", nulls)


def _ready(
    model: ModelAdapter, first: RowBatch, background: RowBatch, plan: Plan
) -> tuple[Explainer, Attributions]:
    """The engine that explains all rows, and what it says of the first of them."""
    # TabularExplainer's kernel explainer is too slow for all rows.
    plan = replace(plan, engine="auto") if plan.engine == "kernel" else plan
    try:
        engine = exact_explainer(ExplainRequest(model, background, plan, sample=first))
        block = engine.explain(first)
        if block.adds_up:
            return engine, block
    except CannotExplainError:
        _logger.debug("No fast engine for %s", model.name, exc_info=True)
    # Every row gets as many permutations as the default gives.
    sampled = sampling_explainer(ExplainRequest(model, background, replace(plan, engine="auto")))
    few = first.subset(slice(0, 2))
    return sampled, sampled.explain(few)


def _first_rows(source: Source, subject: ExplainInputs, columns: list[str]) -> RowBatch:
    head = source.head(columns, _PROBE_ROWS)
    if not len(head):
        raise CannotExplainError("there are no rows to explain")
    return as_table(head, columns, subject.names, subject.template, subject.nulls)


def _columns(source: Source, subject: ExplainInputs) -> list[str]:
    """The source's columns that the model takes, in its order; it may have others."""
    known = source.columns
    own = getattr(subject.template, "columns", None)
    names = [str(column) for column in (subject.names if own is None else own)]
    missing = [name for name in names if name not in known]
    if not missing:
        return names
    if own is None and len(known) == len(names):
        return known
    raise CannotExplainError(
        f"evaluation_examples lacks {len(missing)} of the model's {len(names)} columns, "
        f"such as {missing[0][:60]!r}"
    )


def _chosen(total: int, sizes: list[int], plan: Plan) -> list[Indices] | None:
    """For each partition the positions of the rows to explain; None for all rows."""
    if plan.max_rows is None or plan.max_rows >= total:
        return None
    picked = sample_rows(total, plan.max_rows, plan.random_state)
    ends = np.cumsum(sizes)
    starts = ends - sizes
    cuts = np.searchsorted(picked, ends)
    parts = np.split(picked, cuts[:-1])
    return [part - start for part, start in zip(parts, starts, strict=True)]


def _keys(seed: int, numbers: Indices) -> FloatArray:
    """A random number for each row, by its number alone: splitmix64 (Steele, Lea, Flood, 2014)."""
    with np.errstate(over="ignore"):
        x = numbers.astype(np.uint64) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        x += np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    keys: FloatArray = (x ^ (x >> np.uint64(31))).astype(np.float64) / 2.0**64
    return keys
