"""Fixtures of a running double and its clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal

import pytest

from . import AzureMLDouble
from .azurite import find_azurite
from .browser import Browser


def require_azurite() -> None:
    """Skip the test without Azurite; fail it if CI requires all tests."""
    if find_azurite() is None:
        message = "Azurite is not installed (npm install azurite)"
        if os.environ.get("CI_REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="module", params=["memory", "azurite"])
def double(request: pytest.FixtureRequest) -> Iterator[AzureMLDouble]:
    """A running double, once with each blob storage."""
    backend: Literal["azurite", "memory"] = request.param
    if backend == "azurite":
        require_azurite()
    with AzureMLDouble(blobs=backend) as running:
        yield running


@pytest.fixture
def browser(double: AzureMLDouble) -> Iterator[Browser]:
    """Plain requests to the double."""
    opened = Browser(double)
    yield opened
    opened.close()


@pytest.fixture
def run_id(double: AzureMLDouble) -> str:
    """A new run."""
    return double.create_run()


@pytest.fixture
def token(double: AzureMLDouble, run_id: str) -> str:
    """The new run's token."""
    return double.issue_token(run_id)


@pytest.fixture
def write_link(browser: Browser, token: str, run_id: str) -> str:
    """A link to write a new artifact, ``new.bin``."""
    answer = browser.reserve(token, run_id, "new.bin")
    link: str = answer["artifactContentInformation"]["new.bin"]["contentUri"]
    return link
