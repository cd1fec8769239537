"""Significance tests of the differences between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlflow_interpret.compare.run_facts import run_names
from mlflow_interpret.compare.tables import errors_of, feature_ranks
from mlflow_interpret.core.explanation import Importances
from mlflow_interpret.core.statistics import FloatArray, finite, shares, total

SIGNIFICANCE_LEVEL = 0.05
"""A difference is significant if its adjusted p-value is below."""


def difference_table(reference: Importances, others: Sequence[Importances]) -> pd.DataFrame:
    """Differences of each shared feature from the reference, with significance tests.

    Importances are compared if both runs have the same scale; otherwise their shares of the total
    of the shared features. The importances are means over the explained rows, and the two runs are
    assumed to be independent, so the standard error is ``sqrt(e1**2 + e2**2)``. The 95 % interval
    and the two-sided p-value are those of Welch's t-test. The p-values are adjusted for multiple
    tests by the procedure of Benjamini and Hochberg (`scipy.stats.false_discovery_control`): about
    one in twenty significant differences is expected to be due to chance. The errors cover the
    choice of the explained rows only. They do not cover the variation of the model with the seed or
    the training rows.

    Returns:
        ``feature``, ``name`` and ``run_id``, ``compared`` (``importance`` or ``share``),
        ``reference`` and ``value``, ``difference`` (value - reference), ``standard_error``,
        ``low``, ``high``, ``p_value``, ``p_adjusted``, ``differs`` (missing without standard
        errors), and among the shared features ``rank_reference``, ``rank`` and ``rank_change``
        (positive: more important).
    """
    names = run_names([reference, *others])[1:]
    parts = [_differences_of(reference, run, name) for run, name in zip(others, names, strict=True)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    difference, error = columns["difference"], columns["standard_error"]
    p_value, half_width = _welch_test(difference, error, columns.pop("degrees_of_freedom"))
    p_adjusted = _adjust_p_values(p_value)
    ranks = {name: columns.pop(name) for name in ("rank_reference", "rank")}
    ranks["rank_change"] = ranks["rank_reference"] - ranks["rank"]
    table = pd.DataFrame(
        {
            **columns,
            "low": difference - half_width,
            "high": difference + half_width,
            "p_value": p_value,
            "p_adjusted": p_adjusted,
            "differs": pd.array(p_adjusted < SIGNIFICANCE_LEVEL, dtype="boolean"),
            **{name: pd.array(values, dtype="Int64") for name, values in ranks.items()},
        }
    )
    table["differs"] = table["differs"].mask(np.isnan(p_adjusted))
    return table


def _differences_of(
    reference: Importances, run: Importances, name: str
) -> dict[str, npt.NDArray[Any]]:
    positions = {feature: i for i, feature in enumerate(run.features)}
    shared = [feature for feature in reference.features if feature in positions]
    in_reference = np.flatnonzero([feature in positions for feature in reference.features])
    in_run = np.asarray([positions[feature] for feature in shared], dtype=int)
    a, b = finite(reference.values[in_reference]), finite(run.values[in_run])
    a_error, b_error = errors_of(reference)[in_reference], errors_of(run)[in_run]
    in_both = np.isfinite(a) & np.isfinite(b)
    compared = "importance"
    if reference.scale != run.scale:
        compared = "share"
        a, b = np.where(in_both, a, np.nan), np.where(in_both, b, np.nan)
        a_error, b_error = _share_errors(a, a_error), _share_errors(b, b_error)
        a, b = shares(a), shares(b)
    return {
        "feature": np.asarray(shared, dtype=object),
        "name": np.full(len(shared), name, dtype=object),
        "run_id": np.full(len(shared), run.run_id, dtype=object),
        "compared": np.full(len(shared), compared, dtype=object),
        "reference": a,
        "value": b,
        "difference": b - a,
        "standard_error": np.hypot(a_error, b_error),
        "degrees_of_freedom": _degrees_of_freedom(
            (a_error, _n_rows(reference)), (b_error, _n_rows(run))
        ),
        "rank_reference": feature_ranks(np.where(in_both, a, np.nan)),
        "rank": feature_ranks(np.where(in_both, b, np.nan)),
    }


def _share_errors(values: FloatArray, errors: FloatArray) -> FloatArray:
    """``(F,)`` standard errors of the shares, to first order.

    The total has an error, too. The covariance of the importances is unknown, so the errors of the
    other features are assumed to have the same sign, which is conservative.
    """
    share = shares(values)
    other_errors = np.nansum(np.where(np.isnan(values), 0, errors)) - errors
    numerator: FloatArray = np.hypot((1 - share) * errors, share * other_errors)
    return numerator / total(values)


def _n_rows(run: Importances) -> float:
    """Number of rows that the importances are means of; infinite if it is unknown."""
    return float(run.rows.explained or np.inf)


def _degrees_of_freedom(a: tuple[FloatArray, float], b: tuple[FloatArray, float]) -> FloatArray:
    """``(F,)`` degrees of freedom of the difference of two means, by Welch and Satterthwaite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sum(error**4 / max(n_rows - 1, 1) for error, n_rows in (a, b))
        freedom = (a[0] ** 2 + b[0] ** 2) ** 2 / spread
    return np.where(np.isnan(freedom), np.inf, freedom)


def _welch_test(
    difference: FloatArray, error: FloatArray, degrees_of_freedom: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Two-sided p-values and the half widths of the 95 % intervals.

    `scipy.stats.ttest_ind_from_stats` gives no interval and accepts no infinite number of rows.
    """
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(difference) / error
    statistic[(difference == 0) & (error == 0)] = 0.0  # unused features do not differ
    p_value: FloatArray = 2 * t.sf(statistic, degrees_of_freedom)
    return p_value, t.ppf(1 - SIGNIFICANCE_LEVEL / 2, degrees_of_freedom) * error


def _adjust_p_values(p_value: FloatArray) -> FloatArray:
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p_value), np.nan)
    is_known = np.isfinite(p_value)
    if is_known.any():
        adjusted[is_known] = false_discovery_control(p_value[is_known])
    return adjusted
