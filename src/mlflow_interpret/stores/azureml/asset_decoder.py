"""The explanation in an asset's properties and files; the counterpart of `asset_format`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.details import Details, as_notes
from mlflow_interpret.core.errors import AzureMLError
from mlflow_interpret.core.explanation import Explanation, Task, distinct_names

FILES = frozenset(
    {
        "classes", "eval_data_viz", "expected_values", "features", "global_names", "global_rank",
        "global_values", "local_importance_values", "local_importance_values_sparse",
        "per_class_rank", "per_class_values", "true_ys_viz", "visualization_dict",
        "ys_pred_proba_viz", "ys_pred_viz",
    }
)  # fmt: skip
_MAX_CELLS = 100_000_000  # of sparse local values, which become dense: 0.8 GB


def is_true(value: Any) -> bool:
    """Return whether a property is true."""
    return str(value).lower() == "true"


def decode(properties: Mapping[str, Any], files: Mapping[str, Any]) -> Explanation:
    """Return the explanation of an asset.

    Args:
        properties: The asset's properties.
        files: The content of its files by their names without the suffix, such as ``classes`` and
            ``global_values/0``.

    Raises:
        AzureMLError: The files are not consistent.
    """
    try:
        return _explanation(properties, files)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise AzureMLError(
            f"explanation {properties.get('explanation_id')!r} cannot be read: its files are not "
            f"consistent ({type(error).__name__})"
        ) from error


def _explanation(properties: Mapping[str, Any], files: Mapping[str, Any]) -> Explanation:
    notes = ["Read from Azure ML."]
    task: Task = (
        "classification" if properties.get("model_type") == "classification" else "regression"
    )
    classes = files.get("classes") if task == "classification" else None
    local = _local_values(files, notes)
    ranks, values = (_joined(files, name) for name in ("global_rank", "global_values"))
    names = _names(files, ranks, values, local)
    is_complete = values is None or len(values) == len(names)
    per_class = _per_class(files, len(names)) if is_complete else None
    if values is None or ranks is None:
        if local is None:
            raise ValueError("neither global nor local values")
        by_output = np.abs(local).mean(axis=-2)
        values = by_output.mean(axis=0) if by_output.ndim == 2 else by_output
    elif is_complete:
        values = _in_feature_order(values, ranks)
    else:  # uploaded with the most important features only
        notes.append(f"Only the {len(values)} most important of {len(names)} features are stored.")
        ranked = _joined(files, "global_names")
        names = [names[i] for i in ranks] if ranked is None else ranked.tolist()
        local = None
    if values.ndim != 1 or len(values) != len(names):
        raise ValueError("the number of importances is not that of the features")
    if local is not None:
        _check_shape(local, len(names), classes)
    return Explanation(
        method=str(properties.get("method")),
        task=task,
        model_class=properties.get("model_class"),
        features=distinct_names([str(name) for name in names]),
        global_values=values,
        classes=None if classes is None else tuple(classes),
        per_class_values=per_class,
        local_values=local,
        expected_values=_expected(files),
        **_rows(files, names, local, classes, notes),
        is_raw=is_true(properties.get("is_raw")),
        is_engineered=is_true(properties.get("is_engineered")),
        id=str(properties["explanation_id"]),
        details=Details(notes=as_notes(notes), extra={"comment": properties.get("comment")}),
    )


def _names(files: Mapping[str, Any], ranks: Any, values: Any, local: Any) -> list[Any]:
    if files.get("features") is not None:
        return list(files["features"])
    width = local.shape[-1] if local is not None else int(np.max(ranks)) + 1
    names = [f"x{i}" for i in range(width)]
    ranked = _joined(files, "global_names")
    if ranked is not None and values is not None:
        for position, name in zip(ranks, ranked, strict=True):
            names[position] = name
    return names


def _joined(files: Mapping[str, Any], name: str) -> npt.NDArray[Any] | None:
    """Return the values of a file that is stored in shards of columns."""
    numbers = sorted(int(key.partition("/")[2]) for key in files if key.startswith(f"{name}/"))
    if not numbers:
        return None
    if numbers != list(range(len(numbers))):
        raise ValueError(f"shards of {name} are missing")
    shards = [np.asarray(files[f"{name}/{i}"]) for i in numbers]
    if name.endswith("_rank"):
        shards = [_as_positions(shard) for shard in shards]
    elif name.endswith("_values"):
        shards = [shard.astype(np.float64) for shard in shards]
    joined: npt.NDArray[Any] = np.concatenate(shards, axis=-1)
    return joined


def _as_positions(numbers: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    if numbers.size and numbers.dtype.kind not in "iu":
        raise ValueError("positions are not integers")
    return numbers.astype(np.intp)


def _in_feature_order(values: npt.NDArray[Any], order: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return sorted values in the order of the features."""
    if not (np.sort(order, axis=-1) == np.arange(values.shape[-1])).all():
        raise ValueError("a ranking is not a permutation of the features")
    unsorted = np.empty(values.shape, dtype=np.float64)
    np.put_along_axis(unsorted, order, values, axis=-1)
    return unsorted


