"""scikit-learn's private API for column indices; trees have their own module, `sklearn_trees`."""

from __future__ import annotations

from typing import Any

from sklearn.utils import _safe_indexing


def column_transformer_inputs(transformer: Any) -> dict[str, list[int]]:
    """The input columns of each part of a fitted ``ColumnTransformer``, as positions.

    The public ``transformers_`` keeps them as the user gave them: names, slices or masks.
    """
    indices = transformer._transformer_to_input_indices
    return {name: [int(i) for i in positions] for name, positions in indices.items()}


def select_columns(rows: Any, key: int | list[int]) -> Any:
    """Select columns as ``ColumnTransformer`` does; an integer gives a one-dimensional column.

    Args:
        rows: A table in any container that scikit-learn supports.
        key: A position, or a list of positions.
    """
    return _safe_indexing(rows, key, axis=1)


def one_hot_widths(encoder: Any) -> list[int]:
    """The number of output columns for each input column of a fitted ``OneHotEncoder``.

    The public ``categories_`` does not know infrequent and dropped categories.
    """
    widths = getattr(encoder, "_n_features_outs", ())
    return [int(width) for width in widths]
