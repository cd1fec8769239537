"""Entries of the spool: the destination of an explanation, or of the reason that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlflow_interpret.core.options import METRICS, Options
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.stores import base

# The options that logging an explanation needs, with their keys in the file.
_KEYS = {
    "comment": "comment",
    "top_k": "top_k",
    "metrics": "metrics",
    "log_description": "description",
    "log_figures": "figures",
    "baseline": "baseline",
    "log_report": "report",
    "visualization_points": "visualization_points",
}

# Further keys of the file that are attributes of an entry.
_OTHERS = ("model", "log_data", "created", "explanation_id")

# Version 0.1.0 does not read these, so defaults are left out.
_SINCE_0_2 = {"metrics": METRICS, "log_description": True}


@dataclass(frozen=True)
class NewRun:
    """A run that is created for an explanation without a run, and ended when it is logged.

    Attributes:
        experiment_id: The experiment in the store of the entry, None for MLflow's current one.
        name: The name, None for one that MLflow chooses.
        tags: The tags.
        started: The start of the training, in seconds since 1970.
        last_run_id: A run that may be the one of the fit, if an autologger made it since then; the
            server could not be asked. No run is created if it is.
    """

    experiment_id: str | None
    name: str | None
    tags: Mapping[str, str]
    started: float
    last_run_id: str | None = None


@dataclass(frozen=True)
class SkippedFit:
    """A fit that was not explained.

    Attributes:
        fit_id: An id for this fit, by which its run and its record are found again.
        reason: The reason.
    """

    fit_id: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """The destination of an explanation or of a skipped fit.

    A fit that waits for its explanation has an entry, too.

    Attributes:
        tracking_uri: The tracking URI, without credentials.
        run_id: The run, None for a run that is still to be created.
        options: The options that logging needs, by name; JSON values without credentials.
        model: The class of the fitted model, for a fit that waits or was skipped.
        log_data: Rows of data may be kept, for a fit that waits.
        new_run: The run that this package creates, or has created as ``run_id`` and ends.
        created: The time of the status record, ISO 8601; None before the first attempt.
        explanation_id: The id that the explanation will have, for a fit that waits.
        skipped: The fit that was skipped, None for an explanation.
        model_ids: The logged models of the fitted model, in the same store.
    """

    tracking_uri: str
    run_id: str | None
    options: Mapping[str, Any]
    model: str | None = None
    log_data: bool = True
    new_run: NewRun | None = None
    created: str | None = None
    explanation_id: str | None = None
    skipped: SkippedFit | None = None
    model_ids: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, options: Options, tracking_uri: str, run_id: str | None, model: str | None = None
    ) -> Entry:
        """Return the entry of an explanation that is to be logged later as it would be now."""
        values = {name: getattr(options, name) for name in _KEYS}
        for name, default in _SINCE_0_2.items():
            if values[name] == default:
                del values[name]
        values |= {name: store.option_value(options) for name, store in _stores_by_option().items()}
        uri = without_credentials(tracking_uri)
        return cls(uri, run_id, values, model, options.log_data if model else True)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Entry:
        """Return the entry of a file's content.

        Raises:
            KeyError: There is no tracking URI or run, or an unknown key.
        """
        if "kept" in content:  # the format of pending fits before version 0.2
            content = {
                **content["kept"],
                "model": content["model"],
                "log_data": content["log_data"],
            }
        values = dict(content)
        uri, run_id = values.pop("tracking_uri"), values.pop("run_id")
        new_run, skipped = values.pop("new_run", None), values.pop("skipped", None)
        model_ids = tuple(values.pop("model_ids", ()))
        others = {key: values.pop(key) for key in _OTHERS if key in values}
        names = _option_names()
        return cls(
            uri,
            run_id,
            {names[key]: value for key, value in values.items()},
            new_run=None if new_run is None else NewRun(**new_run),
            skipped=None if skipped is None else SkippedFit(**skipped),
            model_ids=model_ids,
            **others,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        keys = {name: key for key, name in _option_names().items()}
        content: dict[str, Any] = {"tracking_uri": self.tracking_uri, "run_id": self.run_id}
        content |= {keys[name]: value for name, value in self.options.items()}
        if self.model is not None:
            content |= {"model": self.model, "log_data": self.log_data}
        if self.new_run is not None:
            content["new_run"] = asdict(self.new_run)
        if self.skipped is not None:
            content["skipped"] = asdict(self.skipped)
        if self.model_ids:
            content["model_ids"] = list(self.model_ids)
        later = {"created": self.created, "explanation_id": self.explanation_id}
        content |= {key: value for key, value in later.items() if value is not None}
        return content

    def to_options(self) -> Options:
        """Return the options for logging."""
        return Options(**self.options)


def _stores_by_option() -> dict[str, base.Store]:
    return {store.option: store for store in base.stores() if store.option is not None}


def _option_names() -> dict[str, str]:
    """Return the names of options by their keys in the file."""
    return {key: name for name, key in _KEYS.items()} | {name: name for name in _stores_by_option()}
