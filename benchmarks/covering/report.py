"""The rows as a Markdown file."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import groupby
from pathlib import Path
from statistics import median

from benchmarks.covering.outcomes import (
    ERROR,
    EXPLAINED,
    NOT_FITTED,
    NOT_INSTALLED,
    OK,
    RAISES,
    SAME,
    SKIPPED,
    SLOW,
    TIMEOUT,
    WRONG,
    ZEROS,
    Ours,
    Peer,
    Row,
)
from benchmarks.covering.peer import KERNEL_ROWS

SLOW_SECONDS = 10.0
_PACKAGES = (
    "mlflow-interpret", "interpret-community", "shap", "scikit-learn", "numpy", "pandas", "scipy",
    "xgboost", "lightgbm", "catboost", "skrub", "polars", "pyarrow", "mlflow",
)  # fmt: skip

_OWN_HEADING = (
    "| section | cases | not fitted | explained | all 0, constant | all 0, not constant "
    "| skipped | ERROR | median s | > 10 s |"
)

_INTRODUCTION = """\
Each case fits a model and explains it with `mlflow_interpret`, on a sample of the training rows, as
`autolog()` does. Then plain `TabularExplainer(model, X, features=..., classes=...)
.explain_global(rows)` of interpret-community explains the same model on the same rows.

- **status**: `explained`; `skipped`, with the reason in the status record; `ERROR`, any other
  outcome; `not fitted`: `fit` raises, so there is nothing to explain.
- **additivity error**: the largest absolute difference between the sum of a row's values and the
  output of the model named under *scale*, in the unit of that output.
- **all 0**: every importance is 0. Right for a model with a constant output; the table marks these.
- **seconds**: duration of the explanation without the fit; one thread, with {workers} cases at a
  time.
- **TabularExplainer**: *same ranking* as ours; *ok*, its values add up to an output of the model
  (named in the cell, possibly not the one we explain) and rank the features differently, or there
  is no explanation of ours; *wrong*, the sum of its values and its expected value differs from
  every output of the model by at least the given amount (predict_proba, decision_function,
  predict, raw margins and linear predictors, each with the tolerance of our own check: 0.1 % of
  the values); *silently slow*, it uses the kernel explainer although there is a fast one;
  *all zeros*; *raises*; *timed out* after {timeout:.0f} s and killed. It is
  not run if the fit failed or our explanation timed out.
- Its kernel explainer gets at most {kernel_rows} of the rows, and is compared with our values of
  these rows: its seconds are those of {kernel_rows} rows then.
- A rank correlation compares all features, also those that hardly matter. Both explainers sample.
  For both sides, adding up is necessary for right values, but not sufficient.
