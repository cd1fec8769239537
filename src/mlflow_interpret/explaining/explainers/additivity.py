"""Match attributions with the outputs of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.attributions import Attributions, additivity_error, is_sum
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.model_adapter import ModelAdapter, per_class


def check_shapes(
    adapter: ModelAdapter, local_values: FloatArray, expected_values: FloatArray
) -> None:
    """Check that there are attributions for each output of the model.

    Args:
        adapter: The model.
        local_values: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)``.
        expected_values: ``(n_outputs,)`` or ``(1,)``.

    Raises:
        CannotExplainError: The shapes do not fit the outputs.
    """
    names = adapter.output_names
    if names is None:
        fits = local_values.ndim == 2 and len(expected_values) == 1
    else:
        n_outputs = len(names)
        fits = local_values.ndim == 3 and len(local_values) == len(expected_values) == n_outputs
    if not fits:
        wanted = "one output" if names is None else f"{len(names)} outputs or classes"
        raise CannotExplainError(f"contributions of shape {local_values.shape} for {wanted}")


def values_per_output(adapter: ModelAdapter, margins: FloatArray) -> FloatArray:
    """Return the values of all outputs; a binary model has a margin of its second class only.

    Args:
        adapter: The model.
        margins: ``(n_margins, ...)`` values of the margins.
    """
    if adapter.labels is None:
        return margins
    n_classes = [len(classes) for classes in adapter.labels]
    columns = per_class(margins.reshape(len(margins), -1).T, n_classes)
    return columns.T.reshape(-1, *margins.shape[1:])


def attributions_of(
    adapter: ModelAdapter,
    batch: RowBatch,
    values: FloatArray,
    expected_values: FloatArray,
    scale: str | None,
) -> Attributions:
    """Return values by output as attributions, with the model output that they add up to.

    Args:
        adapter: The model.
        batch: The explained rows.
        values: ``(n_outputs, n_rows, n_features)``, or ``(n_rows, n_features)`` of a single output.
        expected_values: ``(n_outputs,)``.
        scale: The scale of an earlier batch, None to find it.

    Raises:
        CannotExplainError: The shapes do not fit the outputs, or the model has no output.
    """
    if adapter.output_names is None and values.ndim == 3 and len(values) == 1:
        values = values[0]
    check_shapes(adapter, values, expected_values)
    if scale is None:
        scale, outputs = matching_scale(adapter, batch, values, expected_values)
    else:
        outputs = adapter.output(scale)(batch.original)
    return Attributions(values, expected_values, outputs, scale)


def matching_scale(
    adapter: ModelAdapter, rows: RowBatch, local_values: FloatArray, expected_values: FloatArray
) -> tuple[str | None, FloatArray]:
    """Find the model output that the attributions add up to.

    Args:
        adapter: The model.
        rows: The explained rows.
        local_values: ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)``.
        expected_values: ``(n_outputs,)`` or ``(1,)``.

    Returns:
        The name of the output and its values for the rows. If the attributions add up to no
        output, None and the closest output.

    Raises:
        CannotExplainError: The model has no output for these rows.
    """
    closest: tuple[float, FloatArray] | None = None
    for scale, output in adapter.outputs():
        try:
            outputs = output(rows.original)
        except Exception:  # noqa: S112 - the model lacks this output; the next one is tried
            continue
        error = additivity_error(local_values, expected_values, outputs)
        if is_sum(local_values, outputs, error):
            return adapter.scale_of(scale, outputs, rows.original), outputs
        if closest is None or error < closest[0]:
            closest = error, outputs
    if closest is None:
        raise CannotExplainError(f"{adapter.name} cannot predict the rows it was given")
    return None, closest[1]


def split_by_output(
    adapter: ModelAdapter, local_values: Any, expected_values: Any
) -> tuple[FloatArray, FloatArray]:
    """Give every output of the model its own attributions, as shap does not for binary models.

    Args:
        adapter: The model.
        local_values: ``(n, n_rows, n_features)`` or ``(n_rows, n_features)`` values of shap.
        expected_values: ``(n,)`` or a scalar.

    Returns:
        ``(n_outputs, n_rows, n_features)`` or ``(n_rows, n_features)``, and ``(n_outputs,)``.

    Raises:
        CannotExplainError: The shapes do not fit the outputs.
    """
    values: FloatArray = np.asarray(local_values, dtype=np.float64)
    expected: FloatArray = np.atleast_1d(np.asarray(expected_values, dtype=np.float64))
    if adapter.output_names is None:
        if values.ndim == 3 and len(values) <= 2:
            values = values[-1]  # a single output; of two, the first is the negated second
        check_shapes(adapter, values, expected)
        return values, expected
    values = values[None] if values.ndim == 2 else values
    n_classes = [len(labels) for labels in adapter.labels or ()]
    padded = len(n_classes) * max(n_classes, default=0)
    if len(n_classes) > 1 and len(values) == len(expected) == padded:
        # Trees of several targets: shap pads each target to the largest number of classes, and
        # divides by the number of targets.
        positions = [t * max(n_classes) + i for t, n in enumerate(n_classes) for i in range(n)]
        values, expected = values[positions] * len(n_classes), expected[positions] * len(n_classes)
    elif set(n_classes) == {2}:
        if len(values) == len(n_classes):
            values = np.stack([-values, values], axis=1).reshape(-1, *values.shape[1:])
        if len(expected) == len(n_classes):
            expected = per_class(expected[None], n_classes)[0]
    check_shapes(adapter, values, expected)
    return values, expected
