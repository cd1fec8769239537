"""A row of the coverage table before it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fitted:
    """A fitted model and the rows it was fitted on, in the container it was given."""

    model: Any
    X: Any


@dataclass(frozen=True)
class Case:
    """One model on one table.

    Attributes:
        section: The heading it stands under.
        name: The model and its data.
        fit: Loads the data and fits the model; raises the error of the fit.
    """

    section: str
    name: str
    fit: Callable[[], Fitted]

    @property
    def key(self) -> str:
        """The text that `--only` is matched with."""
        return f"{self.section}: {self.name}"


class Missing(Exception):  # noqa: N818 - no error: the case needs a package that is not installed
    """A package that the case is about is not installed."""
