"""The coverage benchmark's parts that a change of the package could break, without its cases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    output = tmp_path_factory.mktemp("coverage") / "table.md"
    only = r"Regressors: Ridge$|KMeans \(a clu|names with |^Regressors: MultiTaskLasso$"
    command = [sys.executable, str(SCRIPT), "--only", only, "--no-peer", "--workers", "1"]
    done = subprocess.run(
        [*command, "--output", str(output)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output.read_text("utf-8")


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


def cells(text, case):
    (line,) = [row for row in rows(text) if row.startswith(f"| {case}")]
    return [cell.strip() for cell in line.replace("\\|", "").split("|")[1:-1]]


def test_an_explained_case_has_its_method(written):
    assert cells(written, "Ridge |")[1:4] == ["explained", "shap_linear", "prediction"]


def test_a_skipped_case_and_one_that_cannot_be_fitted_say_why(written):
    assert cells(written, "KMeans")[1].startswith("skipped: KMeans is")
    assert cells(written, "MultiTaskLasso |")[1].startswith("not fitted: ValueError")


def test_names_cannot_break_the_table(written):
    assert len(cells(written, "names with")) == len(cells(written, "Ridge |")) == 9


def test_the_counts_agree_with_the_table(written):
    total = cells(written, "**all**")
    explained = [row for row in rows(written) if "| explained |" in row and "section" not in row]
    assert int(total[3]) == len(explained) > 0
