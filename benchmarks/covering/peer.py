"""Run plain TabularExplainer on a case, as its samples call it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.covering.ours import Explained
from benchmarks.covering.outcomes import OK, RAISES, SAME, SLOW, WRONG, ZEROS, Floats, Peer

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.statistics import rank

_FAST = ("tree", "linear")  # how the names of methods end that know the inside of their model
KERNEL_ROWS = 20
"""Number of rows for its kernel explainer, which takes minutes for hundreds of them."""
_TOLERANCE = 1e-3
_ROUNDING = 1e-6
"""As in our own check: relative to the size of the values, and of the output."""


def run(explained: Explained) -> Peer:
    """Explain the same model on the same rows, and check the values."""
    fitted = explained.fitted
    assert fitted is not None  # noqa: S101 - the caller knows
    np.random.seed(0)  # noqa: NPY002 - shap draws from it
    started = time.perf_counter()
    try:
        rows = _take(fitted.X, explained.positions)
        explainer = _explainer(fitted.model, fitted.X)
        if "kernel" in type(explainer.explainer).__module__:
            explained = _first(explained, KERNEL_ROWS)
            rows = _take(fitted.X, explained.positions)
        raw = explainer.explain_global(rows)
    except Exception as error:
        text = f"raises {type(error).__name__}: {one_line(error, 100)}"
        return Peer(RAISES, text, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    try:
        return _judge(raw, explained, rows, seconds)
    except Exception as error:
        text = f"no values that could be read: {type(error).__name__}: {one_line(error, 80)}"
        return Peer(RAISES, text, seconds)


def _explainer(model: Any, X: Any) -> Any:
    from interpret_community import TabularExplainer

    options: dict[str, Any] = {}
    if hasattr(X, "columns"):
        options["features"] = list(X.columns)
    classes = getattr(model, "classes_", None)
    if classes is not None and not isinstance(classes, list):  # a list: of several outputs
        options["classes"] = np.asarray(classes).tolist()
    return TabularExplainer(model, X, **options)


def _first(explained: Explained, rows: int) -> Explained:
    """The same with our explanation of the first rows only, to compare like with like."""
    positions = explained.positions[:rows]
    ours = explained.explanation
    if ours is None or ours.local_values is None:
        return replace(explained, positions=positions)
    local = ours.local_values[..., :rows, :]
    ours = replace(ours, local_values=local, global_values=_importances(local))
    return replace(explained, positions=positions, explanation=ours)


def _take(X: Any, positions: Any) -> Any:
    if isinstance(X, pd.DataFrame):
        return X.iloc[positions]
    if isinstance(X, list):
        return [X[i] for i in positions]
    if hasattr(X, "tocsr"):
        return X.tocsr()[positions]
    return X[np.asarray(positions).tolist()]


def _judge(raw: Any, explained: Explained, rows: Any, seconds: float) -> Peer:
    method = str(raw.method)
    local = np.asarray(raw.local_importance_values, dtype=np.float64)
    expected = np.asarray(raw.expected_values, dtype=np.float64)
    size = float(np.abs(local).sum(axis=-1).max(initial=0.0))
    output, difference = _closest(local, expected, explained, rows, size)
    if output is None and not np.isfinite(difference):
        return Peer(
            WRONG, f"wrong: values of shape {local.shape} fit no output ({method})", seconds
        )
    if output is None:
        return Peer(WRONG, f"wrong: off by {difference:.3g} ({method})", seconds)
    if not np.any(local):
        constant = " (the model is constant)" if explained.ours.constant else ""
        return Peer(ZEROS, f"all zeros{constant}", seconds)
    ours = explained.explanation
    if ours is None:
        return Peer(OK, f"ok ({method}, {output})", seconds)
    if method.endswith("kernel") and ours.method.endswith(_FAST):
        return Peer(SLOW, f"silently slow: kernel ({output})", seconds)
    theirs = _importances(local)
    if len(theirs) != len(ours.features):
        return Peer(OK, f"ok ({method}, {output}), for {len(theirs)} columns", seconds)
    if _same_ranking(theirs, ours.global_values):
        return Peer(SAME, f"same ranking ({method})", seconds)
    correlation = np.corrcoef(_places(theirs), _places(ours.global_values))[0, 1]
    return Peer(OK, f"ok ({method}, {output}; rank correlation {correlation:.2f})", seconds)


def _importances(local: Floats) -> Floats:
    sizes: Floats = np.abs(local).mean(axis=-2)
    return sizes.mean(axis=0) if sizes.ndim == 2 else sizes


def _same_ranking(left: Floats, right: Floats) -> bool:
    """Whether the features with more than rounding errors have the same order."""
    kept = max((left > 1e-9 * left.max()).sum(), (right > 1e-9 * right.max()).sum())
    return bool((rank(left)[:kept] == rank(right)[:kept]).all())


def _places(values: Floats) -> Floats:
    places: Floats = pd.Series(values).rank().to_numpy()
    return places


def _closest(
    local: Floats, expected: Floats, explained: Explained, rows: Any, size: float
) -> tuple[str | None, float]:
    """The first output that the values add up to, else None and the smallest miss."""
    best = float("inf")
    sums = _sums(local, expected)
    model = explained.fitted.model if explained.fitted else None
    for name, output in (*_outputs(model, rows), *_our_output(explained)):
        difference = _miss(np.atleast_2d(sums), output)
        scale = float(np.abs(output).max(initial=0.0))
        if difference <= _TOLERANCE * size + _ROUNDING * scale:
            return name, difference
        best = min(best, difference)
    return None, best


def _sums(local: Floats, expected: Floats) -> Floats:
    sums: Floats = local.sum(axis=-1) + (expected.reshape(-1, 1) if local.ndim == 3 else expected)
    return sums


def _our_output(explained: Explained) -> Iterator[tuple[str, Floats]]:
    """The output that our own values add up to, as a forest's average path length."""
    ours = explained.explanation
    if ours is not None and ours.local_values is not None and ours.expected_values is not None:
        yield explained.ours.scale, np.atleast_2d(_sums(ours.local_values, ours.expected_values)).T


