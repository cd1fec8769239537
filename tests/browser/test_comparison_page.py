"""Comparison page in a browser: layout, search, keyboard and print."""

from __future__ import annotations

import numpy as np
import pytest

from compare.runs import hostile_runs, run
from mlflow_interpret.compare import RunComparison
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


def test_hostile_names_are_escaped(open_comparison):
    shown = hostile_runs(3)
    page = open_comparison(shown)
    assert set(names(page)) == {truncate(name) for name in shown[0].features}
    assert page.locator("img:not(.figure), iframe, b b, a").count() == 0
    assert page.locator("script").count() == 1


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


# The width of an image as laid out, as loaded, and of the area that scrolls.
SIZES = """image => [image.getBoundingClientRect().width, image.naturalWidth,
  image.closest(".scroll").scrollWidth]"""


@pytest.mark.parametrize(("n_runs", "n_features"), [(2, 3), (12, 40)])
@pytest.mark.parametrize("width", [320, 1400])
def test_figures_are_loaded_and_not_cut_off(open_comparison, n_runs, n_features, width):
    page = open_comparison(runs(n_runs, n_features), width=width)
    images = page.locator("img.figure").all()
    assert len(images) == 2
    for image in images:
        shown, natural, available = image.evaluate(SIZES)
        assert natural > 0
        assert shown == pytest.approx(natural, abs=1)
        assert shown <= available + 1
        assert image.get_attribute("alt")


def test_figures_follow_the_theme(open_comparison):
    page = open_comparison(runs(2, 3), color_scheme="dark")
    filter_of = "image => getComputedStyle(image).filter"
    image = page.locator("img.figure").first
    assert image.evaluate(filter_of) == "invert(1) hue-rotate(180deg)"
    page.locator("#theme").click()
    assert image.evaluate(filter_of) == "none"
    page.locator("#theme").click()
    page.emulate_media(media="print", color_scheme="light")
    assert image.evaluate(filter_of) == "none"


def test_names_and_headers_stay_visible_while_scrolling(open_comparison):
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
    name_at = "([x, y]) => document.elementFromPoint(x, y).closest('th')?.textContent"
    middle = (name["x"] + 20, name["y"] + name["height"] / 2)
    assert page.evaluate(name_at, middle) == page.locator("#table tbody th").last.text_content()


def test_scrolling_areas_are_reached_by_the_keyboard(open_comparison):
    page = open_comparison(runs(12, 120), width=700)
    for area in page.locator(".scroll").all():
        if area.evaluate("e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight"):
            area.focus()
            assert area.evaluate("element => element === document.activeElement")
    assert page.locator(".scroll").count() == 5


@pytest.mark.parametrize("n_runs", [2, 12])
def test_nothing_is_cut_off_in_print(open_comparison, n_runs):
    page = open_comparison(runs(n_runs, 40), width=1040)  # pixels of A4 in landscape
    page.emulate_media(media="print")
    assert page.locator("#search").is_hidden()
    hidden = "area => [area.scrollWidth - area.clientWidth, area.scrollHeight - area.clientHeight]"
    assert [area.evaluate(hidden) for area in page.locator(".scroll").all()] == [[0, 0]] * 5


def test_page_without_scripts(open_comparison):
    page = open_comparison(runs(3, 40), java_script_enabled=False)
    assert len(names(page)) == 40
    assert page.locator("#search").is_hidden()
    assert page.locator("#theme").is_hidden()
    assert page.get_by_role("heading", name="Agreement of the rankings").is_visible()
