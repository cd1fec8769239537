"""The page of a comparison in a browser: everything can be read, found and reached."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from compare.runs import hostile_runs, run
from mlflow_interpret.compare.comparison import RunComparison
from mlflow_interpret.core.text import truncate


@pytest.fixture
def open_comparison(open_text):
    return lambda runs, **options: open_text(RunComparison(tuple(runs)).to_html(), **options).page


def runs(n_runs, n_features):
    names = [f"feature {i}" for i in range(n_features)]
    generator = np.random.default_rng(0)
    return [
        run(f"{i:032d}", generator.exponential(size=n_features), np.full(n_features, 0.01), names,
            run_name=f"weekly retraining {i}")
        for i in range(n_runs)
    ]  # fmt: skip


def names(page):
    return page.locator("#table tbody tr:not([hidden]) > th bdi").all_text_contents()


def boxes(locator):
    return [one.bounding_box() for one in locator.all()]


def overlap(a, b):
    return (
        a["x"] < b["x"] + b["width"] and b["x"] < a["x"] + a["width"]
        and a["y"] < b["y"] + b["height"] and b["y"] < a["y"] + a["height"]
    )  # fmt: skip


def test_hostile_names_stay_text(open_comparison):
    shown = hostile_runs(3)
    page = open_comparison(shown)
    for line in page.locator("svg.slope .line").all():
        line.focus()
    assert set(names(page)) == {truncate(name) for name in shown[0].features}
    assert page.locator("img, iframe, b b, a").count() == 0
    assert page.locator("script").count() == 1
    assert page.locator("svg.slope text").filter(has_text="<script>").count() > 0


def test_search(open_comparison):
    page = open_comparison(runs(2, 40))
    search, count = page.get_by_label("Search features"), page.get_by_role("status")
    assert len(names(page)) == 40
    assert count.inner_text() == ""
    search.fill(" FEATURE 3 ")
    assert set(names(page)) == {"feature 3", *(f"feature 3{i}" for i in range(10))}
    assert count.inner_text() == "11 of 40"
    search.fill("no such feature")
    assert names(page) == []
    search.fill("")
    assert len(names(page)) == 40


@pytest.mark.parametrize(("n_runs", "n_features"), [(2, 3), (2, 120), (12, 3), (12, 40)])
def test_nothing_in_the_order_of_features_is_cut_or_overlaps(open_comparison, n_runs, n_features):
    page = open_comparison(runs(n_runs, n_features))
    svg = page.locator("svg.slope")
    frame, heads = svg.bounding_box(), boxes(svg.locator("text.head"))
    assert len(heads) == n_runs
    assert not any(overlap(a, b) for a, b in pairwise(heads))
    left = boxes(svg.locator("text.left"))
    assert len(left) == min(10, n_features)
    assert not any(overlap(a, b) for i, a in enumerate(left) for b in left[:i])
    for text in boxes(svg.locator("text")):
        assert text["x"] >= frame["x"]
        assert text["x"] + text["width"] <= frame["x"] + frame["width"]
        assert text["y"] >= frame["y"]


@pytest.mark.parametrize("name", ["n" * 60, "n" * 30, "社員の年齢と職業と学歴の階級"])
def test_wide_names_are_not_cut_off_by_the_edge(open_comparison, name):
    shown = [
        run(f"{i:032d}", [2.0, 1.0], None, [name, "b"], run_name=f"{name} {i}") for i in range(3)
    ]
    svg = open_comparison(shown).locator("svg.slope")
    frame = svg.bounding_box()
    for text in boxes(svg.locator("text")):
        assert text["x"] >= frame["x"]
        assert text["x"] + text["width"] <= frame["x"] + frame["width"]
    heads = boxes(svg.locator("text.head"))
    assert not any(overlap(a, b) for a, b in pairwise(heads))


def test_names_and_heads_stay_in_sight(open_comparison):
    page = open_comparison(runs(12, 120))
    area = page.locator(".scroll", has=page.locator("#table"))
    area.evaluate("element => element.scrollTo(element.scrollWidth, element.scrollHeight)")
    page.locator("#table tbody th").last.scroll_into_view_if_needed()
    view = area.bounding_box()
    corner = page.locator("#table thead th").first.bounding_box()
    head = page.locator("#table thead th").last.bounding_box()
    name = page.locator("#table tbody th").last.bounding_box()
    assert (corner["x"], corner["y"]) == pytest.approx((view["x"], view["y"]), abs=1)
    assert head["y"] == pytest.approx(view["y"], abs=1)
    assert name["x"] == pytest.approx(view["x"], abs=1)
    assert name["y"] + name["height"] <= view["y"] + view["height"] + 1
    seen = "([x, y]) => document.elementFromPoint(x, y).closest('th')?.textContent"
    middle = (name["x"] + 20, name["y"] + name["height"] / 2)
    assert page.evaluate(seen, middle) == page.locator("#table tbody th").last.text_content()


def test_what_scrolls_can_be_reached_by_the_keyboard(open_comparison):
    page = open_comparison(runs(12, 120), width=700)
    for area in page.locator(".scroll").all():
        if area.evaluate("e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight"):
            area.focus()
            assert area.evaluate("element => element === document.activeElement")
    assert page.locator(".scroll").count() == 5


@pytest.mark.parametrize("n_runs", [2, 12])
def test_nothing_is_cut_off_on_paper(open_comparison, n_runs):
    page = open_comparison(runs(n_runs, 40), width=1040)  # pixels of A4, on its side
    page.emulate_media(media="print")
    assert page.locator("#search").is_hidden()
    hidden = "area => [area.scrollWidth - area.clientWidth, area.scrollHeight - area.clientHeight]"
    assert [area.evaluate(hidden) for area in page.locator(".scroll").all()] == [[0, 0]] * 5


def test_without_scripts_everything_can_be_read(open_comparison):
    page = open_comparison(runs(3, 40), java_script_enabled=False)
    assert len(names(page)) == 40
    assert page.locator("#search").is_hidden()
    assert page.locator("#theme").is_hidden()
    assert page.get_by_role("heading", name="Agreement of the rankings").is_visible()
