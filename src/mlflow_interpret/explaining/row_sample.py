"""A seeded sample of rows that arrive in batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.dataframes import as_rows, concatenate, n_columns, n_rows, take

_MAX_ROWS = 3_000
_MAX_CELLS = 2_000_000


class RowSample:
    """A uniform sample of bounded size of all rows of all batches, with their labels.

    Each row draws a random key, and the rows with the smallest keys are kept. So few rows of a late
    batch are copied, and none of most.

    Args:
        seed: The seed of the sample.
        max_rows: The largest number of rows of the sample.

    Attributes:
        max_rows: The largest number of rows of the sample; wide tables have fewer.
        n_batches: The number of batches so far.
        n_seen: The number of their rows.
    """

    def __init__(self, seed: int, max_rows: int = _MAX_ROWS) -> None:
        self._random = np.random.default_rng(seed)
        self.max_rows = max_rows
        self._threshold = 1.0  # the largest key that a row may have to be kept
        self._keys: list[FloatArray] = []
        self._rows: list[Any] = []
        self._labels: list[Any] = []
        self.n_batches = 0
        self.n_seen = 0

    def add(self, X: Any, y: Any = None) -> None:
        """Add the rows of a batch, which are copied.

        Args:
            X: ``(n_rows, n_features)`` rows in any container.
            y: ``(n_rows,)`` labels, or None.

        Raises:
            CannotExplainError: ``X`` is no table, or in another container than the batches before.
        """
        rows = as_rows(X)
        keys = self._random.random(n_rows(rows))
        self.n_batches += 1
        self.n_seen += len(keys)
        if self.n_batches == 1:
            self.max_rows = min(self.max_rows, max(1, _MAX_CELLS // n_columns(rows)))
        chosen = np.flatnonzero(keys < self._threshold)
        if len(chosen) == 0:
            return
        self._keys.append(keys[chosen])
        self._rows.append(take(rows, chosen))
        self._labels.append(None if y is None else take(y, chosen))
        if sum(map(len, self._keys)) > 2 * self.max_rows:
            self._shrink()

    def rows(self) -> tuple[Any, Any]:
        """``(n, n_features)`` rows in the order of their arrival, and ``(n,)`` labels or None.

        Raises:
            CannotExplainError: There is no row.
        """
        self._shrink()
        return self._rows[0], self._labels[0]

    def _shrink(self) -> None:
        rows, keys = concatenate(self._rows), np.concatenate(self._keys)
        has_labels = not any(labels is None for labels in self._labels)
        labels = concatenate(self._labels) if has_labels else None
        if len(keys) > self.max_rows:
            smallest = np.sort(np.argpartition(keys, self.max_rows)[: self.max_rows])
            keys, rows = keys[smallest], take(rows, smallest)
            labels = None if labels is None else take(labels, smallest)
            self._threshold = float(keys.max())
        self._keys, self._rows, self._labels = [keys], [rows], [labels]
