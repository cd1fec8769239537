"""A check that contributions belong to their columns, which sums cannot show.

If the cell of a column is replaced by that of another row, the output changes, and the contribution
of the column changes with it: the worth of all coalitions without the column stays the same. If
mainly the contribution of another column changes, or a contribution does not depend on its own
column, the column's contributions are compared with sampled ones. Path-dependent values of
correlated columns differ from these, so a difference alone is no reason to refuse an explainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlflow_interpret.core.details import AttributionCheck
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray, sample_rows
from mlflow_interpret.explaining.attributions import by_output
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.native_models import as_columns
from mlflow_interpret.explaining.single_columns import mix_rows, sample_columns

if TYPE_CHECKING:
    from mlflow_interpret.explaining.explainers.base import Explainer, ExplainRequest

_TABLE_ROWS = 200
_ROWS = 10
_CHANGED_ROWS = 4
"""Number of rows among these whose cells are replaced."""
_DRAWS = 2
"""Number of other cells that replace a cell."""
_MORE_DRAWS = 6
"""The same for suspicious columns, of all rows."""
_COLUMNS = 16
_LEADING = 12
"""Number of columns with the largest contributions among these; the others are random."""
_MAX_WIDTH = 2_000
_SHARE = 5
"""The check explains at most this part of the rows that are explained in a second or so."""
_BUDGET_SHARE = 0.1
"""Share of the remaining time for the check."""
_PAIRS = 20
_SAMPLED_COLUMNS = 8
"""Number of columns with interventional contributions that are compared with sampled ones."""
_MAX_SAMPLED = 3
"""Number of suspicious columns that are compared with sampled contributions."""
_MATTERS = 0.1
"""A column whose changes are smaller than this share of the largest is not judged."""
_CREDIT = 0.5
"""Share of a change that may be credited to another column beyond the column's own share."""
_REVERSED = 0.75
"""Share of a change that may be credited to another column with the opposite sign."""
_INERT = 0.1
"""Smallest change of a contribution with its own cell, relative to its variance over the rows."""
_DIFFERENCE = 0.1
"""Squared difference from sampled contributions, relative to their size, that is tolerated."""
_ERRORS = 2.0
"""The same in standard errors."""


class MisattributedError(CannotExplainError):
    """Contributions belong to other columns than an explainer says.

    Args:
        message: The reason; completes a sentence that ends with "because".
        check: The record of the check.
    """

    def __init__(self, message: str, check: AttributionCheck) -> None:
        super().__init__(message)
        self.check = check


def check_attributions(explainer: Explainer, request: ExplainRequest) -> AttributionCheck:
    """Check the contributions of some columns of some background rows.

    Args:
        explainer: An explainer whose attributions must add up to an output of the model.
        request: Its request.

    Returns:
        The record: the check has passed, or was skipped for a reason.

    Raises:
        MisattributedError: Contributions belong to other columns.
    """
    implementation = explainer.info.implementation
    reason, misattributed, size = "", "", (0, 0)
    try:
        check = _Check(explainer, request)
        reason = check.obstacle()
        if not reason:
            misattributed, size = check.run(), check.size
    # The explainer is asked again, for the rows to explain, and its errors are reported then.
    except CannotExplainError as error:
        reason = error.public_message
    except Exception as error:
        reason = f"the explainer failed on changed rows: {type(error).__name__}"
    if misattributed:
        record = AttributionCheck("declined", implementation, *size, reason=misattributed)
        raise MisattributedError(f"{implementation}: {misattributed}", record)
    if reason:
        return AttributionCheck("skipped", implementation, reason=reason)
    return AttributionCheck("passed", implementation, *size)


@dataclass(frozen=True, eq=False)
class _Changes:
    """Changes of outputs and contributions where cells were replaced.

    Attributes:
        credit: ``(n_columns, n_features)`` changes of the contributions of all features with the
            output, summed over the changes of a column's cells.
        total: ``(n_columns,)`` the same of the output itself.
        own: ``(n_columns,)`` mean squared change of a column's own contribution.
    """

    credit: FloatArray
    total: FloatArray
    own: FloatArray


