"""Outcomes of a case, ours and the peer's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

EXPLAINED = "explained"
SKIPPED = "skipped"
ERROR = "ERROR"
NOT_FITTED = "not fitted"
NOT_INSTALLED = "not installed"

SAME = "same ranking"
OK = "ok"
WRONG = "wrong"
ZEROS = "all zeros"
SLOW = "silently slow"
RAISES = "raises"
TIMEOUT = "timed out"


@dataclass
class Ours:
    """The outcome of `explain`.

    Attributes:
        status: One of the constants above.
        reason: Why there is no explanation.
        method: The method's name.
        scale: The output of the model that the values add up to.
        error: By how much they miss it, at most.
        seconds: How long it took, without the fit.
        rows: How many rows were explained.
        zeros: All importances are 0.
        constant: The model's output is the same for all explained rows.
        trace: The traceback of an error.
    """

    status: str
    reason: str = ""
    method: str = ""
    scale: str = ""
    error: float | None = None
    seconds: float | None = None
    rows: int | None = None
    zeros: bool = False
    constant: bool = False
    trace: str = ""


@dataclass
class Peer:
    """The outcome of plain TabularExplainer: its kind, the kind in words, and the seconds."""

    kind: str
    text: str
    seconds: float | None = None


@dataclass
class Row:
    """One row of the table."""

    section: str
    name: str
    ours: Ours | None = None
    peer: Peer | None = None
    fit_seconds: float | None = field(default=None, repr=False)
