"""The plain records that modules hand to each other."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.core.errors import LEFT_OUT
from mlflow_interpret.core.statistics import FloatArray, rank

Task = Literal["classification", "regression"]

_TELLING = 20  # characters by which the text of an error is known again


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """What is known when the outermost ``fit`` has returned.

    Attributes:
        model: The fitted estimator, as the user called ``fit`` on it.
        X: The training rows that ``fit`` was given, ``(n_rows, n_features)``.
        y: The training labels, ``(n_rows,)``, or None.
        evaluation_examples: Rows to explain, or None for a sample of the training rows.
        evaluation_labels: The true labels of ``evaluation_examples``, or None.
        initialization_examples: Background rows, or None for the training rows.
        features: Names that replace those of ``X``, or None.
        classes: Names that replace the model's class labels, or None.
        run_id: The MLflow run that was active at the fit, or None.
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


@dataclass(frozen=True)
class Plan:
    """How a model is to be explained.

    Attributes:
        max_rows: Explain at most so many rows, None for a ceiling that suits the engine.
        random_state: Chooses rows and their order, and seeds the engine.
        engine: ``auto``, ``kernel`` for TabularExplainer's kernel explainer, or ``tabular`` for
            the one that TabularExplainer itself takes.
        n_jobs: So many blocks of rows at once, as in scikit-learn. None: in this process, or on all
            cores where that is worth starting others, or as ``joblib.parallel_config`` says.
        time_budget: Seconds that explaining should take, None for no limit.
        progress: Called with how many rows are explained, and how many will be at most.
    """

    max_rows: int | None = None
    random_state: int = 0
    engine: str = "auto"
    n_jobs: int | None = None
    time_budget: float | None = None
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """A global explanation of one model, without the model.

    Shapes: ``F`` features, ``R`` explained rows, ``T`` targets, ``C`` blocks: the classes, for
    several targets the classes of all of them, for a regression of several targets the targets.

    Attributes:
        method: How the values were computed, in interpret-community's words (``shap_tree``).
        task: ``classification`` or ``regression``.
        model_class: The class of the explained model.
        features: The ``F`` feature names, all different.
        global_values: ``(F,)`` mean absolute contributions.
        classes: The ``C`` class labels as the model knows them (``target: label`` for several
            targets), None for regression.
        targets: The ``T`` names of the targets where the model has several, else None.
        per_class_values: ``(C, F)`` mean absolute contributions by block, or None.
        local_values: ``(C, R, F)`` or, without blocks, ``(R, F)`` contributions, or None.
        expected_values: ``(C,)``, ``(1,)`` or ``()`` mean model output of the background, or None.
        evaluation_rows: The ``R`` explained rows, or None.
        predicted: ``(R,)`` or ``(R, T)`` predictions for the explained rows, or None.
        predicted_probabilities: ``(R, C)`` class probabilities, or None.
        true_labels: ``(R,)`` or ``(R, T)`` true labels of the explained rows, or None.
        is_raw: The features are the raw columns of a model that engineers features.
        is_engineered: The features are engineered ones.
        engineered: The explanation by engineered column that this one was summed up from, or None.
        global_errors: ``(F,)`` standard errors of the global values, or None to compute them from
            the local values; see `standard_errors`.
        per_class_errors: ``(C, F)`` standard errors of the per-class values, or None to compute
            them from the local values; see `per_class_standard_errors`.
        id: A GUID.
        details: How it was made, for the status record; plain JSON values.
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
    global_errors: FloatArray | None = None
    per_class_errors: FloatArray | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output_names(self) -> tuple[Any, ...] | None:
        """What each block of values belongs to: a class or a target; None for a single output."""
        return self.targets if self.classes is None else self.classes

    @property
    def output_kind(self) -> str:
        """What a block of values belongs to, in a word."""
        return "target" if self.classes is None else "class"

    @property
    def output_kind_plural(self) -> str:
        """`output_kind` for several."""
        return "targets" if self.classes is None else "classes"

    @property
    def is_mirrored(self) -> bool:
        """Whether there are two classes of equal importances: what speaks for one is against one.

        Pictures by class then show everything twice.
        """
        values = self.per_class_values
        if values is None or self.classes is None or len(values) != 2:
            return False
        return bool(np.allclose(values[0], values[1], rtol=1e-6, atol=0, equal_nan=True))

    def standard_errors(self) -> FloatArray | None:
        """``(F,)`` standard errors of the global values as means over the explained rows.

        They say how far the values may be off those of all rows that could have been drawn; None
        without local values or with a single row. Stored ones count before those of the local
        values, which may be a sample of the explained rows.
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
        """``(C, F)`` standard errors of the per-class values, as `standard_errors` are."""
        if self.per_class_errors is not None:
            return self.per_class_errors
        local = self.local_values
        if local is None or local.ndim != 3 or local.shape[1] < 2:
            return None
        # The rows may be a sample of the explained ones, whose means the values are.
        explained = (self.details.get("rows") or {}).get("explained") or 0
        count = max(explained, local.shape[1])
        errors: FloatArray = np.abs(local).std(axis=1, ddof=1) / np.sqrt(count)
        return errors

    def row_digests(self) -> dict[str, str] | None:
        """A digest of each column of the explained rows: it tells whether others are the same.

        None without these rows. Whoever must not see them gets no digest either: the cells of a
        column that knows few values could be guessed from it.
        """
        rows = self.evaluation_rows
        if rows is None or rows.shape[1] != len(self.features):
            return None
        names = comparable_names(self.features)
        return {name: _digest(rows.iloc[:, i]) for i, name in enumerate(names)}

    def quoting(self, texts: Iterable[str]) -> Explanation:
        """The same, which knows the texts of other packages' errors that its details quote."""
        quoted = [text for text in texts if _without([text], self.details) != self.details]
        if not quoted:
            return self
        engineered = None if self.engineered is None else self.engineered.quoting(quoted)
        return replace(self, details={**self.details, "quoted": quoted}, engineered=engineered)

    def without_rows(self) -> Explanation:
        """The aggregates only: nothing in it belongs to a single row of data."""
        # The bounds of bins are cells of some rows, and errors quote cells.
        private = {"histograms", "quoted"}
        details = {name: value for name, value in self.details.items() if name not in private}
        details = _without(self.details.get("quoted") or (), details)
        return replace(
            self,
            details=details,
            local_values=None,
            global_errors=self.standard_errors(),
            per_class_errors=self.per_class_standard_errors(),
            evaluation_rows=None,
            predicted=None,
            predicted_probabilities=None,
            true_labels=None,
            engineered=None if self.engineered is None else self.engineered.without_rows(),
        )

    def ranked(self) -> list[tuple[str, float]]:
        """The features with their importances, most important first."""
        order = rank(self.global_values)
        return [(self.features[i], float(self.global_values[i])) for i in order]


