"""The files and properties of an explanation asset, as ExplanationClient 1.62 writes them.

Names, order and content follow ``azureml.v8.model.explanation``, so that Azure ML studio and
ExplanationClient read the asset. The intended differences:

- A missing prediction is null; the client writes 0. Missing cells and labels are null either way.
- A sample may be a single row; the client fails where only one row fits.
- Names have `/` on Windows, too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.statistics import rank
from mlflow_interpret.stores.azureml.sanitize import (
    array_to_json,
    sanitize_for_json,
    table_to_json,
)

_VERSION = "azureml.v8.model.explanation"
_SHARD_SIZE = 100  # columns
_MAX_SHARDS = 3
_MAX_POINTS = 5000  # rows in studio
_FILES_WITH_PATHS = ("visualization_dict", "rich_metadata")
_MAX_LOCAL_BYTES = 10_000_000  # of the local values of these rows, 8 bytes each


@dataclass(frozen=True)
class Asset:
    """The files and properties of an explanation.

    Attributes:
        names: The files' names below the asset's folder, without ``.interpret.json``.
        labels: The files' names in the asset, as the client writes them; they are not paths.
        properties: The asset's properties; text or None.
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    properties: dict[str, str | None]


def folder_of(explanation_id: str) -> str:
    """Return the artifact folder of an explanation."""
    return f"explanation/{explanation_id[:8]}"


def file_of(name: str) -> str:
    """Return the file of a name of ``Asset.names``."""
    return f"{name}.interpret.json"


def write(
    explanation: Explanation,
    folder: Path,
    run_id: str,
    comment: str | None,
    random_state: int,
    points: int | None = None,
    top_k: int | None = None,
) -> Asset:
    """Write the files of an explanation, without its engineered view.

    Args:
        explanation: The explanation.
        folder: An empty folder.
        run_id: The Azure ML run.
        comment: The asset's comment.
        random_state: The seed of the sample of rows for studio, where they are too many.
        points: The most rows that studio shows. Default: 5,000.
        top_k: The number of features whose importances are written. Default: all.
    """
    ready = sanitize_for_json(explanation)
    files = _Files(folder, f"ExperimentRun/{run_id}/{folder_of(ready.id)}")
    metadata: dict[str, Any] = {}
    _write_values(ready, files, metadata, top_k)
    visualization = _write_rows(ready, files, random_state, points or _MAX_POINTS)
    visualization.update(_summary(ready, files, metadata))
    metadata["visualization_dict"] = files.write("visualization_dict", visualization)
    metadata_label = files.write("rich_metadata", metadata)
    properties = _properties(ready, comment, metadata_label)
    return Asset(tuple(files.names), tuple(map(files.label, files.names)), properties)


def renamed(asset: Asset, folder: Path, explanation_id: str) -> Asset:
    """Return the asset under another id; only two of its files hold the name of their folder.

    Args:
        asset: The asset.
        folder: The folder with its files.
        explanation_id: The new id.
    """
    old_id = asset.properties["explanation_id"]
    if old_id == explanation_id or old_id is None:
        return asset
    old, new = f"/{folder_of(old_id)}/", f"/{folder_of(explanation_id)}/"
    for name in _FILES_WITH_PATHS:
        path = folder / file_of(name)
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    metadata = str(asset.properties["metadata_artifact_path"]).replace(old, new)
    changes = {"explanation_id": explanation_id, "metadata_artifact_path": metadata}
    labels = tuple(label.replace(old, new) for label in asset.labels)
    return Asset(asset.names, labels, {**asset.properties, **changes})


