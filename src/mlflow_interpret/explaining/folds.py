"""The mean explanation of the models of a cross-validation."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mlflow_interpret.core.cross_validation import CrossValidation
from mlflow_interpret.core.details import Details, Note, RowCounts
from mlflow_interpret.core.directions import directions_of
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.feature_groups import GroupImportances
from mlflow_interpret.core.statistics import FloatArray

HELD_OUT = "held-out rows"
"""The source of the explained rows."""

_STOPPED = ("time_budget", "max_rows", "settled", "all rows")
"""Reasons why no further rows were explained, the most important first."""


def mean_explanation(
    folds: Sequence[Explanation],
    *,
    splitter: str,
    train_rows: Sequence[int],
    test_rows: Sequence[int],
    scores: Mapping[str, Sequence[float]],
) -> Explanation:
    """Return the mean of explanations of the models of a cross-validation.

    The importances are means over the folds. Their standard errors are those of Nadeau and Bengio
    (2003), "Inference for the generalization error": the standard deviation over the ``K`` folds
    times ``sqrt(1 / K + n_test / n_train)``, since the training rows of the folds overlap. The
    contributions of single rows are those of the model that did not see the row.

    Args:
        folds: The explanations of the ``K`` models on their held-out rows.
        splitter: The splitter, as text.
        train_rows: ``(K,)`` numbers of training rows.
        test_rows: ``(K,)`` numbers of held-out rows.
        scores: ``(K,)`` results of scikit-learn's `cross_validate` by name.

    Raises:
        CannotExplainError: The models have different classes, outputs or scales.
    """
    _check_outputs(folds)
    features = tuple(dict.fromkeys(chain.from_iterable(fold.features for fold in folds)))
    aligned = [_with_features(fold, features) for fold in folds]
    by_fold = np.stack([fold.global_values for fold in aligned])
    correction = float(np.sqrt(1 / len(folds) + np.mean(np.divide(test_rows, train_rows))))
    values, errors = _mean_and_error(list(by_fold), correction)
    per_class, class_errors = _mean_and_error(
        [fold.per_class_values for fold in aligned], correction
    )
    explanation = replace(
        aligned[0],
        global_values=np.asarray(values),
        global_errors=errors,
        per_class_values=per_class,
        per_class_errors=class_errors,
        local_values=_joined(aligned, "local_values", axis=-2),
        expected_values=_mean([fold.expected_values for fold in aligned]),
        evaluation_rows=_joined_rows(aligned),
        predicted=_joined(aligned, "predicted"),
        predicted_probabilities=_joined(aligned, "predicted_probabilities"),
        true_labels=_joined(aligned, "true_labels"),
        groups=_groups(aligned, correction),
        engineered=None,
        raw=None,
        background=None,
        interactions=None,  # of one model
        cross_validation=CrossValidation(
            splitter=splitter,
            importances=by_fold,
            train_rows=tuple(map(int, train_rows)),
            test_rows=tuple(map(int, test_rows)),
            scores={name: tuple(map(float, values)) for name, values in scores.items()},
            ranking_agreement=concordance(by_fold),
        ),
        id=str(uuid.uuid4()),
    )
    details = _details(folds, features)
    return replace(explanation, details=replace(details, directions=directions_of(explanation)))


def concordance(values: FloatArray) -> float | None:
    """Return Kendall's coefficient of concordance W of ``K`` rankings, corrected for ties.

    1 for equal rankings, near 0 for unrelated ones. Source: Kendall and Babington Smith (1939),
    "The problem of m rankings".

    Args:
        values: ``(K, F)`` values to rank.

    Returns:
        The coefficient; None where no ranking exists, as for a single feature.
    """
    ranks = rankdata(np.nan_to_num(values), axis=1)
    n_folds, n_features = ranks.shape
    sums = ranks.sum(axis=0)
    ties = sum(
        float((counts**3 - counts).sum())
        for counts in (np.unique(row, return_counts=True)[1].astype(float) for row in ranks)
    )
    largest = n_folds**2 * (n_features**3 - n_features) - n_folds * ties
    if largest <= 0:
        return None
    return float(12 * ((sums - sums.mean()) ** 2).sum() / largest)


def _check_outputs(folds: Sequence[Explanation]) -> None:
    first = folds[0]
    for number, fold in enumerate(folds[1:], start=2):
        for name, ours, theirs in (
            ("classes", first.classes, fold.classes),
            ("targets", first.targets, fold.targets),
            ("scale", first.details.output_scale, fold.details.output_scale),
        ):
            if ours != theirs:
                advice = (
                    "output"
                    if name == "scale"
                    else "a cv whose training rows have all classes, such as StratifiedKFold"
                )
                raise CannotExplainError(
                    f"the models of the folds have different outputs: {name} {ours} in fold 1 and "
                    f"{theirs} in fold {number}; pass {advice}"
                )


def _with_features(fold: Explanation, features: tuple[str, ...]) -> Explanation:
    """Add features of other folds, as words of texts, which contribute nothing in this one."""
    if fold.features == features:
        return fold
    place = {name: i for i, name in enumerate(fold.features)}
    positions = [place.get(name, -1) for name in features]

    def spread(values: FloatArray | None) -> FloatArray | None:
        if values is None:
            return None
        padded = np.concatenate([values, np.zeros((*values.shape[:-1], 1))], axis=-1)
        return np.take(padded, positions, axis=-1)

    rows = fold.evaluation_rows
    if rows is not None:
        rows = rows.set_axis(list(fold.features), axis=1).reindex(columns=list(features))
    return replace(
        fold,
        features=features,
        global_values=np.asarray(spread(fold.global_values)),
        per_class_values=spread(fold.per_class_values),
        local_values=spread(fold.local_values),
        evaluation_rows=rows,
        groups=None,
    )


def _mean(values: Sequence[Any]) -> FloatArray | None:
    return None if any(value is None for value in values) else np.mean(np.stack(values), axis=0)


def _mean_and_error(
    values: Sequence[Any], correction: float
) -> tuple[FloatArray | None, FloatArray | None]:
    mean = _mean(values)
    if mean is None:
        return None, None
    return mean, np.std(np.stack(values), axis=0, ddof=1) * correction


def _groups(folds: Sequence[Explanation], correction: float) -> GroupImportances | None:
    groups = [fold.groups for fold in folds if fold.groups is not None]
    if len(groups) < len(folds):
        return None
    values, errors = _mean_and_error([group.values for group in groups], correction)
    per_class, class_errors = _mean_and_error(
        [group.per_class_values for group in groups], correction
    )
    return replace(
        groups[0],
        values=np.asarray(values),
        errors=errors,
        per_class_values=per_class,
        per_class_errors=class_errors,
        intervals=None,
    )


def _joined(folds: Sequence[Explanation], name: str, axis: int = 0) -> Any:
    parts = [getattr(fold, name) for fold in folds]
    return None if any(part is None for part in parts) else np.concatenate(parts, axis=axis)


def _joined_rows(folds: Sequence[Explanation]) -> pd.DataFrame | None:
    parts = [fold.evaluation_rows for fold in folds if fold.evaluation_rows is not None]
    return pd.concat(parts, ignore_index=True) if len(parts) == len(folds) else None


def _details(folds: Sequence[Explanation], features: tuple[str, ...]) -> Details:
    parts = [fold.details for fold in folds]
    rows = [part.rows or RowCounts() for part in parts]
    stopped = [reason for reason in _STOPPED if any(part.stopped == reason for part in parts)]
    errors = [part.sampling_error for part in parts if part.sampling_error is not None]
    seconds = [part.seconds for part in parts if part.seconds is not None]
    first = parts[0]
    return replace(
        first,
        # The model's outputs have a base value for each fold, so the sums of the mean are no check.
        additivity_error=None,
        additivity_breach=next((p.additivity_breach for p in parts if p.additivity_breach), None),
        sampling_error=max(errors, default=None),
        rows=RowCounts(
            source=HELD_OUT,
            available=sum(count.available or 0 for count in rows),
            explained=sum(count.explained or 0 for count in rows),
        ),
        stopped=stopped[0] if stopped else None,
        has_converged=all(part.has_converged for part in parts),
        partial=any(part.partial for part in parts),
        intervals=None,
        n_features=len(features),
        notes=tuple(_notes(folds)),
        seconds=round(sum(seconds), 3),
        histograms=None,
        groups_missing=_groups_missing(folds),
        raw_explanation_id=None,
    )


def _groups_missing(folds: Sequence[Explanation]) -> str | None:
    reasons = [fold.details.groups_missing for fold in folds if fold.groups is None]
    if len(reasons) < len(folds) and any(fold.features != folds[0].features for fold in folds):
        return "the models of the folds have different features"
    return reasons[0] if reasons else None


def _notes(folds: Sequence[Explanation]) -> Iterator[Note]:
    yield Note(
        f"Means over the models of {len(folds)} folds, each explained on its held-out rows; the "
        "intervals show the spread over the folds."
    )
    expected = [fold.expected_values for fold in folds if fold.expected_values is not None]
    if len(expected) == len(folds):
        spread = float(np.ptp(np.stack(expected), axis=0).max())
        yield Note(
            "The base value is the mean over the folds. The contributions of a row add up to the "
            "output of the model of its fold with that model's base value; the largest difference "
            f"between base values is {spread:.3g}."
        )
    if any(fold.features != folds[0].features for fold in folds):
        yield Note(
            "The models have different features; one that a model lacks contributes 0 to it."
        )
    seen = set()
    for note in chain.from_iterable(fold.details.notes for fold in folds):
        if note.text not in seen:
            seen.add(note.text)
            yield note
