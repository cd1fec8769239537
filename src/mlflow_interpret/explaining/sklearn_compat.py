"""scikit-learn's private API for columns; trees have their own module, `sklearn_trees`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
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


def column_order(model: Any) -> npt.NDArray[np.int64]:
    """``(n_features,)`` columns of a ``HistGradientBoosting`` model, in the order of its trees.

    Its preprocessor moves the columns of categories to the front.
    """
    columns = np.arange(model.n_features_in_)
    if model._preprocessor is None:
        return columns
    is_categorical = np.asarray(model.is_categorical_, dtype=bool)
    return np.concatenate([columns[is_categorical], columns[~is_categorical]])


def encode_categories(model: Any, rows: Any) -> npt.NDArray[np.float64] | None:
    """``(n_rows, n_features)`` cells as a ``HistGradientBoosting`` model encodes them.

    Categories become their codes; unknown ones count as missing.

    Args:
        model: The fitted model.
        rows: Rows in the container of ``fit``.

    Returns:
        The cells in the order of the columns of ``rows``; None if the model has no categories.
    """
    if model._preprocessor is None:
        return None
    encoded = np.asarray(model._preprocessor.transform(rows), dtype=np.float64)
    cells = np.empty_like(encoded)
    cells[:, column_order(model)] = encoded
    return cells
