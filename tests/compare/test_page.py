"""The page of a comparison: it stands alone, and no name in it becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from compare.runs import run
from mlflow_interpret.compare import page as module
from mlflow_interpret.compare.comparison import RunComparison

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


def test_names_are_text_wherever_they_stand():
    plain = RunComparison(runs([f"f{i}" for i in range(len(HOSTILE))]), {"x": "y"})
    for text in HOSTILE[:-1]:
        facts = {"run_name": text, "method": text, "scale": text, "model_class": text}
        rows = {"explained": 5, "available": 9, "source": text}
        hostile = RunComparison(runs(HOSTILE, rows=rows, **facts), {text: text})
        page = hostile.to_html()
        assert read(page).tags == read(plain.to_html()).tags
        assert not {name for name in read(page).names if name.startswith("on")}
        assert not set(page) & set("\x00\x1b\u202e")
    assert "n" * 400 not in page


def test_a_page_asks_for_nothing_and_styles_nothing_inline():
    reader = read(RunComparison(runs(["a", "b"])).to_html())
    assert not reader.names & {"src", "href", "srcset", "action", "style", "data", "poster"}


def test_it_shows_ranks_moves_shares_and_what_is_beyond_the_error_bars():
    pair = run("A", [3, 1], [0.01, 0.01]), run("B", [1, 3], [0.01, 0.01])
    page = RunComparison(pair).to_html()
    assert "2 runs compared" in page
    assert "▲1" in page
    assert "▼1" in page
    assert "75.0%*" in page
    assert "2 of 2 differences to run 1 are beyond the error bars" in page
    assert "<b>-1.00</b>" in page


@pytest.mark.parametrize(
    "pair",
    [
        (run("A", [0, 0]), run("B", [np.nan, np.inf])),
        (run("A", [1]), run("B", [1], features="x", rows={}, scale=None, model_class=None)),
    ],
)
def test_what_is_not_known_is_said_to_be(pair):
    page = RunComparison(pair).to_html()
    shared = set(pair[0].features) & set(pair[1].features)
    assert ("have no standard errors" if shared else "No run shares a feature") in page
    assert "nan" not in re.sub("<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)


def test_names_have_the_room_that_there_is():
    long = "a name of a feature that is rather long"
    page = RunComparison(runs([long, "b"], 2, run_name="a run with a name of its own")).to_html()
    (slope,) = re.findall(r'<svg class="slope".*?</svg>', page, flags=re.DOTALL)
    assert slope.count(f">&#x2068;{long}&#x2069;</text>") == 2
    assert slope.count('">&#x2068;a run with a name of i') == 2


def test_ids_are_short_and_notes_stand_below_the_name():
    pair = run("0123456789abcdef", [3, 1]), run("B", [1, 3], method="shap_linear")
    page = RunComparison(pair).to_html()
    assert '<small class="muted" title="0123456789abcdef">01234567</small>' in page
    assert "Notes: other method: shap_linear; no standard errors</small></th>" in page


def test_many_runs_and_features_are_cut_and_the_page_says_so():
    names = [f"f{i}" for i in range(300)]
    page = RunComparison(runs(names, 25), {"gone": "it holds no explanation"}).to_html()
    assert "The first 20 of 25 runs are shown." in page
    assert "The first 200 of 300 features are shown." in page
    assert "Run gone is not compared: it holds no explanation." in page
    assert len(page) < 1_500_000


def test_of_many_runs_only_what_is_shown_is_made(monkeypatch):
    """Else the cells of a thousand runs of hundreds of features would take seconds."""
    made = []
    monkeypatch.setattr(module, "number", lambda *told: made.append(told) or "1")
    runs = [run(str(i), np.arange(1.0, 301), features=map(str, range(300))) for i in range(30)]
    RunComparison(tuple(runs)).to_html()
    assert len(made) == 20 * 200


def test_it_is_written_to_a_file_and_shown_in_notebooks(tmp_path):
    comparison = RunComparison(runs(["a", "b"]))
    path = tmp_path / "page.html"
    assert comparison.to_html(str(path)) == path  # a notebook shows no page of text
    assert path.read_text("utf-8") == comparison.to_html()
    assert comparison._repr_html_().startswith("<iframe")
    assert repr(comparison) == "RunComparison(3 runs, 0 skipped)"