def _per_class(files: Mapping[str, Any], width: int) -> npt.NDArray[np.float64] | None:
    ranks, values = (_joined(files, name) for name in ("per_class_rank", "per_class_values"))
    if ranks is None or values is None or values.shape[-1] != width:
        return None
    return _in_feature_order(values, ranks)


def _local_values(files: Mapping[str, Any], notes: list[str]) -> npt.NDArray[np.float64] | None:
    values = files.get("local_importance_values")
    if values is not None:
        return np.asarray(values, dtype=np.float64)
    values = files.get("local_importance_values_sparse")
    if values is None:
        return None
    has_outputs = isinstance(values[0][0], list)
    matrices = values if has_outputs else [values]
    cells = sum(int(matrix[3][0]) * int(matrix[3][1]) for matrix in matrices)
    if cells > _MAX_CELLS:
        notes.append(f"The {cells:,} local values are sparse and too large to be stored densely.")
        return None
    dense = np.stack([_dense(*matrix) for matrix in matrices])
    return dense if has_outputs else dense[0]


def _dense(data: Any, indices: Any, starts: Any, shape: Any) -> npt.NDArray[np.float64]:
    """Return the dense matrix of a matrix in compressed rows."""
    n_rows, n_columns = (int(size) for size in shape)
    columns = _as_positions(np.asarray(indices))
    counts = np.diff(_as_positions(np.asarray(starts)))
    if len(counts) != n_rows or (counts < 0).any() or (columns.size and columns.min() < 0):
        raise ValueError("the rows of a sparse matrix are not consistent")
    matrix = np.zeros((n_rows, n_columns))
    rows = np.repeat(np.arange(n_rows), counts)
    np.add.at(matrix, (rows, columns), np.asarray(data, dtype=float))
    return matrix


def _check_shape(local: npt.NDArray[Any], width: int, classes: Any) -> None:
    outputs = () if local.ndim == 2 else local.shape[:1]
    expected = () if classes is None else (len(classes),)
    if local.ndim not in (2, 3) or local.shape[-1] != width or outputs != expected:
        raise ValueError("local values of another shape")


def _expected(files: Mapping[str, Any]) -> npt.NDArray[np.float64] | None:
    values = files.get("expected_values")
    return None if values is None else np.asarray(values, dtype=np.float64)


def _rows(
    files: Mapping[str, Any], names: list[Any], local: Any, classes: Any, notes: list[str]
) -> dict[str, Any]:
    """Return the fields of the explained rows, where studio has all of them."""
    visualization = files.get("visualization_dict") or {}
    sampled = bool(visualization.get("indices"))
    fields: dict[str, Any] = {}
    cells = files.get("eval_data_viz")
    if cells is not None and not sampled:
        frame = pd.DataFrame(cells)
        if frame.shape[1] == len(names):
            labels = distinct_names([str(name) for name in names])
            fields["evaluation_rows"] = frame.set_axis(list(labels), axis=1)
    for field, file in (("predicted", "ys_pred_viz"), ("true_labels", "true_ys_viz")):
        if files.get(file) is not None and not sampled:
            fields[field] = _labels(files[file], classes)
    if files.get("ys_pred_proba_viz") is not None and not sampled:
        probabilities = np.asarray(files["ys_pred_proba_viz"], dtype=np.float64)
        fields["predicted_probabilities"] = probabilities
    if sampled:
        notes.append("The rows in studio are a sample, so they were left out.")
    count = None if local is None else local.shape[-2]
    return {name: rows for name, rows in fields.items() if count in (None, len(rows))}


def _labels(labels: Any, classes: Any) -> npt.NDArray[Any]:
    """Return labels, which are stored as positions of classes unless they are not classes."""
    positions = classes is not None and all(
        isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(classes)
        for label in labels
    )
    return np.asarray([classes[label] for label in labels] if positions else labels)
