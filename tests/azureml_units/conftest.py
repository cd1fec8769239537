"""A double whose environment this very process has."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from azureml_double import AzureMLDouble


def enter(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Give this process an environment for the time of a test."""
    for name in set(os.environ) - set(environment):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def cloud() -> Iterator[AzureMLDouble]:
    """One double for a module's tests, which look only at what is theirs."""
    with AzureMLDouble(blobs="memory") as running:
        yield running


@pytest.fixture
def laptop(cloud, tmp_path, monkeypatch) -> AzureMLDouble:
    """The double, in whose environment this process is somebody with a service principal."""
    environment = cloud.laptop_environment(tmp_path / "home")
    del environment["MLFLOW_TRACKING_URI"]
    enter(monkeypatch, environment)
    monkeypatch.setattr("mlflow_interpret.azureml.calls._FIRST_WAIT", 0.01)
    yield cloud
    cloud.heal()
