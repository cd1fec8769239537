"""Weighted sums of models, explained by the explainers of their members.

Shapley values are linear in the model: those of a weighted sum of models are the weighted sums of
the values of its members (Shapley, 1953).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions, by_output, sum_pairs
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.encoding import NOT_NUMBERS, is_numeric, numbers
from mlflow_interpret.explaining.explainers.additivity import attributions_of
from mlflow_interpret.explaining.explainers.base import (
    Explainer,
    ExplainerInfo,
    ExplainRequest,
    exact_explainer,
    register,
    weight_notes,
)
from mlflow_interpret.explaining.fitted_models import last_step
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.model_sums import (
    Member,
    ModelSum,
    decompose,
    is_sum_of_models,
    member_rows,
)

_DECOMPOSED_ROWS = 50
"""Number of background rows on which the last step must be linear."""
_EXPLAINED_ROWS = 5
"""Number of background rows that show the scale of each member's attributions."""
_MIN_ROWS = 20
_IN_FULL_PART = 5
"""The part of the default limit of rows that is explained in full."""


@dataclass(frozen=True, eq=False)
class _Term:
    """A member with its explainer, and the scale of its attributions."""

    member: Member
    explainer: Explainer
    scale: str | None


@register(priority=75)
class SumExplainer(Explainer):
    """Explains voting, bagging, stacking with a linear last step and similar models."""

    @classmethod
    def supports(cls, adapter: ModelAdapter) -> bool:  # noqa: D102
        return is_sum_of_models(adapter.model)

    def __init__(self, request: ExplainRequest) -> None:
        self._adapter = request.adapter
        checked = request.background.subset(slice(_DECOMPOSED_ROWS))
        try:
            self._sum = decompose(request.adapter, checked.original)
        except CannotExplainError:
            raise
        except Exception as error:
            raise CannotExplainError("its members failed", error) from error
        background = request.background
        own_notes: tuple[str, ...] = ()
        if self._sum.coefficients is not None:
            cells, own_notes = self._own_cells(background), weight_notes(background)
            self._mean = np.average(cells, axis=0, weights=background.weights)
        explained = request.background.subset(slice(_EXPLAINED_ROWS))
        self._terms = list(_terms(self._sum, request, explained))
        if not self._terms:
            raise CannotExplainError("all of its members are constant")
        explainers = [term.explainer for term in self._terms]
        self.is_checked = any(explainer.is_checked for explainer in explainers)
        self.is_by_raw_column = any(explainer.is_by_raw_column for explainer in explainers)
        if self.is_by_raw_column and not self._is_all_by_raw_column(explainers):
            raise CannotExplainError("some of its members are not explained by raw column")
        raw_columns = request.raw_columns if self.is_by_raw_column else None
        self._width = None if raw_columns is None else int(raw_columns.max()) + 1
        self.info = self._properties([explainer.info for explainer in explainers], own_notes)

    def _is_all_by_raw_column(self, explainers: list[Explainer]) -> bool:
        is_all = all(explainer.is_by_raw_column for explainer in explainers)
        return is_all and self._sum.coefficients is None

    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:  # noqa: D102
        width = batch.frame.shape[1] if self._width is None else self._width
        values = np.zeros((len(self._sum.offset), len(batch), width))
        expected = self._sum.offset.copy()
        rows_of_members = member_rows(self._sum, batch)
        for term, rows in zip(self._terms, rows_of_members, strict=True):
            attributions = term.explainer.explain(rows, term.scale)
            if attributions.scale != term.scale:
                raise CannotExplainError("the scale of its members changes")
            local = by_output(attributions.local_values)
            weighted = np.tensordot(term.member.weights, local, axes=1)
            columns = None if self.is_by_raw_column else term.member.columns
            for k, column in enumerate(range(local.shape[2]) if columns is None else columns):
                values[..., column] += weighted[..., k]
            expected += term.member.weights @ attributions.expected_values
        if self._sum.coefficients is not None:
            differences = self._own_cells(batch) - self._mean
            values += self._sum.coefficients[:, None, :] * differences
            expected += self._sum.coefficients @ self._mean
        return attributions_of(self._adapter, batch, values, expected, scale)

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:  # noqa: D102
        k = len(columns)
        values = np.zeros((len(self._sum.offset), len(batch), k, k))
        for term, rows in zip(self._terms, member_rows(self._sum, batch), strict=True):
            own = term.member.columns
            own = np.arange(rows.frame.shape[1]) if own is None else np.asarray(own)
            used = np.flatnonzero(np.isin(own, columns))
            if not len(used):
                continue
            pairs = sum_pairs(term.explainer.interactions(rows, used), own[used], columns)
            values += np.tensordot(term.member.weights, pairs, axes=1)
        return values

    def _properties(
        self, members: list[ExplainerInfo], own_notes: tuple[str, ...]
    ) -> ExplainerInfo:
        methods = {info.method for info in members}
        methods |= set() if self._sum.coefficients is None else {"shap_linear"}
        implementations = ", ".join(sorted({info.implementation for info in members}))
        # A row of the sum costs as much as a row of each member together.
        capacity = int(1.0 / sum(1.0 / info.capacity for info in members))
        in_full = min(capacity // _IN_FULL_PART, *(info.rows_in_full for info in members))
        notes = [*self._notes(), *own_notes, *(note for info in members for note in info.notes)]
        return ExplainerInfo(
            method=min(methods) if len(methods) == 1 else "shap_sum",
            implementation=f"mlflow-interpret, weighted sum: {implementations}",
            max_rows=max(_MIN_ROWS, min(capacity, *(info.max_rows for info in members))),
            rows_in_full=max(_MIN_ROWS, in_full),
            capacity=max(1, capacity),
            background_rows=max(info.background_rows or 0 for info in members) or None,
            notes=tuple(dict.fromkeys(notes)),
            is_parallel=any(info.is_parallel for info in members),
        )

    def _notes(self) -> Iterator[str]:
        n, name = len(self._terms), self._adapter.name
        members = "member" if n == 1 else f"{n} members"
        yield f"The values are the weighted sum of those of the {members} of {name}."
        columns = [term.member.columns for term in self._terms]
        if any(own is not None and len(set(own)) < len(own) for own in columns):
            yield "The values of a column that a member takes several times were summed up."

    def _own_cells(self, rows: RowBatch) -> FloatArray:
        """The columns that the model itself adds to its members."""
        if not is_numeric(rows.frame):
            raise CannotExplainError(NOT_NUMBERS)
        return numbers(rows.frame)


def _terms(model_sum: ModelSum, request: ExplainRequest, explained: RowBatch) -> Iterator[_Term]:
    """The members with their explainers; an error ends the preparation at the first member."""
    backgrounds = member_rows(model_sum, request.background)
    for member, background, rows in zip(
        model_sum.members, backgrounds, member_rows(model_sum, explained), strict=True
    ):
        name, raw_columns = last_step(member.adapter.model), request.raw_columns
        if raw_columns is not None and member.columns is not None:
            raw_columns = raw_columns[member.columns]
        try:
            explainer = exact_explainer(
                request.for_model(member.adapter, background, raw_columns=raw_columns),
                with_check=False,
            )
            scale = explainer.explain(rows).scale
        except CannotExplainError as error:
            raise CannotExplainError(f"its member {name} has no exact values", error) from error
        if scale not in member.scales:
            raise CannotExplainError(
                f"the values of its member {name} add up to its {scale or 'raw output'}, "
                f"and the model is a sum on the scale {min(member.scales)}"
            )
        yield _Term(member, explainer, scale)
