"""All cases, in the order of the report."""

from __future__ import annotations

import warnings

from benchmarks.covering import boosters, estimators, pipelines, tables, wrappers
from benchmarks.covering.case import Case


def cases() -> list[Case]:
    """Every case; the same list in every process."""
    modules = (estimators, wrappers, pipelines, boosters, tables)
    with warnings.catch_warnings():  # of deprecated estimators, which are tried all the same
        warnings.simplefilter("ignore")
        found = [case for module in modules for case in module.cases()]
    keys = [case.key for case in found]
    repeated = {key for key in keys if keys.count(key) > 1}
    if repeated:
        raise ValueError(f"cases of the same name: {sorted(repeated)}")
    return found