"""


def markdown(
    rows: Sequence[Row], command: str, seconds: float, workers: int, timeout: float, load: float
) -> str:
    """The whole file."""
    parts = [
        "# Coverage\n",
        _INTRODUCTION.format(workers=workers, timeout=timeout, kernel_rows=KERNEL_ROWS),
        "## Counts\n",
        *_counts(rows),
        "## How it was run\n",
        *_circumstances(command, seconds, load),
        *_exceptions(rows),
    ]
    for section, members in groupby(rows, key=lambda row: row.section):
        parts += [f"## {section}\n", *_table(list(members))]
    return "\n".join(parts).rstrip() + "\n"


def _counts(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"{len(rows)} cases, {sum(_fitted(r) for r in rows)} of them with a fitted model.",
        "",
        _OWN_HEADING,
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups = [(name, list(group)) for name, group in groupby(rows, key=lambda row: row.section)]
    for name, group in [*groups, ("**all**", list(rows))]:
        lines.append("| " + " | ".join((name, *map(str, _own_counts(group)))) + " |")
    if any(row.peer for row in rows):
        lines += ["", *_peer_counts(groups, rows)]
    return [*lines, ""]


def _fitted(row: Row) -> bool:
    return row.ours is not None and row.ours.status not in {NOT_FITTED, NOT_INSTALLED}


def _own_counts(rows: Sequence[Row]) -> tuple[object, ...]:
    ours = [row.ours for row in rows if row.ours is not None]
    status = Counter(outcome.status for outcome in ours)
    zeros = [outcome for outcome in ours if outcome.zeros]
    times = [o.seconds for o in ours if o.status == EXPLAINED and o.seconds is not None]
    return (
        len(rows),
        status[NOT_FITTED] + status[NOT_INSTALLED],
        status[EXPLAINED],
        sum(outcome.constant for outcome in zeros),
        sum(not outcome.constant for outcome in zeros),
        status[SKIPPED],
        status[ERROR],
        f"{median(times):.2f}" if times else "",
        sum((outcome.seconds or 0.0) > SLOW_SECONDS for outcome in ours),
    )


def _peer_counts(groups: Sequence[tuple[str, list[Row]]], rows: Sequence[Row]) -> Iterator[str]:
    kinds = (SAME, OK, SLOW, ZEROS, WRONG, RAISES, TIMEOUT)
    yield "| TabularExplainer | " + " | ".join(kinds) + " | median s |"
    yield "|---|" + "---|" * (len(kinds) + 1)
    for name, group in [*groups, ("**all**", list(rows))]:
        peers = [row.peer for row in group if row.peer is not None]
        found = Counter(peer.kind for peer in peers)
        good = (SAME, OK, SLOW, ZEROS)
        times = [p.seconds for p in peers if p.kind in good and p.seconds is not None]
        middle = f"{median(times):.2f}" if times else ""
        yield "| " + " | ".join((name, *(str(found[kind]) for kind in kinds), middle)) + " |"


def _circumstances(command: str, seconds: float, load: float) -> list[str]:
    packages = [f"{name} {version}" for name in _PACKAGES if (version := _version(name))]
    return [
        f"- Command: `{command}`; {seconds / 60:.1f} minutes.",
        f"- Python {platform.python_version()}, {', '.join(packages)}.",
        f"- {platform.system()}, {_processor()}, {os.cpu_count()} cores.",
        f"- Load average {load:.1f} at the start; other work on the machine increases the seconds.",
        "",
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _exceptions(rows: Sequence[Row]) -> list[str]:
    """Errors, unexpected zeros and slow cases of ours."""
    lines = []
    for row in rows:
        outcome = row.ours
        if outcome is None:
            lines.append(f"- {_text(row.section)}: {_text(row.name)}: not run")
        elif outcome.status == ERROR:
            lines.append(f"- {_text(row.section)}: {_text(row.name)}: {status(outcome)}")
        elif outcome.zeros and not outcome.constant:
            lines.append(f"- {_text(row.section)}: {_text(row.name)}: all importances are 0")
        elif (outcome.seconds or 0.0) > SLOW_SECONDS:
            lines.append(f"- {_text(row.section)}: {_text(row.name)}: {outcome.seconds:.0f} s")
    heading = "## Errors, unexpected zeros, and more than 10 seconds\n"
    return [heading, *(lines or ["None."]), ""]


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| case | status | method | scale | rows | additivity error | s | TabularExplainer | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines.extend("| " + " | ".join(_cells(row)) + " |" for row in rows)
    return [*lines, ""]


def _cells(row: Row) -> tuple[str, ...]:
    ours = row.ours or Ours(ERROR, "not run")
    peer = row.peer or Peer("", "")
    return (
        _text(row.name),
        _text(status(ours), 200),
        ours.method,
        _text(ours.scale),
        "" if ours.rows is None else f"{ours.rows:,}",
        "" if ours.error is None else f"{ours.error:.1e}",
        _seconds(ours.seconds),
        _text(peer.text, 140),
        _seconds(peer.seconds),
    )


def status(outcome: Ours) -> str:
    """The status in words."""
    if outcome.status != EXPLAINED:
        return f"{outcome.status}: {outcome.reason}"
    if not outcome.zeros:
        return EXPLAINED
    return f"{EXPLAINED}, all 0" + (" (constant model)" if outcome.constant else "")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _text(text: str, limit: int = 90) -> str:
    """Text that cannot break a cell of a Markdown table."""
    text = " ".join(text.split())
    text = text if len(text) <= limit else f"{text[: limit - 1]}…"
    for special in "\\|<>*_`[]":
        text = text.replace(special, f"\\{special}")
    return text
