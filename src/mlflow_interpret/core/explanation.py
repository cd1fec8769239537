"""The data classes that the packages hand to each other."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.background import Background
from mlflow_interpret.core.cross_validation import CrossValidation
from mlflow_interpret.core.details import Details, RowCounts
from mlflow_interpret.core.feature_groups import GroupImportances
from mlflow_interpret.core.interactions import Interactions
from mlflow_interpret.core.statistics import FloatArray, rank

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """A fitted model, its data and the options that concern them.

    Attributes:
        model: The fitted estimator that the user called ``fit`` on.
        X: The training rows that ``fit`` was given, ``(n_rows, n_features)``.
        y: The training labels, ``(n_rows,)``, or None.
        sample_weight: The weights of the training rows in ``fit``, ``(n_rows,)``, or None.
        rows_source: The rows that ``X`` holds: ``training rows``, or the option that they are of
            where the training rows are not known.
        evaluation_examples: Rows to explain, or None for a sample of the training rows.
        evaluation_labels: The true labels of ``evaluation_examples``, or None.
        initialization_examples: Background rows, or None for the training rows.
        features: Names that replace those of ``X``, or None.
        classes: Names that replace the model's class labels, or None.
        run_id: The MLflow run that was active during the fit, or None.
        notes: Sentences about the rows for the status record.
        feature_groups: Groups of features, as for `feature_groups.resolve_groups`, or None.
        are_groups_required: Groups that are not allowed are an error. Otherwise the explanation
            has no groups, and the reason.
    """

    model: Any
    X: Any
    y: Any = None
    evaluation_examples: Any = None
    evaluation_labels: Any = None
    initialization_examples: Any = None
    features: Sequence[str] | None = None
    classes: Sequence[Any] | None = None
    run_id: str | None = None
    notes: tuple[str, ...] = ()
    sample_weight: Any = None
    rows_source: str = "training rows"
    feature_groups: Any = None
    are_groups_required: bool = True


@dataclass(frozen=True)
class Plan:
    """Settings of a computation.

    Attributes:
        max_rows: The largest number of rows to explain, None for the default of the explainer.
        random_state: The seed of the choice of rows, of their order and of the explainer.
        engine: ``auto``, ``kernel`` for the kernel explainer of TabularExplainer, or ``tabular``
            for the explainer that TabularExplainer chooses.
        output: The output that contributions add up to: ``auto``, ``probability``, ``log-odds`` or
            ``raw``.
        is_output_optional: A model that lacks this output is explained on another one, with a note.
        is_sampled: Sample, also where an exact explainer is known.
        is_checked: Check that attributions of other packages belong to their columns; not needed
            for a model whose attributions were checked before.
        interactions: The number of leading features whose interactions are computed.
        n_jobs: The number of batches explained in parallel, as in scikit-learn. None: in this
            process, or on all cores where starting other processes pays, or as
            ``joblib.parallel_config`` says.
        time_budget: The time budget in seconds, None for no limit.
        progress: Called with the number of explained rows and the largest number of rows.
    """

    max_rows: int | None = None
    random_state: int = 0
    engine: str = "auto"
    n_jobs: int | None = None
    time_budget: float | None = None
    progress: Callable[[int, int], None] | None = None
    output: str = "auto"
    is_output_optional: bool = False
    is_sampled: bool = False
    is_checked: bool = True
    interactions: int = 0


@dataclass(frozen=True, eq=False)
class Explanation:
    """A global explanation of one model, without the model.

    Shapes: ``F`` features, ``R`` explained rows, ``T`` targets, ``C`` outputs: the classes; for
    several targets the classes of all targets; for a regression with several targets the targets.

    Attributes:
        method: The method in interpret-community's style, such as ``shap_tree``.
        task: ``classification`` or ``regression``.
        model_class: The class of the explained model.
        features: The ``F`` unique feature names.
        global_values: ``(F,)`` mean absolute contributions.
        classes: The ``C`` class labels of the model (``target: label`` for several targets), None
            for regression.
        targets: The ``T`` names of the targets where the model has several, else None.
        per_class_values: ``(C, F)`` mean absolute contributions by output, or None.
        local_values: ``(C, R, F)`` contributions, ``(R, F)`` for a single output, or None.
        expected_values: ``(C,)``, ``(1,)`` or ``()`` mean model output of the background, or None.
        evaluation_rows: The ``R`` explained rows, or None.
        predicted: ``(R,)`` or ``(R, T)`` predictions for the explained rows, or None.
        predicted_probabilities: ``(R, C)`` class probabilities, or None.
        true_labels: ``(R,)`` or ``(R, T)`` true labels of the explained rows, or None.
        is_raw: The features are the raw columns of a model that engineers features.
        is_engineered: The features are engineered columns.
        engineered: The explanation by engineered column, whose sums this explanation holds, or
            None.
        raw: The explanation of texts as a single raw column, whose words this explanation is about,
            or None.
        background: The background rows and the container of the model's rows, to explain further
            rows in the same way; None where they are not known.
        global_errors: ``(F,)`` standard errors of the global values, None to compute them from the
            local values; see `standard_errors`.
        per_class_errors: ``(C, F)`` standard errors of the per-class values, None to compute them
            from the local values; see `per_class_standard_errors`.
        groups: The importances of groups of features, or None.
        cross_validation: The folds whose mean this explanation is, or None.
        interactions: Interactions of the leading features, or None.
        id: A GUID.
        details: How the explanation was computed, for the status record.
    """

    method: str
    task: Task
    model_class: str | None
    features: tuple[str, ...]
    global_values: FloatArray
    classes: tuple[Any, ...] | None = None
    targets: tuple[str, ...] | None = None
    per_class_values: FloatArray | None = None
    local_values: FloatArray | None = None
    expected_values: FloatArray | None = None
    evaluation_rows: pd.DataFrame | None = None
    predicted: npt.NDArray[Any] | None = None
    predicted_probabilities: FloatArray | None = None
    true_labels: npt.NDArray[Any] | None = None
    is_raw: bool = False
    is_engineered: bool = False
    engineered: Explanation | None = None
    raw: Explanation | None = None
    background: Background | None = None
    global_errors: FloatArray | None = None
    per_class_errors: FloatArray | None = None
    groups: GroupImportances | None = None
    cross_validation: CrossValidation | None = None
    interactions: Interactions | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    details: Details = field(default_factory=Details)

    @property
    def output_names(self) -> tuple[Any, ...] | None:
        """The names of the outputs, which are classes or targets; None for a single output."""
        return self.targets if self.classes is None else self.classes

    @property
    def output_kind(self) -> str:
        """The kind of the outputs: ``class`` or ``target``."""
        return "target" if self.classes is None else "class"

    @property
    def output_kind_plural(self) -> str:
        """The plural of `output_kind`."""
        return "targets" if self.classes is None else "classes"

    @property
    def has_two_classes(self) -> bool:
        """Whether there are two classes, so that the contributions to one determine the other."""
        return self.classes is not None and len(self.classes) == 2

    @property
    def is_mirrored(self) -> bool:
        """Whether there are two classes with equal importances.

        A contribution to one class is then the negative contribution to the other, and figures by
        class would show everything twice.
        """
        values = self.per_class_values
        if values is None or self.classes is None or len(values) != 2:
            return False
        return bool(np.allclose(values[0], values[1], rtol=1e-6, atol=0, equal_nan=True))

    def standard_errors(self) -> FloatArray | None:
        """Return ``(F,)`` standard errors of the global values as means over the explained rows.

        They estimate the distance to the values of all rows that could have been drawn. None
        without local values or with a single row. Stored errors take precedence over those of the
        local values, which may be a sample of the explained rows.
        """
        if self.global_errors is not None:
            return self.global_errors
        if self.local_values is None or self.local_values.shape[-2] < 2:
            return None
        size = np.abs(self.local_values)
        by_row = size.mean(axis=0) if size.ndim == 3 else size
        errors: FloatArray = by_row.std(axis=0, ddof=1) / np.sqrt(len(by_row))
        return errors

    def per_class_standard_errors(self) -> FloatArray | None:
        """Return ``(C, F)`` standard errors of the per-class values; see `standard_errors`."""
        if self.per_class_errors is not None:
            return self.per_class_errors
        local = self.local_values
        if local is None or local.ndim != 3 or local.shape[1] < 2:
            return None
        # The local values may belong to a sample of the explained rows.
        explained = (self.details.rows or RowCounts()).explained or 0
        count = max(explained, local.shape[1])
        errors: FloatArray = np.abs(local).std(axis=1, ddof=1) / np.sqrt(count)
        return errors

    def row_digests(self) -> dict[str, str] | None:
        """Return a digest of each column of the explained rows, to compare the rows of two runs.

        None without these rows. A digest is data, too: the cells of a column with few distinct
        values could be guessed from it.
        """
        rows = self.evaluation_rows
        if rows is None or rows.shape[1] != len(self.features):
            return None
        names = comparable_names(self.features)
        return {name: _digest(rows.iloc[:, i]) for i, name in enumerate(names)}

    def without_rows(self) -> Explanation:
        """Return the aggregates only, without anything that belongs to a single row of data."""
        return replace(
            self,
            details=self.details.without_values(),
            local_values=None,
            global_errors=self.standard_errors(),
            per_class_errors=self.per_class_standard_errors(),
            evaluation_rows=None,
            predicted=None,
            predicted_probabilities=None,
            true_labels=None,
            engineered=None if self.engineered is None else self.engineered.without_rows(),
            raw=None if self.raw is None else self.raw.without_rows(),
            background=None if self.background is None else self.background.without_rows(),
        )

    def ranked(self) -> list[tuple[str, float]]:
        """Return the features with their importances, the most important first."""
        order = rank(self.global_values)
        return [(self.features[i], float(self.global_values[i])) for i in order]


def _digest(column: pd.Series) -> str:
    if column.dtype.kind in "biuf":
        cells = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)).tobytes()
    else:
        cells = "\x1f".join(map(str, column)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(cells).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Importances:
    """The importances of an explanation, for comparisons with other explanations.

    Attributes:
        run_id: The run that holds the explanation.
        run_name: Its name, or the name that the user gave.
        explanation_id: The explanation's id.
        method: The method of the explanation.
        model_class: The class name of the model; that of the last step of a pipeline, and of the
            best estimator of a search.
        scale: The scale of the model's output and of the importances, or None.
        features: The ``F`` unique feature names.
        values: ``(F,)`` importances.
        errors: ``(F,)`` standard errors, or None.
        rows: The number of explained rows and their source.
        row_digests: A digest of the explained rows by feature, or None where the rows were not
            logged.
        in_run: The number of explanations in the run, of which this is the latest.
        output_names: The classes or targets that the importances are averaged over, or None.
        metrics: The metrics of the run by name, without importances.
        params: The params of the run by name.
        groups: The features of each group, whose name replaces them in ``features``; None without
            groups.
    """

    run_id: str
    run_name: str
    explanation_id: str
    method: str
    model_class: str | None
    scale: str | None
    features: tuple[str, ...]
    values: FloatArray
    errors: FloatArray | None = None
    rows: RowCounts = field(default_factory=RowCounts)
    row_digests: Mapping[str, str] | None = None
    in_run: int = 1
    output_names: tuple[str, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] | None = None


def importances_of(explanation: Explanation) -> Importances:
    """Return the importances of an explanation that is not in a run yet."""
    return Importances(
        run_id="",
        run_name="",
        explanation_id=explanation.id,
        method=explanation.method,
        model_class=estimator_name(explanation.model_class, explanation.details),
        scale=explanation.details.output_scale,
        features=comparable_names(explanation.features),
        values=explanation.global_values,
        errors=explanation.standard_errors(),
        rows=explanation.details.rows or RowCounts(),
        row_digests=explanation.row_digests(),
        output_names=as_text(explanation.output_names),
    )


def as_text(labels: Sequence[Any] | None) -> tuple[str, ...] | None:
    """Return class labels or target names as text, as files hold them."""
    return None if labels is None else tuple(map(str, labels))


def estimator_name(model_class: str | None, details: Details) -> str | None:
    """Return the class name of the estimator in a model, None where it is unknown."""
    estimator = None if details.model is None else details.model.estimator
    return estimator or (model_class.rpartition(".")[2] if model_class else None)


def comparable_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names without lone surrogates, which pandas refuses, each name once."""
    return distinct_names([encodable(name) for name in names])


def encodable(text: str) -> str:
    """Return the text with escapes for characters that UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return unique, non-empty names: a repeated name gets a number, an empty one its position."""
    taken = set(names)
    if len(taken) == len(names) and "" not in taken:
        return tuple(names)
    seen: set[str] = set()
    distinct = []
    for position, name in enumerate(names):
        candidate, number = name or f"x{position}", 1
        while candidate in seen or (candidate != name and candidate in taken):
            number += 1
            candidate = f"{name or f'x{position}'}.{number}"
        seen.add(candidate)
        distinct.append(candidate)
    return tuple(distinct)
