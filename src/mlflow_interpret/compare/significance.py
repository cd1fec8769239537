"""Differences between runs, those that chance explains told apart; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.compare.tables import errors_of, ranks
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray, finite, shares, total

LEVEL = 0.05
"""A difference counts where its adjusted p-value is below."""


def differences(reference: Importances, others: Sequence[Importances]) -> pd.DataFrame:
    """How each shared feature differs from the reference, and whether beyond the error bars.

    Importances are compared where both runs have the same scale, else shares of the total of the
    shared features. The standard errors are those of means over the explained rows, the two runs
    taken as independent: ``sqrt(e1**2 + e2**2)``. Means of few rows are tested as such: the 95 %
    interval and the two-sided p-value are those of Welch's t test. The p-values are adjusted for
    the number of tests by Benjamini and Hochberg's procedure
    (`scipy.stats.false_discovery_control`): of the differences that count, about one in twenty
    is expected to be chance. The errors know of the explained rows only: that another seed or
    another sample of training rows would have given another model, they do not know.

    Returns:
        ``feature``, ``run_id``, ``compared`` (``importance`` or ``share``), ``reference`` and
        ``value``, ``difference`` (value - reference), ``standard_error``, ``low``, ``high``,
        ``p_value``, ``p_adjusted``, ``differs`` (missing where there are no standard errors), and
        among the shared features ``rank_reference``, ``rank`` and ``rank_change`` (positive: up).
    """
    parts = [_difference(reference, run) for run in others]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    difference, error = columns["difference"], columns["standard_error"]
    p, reach = _welch(difference, error, columns.pop("freedom"))
    adjusted = _adjusted(p)
    ranked = {name: columns.pop(name) for name in ("rank_reference", "rank")}
    ranked["rank_change"] = ranked["rank_reference"] - ranked["rank"]
    table = pd.DataFrame(
        {
            **columns,
            "low": difference - reach,
            "high": difference + reach,
            "p_value": p,
            "p_adjusted": adjusted,
            "differs": pd.array(adjusted < LEVEL, dtype="boolean"),
            **{name: pd.array(values, dtype="Int64") for name, values in ranked.items()},
        }
    )
    table["differs"] = table["differs"].mask(np.isnan(adjusted))
    return table


def _difference(reference: Importances, run: Importances) -> dict[str, npt.NDArray[Any]]:
    places = {name: i for i, name in enumerate(run.features)}
    shared = [name for name in reference.features if name in places]
    mine = np.flatnonzero([name in places for name in reference.features])
    its = np.asarray([places[name] for name in shared], dtype=int)
    a, b = finite(reference.values[mine]), finite(run.values[its])
    a_error, b_error = errors_of(reference)[mine], errors_of(run)[its]
    both = np.isfinite(a) & np.isfinite(b)
    compared = "importance"
    if reference.scale != run.scale:
        compared = "share"
        a, b = np.where(both, a, np.nan), np.where(both, b, np.nan)
        a_error, b_error = _share_errors(a, a_error), _share_errors(b, b_error)
        a, b = shares(a), shares(b)
    return {
        "feature": np.asarray(shared, dtype=object),
        "run_id": np.full(len(shared), run.run_id, dtype=object),
        "compared": np.full(len(shared), compared, dtype=object),
        "reference": a,
        "value": b,
        "difference": b - a,
        "standard_error": np.hypot(a_error, b_error),
        "freedom": _freedom((a_error, _rows(reference)), (b_error, _rows(run))),
        "rank_reference": ranks(np.where(both, a, np.nan)),
        "rank": ranks(np.where(both, b, np.nan)),
    }


def _share_errors(values: FloatArray, errors: FloatArray) -> FloatArray:
    """``(F,)`` standard errors of the shares, to first order.

    The total is uncertain, too. How the importances vary together is not known, so the other
    features are taken to err all in one direction, which is cautious.
    """
    share = shares(values)
    others = np.nansum(np.where(np.isnan(values), 0, errors)) - errors
    found: FloatArray = np.hypot((1 - share) * errors, share * others) / total(values)
    return found


def _rows(run: Importances) -> float:
    """How many rows the importances are means over; many, where that is not known."""
    return float(run.rows.explained or np.inf)


def _freedom(a: tuple[FloatArray, float], b: tuple[FloatArray, float]) -> FloatArray:
    """``(F,)`` degrees of freedom of two means' difference, by Welch and Satterthwaite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sum(error**4 / max(rows - 1, 1) for error, rows in (a, b))
        freedom = (a[0] ** 2 + b[0] ** 2) ** 2 / spread
    return np.where(np.isnan(freedom), np.inf, freedom)


def _welch(
    difference: FloatArray, error: FloatArray, freedom: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Two-sided p-values, and how far the 95 % intervals reach."""
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(difference) / error
    statistic[(difference == 0) & (error == 0)] = 0.0  # features that do nothing do not differ
    p: FloatArray = 2 * t.sf(statistic, freedom)
    return p, t.ppf(1 - LEVEL / 2, freedom) * error


def _adjusted(p: FloatArray) -> FloatArray:
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    return adjusted