def _miss(sums: Floats, output: Floats) -> float:
    """``sums`` is ``(blocks, rows)``, ``output`` ``(rows,)`` or ``(rows, classes)``."""
    columns = output.reshape(len(output), -1).T
    if columns.shape == sums.shape:
        pairs: list[tuple[Floats, Floats]] = [(sums, columns)]
    elif len(sums) == 1:  # one block for a binary model: either of its classes
        pairs = [(sums, columns[i : i + 1]) for i in range(len(columns))]
    elif len(columns) == 1:  # two blocks for one column: the second is the positive one
        pairs = [(sums[-1:], columns)]
    else:
        return float("inf")
    return min(float(np.abs(left - right).max(initial=0.0)) for left, right in pairs)


def _outputs(model: Any, rows: Any) -> Iterator[tuple[str, Floats]]:
    """All outputs that the values may add up to, also outputs that only the peer explains."""
    for method in ("predict_proba", "decision_function", "score_samples", "predict"):
        with suppress(Exception):
            found = getattr(model, method)(rows)
            found = np.hstack(found) if isinstance(found, list) else found  # of several outputs
            yield method, np.asarray(found, dtype=np.float64)
    with suppress(Exception):
        labels = np.asarray(model.predict(rows)).ravel()
        yield "predicted label", (labels[:, None] == model.classes_[None, :]).astype(np.float64)
    margins: tuple[tuple[str, dict[str, Any]], ...] = (
        ("raw margin", {"output_margin": True}),
        ("raw margin", {"raw_score": True}),
        ("raw margin", {"prediction_type": "RawFormulaVal"}),
    )
    for name, options in margins:
        with suppress(Exception):
            yield name, np.asarray(model.predict(rows, **options), dtype=np.float64)
    with suppress(Exception):
        yield "raw prediction", np.asarray(model._raw_predict(rows), dtype=np.float64)
    with suppress(Exception):
        yield "linear adapter", np.asarray(rows @ model.coef_.T + model.intercept_)
