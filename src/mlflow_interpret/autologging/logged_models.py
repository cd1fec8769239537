"""Links between explanations and logged models: both are of the same model object.

MLflow's autologging and `log_model` log a model after its explanation, before it (in the
background) or in another run. The object itself connects the two.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow_interpret.autologging import mlflow_patches
from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool

_logger = logging.getLogger("mlflow_interpret")


@dataclass(frozen=True)
class _Explained:
    options: Options
    explanation_id: str
    of_training_rows: bool
    logged: mlflow_store.Logged


@dataclass(frozen=True, eq=False)
class ModelLink:
    """A model as it was trained last, with its logged models and explanations.

    Logging a model and logging its explanation happen in different threads. Each first adds its
    own part and then reads the other, so that one of them sees both; ``_pairs`` has the pairs that
    were taken. Single operations of lists and dictionaries need no lock, which a forked process
    could inherit locked.
    """

    _models: list[tuple[str, str]] = field(default_factory=list)  # tracking URI and model id
    _waiting: list[tuple[str, Path]] = field(default_factory=list)  # tracking URI and spool folder
    _explained: list[_Explained] = field(default_factory=list)
    _pairs: dict[tuple[str, str], object] = field(default_factory=dict)

    def add_model(self, tracking_uri: str, model_id: str) -> None:
        """Add a logged model, and log the importances of the latest explanation to it."""
        self._models.append((tracking_uri, model_id))
        for explained in self._explained[-1:]:
            self._connect(explained, tracking_uri, model_id)
        for uri, folder in list(self._waiting):
            _note_model(folder, uri, tracking_uri, model_id)

    def add_waiting(self, tracking_uri: str, folder: Path) -> None:
        """Add an explanation that waits in the spool; its entry gets all logged models."""
        self._waiting.append((tracking_uri, folder))
        for uri, model_id in list(self._models):
            _note_model(folder, tracking_uri, uri, model_id)

    def add_explanation(
        self, options: Options, explanation: Explanation, logged: mlflow_store.Logged
    ) -> None:
        """Add an explanation, and log its importances to all logged models."""
        explained = _explained(options, explanation, logged)
        self._explained.append(explained)
        for tracking_uri, model_id in list(self._models):
            self._connect(explained, tracking_uri, model_id)

    def _connect(self, explained: _Explained, tracking_uri: str, model_id: str) -> None:
        token, pair = object(), (explained.explanation_id, model_id)
        is_same_store = tracking_uri == explained.logged.tracking_uri
        if is_same_store and self._pairs.setdefault(pair, token) is token:
            _connect(explained, model_id)


def connect(
    options: Options,
    explanation: Explanation,
    logged: mlflow_store.Logged,
    model_ids: Iterable[str],
) -> None:
    """Log the importances of an explanation to logged models of its store."""
    for model_id in model_ids:
        _connect(_explained(options, explanation, logged), model_id)


def _explained(
    options: Options, explanation: Explanation, logged: mlflow_store.Logged
) -> _Explained:
    rows = explanation.details.rows
    of_training_rows = rows is not None and rows.source == "training rows"
    return _Explained(options, explanation.id, of_training_rows, logged)


def _connect(explained: _Explained, model_id: str) -> None:
    logged = explained.logged
    try:
        mlflow_store.add_importances(logged, model_id, of_training_rows=explained.of_training_rows)
        mlflow_store.link_explanation(logged, explained.explanation_id, model_id)
    except Exception as error:  # the model is logged, and so is the explanation
        _logger.debug("The logged model has no importances", exc_info=True)
        warn(
            explained.options,
            f"The importances of run {logged.run_id} could not be logged to the logged model "
            f"{model_id}: {one_line(error)}. Log them with mlflow_interpret.log_explanation("
            f"mlflow_interpret.load_explanation({logged.run_id!r}), {logged.run_id!r}, "
            f"model_id={model_id!r}).",
        )


def _note_model(folder: Path, tracking_uri: str, model_uri: str, model_id: str) -> None:
    """Add a logged model to the entry of an explanation in the spool, if it is in its store."""
    if model_uri != tracking_uri:
        return
    try:
        spool.add_model(folder, model_id)
    except Exception:  # it is logged meanwhile, or the disk is full
        _logger.debug("The logged model is not noted in %s", folder, exc_info=True)


_links: dict[int, tuple[weakref.ref[Any], ModelLink]] = {}  # by the id of the model
_remove_hook: Callable[[], None] | None = None


def install() -> None:
    """Observe the models that MLflow logs."""
    global _remove_hook  # noqa: PLW0603 - one process has one hook
    if _remove_hook is None:
        _remove_hook = mlflow_patches.around_model_log(
            _links_of, _is_logged, mlflow_store.is_importance
        )


def uninstall() -> None:
    """Undo `install`."""
    global _remove_hook  # noqa: PLW0603
    if _remove_hook is not None:
        _remove_hook()
        _remove_hook = None
    _links.clear()


def trained(model: Any) -> ModelLink:
    """Return the new link of a model that was trained just now.

    The best estimator of a search is explained with the search.
    """
    link = ModelLink()
    _register(model, link)
    with suppress(TypeError):  # no __dict__
        best = vars(model).get("best_estimator_")
        if best is not None:
            _register(best, link)
    return link


def link_to(model: Any) -> ModelLink:
    """Return the link of a model since it was trained last."""
    links = _links_of([model])
    return links[0] if links else trained(model)


def _register(model: Any, link: ModelLink) -> None:
    key = id(model)

    def forget(reference: weakref.ref[Any]) -> None:
        if _links.get(key, (None, None))[0] is reference:
            _links.pop(key, None)

    with suppress(TypeError):  # a class with __slots__
        _links[key] = (weakref.ref(model, forget), link)


def _links_of(objects: Iterable[Any]) -> list[ModelLink]:
    """Return the links of those objects that are trained models."""
    known = [(item, _links.get(id(item))) for item in objects]
    return [entry[1] for item, entry in known if entry is not None and entry[0]() is item]


def _is_logged(links: list[ModelLink], model_id: str) -> None:
    try:
        tracking_uri = mlflow_store.current_tracking_uri()
        for link in links:
            link.add_model(tracking_uri, model_id)
    except Exception:  # the user's model is logged
        _logger.debug("The logged model was not observed", exc_info=True)
