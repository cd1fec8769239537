"""All benchmarks of speed, compared with other packages, into RESULTS.md.

    tox -e benchmarks                            # installs the other packages, measures all
    python -m benchmarks.run --quick             # smaller sizes, fewer repetitions
    python -m benchmarks.run --only training     # one part, printed

Nothing else should run on the machine at the same time.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata, util
from pathlib import Path

PARTS = (
    "engines", "interactions", "memory", "intervals", "training", "tuning", "comparing", "new_rows",
)  # fmt: skip
RESULTS = Path(__file__).with_name("RESULTS.md")
BY_HAND = "## Against the goals"
_PACKAGES = (
    "mlflow-interpret", "interpret-community", "shap", "shapiq", "scikit-learn", "numpy", "pandas",
    "mlflow", "joblib",
)  # fmt: skip


def main() -> int:
    """Measure each part in a process of its own; parts that fail are listed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("--only", choices=PARTS, help="one part, printed and not written")
    chosen = parser.parse_args()
    parts = [chosen.only] if chosen.only else [part for part in PARTS if exists(part)]
    texts, failed = [], []
    for part in parts:
        done = measured(part, quick=chosen.quick)
        if done is None:
            failed.append(part)
        else:
            texts.append(done)
    text = "\n".join(texts)
    if chosen.only:
        print(text)
    else:
        written = headed(text, failed, quick=chosen.quick) + judgement()
        RESULTS.write_text(written, encoding="utf-8")
        print(f"Written to {RESULTS}")
    return 1 if failed else 0


def exists(part: str) -> bool:
    """Whether there is such a part."""
    return util.find_spec(f"benchmarks.{part}") is not None


def measured(part: str, *, quick: bool) -> str | None:
    """The Markdown that a part prints, or None if it failed."""
    environment = dict(os.environ)
    if quick:
        environment["BENCHMARKS_QUICK"] = "1"
    print(f"{part} ...", file=sys.stderr)
    done = subprocess.run(  # noqa: S603 - a module of this folder
        [sys.executable, "-m", f"benchmarks.{part}"],
        env=environment, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True,
        check=False,
    )  # fmt: skip
    return done.stdout if done.returncode == 0 else None


def headed(text: str, failed: list[str], *, quick: bool) -> str:
    """The results below the machine, the packages and the command."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES if known(name))
    lines = [
        "# Results",
        "",
        "Both sides of each row were measured in one session, in turns, on the same rows; medians.",
        "",
        f"- command: `{'python -m benchmarks.run --quick' if quick else 'tox -e benchmarks'}`",
        f"- machine: {machine()}, Python {platform.python_version()}",
        f"- packages: {versions}",
        f"- date: {datetime.now(timezone.utc):%Y-%m-%d}",
        "",
    ]
    lines += [f"The part `{part}` failed and is missing.\n" for part in failed]
    return "\n".join(lines) + "\n" + text.rstrip() + "\n"


def judgement() -> str:
    """The text below the last results, which a person has to check against new ones."""
    known_results = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
    _, mark, text = known_results.partition(BY_HAND)
    return f"\n{mark}{text}"


def known(package: str) -> bool:
    """Whether a package is installed."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def machine() -> str:
    """The system, the processor and its cores, as far as they are known."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{platform.system()} {platform.release()}, {name}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