def _without(texts: Sequence[str], value: Any) -> Any:
    """Details whose texts end where one of some texts begins, which may be cut off there."""
    if isinstance(value, str):
        for text in texts:
            before, found, _ = value.partition(text[:_TELLING])
            value = f"{before}{LEFT_OUT}" if found else value
    elif isinstance(value, Mapping):
        return {name: _without(texts, each) for name, each in value.items()}
    elif isinstance(value, (list, tuple)):
        return type(value)(_without(texts, each) for each in value)
    return value


def _digest(column: pd.Series) -> str:
    if column.dtype.kind in "biuf":
        cells = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)).tobytes()
    else:
        cells = "\x1f".join(map(str, column)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(cells).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Importances:
    """What of an explanation is compared with others: its importances, and what they depend on.

    Attributes:
        run_id: The run that holds the explanation.
        run_name: Its name, or what the user called it by.
        explanation_id: The explanation's id.
        method: How the values were computed.
        model_class: The name of the model's class, of a pipeline or a search that of its estimator.
        scale: The scale of the model's output, which is that of the importances, or None.
        features: The ``F`` feature names, all different.
        values: ``(F,)`` importances.
        errors: ``(F,)`` standard errors, or None.
        rows: ``source``, ``explained`` and ``available`` of the explained rows, as far as known.
        row_digests: A digest of the explained rows' cells by feature, or None where the rows were
            not to be logged.
        in_run: How many explanations the run holds, of which this is the latest.
        output_names: The classes or targets whose mean the importances are, or None.
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
    rows: Mapping[str, Any] = field(default_factory=dict)
    row_digests: Mapping[str, str] | None = None
    in_run: int = 1
    output_names: tuple[str, ...] | None = None


def importances_of(explanation: Explanation) -> Importances:
    """What of an explanation that is in no run yet is compared."""
    return Importances(
        run_id="",
        run_name="",
        explanation_id=explanation.id,
        method=explanation.method,
        model_class=estimator_name(explanation.model_class, explanation.details),
        scale=explanation.details.get("output_scale"),
        features=comparable_names(explanation.features),
        values=explanation.global_values,
        errors=explanation.standard_errors(),
        rows=explanation.details.get("rows") or {},
        row_digests=explanation.row_digests(),
        output_names=block_names(explanation.output_names),
    )


def block_names(blocks: Sequence[Any] | None) -> tuple[str, ...] | None:
    """Classes or targets as text, as they stand in files."""
    return None if blocks is None else tuple(map(str, blocks))


def estimator_name(model_class: str | None, details: Mapping[str, Any]) -> str | None:
    """The name of the estimator in a model, as far as it is known."""
    estimator: str | None = (details.get("model") or {}).get("estimator")
    return estimator or (model_class.rpartition(".")[2] if model_class else None)


def comparable_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as tables can hold them: pandas refuses half of a surrogate pair."""
    return distinct_names([encodable(name) for name in names])


def encodable(text: str) -> str:
    """The text, what UTF-8 cannot encode as an escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once and none empty: a repeated one gets a number, an empty one its place."""
    taken = set(names)
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
