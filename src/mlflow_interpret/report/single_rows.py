"""Data of single rows for the script of the report: their numbers, outputs and labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.text import truncate
from mlflow_interpret.report.encoded_columns import encode, ranged, round_number

_LABEL_LENGTH = 80
_MAX_TARGETS = 10  # of a classification, whose labels are shown together


def row_data(explanation: Explanation, rows: Any, outputs: Sequence[int]) -> dict[str, Any]:
    """The JSON values about the sampled rows.

    Args:
        explanation: The explanation, with values of single rows.
        rows: Positions of the sampled rows.
        outputs: Positions of the classes or targets that can be selected.

    Returns:
        ``count``, the number of explained rows; ``numbers``, those of the sampled rows, None for
        all; ``outputs``, the base value and the model output of each row, for the only output, or
        by selectable output after a None; ``true`` and ``predicted``, columns of labels;
        ``probability``, that of the predicted class.
    """
    local = np.asarray(explanation.local_values)
    count = local.shape[-2]
    classes = _predicted_classes(explanation)
    probability, names = None, {}
    if classes is not None:
        names = _class_names(explanation, classes)
        probabilities = np.asarray(explanation.predicted_probabilities)
        probability = ranged(probabilities[rows, classes[rows]], 2)
    return {
        "probability": probability,
        "count": count,
        "numbers": None if len(rows) == count else [int(row) for row in rows],
        "outputs": _row_outputs(explanation, rows, outputs),
        "true": _label_columns(explanation, explanation.true_labels, rows, outputs, names),
        "predicted": _label_columns(explanation, explanation.predicted, rows, outputs, names),
    }


def _predicted_classes(explanation: Explanation) -> Any:
    """``(R,)`` positions of the predicted classes, None where they are not known.

    The class with the largest probability is the predicted one if all rows with a label have the
    same such class, also if the classes were renamed.
    """
    probabilities, labels = explanation.predicted_probabilities, explanation.predicted
    if probabilities is None or labels is None or explanation.classes is None:
        return None
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    shape = (len(labels), len(explanation.classes))
    if labels.ndim != 1 or probabilities.shape != shape or not np.isfinite(probabilities).all():
        return None
    largest = probabilities.argmax(axis=1)
    pairs = set(zip(map(str, labels), largest.tolist(), strict=True))
    is_one_to_one = len(pairs) == len({label for label, _ in pairs}) == len({i for _, i in pairs})
    return largest if is_one_to_one else None


def _class_names(explanation: Explanation, predicted_classes: Any) -> dict[str, Any]:
    """The names of the classes by the text of the model's labels."""
    labels, names = np.asarray(explanation.predicted), explanation.classes or ()
    return {str(label): names[i] for label, i in zip(labels, predicted_classes, strict=True)}


def _row_outputs(explanation: Explanation, rows: Any, outputs: Sequence[int]) -> list[Any]:
    """Base value and outputs of the rows, which are the sums of base value and contributions."""
    local = np.asarray(explanation.local_values)
    bases = explanation.expected_values
    base_values = [] if bases is None else [float(base) for base in np.ravel(bases)]
    if local.ndim == 2:
        base = base_values[0] if len(base_values) == 1 else None
        return [_row_output(base, local[rows])]
    are_known = len(base_values) == len(local)
    return [
        None,
        *(
            _row_output(base_values[output] if are_known else None, local[output][rows])
            for output in outputs
        ),
    ]


def _row_output(base: float | None, contributions: Any) -> list[Any] | None:
    with np.errstate(invalid="ignore"):  # of infinite contributions
        sums = contributions.sum(axis=1)
    if not np.all(np.isfinite(sums)) or (base is not None and not math.isfinite(base)):
        return None
    return [None if base is None else round_number(base, 6), ranged(sums + (base or 0.0), 2)]


def _label_columns(
    explanation: Explanation,
    labels: Any,
    rows: Any,
    outputs: Sequence[int],
    class_names: Mapping[str, Any],
) -> list[dict[str, Any]] | None:
    """A column of labels for each target: that of each selectable target of a regression."""
    if labels is None:
        return None
    columns = np.asarray(labels)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if len(columns) != np.asarray(explanation.local_values).shape[-2]:
        return None
    targets: Sequence[int] = range(min(columns.shape[1], _MAX_TARGETS))
    if explanation.classes is None and columns.shape[1] > 1:
        targets = [output for output in outputs if output < columns.shape[1]]
    target_names = explanation.targets if columns.shape[1] > 1 else None
    is_number = explanation.task == "regression"
    return [
        {
            "name": "" if target_names is None else truncate(target_names[target], _LABEL_LENGTH),
            **(_numbers if is_number else _names)(columns[rows, target], class_names),
        }
        for target in targets
    ]


def _numbers(labels: Any, class_names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"numbers": [round_number(label, 6) for label in labels]}
    except (TypeError, ValueError):  # no numbers
        return _names(labels, class_names)


def _names(labels: Any, class_names: Mapping[str, Any]) -> dict[str, Any]:
    texts = [truncate(class_names.get(str(label), label), _LABEL_LENGTH) for label in labels]
    names = list(dict.fromkeys(texts))
    codes = {name: code for code, name in enumerate(names)}
    return {"names": names, "codes": encode([codes[text] for text in texts], 2)}
