"""An engine made ready for a model, and what it says about a block of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.explainers.additivity import EngineeredAttributions, difference


@dataclass(frozen=True, eq=False)
class Attributions:
    """The contributions of a block of rows.

    Attributes:
        local_values: ``(n_outputs, n_rows, n_features)``, or ``(n_rows, n_features)`` without
            blocks: see `ModelAdapter.output_names`.
        expected_values: ``(n_outputs,)`` or ``(1,)``; the same for all rows.
        outputs: ``(n_rows, n_outputs)`` or ``(n_rows,)`` outputs of the model, which the values
            should add up to.
        scale: The model output that these are; None where the values add up to none.
        sampling_error: Standard errors of the local values where the engine samples coalitions;
            shaped as they are.
        engineered: The same by engineered column, where a pipeline was taken apart.
    """

    local_values: FloatArray
    expected_values: FloatArray
    outputs: FloatArray
    scale: str | None
    sampling_error: FloatArray | None = None
    engineered: EngineeredAttributions | None = None

    @property
    def missed(self) -> float:
        """The largest absolute difference between the values' sums and the outputs."""
        return difference(self.local_values, self.expected_values, self.outputs)


class Explainer(Protocol):
    """An engine that is ready for one model and its background rows, to explain any other rows.

    What it says of a row depends on the row and its number alone, not on the rows beside it: rows
    can be explained in any blocks, in any order and on any machine. It can be pickled; what is
    heavy in it, such as an explainer of shap, is built again where it is unpickled.

    Attributes:
        method: The method in interpret-community's style, such as ``shap_tree``.
        engine: The code that computes the values.
        ceiling: How many rows are worth explaining by default, at most.
        whole: A set of at most so many rows is explained whole, as it takes a second or so; of a
            larger one only as many rows as settle the ranking.
        background_rows: How many background rows the method uses, None for none.
        notes: What is approximated, in sentences.
        spreads: A block keeps one core busy, so that blocks at once are faster.
        shortened: A time budget made the engine do less than it would for each row.
    """

    @property
    def method(self) -> str: ...  # noqa: D102

    @property
    def engine(self) -> str: ...  # noqa: D102

    @property
    def ceiling(self) -> int: ...  # noqa: D102
    @property
    def whole(self) -> int: ...  # noqa: D102

    @property
    def background_rows(self) -> int | None: ...  # noqa: D102

    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def spreads(self) -> bool: ...  # noqa: D102

    @property
    def shortened(self) -> bool: ...  # noqa: D102

    def explain(self, rows: RowBatch, scale: str | None = None) -> Attributions:
        """The contributions for ``rows``.

        Args:
            rows: At least one row.
            scale: The model output to compare with: that of an earlier block, so that all blocks
                have the same. None to find the one that the values add up to.

        Raises:
            CannotExplainError: The engine cannot explain these rows.
        """
        ...


def joined(blocks: Sequence[Attributions]) -> Attributions:
    """One block of the rows of all, in the order of the blocks."""
    first = blocks[0]
    if len(blocks) == 1:
        return first
    scales = {block.scale for block in blocks}
    return Attributions(
        local_values=np.concatenate([block.local_values for block in blocks], axis=-2),
        expected_values=first.expected_values,
        outputs=np.concatenate([block.outputs for block in blocks]),
        # A link that shows in some rows only is a link.
        scale=first.scale if len(scales) == 1 else "raw prediction",
        sampling_error=None if first.sampling_error is None else np.concatenate(
            [block.sampling_error for block in blocks if block.sampling_error is not None], axis=-2
        ),
        engineered=_joined_views([block.engineered for block in blocks]),
    )  # fmt: skip


def _joined_views(views: Sequence[EngineeredAttributions | None]) -> EngineeredAttributions | None:
    known = [view for view in views if view is not None]
    if len(known) < len(views):
        return None
    frame = pd.concat([view.rows.frame for view in known], ignore_index=True)
    nulls = frozenset().union(*(view.rows.nulls for view in known))
    rows = RowBatch(frame, known[0].rows.template, nulls)
    return EngineeredAttributions(
        rows, np.concatenate([view.local_values for view in known], axis=-2)
    )


def reordered(block: Attributions, order: np.typing.NDArray[np.intp]) -> Attributions:
    """The block with its rows in another order."""
    view = block.engineered
    return replace(
        block,
        local_values=block.local_values[..., order, :],
        outputs=block.outputs[order],
        sampling_error=(
            None if block.sampling_error is None else block.sampling_error[..., order, :]
        ),
        engineered=None if view is None else EngineeredAttributions(
            view.rows.subset(order), view.local_values[..., order, :]
        ),
    )  # fmt: skip
