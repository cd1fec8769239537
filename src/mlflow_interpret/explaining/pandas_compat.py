"""pandas' interface for subclasses of DataFrame, which has underscores though it is documented."""

from __future__ import annotations

from typing import Any

import pandas as pd


def as_subclass(frame: pd.DataFrame, template: pd.DataFrame) -> Any:
    """``frame`` in the class of ``template``, with its attributes."""
    return template._constructor(frame).__finalize__(template)
