"""MLflow's autologging: the one place that knows its patches, sessions and import hooks."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_logger = logging.getLogger(__name__)


@contextmanager
def training_session() -> Iterator[None]:
    """Let what happens within look to MLflow like a part of a fit, which it does not record."""
    if "mlflow.sklearn" not in sys.modules:
        yield
        return
    from mlflow.sklearn import _SklearnTrainingSession

    with _SklearnTrainingSession(estimator=None, allow_children=False):
        yield


@contextmanager
def patches_lifted(concerns: Callable[[Any], bool]) -> Iterator[None]:
    """Take MLflow's integrations off for a while, and put them back with their settings.

    Args:
        concerns: Whether a patch, with ``destination`` and ``name``, is in the way; all patches of
            its integration are lifted with it.
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
            except Exception:  # one that fails must not keep the others, nor ours, from working
                _logger.warning("mlflow.%s.autolog() could not be switched on again.", name)
                _logger.debug("Restoring MLflow's patches failed", exc_info=True)


def _restore(name: str, settings: dict[str, Any]) -> None:
    from mlflow.utils.autologging_utils import AUTOLOGGING_INTEGRATIONS, get_autolog_function

    autolog = get_autolog_function(name)
    if autolog is None:
        return
    known = inspect.signature(autolog).parameters
    autolog(**{key: value for key, value in settings.items() if key in known})
    # Some settings are no arguments, e.g. that mlflow.autolog() and not the user made them.
    AUTOLOGGING_INTEGRATIONS[name].update(settings)


def after_import(hook: Callable[[Any], None], module: str) -> None:
    """Call ``hook`` with a module when it is imported, or at once where it already is."""
    from mlflow.utils.import_hooks import register_post_import_hook

    register_post_import_hook(hook, module)
