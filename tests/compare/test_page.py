"""Comparison page: self-contained, complete, and with all names escaped."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare import RunComparison
from mlflow_interpret.compare import page as module
from mlflow_interpret.rendering.figure import svg_image

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "\u202egnp.exe",
    "n" * 10_000,
    "\x00\x1b[2J",
]


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.names = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def runs(names, n_runs=3, **changes):
    generator = np.random.default_rng(0)
    return tuple(
        run(f"id{i}", generator.exponential(size=len(names)), np.full(len(names), 0.01), names, **changes)
        for i in range(n_runs)
    )  # fmt: skip


def test_metrics_and_params_show_the_better_run():
    pair = (
        run("A", [3, 1], metrics={"rmse": 5.25, "n": 1.0}, params={"depth": "3", "<b>": "<i>"}),
        run("B", [1, 3], metrics={"rmse": 3.5}, params={"depth": "8", "<b>": "<u>"}),
    )
    page = RunComparison(pair).to_html()
    assert '<small class="best">best</small> <b>3.500</b>' in page
    assert ">5.250</td>" in page
    assert '<td class="number muted">none</td>' in page
    assert '<bdi>depth</bdi> <small class="muted">param</small>' in page
    assert "&lt;b&gt;" in page
    assert "<i>" not in page
    assert "Metrics and params" not in RunComparison(runs(["a", "b"])).to_html()


def test_columns_have_the_names_of_the_runs():
    page = RunComparison((run("A", [3, 1]), run("B", [1, 3]))).to_html()
    assert page.count("<bdi>run B</bdi></th>") == 3  # of the features, and twice of the agreement


@pytest.mark.slow
def test_names_are_escaped_everywhere():
    plain = RunComparison(
        runs([f"f{i}" for i in range(len(HOSTILE))], metrics={"x": 1.0}, params={}), {"x": "y"}
    )
    for text in HOSTILE[:-1]:
        facts = {"run_name": text, "method": text, "scale": text, "model_class": text}
        facts |= {"metrics": {text: 1.0}, "params": {text: text}}
        rows = {"explained": 5, "available": 9, "source": text}
        hostile = RunComparison(runs(HOSTILE, rows=rows, **facts), {text: text})
        page = hostile.to_html()
        assert read(page).tags == read(plain.to_html()).tags
        assert not {name for name in read(page).names if name.startswith("on")}
        assert not set(page) & set("\x00\x1b\u202e")
    assert "n" * 400 not in page


def test_page_makes_no_request_and_has_no_inline_style():
    page = RunComparison(runs(["a", "b"])).to_html()
    reader = read(page)
    assert not reader.names & {"href", "srcset", "action", "style", "data", "poster"}
    assert set(re.findall(r'src="(.{26})', page)) == {"data:image/svg+xml;base64,"}


def test_ranks_rank_changes_shares_and_significant_differences():
    pair = run("A", [3, 1], [0.01, 0.01]), run("B", [1, 3], [0.01, 0.01])
    page = RunComparison(pair).to_html()
    assert "2 runs compared" in page
    assert "▲1" in page
    assert "▼1" in page
    assert "75.0%*" in page
    assert "2 of 2 differences from the reference are significant" in page
    assert "<b>-1.00</b>" in page


@pytest.mark.parametrize(
    "pair",
    [
        (run("A", [0, 0]), run("B", [np.nan, np.inf])),
        (run("A", [1]), run("B", [1], features="x", rows={}, scale=None, model_class=None)),
    ],
)
def test_missing_standard_errors_and_shared_features_are_reported(pair):
    page = RunComparison(pair).to_html()
    shared = set(pair[0].features) & set(pair[1].features)
    assert ("have no standard errors" if shared else "No run shares a feature") in page
    assert "nan" not in re.sub("<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)


def test_figures_are_those_of_plot():
    comparison = RunComparison(runs(["a", "b"]))
    sources = re.findall(r'<img class="figure" src="([^"]*)"', comparison.to_html())
    figures = [svg_image(lambda kind=kind: comparison.plot(kind)) for kind in ("slope", "heatmap")]
    assert sources == [figure.source for figure in figures]


def test_ids_are_short_and_notes_follow_the_name():
    pair = run("0123456789abcdef", [3, 1]), run("B", [1, 3], method="shap_linear")
    page = RunComparison(pair).to_html()
    assert '<small class="muted" title="0123456789abcdef">01234567</small>' in page
    assert "Notes: other method: shap_linear; no standard errors</small></th>" in page


@pytest.mark.slow
def test_limits_on_runs_and_features_are_reported():
    names = [f"f{i}" for i in range(300)]
    page = RunComparison(runs(names, 25), {"gone": "it holds no explanation"}).to_html()
    assert "The first 20 of 25 runs are shown." in page
    assert "The first 200 of 300 features are shown." in page
    assert "Run gone is not compared: it holds no explanation." in page
    assert len(page) < 1_500_000


def test_only_shown_cells_are_computed(monkeypatch):
    """The cells of a thousand runs with hundreds of features would take seconds."""
    calls = []
    monkeypatch.setattr(module, "format_number", lambda *args: calls.append(args) or "1")
    runs = [run(str(i), np.arange(1.0, 301), features=map(str, range(300))) for i in range(30)]
    RunComparison(tuple(runs)).to_html()
    assert len(calls) == 20 * 200


def test_page_is_written_to_a_file_and_shown_in_notebooks(tmp_path):
    comparison = RunComparison(runs(["a", "b"]))
    path = tmp_path / "page.html"
    assert comparison.to_html(str(path)) == path  # so a notebook does not print the whole page
    assert path.read_text("utf-8") == comparison.to_html()
    assert comparison._repr_html_().startswith("<iframe")
    assert repr(comparison) == "RunComparison(3 runs, 0 skipped)"