class _Check:
    """The check of one explainer.

    Args:
        explainer: The explainer.
        request: Its request.

    Attributes:
        size: Numbers of rows and columns.
    """

    def __init__(self, explainer: Explainer, request: ExplainRequest) -> None:
        self._explainer, self._budget = explainer, request.budget
        self._seed = request.plan.random_state
        background = request.background
        self._width = background.frame.shape[1]
        n_rows = len(background) if explainer.is_interventional else _TABLE_ROWS
        picked = sample_rows(len(background), n_rows, self._seed)
        self._table = background.subset(np.random.default_rng(self._seed).permutation(picked))
        self._rows = np.arange(min(_ROWS, len(self._table)))
        allowed = explainer.info.rows_in_full // _SHARE
        n_columns = (allowed - _ROWS) // (_CHANGED_ROWS * _DRAWS)
        limit = _SAMPLED_COLUMNS if explainer.is_interventional else _COLUMNS
        self._n_columns = int(np.clip(n_columns, 2, min(limit, self._width)))
        self._scale: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        return len(self._rows), self._n_columns

    def obstacle(self) -> str:
        """The reason why there can be no check, or empty."""
        if len(self._rows) < 2 or self._width < 2:
            return "there are fewer than two rows or columns"
        if self._width > _MAX_WIDTH:
            return f"there are more than {_MAX_WIDTH:,} columns"
        if self._budget.seconds is not None:
            start = self._budget.now()
            self._explainer.explain(self._table.subset(self._rows[:1]))
            n_changed = (
                _ROWS * _PAIRS * 4
                if self._explainer.is_interventional
                else (_CHANGED_ROWS * _DRAWS)
            )
            n_explained = _ROWS + n_changed * self._n_columns
            if (self._budget.now() - start) * n_explained > _BUDGET_SHARE * self._budget.remaining:
                return "the time budget is too short"
        return ""

    def run(self) -> str:
        """Find a column with contributions that belong to another one; empty if there is none."""
        values, outputs = self._explain(self._table.subset(self._rows))
        picked = self._pick(values)
        if not self._explainer.is_interventional:
            for n_rows, n_draws in ((_CHANGED_ROWS, _DRAWS), (_ROWS, _MORE_DRAWS)):
                picked = self._suspicious(picked, n_rows, n_draws, values, outputs)
                if not len(picked):
                    return ""
        sampled, errors = sample_columns(
            self._outputs, self._table, self._rows, picked, _PAIRS, self._seed
        )
        wrong = self._wrong(values[..., picked], sampled, errors)
        names = [str(self._table.frame.columns[i])[:80] for i in picked[wrong]]
        if not names:
            return ""
        return f"contributions of {_listed(names)} do not belong to these columns"

    def _explain(self, rows: RowBatch) -> tuple[FloatArray, FloatArray]:
        """``(K, n_rows, n_features)`` attributions and ``(n_rows, K)`` outputs."""
        attributions = self._explainer.explain(rows, self._scale)
        if not attributions.adds_up:
            raise CannotExplainError("the contributions do not add up to an output of the model")
        self._scale = attributions.scale
        return by_output(attributions.local_values), as_columns(attributions.outputs)

    def _outputs(self, rows: RowBatch) -> FloatArray:
        """``(n_rows, K)`` outputs."""
        return as_columns(self._explainer.outputs(rows, self._scale))

    def _pick(self, values: FloatArray) -> Indices:
        """The columns to check."""
        order = np.argsort(-np.abs(values).mean(axis=(0, 1)), kind="stable")
        leading = order[: min(_LEADING, self._n_columns)]
        others = np.random.default_rng(self._seed).permutation(order[len(leading) :])
        return np.sort(np.concatenate([leading, others])[: self._n_columns])

    def _suspicious(
        self,
        columns: Indices,
        n_rows: int,
        n_draws: int,
        values: FloatArray,
        outputs: FloatArray,
    ) -> Indices:
        """The columns whose contributions do not change with their cells.

        Args:
            columns: The columns to look at.
            n_rows: Number of rows whose cells are replaced.
            n_draws: Number of other cells that replace a cell.
            values: ``(K, n_rows, n_features)`` contributions of the rows.
            outputs: ``(n_rows, K)`` their outputs.
        """
        rows = self._rows[:n_rows]
        shape = (len(rows), len(columns), n_draws)
        positions = np.empty((*shape, self._width), dtype=np.intp)
        positions[:] = rows[:, None, None, None]
        others = np.random.default_rng(self._seed).integers(len(self._table), size=shape)
        for i, column in enumerate(columns):
            positions[:, i, :, column] = others[:, i]
        changed, changed_outputs = self._explain(
            mix_rows(self._table, positions.reshape(-1, self._width))
        )
        changed = changed.reshape(-1, *shape, self._width) - values[:, rows][:, :, None, None]
        by_output = changed_outputs.reshape(*shape, -1) - outputs[rows][:, None, None]
        own = changed[:, :, np.arange(len(columns)), :, columns]  # (n_columns, K, rows, draws)
        changes = _Changes(
            credit=np.einsum("rmdk,krmdf->mf", by_output, changed),
            total=(by_output**2).sum(axis=(0, 2, 3)),
            own=(own**2).mean(axis=(1, 2, 3)),
        )
        return columns[_unresponsive(changes, columns, values[..., columns])]

    def _wrong(self, values: FloatArray, sampled: FloatArray, errors: FloatArray) -> Indices:
        """Positions of columns whose values differ from sampled ones far beyond the errors."""
        size = np.maximum(_squares(values), _squares(sampled))
        allowed = _ERRORS**2 * _squares(errors) + _DIFFERENCE * size
        return np.flatnonzero(_squares(values - sampled) > allowed)


def _unresponsive(changes: _Changes, columns: Indices, values: FloatArray) -> Indices:
    """Positions of columns that do not respond to their cells, the largest changes first."""
    position = np.arange(len(columns))
    own = changes.credit[position, columns]
    others = changes.credit.copy()
    others[position, columns] = np.nan
    is_exchanged = np.nanmax(others, axis=1) - own > _CREDIT * changes.total
    is_exchanged |= -np.nanmin(others, axis=1) > _REVERSED * changes.total
    is_exchanged &= changes.total > _MATTERS * changes.total.max(initial=0.0)
    variance = values.var(axis=1).mean(axis=0)
    matters = variance > _MATTERS * variance.max(initial=0.0)
    is_inert = matters & (changes.own < _INERT * variance)
    found = np.flatnonzero(is_exchanged | is_inert)
    weight = np.maximum(changes.total, variance)[found]
    return found[np.argsort(-weight, kind="stable")][:_MAX_SAMPLED]


def _squares(values: FloatArray) -> FloatArray:
    """``(n_columns,)`` sums of squares of ``(K, n_rows, n_columns)`` values."""
    sums: FloatArray = (values**2).sum(axis=(0, 1))
    return sums


def _listed(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names[:2]))
