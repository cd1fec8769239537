"""Fixtures of the tests of autologging."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.autologging.fit_hooks import FitEvent
from mlflow_interpret.stores import mlflow as mlflow_store


@pytest.fixture
def events() -> Iterator[list[FitEvent]]:
    """The events of all fits during the test."""
    seen: list[FitEvent] = []
    fit_hooks.install(seen.append)
    yield seen
    fit_hooks.uninstall()


@pytest.fixture
def notes_sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of each note on a fit that is not explained; the notes are written."""
    sent: list[tuple[Any, ...]] = []
    original = mlflow_store.note_skipped
    monkeypatch.setattr(mlflow_store, "note_skipped", lambda *a: (sent.append(a), original(*a)))
    return sent
