"""Outcomes for all kinds of estimators, pipelines and tables.

Prints one line for each case and writes the table to ``COVERAGE.md`` beside this file::

    python benchmarks/coverage.py
    python benchmarks/coverage.py --only "Boosters|SVC" --no-peer
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# Not this file's folder, where `coverage` would hide the package of that name from numba.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.covering import registry, report, workers  # noqa: E402
from benchmarks.covering.outcomes import ERROR, Ours, Row  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 1 if a case ended in an error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    chosen = [case for case in registry.cases() if re.search(options.only, case.key)]
    if not chosen:
        print(f"No case matches {options.only!r}.", file=sys.stderr)
        return 2
    rows = {case.key: Row(case.section, case.name) for case in chosen}
    settings = workers.Settings(
        max_rows=options.rows,
        peer=not options.no_peer,
        peer_timeout=options.peer_timeout,
        own_timeout=options.timeout,
        workers=options.workers,
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    started = time.monotonic()
    for count, row in enumerate(workers.run(list(rows), rows, settings), start=1):
        _show(f"[{count:3}/{len(chosen)}]", row)
    command = shlex.join(["python", "benchmarks/coverage.py", *_without_output(given)])
    seconds = time.monotonic() - started
    text = report.markdown(
        list(rows.values()), command, seconds, settings.workers, settings.peer_timeout, load
    )
    options.output.write_text(text, encoding="utf-8")
    print(f"{len(rows)} cases in {seconds:.0f} s, written to {options.output}")
    return int(any(row.ours is None or row.ours.status == ERROR for row in rows.values()))


def _without_output(given: Sequence[str]) -> list[str]:
    """The arguments without the path of the report."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--output")
    return parser.parse_known_args(given)[1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", default="", metavar="REGEX", help="only the cases whose 'section: name' matches")
    add("--no-peer", action="store_true", help="without plain TabularExplainer")
    add("--rows", type=int, metavar="N", help="max_rows; default: the package's own")
    add("--output", type=Path, metavar="PATH", default=Path(__file__).with_name("COVERAGE.md"))
    add("--workers", type=int, metavar="N", default=min(2, os.cpu_count() or 1))
    add("--timeout", type=float, metavar="S", default=300.0, help="for a fit and our explanation")
    add("--peer-timeout", type=float, metavar="S", default=20.0, help="for TabularExplainer")
    return parser


def _show(count: str, row: Row) -> None:
    ours = row.ours or Ours(ERROR, "not run")
    seconds = "" if ours.seconds is None else f"{ours.seconds:.1f} s"
    words = [report.status(ours), ours.method, ours.scale, seconds]
    peer = f"; TabularExplainer: {row.peer.text}" if row.peer else ""
    line = ", ".join(word for word in words if word)
    print(f"{count} {row.section}: {row.name}: {line}{peer}".replace("\n", " "), flush=True)
    if ours.trace:
        print(ours.trace, flush=True)


if __name__ == "__main__":
    sys.exit(main())
