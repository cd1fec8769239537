"""The record of how an explanation was computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mlflow_interpret.core.details_checks import check_details, check_types
from mlflow_interpret.core.errors import LEFT_OUT, MlflowInterpretError


@dataclass(frozen=True)
class Note:
    """A sentence about an approximation or a problem.

    Attributes:
        text: The sentence.
        public_text: The sentence without values of rows, which errors of other packages may quote;
            None where ``text`` holds none.
    """

    text: str
    public_text: str | None = None

    def __str__(self) -> str:
        return self.text

    def without_values(self) -> Note:
        """Return the note without values of rows."""
        return self if self.public_text is None else Note(self.public_text)


@dataclass(frozen=True)
class ModelInfo:
    """Class names of the explained model.

    Attributes:
        fitted: The class that ``fit`` was called on.
        explained: The path to the explained part, such as ``GridSearchCV.best_estimator_``.
        estimator: The last step of the explained part.
    """

    fitted: str | None = None
    explained: str | None = None
    estimator: str | None = None


@dataclass(frozen=True)
class RowCounts:
    """The number of explained rows and their source.

    Attributes:
        source: ``training rows``, ``evaluation_examples``, ``initialization_examples``,
            ``new rows`` or ``held-out rows``.
        available: The number of rows in the source.
        explained: The number of explained rows.
        kept: The number of explained rows whose contributions are kept, None for all.
    """

    source: str | None = None
    available: int | None = None
    explained: int | None = None
    kept: int | None = None


@dataclass(frozen=True)
class AttributionCheck:
    """Result of the check that contributions of another package belong to their columns.

    Attributes:
        outcome: ``passed``, ``declined`` or ``skipped``.
        explainer: The library and function that computed the contributions.
        rows: The number of checked rows.
        columns: The number of checked columns.
        reason: The reason why the explainer was declined, or the check skipped.
    """

    outcome: str | None = None
    explainer: str | None = None
    rows: int | None = None
    columns: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Details:
    """How an explanation was computed.

    Attributes:
        model: Class names of the model.
        engine: The library and function that computed the values.
        output_scale: The scale of the model output that the values add up to.
        additivity_error: The largest absolute difference between that output and the sum of the
            contributions of a row.
        additivity_breach: A warning where that difference is more than rounding.
        attribution_check: The check of contributions that another package computed; None for those
            of this package.
        sampling_error: The typical standard error of a contribution, relative to the largest
            contribution of its row.
        rows: The number of explained rows and their source.
        stopped: The reason why no more rows were explained: ``all rows``, ``settled``,
            ``max_rows`` or ``time_budget``.
        has_converged: The ranking of the leading features is stable.
        partial: Rows or permutations were left out before the ranking was stable, other than by
            the user's ``max_rows``.
        time_budget: The time budget in seconds.
        intervals: Confidence intervals of the leading importances: ``level``, ``about`` and ``of``.
        background_rows: The number of background rows.
        n_features: The number of features.
        random_state: The seed.
        notes: Approximations and problems.
        versions: Versions of Python and of the packages involved.
        seconds: The duration in seconds.
        histograms: Mean contributions by the values of the leading features.
        directions: The direction in which each leading feature moves the output; see
            `core.directions`.
        raw_explanation_id: The id of the view by raw column, of a view by engineered column.
        baseline: The comparison with a baseline run.
        baseline_missing: The reason why there is no such comparison.
        groups_missing: The reason why there are no importances of the groups that were asked for.
        extra: Further entries of a file that this version does not know.
    """

    model: ModelInfo | None = None
    engine: str | None = None
    output_scale: str | None = None
    additivity_error: float | None = None
    additivity_breach: str | None = None
    attribution_check: AttributionCheck | None = None
    sampling_error: float | None = None
    rows: RowCounts | None = None
    stopped: str | None = None
    has_converged: bool | None = None
    partial: bool | None = None
    time_budget: float | None = None
    intervals: Mapping[str, Any] | None = None
    background_rows: int | None = None
    n_features: int | None = None
    random_state: int | None = None
    notes: tuple[Note, ...] = ()
    versions: Mapping[str, str] | None = None
    seconds: float | None = None
    histograms: tuple[Mapping[str, Any], ...] | None = None
    directions: Mapping[str, Mapping[str, Any]] | None = None
    raw_explanation_id: str | None = None
    baseline: Mapping[str, Any] | None = None
    baseline_missing: str | None = None
    groups_missing: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_stopped_early(self) -> bool:
        """Whether the ranking was stable before all rows were explained."""
        return self.stopped == "settled"

    @property
    def partial_reason(self) -> str | None:
        """The reason why the explanation is partial, and the remedy; None where it is not."""
        if not self.partial:
            return None
        rows = self.rows or RowCounts()
        counts = f"{rows.explained or 0:,} of {rows.available or 0:,} rows were explained"
        if self.stopped == "max_rows":
            return f"{counts}, and the ranking of the features is not stable. Pass max_rows."
        budget = "" if self.time_budget is None else f" of {self.time_budget:.3g} s"
        return (
            f"{counts} before the time budget{budget} ended, and the ranking of the features may "
            "not be stable. Pass a longer time_budget."
        )

    def without_values(self) -> Details:
        """Return the details without values of rows: histograms, categories, quoted errors."""
        notes = tuple(note.without_values() for note in self.notes)
        directions = _without_categories(self.directions or {})
        return replace(self, histograms=None, directions=directions or None, notes=notes)

    def to_json(self) -> dict[str, Any]:
        """Return the entries of ``explanation.json`` and ``status.json`` as JSON values."""
        complete = self.engine is not None  # of an explanation that this package computed
        entries: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in {"extra", "notes"}:
                continue
            is_missing_baseline = entry.name == "baseline" and self.baseline_missing is not None
            if (
                value is None
                and not (complete and entry.name in _ALWAYS)
                and not is_missing_baseline
            ):
                continue
            if isinstance(value, (ModelInfo, RowCounts, AttributionCheck)):
                value = {k: v for k, v in vars(value).items() if v is not None}
            entries[_KEYS.get(entry.name, entry.name)] = value
        if self.notes or complete:
            entries["notes"] = [note.text for note in self.notes]
        public = {str(i): n.public_text for i, n in enumerate(self.notes) if n.public_text}
        if public:
            entries[_PUBLIC_NOTES] = public
        return {**entries, **self.extra}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> Details:
        """Return the details that `to_json` wrote, or those of an older version.

        Raises:
            InvalidExplanationError: An entry has another type.
        """
        names = {_KEYS.get(entry.name, entry.name): entry.name for entry in fields(cls)}
        known = {
            names[key]: value
            for key, value in entries.items()
            if key in names and key not in _OWN_TYPES
        }
        extra = {
            key: value
            for key, value in entries.items()
            if key not in names and key not in {_PUBLIC_NOTES, _QUOTED}
        }
        check_details(cls, entries, known)
        histograms = entries.get("histograms")
        return cls(
            **known,
            model=_read(ModelInfo, entries.get("model")),
            rows=_read(RowCounts, entries.get("rows")),
            attribution_check=_read(AttributionCheck, entries.get("attribution_check")),
            notes=_read_notes(entries),
            histograms=None if histograms is None else tuple(histograms),
            extra=extra,
        )


_KEYS = {"has_converged": "settled", "n_features": "features"}
"""Keys in files that differ from the attribute; the storage format is older than the names."""

_ALWAYS = {
    "model", "engine", "output_scale", "additivity_error", "additivity_breach", "sampling_error",
    "rows", "stopped", "has_converged", "partial", "time_budget", "intervals", "background_rows",
    "n_features", "random_state", "versions",
}  # fmt: skip
"""Entries that are null rather than missing."""

_OWN_TYPES = {"extra", "notes", "model", "rows", "histograms", "attribution_check"}
"""Entries that are read as values of their own types."""

_PUBLIC_NOTES = "public_notes"
_QUOTED = "quoted"
"""Texts of foreign errors that notes of version 0.1.0 quote."""


def note_because(text: str, error: MlflowInterpretError) -> Note:
    """Return a note with an error as the reason."""
    note, public = f"{text}, because {error}.", f"{text}, because {error.public_message}."
    return Note(note, None if public == note else public)


def as_notes(texts: Iterable[str | Note]) -> tuple[Note, ...]:
    """Return notes of texts that hold no values of rows, and of notes."""
    return tuple(text if isinstance(text, Note) else Note(text) for text in texts)


def _without_categories(directions: Mapping[str, Any]) -> dict[str, Any]:
    """Return directions without those that name categories, which are values of rows."""
    public: dict[str, Any] = {}
    for name, entry in directions.items():
        outputs = _without_categories(entry["outputs"]) if "outputs" in entry else None
        if outputs:
            public[name] = {**entry, "outputs": outputs}
        elif outputs is None and "highest" not in entry:
            public[name] = entry
    return public


def _read(cls: type[Any], entries: Any) -> Any:
    if not isinstance(entries, Mapping):
        return None
    names = {entry.name for entry in fields(cls)}
    known = {key: value for key, value in entries.items() if key in names}
    check_types(cls, known)
    return cls(**known)


def _read_notes(entries: Mapping[str, Any]) -> tuple[Note, ...]:
    public = entries.get(_PUBLIC_NOTES) or {}
    # Version 0.1.0 did not record which note quotes an error.
    unknown = LEFT_OUT if entries.get(_QUOTED) else None
    return tuple(
        Note(str(text), public.get(str(i), unknown))
        for i, text in enumerate(entries.get("notes") or ())
    )