class _Files:
    """Writes files and lists their names in order."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix
        self.names: list[str] = []

    def label(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    def write(self, name: str, values: Any) -> str:
        """Write values in parts: local values are much larger as text than in memory."""
        path = self._folder / file_of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_json_parts(values))
        self.names.append(name)
        return self.label(name)


def _json_parts(values: Any) -> Iterator[str]:
    if isinstance(values, np.ndarray) and values.ndim == 1:
        if values.dtype.kind == "f":  # the client reads importances back as numbers only
            values = np.where(np.isfinite(values), values, 0.0)
        values = values.tolist()
    nested = isinstance(values, np.ndarray) or (
        isinstance(values, list) and len(values) > 0 and isinstance(values[0], list)
    )
    if not nested:
        yield json.dumps(values, allow_nan=False)
        return
    yield "["
    for i, value in enumerate(values):
        if i:
            yield ", "
        yield from _json_parts(value)
    yield "]"


def _write_values(
    ready: Explanation, files: _Files, metadata: dict[str, Any], top_k: int | None
) -> None:
    """Write the importances, and the metadata of each file for the download."""

    def single(name: str, values: Any, **more: int) -> None:
        files.write(name, values)
        metadata[name] = {"name": name, **more}

    def sharded(name: str, values: npt.NDArray[Any]) -> None:
        width = values.shape[-1]
        shards = min(math.ceil(width / _SHARD_SIZE), _MAX_SHARDS)
        for i in range(shards):
            end = width if i == shards - 1 else (i + 1) * _SHARD_SIZE
            files.write(f"{name}/{i}", values[..., i * _SHARD_SIZE : end])
        metadata[name] = {
            "name": name,
            "max_num_blocks": _MAX_SHARDS,
            "block_size": _SHARD_SIZE,
            "num_features": width,
            "num_blocks": shards,
        }

    single("features", list(ready.features))
    if ready.local_values is not None:
        single("local_importance_values", ready.local_values)
    if ready.expected_values is not None:
        single("expected_values", np.atleast_1d(ready.expected_values))
    if ready.output_names is not None:
        single("classes", list(ready.output_names), num_classes=len(ready.output_names))
    names = np.array(ready.features, dtype=object)
    order = rank(ready.global_values)[:top_k]
    by_class = ready.per_class_values if ready.output_names is not None else None
    class_order = None if by_class is None else rank(by_class)[:, :top_k]
    sharded("global_names", names[order])
    if class_order is not None:
        sharded("per_class_names", names[class_order])
    sharded("global_rank", order)
    sharded("global_values", ready.global_values[order])
    if by_class is not None and class_order is not None:
        sharded("per_class_rank", class_order)
        sharded("per_class_values", np.take_along_axis(by_class, class_order, axis=-1))


def _write_rows(
    ready: Explanation, files: _Files, random_state: int, max_points: int
) -> dict[str, Any]:
    """Write the rows that studio shows; return their entries in ``visualization_dict``."""
    rows = {
        "eval_data_viz": ("testData", _optional(table_to_json, ready.evaluation_rows)),
        "true_ys_viz": ("trueY", _optional(array_to_json, ready.true_labels)),
        "ys_pred_viz": ("predictedY", _optional(array_to_json, ready.predicted)),
        "ys_pred_proba_viz": (
            "probabilityY",
            _optional(array_to_json, ready.predicted_probabilities),
        ),
    }
    lengths = [len(values) for _, values in rows.values() if values is not None]
    points = _point_count(ready, max_points)
    entries: dict[str, Any] = {}
    sample: list[int] | None = None
    if lengths and lengths[0] > points:
        # The rows that the client selects with this seed.
        generator = np.random.RandomState(random_state)
        sample = sorted(generator.choice(lengths[0], points, replace=False).tolist())
        entries["indices"] = sample
    for name, (key, values) in rows.items():
        if values is not None:
            entries[key] = files.write(name, _sampled(values, sample))
    local = "precomputedExplanations.localFeatureImportance.scores"
    if ready.local_values is not None:
        entries[local] = files.label("local_importance_values")
        if sample is not None:
            viz = ready.local_values[..., sample, :]
            entries[local] = files.write("local_importance_viz", viz)
    return entries


def _optional(convert: Any, values: Any) -> Any:
    return None if values is None else convert(values)


def _sampled(values: Any, sample: list[int] | None) -> Any:
    if sample is None:
        return values
    return values[sample] if isinstance(values, np.ndarray) else [values[i] for i in sample]


def _point_count(ready: Explanation, max_points: int) -> int:
    local = ready.local_values
    if local is None:
        return max_points
    rows = local.shape[-2]
    points = min(max_points, rows)
    size = local.nbytes // max(rows, 1) * points
    return max(1, int(points / (size / _MAX_LOCAL_BYTES))) if size > _MAX_LOCAL_BYTES else points


def _summary(ready: Explanation, files: _Files, metadata: dict[str, Any]) -> dict[str, str]:
    """Return the entries of names and intercept, and of global values where no local ones exist."""
    kind = "global" if ready.local_values is None else "local"
    summary: dict[str, str] = {}
    if kind == "global":
        importance = "precomputedExplanations.globalFeatureImportance"
        summary[f"{importance}.scores"] = files.label("global_values/0")
        summary[f"{importance}.featureNames"] = files.label("global_names/0")
    summary["dataSummary.featureNames"] = files.label("features")
    if "classes" in metadata:
        summary["dataSummary.classNames"] = files.label("classes")
    if "expected_values" in metadata:
        key = f"precomputedExplanations.{kind}FeatureImportance.intercept"
        summary[key] = files.label("expected_values")
    return summary


def _properties(
    ready: Explanation, comment: str | None, metadata_label: str
) -> dict[str, str | None]:
    local = ready.local_values
    # An asset stores several targets like several classes.
    task = "regression" if ready.output_names is None else "classification"
    return {
        "type": "explanation",
        "model_type": task,
        "data_type": "tabular",
        "explain_type": ready.method,
        "model_task": task,
        "method": ready.method,
        "model_class": ready.model_class,
        "is_raw": str(ready.is_raw),
        "is_engineered": str(ready.is_engineered),
        "metadata_artifact_path": metadata_label,
        "version": _VERSION,
        "explanation_id": ready.id,
        "comment": comment,
        "global": "True",
        "local": str(local is not None),
        "init_dataset_id": None,
        "eval_dataset_id": None,
        "eval_y_predicted": None,
        "eval_y_predicted_proba": None,
        "num_classes": str(1 if ready.output_names is None else len(ready.output_names)),
        "num_examples": str(0 if local is None else local.shape[-2]),
        "num_features": str(len(ready.features)),
    }
