"""Read rows back from the containers of XGBoost, LightGBM and CatBoost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError, OptionError

if TYPE_CHECKING:
    from scipy import sparse

_MAX_CELLS = 100_000_000
"""Limit of the cells of a DMatrix or Pool, which are copied."""

_WAY_OUT = "pass the rows as a table in evaluation_examples"


def is_native_data(data: Any) -> bool:
    """Whether ``data`` is a DMatrix, a Dataset of LightGBM, a Pool, or of a subclass."""
    return _container(data) is not None


def as_evaluation_examples(data: Any) -> Any:
    """Return rows, or ``(rows, labels)``, of a native container; other data are not changed.

    Raises:
        OptionError: The rows cannot be read back.
    """
    rows, labels = _read_option("evaluation_examples", data)
    return rows if labels is None else (rows, labels)


def as_initialization_examples(data: Any) -> Any:
    """Return the rows of a native container; other data are not changed.

    Raises:
        OptionError: The rows cannot be read back.
    """
    return _read_option("initialization_examples", data)[0]


def _read_option(argument: str, data: Any) -> tuple[Any, Any]:
    if not is_native_data(data):
        return data, None
    try:
        return rows_and_labels(data)
    except CannotExplainError as error:
        raise OptionError(f"{argument} must be a table of rows: {error}.") from error


def rows_and_labels(data: Any) -> tuple[Any, Any]:
    """The rows of a native container as a table, and their labels or None.

    Raises:
        CannotExplainError: The rows cannot be read back; the message gives the way out.
    """
    container = _container(data)
    if container is None:
        raise CannotExplainError(
            f"{type(data).__name__} is no DMatrix, Dataset or Pool; {_WAY_OUT}"
        )
    try:
        return _READERS[container](data)
    except CannotExplainError:
        raise
    except Exception as error:
        raise CannotExplainError(
            f"the rows of a {type(data).__name__} cannot be read back; {_WAY_OUT}", error
        ) from error


def weights_of(data: Any) -> Any:
    """The weights of the rows of a native container, or None."""
    weights = getattr(data, "weight", None)  # of a Dataset, which may not be constructed yet
    weights = data.get_weight() if weights is None else weights
    return None if weights is None or len(weights) == 0 else weights


def has_margins(data: Any) -> bool:
    """Whether the rows of a native container have a base margin, initial score or baseline."""
    scores = getattr(data, "init_score", None)  # of a Dataset, which may not be constructed yet
    for name in ("get_base_margin", "get_baseline"):
        scores = getattr(data, name)() if hasattr(data, name) else scores
    return scores is not None and np.size(scores) > 0


def _container(data: Any) -> tuple[str, str] | None:
    for base in type(data).__mro__:
        key = base.__module__.partition(".")[0], base.__name__
        if key in _READERS:
            return key
    return None


def _of_dmatrix(matrix: Any) -> tuple[Any, Any]:
    n_rows, n_columns = matrix.num_row(), matrix.num_col()
    _check_size(n_rows * n_columns, "DMatrix")
    labels = matrix.get_label()
    types = matrix.feature_types or []
    categories = {}
    if "c" in types:
        arrays = matrix.get_categories(export_to_arrow=True).to_arrow()
        categories = {i: array for i, (_, array) in enumerate(arrays) if array is not None}
    cells = _with_missing(matrix.get_data())
    names = matrix.feature_names
    y = labels if len(labels) == n_rows else labels.reshape(n_rows, -1) if len(labels) else None
    if names is None and not categories:
        return cells, y
    columns = {i: _column(cells[:, i], categories.get(i)) for i in range(n_columns)}
    frame = pd.DataFrame(columns)
    return frame if names is None else frame.set_axis(names, axis=1), y


def _with_missing(data: sparse.csr_matrix) -> npt.NDArray[np.float32]:
    """A dense table; cells that a DMatrix does not store are missing, not 0."""
    cells = np.full(data.shape, np.nan, dtype=np.float32)
    stored = data.tocoo()
    cells[stored.row, stored.col] = stored.data
    return cells


def _column(cells: npt.NDArray[np.float32], categories: Any) -> Any:
    if categories is None:
        return cells
    codes = np.where(np.isnan(cells), -1, cells).astype(int)
    return pd.Categorical.from_codes(codes.tolist(), categories=categories.to_pylist())


def _of_dataset(dataset: Any) -> tuple[Any, Any]:
    rows = dataset.data
    if rows is None or dataset.used_indices is not None:
        rows = _raw_data(dataset)
    if not hasattr(rows, "shape"):
        raise CannotExplainError(f"a Dataset of {type(rows).__name__} has no table; {_WAY_OUT}")
    if type(rows).__module__.partition(".")[0] == "pyarrow":
        rows = rows.to_pandas()
    names = dataset.feature_name
    if isinstance(names, list) and not hasattr(rows, "columns") and not hasattr(rows, "tocoo"):
        rows = pd.DataFrame(rows, columns=names)
    label = dataset.label if dataset.used_indices is None else dataset.get_label()
    return rows, label


def _raw_data(dataset: Any) -> Any:
    try:
        rows = dataset.get_data()
    except Exception:  # a LightGBMError, whose class needs an import
        rows = None
    if rows is None:
        raise CannotExplainError(
            "LightGBM has freed the rows of the Dataset; make it with free_raw_data=False, or "
            f"{_WAY_OUT}"
        )
    return rows


def _of_pool(pool: Any) -> tuple[Any, Any]:
    n_rows, n_columns = pool.shape
    _check_size(n_rows * n_columns, "Pool")
    if pool.is_quantized():
        raise CannotExplainError(f"a quantized Pool does not give its rows back; {_WAY_OUT}")
    others = (
        pool.get_cat_feature_indices(),
        pool.get_text_feature_indices(),
        pool.get_embedding_feature_indices(),
    )
    if any(others):
        raise CannotExplainError(
            "a Pool gives back numeric columns only, and this one has categorical, text or "
            f"embedding columns; {_WAY_OUT}"
        )
    rows, names = pool.get_features(), pool.get_feature_names()
    if list(names) != [str(i) for i in range(n_columns)]:
        rows = pd.DataFrame(rows, columns=names)
    return rows, pool.get_label() if pool.has_label() else None


def _check_size(n_cells: int, container: str) -> None:
    if n_cells > _MAX_CELLS:
        raise CannotExplainError(
            f"the {container} has {n_cells:,} cells, and at most {_MAX_CELLS:,} are copied; "
            f"{_WAY_OUT}"
        )


_READERS = {
    ("xgboost", "DMatrix"): _of_dmatrix,
    ("lightgbm", "Dataset"): _of_dataset,
    ("catboost", "Pool"): _of_pool,
}
