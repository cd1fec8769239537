"""Text of a comparison for a terminal."""

from __future__ import annotations

import numpy as np

from compare.runs import run
from mlflow_interpret.cli.compare_text import comparison_text
from mlflow_interpret.compare import RunComparison


def text_of(*runs, width=100, skipped=None, **options):
    return comparison_text(RunComparison(runs, skipped or {}, **options), width=width)


def test_runs_ranks_rank_changes_and_agreement():
    lines = text_of(run("A", [3, 1, 2], [0.01] * 3), run("B", [1, 3, 2], [0.01] * 3)).splitlines()
    assert lines[1].split()[:4] == ["1", "run", "A", "A"]
    ranks = {line.split()[0]: line.split()[1:] for line in lines[4:8]}
    assert ranks["a"] == ["1", "50%", "3", "▼2", "17%*"]
    assert ranks["b"] == ["3", "17%", "1", "▲2", "50%*"]
    assert ranks["c"] == ["2", "33%", "2", "33%"]
    assert lines[-1].split() == ["run", "2", "-1.00", "-1.00", "1", "of", "2"]


def test_metrics_and_differing_params():
    text = text_of(
        run("A", [3, 1], metrics={"accuracy": 0.5}, params={"depth": "3", "seed": "0"}),
        run("B", [1, 3], metrics={"accuracy": 0.75, "steps": 7.0}, params={"seed": "0"}),
        run("C", [1, 3], metrics={"accuracy": 0.25}, params={"seed": "0", "depth": "\x1b" * 40}),
    )
    lines = [line.split() for line in text.splitlines()]
    assert ["metric", "or", "param", "run", "1", "run", "2", "run", "3"] in lines
    assert ["accuracy", "0.5000", "0.7500", "best", "0.2500"] in lines
    assert ["steps", "-", "7.000", "-"] in lines
    assert any(line[:3] == ["depth", "3", "-"] for line in lines)
    assert not any(line[:1] == ["seed"] for line in lines)
    assert "\x1b" not in text
    assert "metric or param" not in text_of(run("A", [1]), run("B", [1]))


def test_missing_features_and_nonfinite_values():
    text = text_of(run("A", [3, np.nan]), run("B", [3], features="a", rows={}, scale=None))
    line = next(line for line in text.splitlines() if line.startswith("b "))
    assert line.split() == ["b", "-", "-"]
    assert "other scale: unknown" in text


def test_omitted_runs_and_features_are_counted():
    runs = [run(str(i), np.arange(1.0, 13)) for i in range(40)]
    text = text_of(*runs, width=60, top_k=5, skipped={"x": "it holds no explanation"})
    assert "... and 10 more runs" in text  # of the list
    assert "... and 7 more features" in text
    assert "... and 37 more runs" in text  # of the columns
    assert text.endswith("Not compared: run x: it holds no explanation")


def test_control_characters_do_not_reach_the_terminal():
    hostile = "\x1b[2J\x07\n"
    facts = {"run_name": hostile, "method": hostile, "scale": hostile, "model_class": hostile}
    text = text_of(
        run("A", [1, 2], features=[hostile, "b"], **facts),
        run("B", [1, 2], features=[hostile, "b"]),
        skipped={"x": hostile},
    )
    assert not set(text) & set("\x1b\x07")


def test_narrow_terminals_show_the_facts_of_a_run_below_its_name():
    runs = [run(letter * 32, [3, 1, 2], [0.1] * 3, method=f"method {letter}") for letter in "AB"]
    wide, narrow = (text_of(*runs, width=width) for width in (200, 72))
    assert "RandomForestRegressor  method A  prediction" in wide
    assert max(map(len, narrow.splitlines())) <= 72
    lines = narrow.splitlines()
    assert lines[3].endswith("B" * 32)
    assert lines[4].strip().startswith("RandomForestRegressor, method B, prediction, 50 rows.")
    assert "other method: method B" in " ".join(narrow.split())
