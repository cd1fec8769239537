"""Memory for explaining, compared with other packages, each in a process of its own.

    python -m benchmarks.memory

prints Markdown. The memory is the increase of the peak memory of the process while it explains,
after the imports, the fit and an explanation of two rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is there: one core

import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.engines import encoded_forests, gems, kernel_of, ours, silently, table
from benchmarks.training import most_memory
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

Case = tuple[Any, Any, Any]  # model, background rows, rows to explain


def forest() -> Case:
    """A deep random forest with all its rows explained."""
    X, y = make_classification(10_000, 40, n_informative=10, random_state=0)
    return RandomForestClassifier(random_state=0).fit(X, y), X[:100], X[:500]


def pipeline() -> Case:
    """One-hot codes and a forest."""
    rows, price = gems(2_000)
    _, model = list(encoded_forests(rows, price))[-1]
    return model, rows, rows[:50]


def black_box() -> Case:
    """A support vector classifier."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    return SVC(probability=True).fit(X, y), X, X[:50]


CASES: dict[str, tuple[str, Callable[[], Case]]] = {
    "forest": ("RandomForestClassifier, 10,000 x 40, 500 rows", forest),
    "pipeline": ("one-hot codes and a forest of max_depth=8, 50 rows", pipeline),
    "black_box": ("SVC, breast cancer, 50 rows", black_box),
}


def explain_one(case: str, side: str) -> None:
    """Print the megabytes that explaining takes."""
    model, background, rows = CASES[case][1]()

    def work(some: Any) -> Any:
        if side == "ours":
            return ours(model, background, some)
        return silently(kernel_of(model, background).explain_global, some)

    work(rows[:2])
    before = most_memory()
    work(rows)
    print(most_memory() - before)


def measured() -> Iterator[tuple[Any, ...]]:
    """Both sides of each case."""
    for case, (title, _) in CASES.items():
        sides = []
        for side in ("ours", "theirs"):
            command = [sys.executable, "-m", "benchmarks.memory", case, side]
            done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            sides.append(f"{done.stdout.split()[-1]} MB")
        yield title, *sides


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if len(sys.argv) > 2:
        explain_one(*sys.argv[1:3])
    else:
        print(
            table(
                "Memory for explaining, compared with TabularExplainer",
                ("model", "ours", "TabularExplainer"),
                measured(),
            )
        )
