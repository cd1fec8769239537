"""Fixtures of the tests of autologging."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.autologging.fit_hooks import FitEvent


@pytest.fixture
def events() -> Iterator[list[FitEvent]]:
    """The events of all fits during the test."""
    seen: list[FitEvent] = []
    fit_hooks.install(seen.append)
    yield seen
    fit_hooks.uninstall()
