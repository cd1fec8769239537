"""Private APIs of MLflow's autologging and fluent interface, with their public fallbacks.

No other module of this folder uses them; tests/autologging/test_mlflow_patches.py is their contract
test. The public functions in their place ask the server, which a fit must not wait for.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from mlflow_interpret.runtime.isolation import preserve_random_state

_logger = logging.getLogger(__name__)


def last_run_id() -> str | None:
    """The id of the run that this thread ended last, as of ``mlflow.last_active_run``."""
    from mlflow.tracking import fluent

    run_id: str | None = fluent._last_active_run_id.get()  # type: ignore[no-untyped-call]
    return run_id


def active_experiment_id() -> str | None:
    """The experiment that ``mlflow.set_experiment`` chose, or None."""
    from mlflow.tracking import fluent

    return fluent._active_experiment_id


def default_experiment_id() -> str:
    """The experiment of new runs where none was chosen; it may ask the server."""
    from mlflow.tracking.fluent import _get_experiment_id

    return _get_experiment_id() or "0"


def random_run_name() -> str | None:
    """A name as MLflow gives to new runs, from a fresh seed instead of the user's random state."""
    try:
        from mlflow.utils.name_utils import _generate_random_name
    except ImportError:
        return None
    with preserve_random_state():
        name: str = _generate_random_name()  # type: ignore[no-untyped-call]
    return name


@contextmanager
def training_session() -> Iterator[None]:
    """Make a block look to MLflow like a part of a fit, which it does not record."""
    if "mlflow.sklearn" not in sys.modules:
        yield
        return
    from mlflow.sklearn import _SklearnTrainingSession

    with _SklearnTrainingSession(estimator=None, allow_children=False):
        yield


@contextmanager
def patches_lifted(concerns: Callable[[Any], bool]) -> Iterator[None]:
    """Remove MLflow's integrations for a block, and restore them with their settings.

    Args:
        concerns: Whether a patch, with ``destination`` and ``name``, is in the way. All patches of
            its integration are lifted.
    """
    if "mlflow.utils.autologging_utils" not in sys.modules:
        yield
        return
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS
    from mlflow.utils.autologging_utils.safety import _AUTOLOGGING_PATCHES, revert_patches

    lifted = {
        name: dict(AUTOLOGGING_INTEGRATIONS.get(name, {}))
        for name, patches in list(_AUTOLOGGING_PATCHES.items())
        if any(concerns(patch) for patch in patches)
    }
    for name in lifted:
        revert_patches(name)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for name, settings in lifted.items():
            try:
                _restore(name, settings)
            except Exception:  # the other integrations, and ours, must still work
                _logger.warning("mlflow.%s.autolog() could not be enabled again.", name)
                _logger.debug("Restoring MLflow's patches failed", exc_info=True)


def _restore(name: str, settings: dict[str, Any]) -> None:
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS, get_autolog_function

    autolog = get_autolog_function(name)
    if autolog is None:
        return
    parameters = inspect.signature(autolog).parameters
    autolog(**{key: value for key, value in settings.items() if key in parameters})
    # Some settings are no arguments, for example that mlflow.autolog() made them.
    AUTOLOGGING_INTEGRATIONS[name].update(settings)


def before_run_ends(hook: Callable[[str, str], None]) -> Callable[[], None]:
    """Call ``hook`` with the id and the status of each run that this process is about to end.

    MLflow has no hook for it. All ways to end a run call this public method.

    Args:
        hook: A function that must not raise.

    Returns:
        A function that removes the hook.
    """
    from mlflow import MlflowClient

    original = MlflowClient.set_terminated

    @functools.wraps(original)
    def set_terminated(
        client: Any, run_id: str, status: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        hook(run_id, status or "FINISHED")
        return original(client, run_id, status, *args, **kwargs)

    setattr(MlflowClient, "set_terminated", set_terminated)  # noqa: B010 - mypy forbids it

    def remove() -> None:
        if MlflowClient.set_terminated is set_terminated:
            setattr(MlflowClient, "set_terminated", original)  # noqa: B010

    return remove


_hidden_metrics: ContextVar[Callable[[str], bool] | None] = ContextVar(
    "mlflow_interpret_hidden_metrics", default=None
)


def around_model_log(
    recognise: Callable[[Iterable[Any]], list[Any]],
    observe: Callable[[list[Any], str], None],
    hides: Callable[[str], bool],
) -> Callable[[], None]:
    """Observe `mlflow.models.Model.log`, the public method by which all flavors log a model.

    MLflow copies all metrics of the active run to the new logged model, one request for each. It
    reads the metrics that ``hides`` as empty while it logs a recognised model, so that this model
    does not get those of the other models in its run.

    Args:
        recognise: Returns the known ones of some objects; must not raise.
        observe: Called with the known objects and the id of their logged model; must not raise.
        hides: Whether a metric, by its name, is not copied.

    Returns:
        A function that removes the hooks.
    """
    from mlflow import MlflowClient
    from mlflow.models import Model

    original_log = Model.__dict__["log"]
    original_history = MlflowClient.get_metric_history

    @functools.wraps(original_log.__func__)
    def log(cls: Any, *args: Any, **kwargs: Any) -> Any:
        known = recognise((*args, *kwargs.values()))
        if not known:
            return original_log.__get__(None, cls)(*args, **kwargs)
        token = _hidden_metrics.set(hides)
        try:
            info = original_log.__get__(None, cls)(*args, **kwargs)
        finally:
            _hidden_metrics.reset(token)
        model_id = getattr(info, "model_id", None)
        if model_id is not None:
            observe(known, model_id)
        return info

    @functools.wraps(original_history)
    def get_metric_history(client: Any, run_id: str, key: str, *args: Any, **kwargs: Any) -> Any:
        is_hidden = _hidden_metrics.get()
        if is_hidden is not None and is_hidden(key):
            return []
        return original_history(client, run_id, key, *args, **kwargs)

    patches = [
        (Model, "log", original_log, classmethod(log)),
        (MlflowClient, "get_metric_history", original_history, get_metric_history),
    ]
    for cls, name, _, patch in patches:
        setattr(cls, name, patch)

    def remove() -> None:
        for cls, name, original, patch in patches:
            if cls.__dict__.get(name) is patch:
                setattr(cls, name, original)

    return remove


def after_import(hook: Callable[[Any], None], module: str) -> None:
    """Call ``hook`` with a module when it is imported, or at once if it already is."""
    from mlflow.utils.import_hooks import register_post_import_hook

    register_post_import_hook(hook, module)
