"""Report in a browser: table, plots, keyboard and print."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from explanations import explanation, hostile
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.text import format_number, truncate
from mlflow_interpret.report.page import render_report


@pytest.fixture
def open_report(open_text):
    return lambda explained, **options: open_text(render_report(explained), **options).page


def names(page):
    return page.locator("#table tbody tr:not([hidden]) > th bdi").all_text_contents()


def test_search_sort_and_classes(open_report):
    explained = explanation(40, 30, 3)
    page = open_report(explained)
    ranked = [name for name, _ in explained.ranked()]
    assert names(page) == ranked[:25]
    page.get_by_role("button", name="Show all 40 features").click()
    assert names(page) == ranked
    page.get_by_label("Search features").fill("F3")
    assert set(names(page)) == {"f3", *(f"f3{i}" for i in range(10))}
    assert page.get_by_role("status").inner_text() == "11 of 40 features"
    page.get_by_label("Search features").fill("")
    page.locator("th[data-sort=name] button").click()
    assert names(page) == [f"f{i}" for i in range(40)]
    assert page.locator("th[data-sort=name]").get_attribute("aria-sort") == "ascending"
    page.locator("th[data-sort=name] button").click()
    assert names(page) == [f"f{i}" for i in reversed(range(40))]
    page.locator("th.bars button").click()
    page.locator("#output").select_option(label="c2")
    values = dict(zip(explained.features, explained.per_class_values[2]))
    shown = names(page)
    assert shown == sorted(shown, key=values.get, reverse=True)
    first = page.locator("#table tbody tr > td:nth-child(4)").first.inner_text()
    assert first.startswith(format_number(max(values.values())))


def test_keyboard_navigation(open_report):
    page = open_report(explanation(6, 30, 3))
    buttons = page.locator("#table tbody th button")
    expanded = [button.get_attribute("aria-expanded") for button in buttons.all()]
    assert expanded == ["true", *["false"] * 5]
    buttons.first.focus()
    page.keyboard.press("Escape")
    assert page.locator("tr.detail").count() == 0
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert buttons.nth(1).get_attribute("aria-expanded") == "true"
    detail = page.locator(f"#{buttons.nth(1).get_attribute('aria-controls')}")
    assert "Importance by class" in detail.inner_text()
    label = detail.get_by_role("img").get_attribute("aria-label")
    assert buttons.nth(1).inner_text() in label
    page.keyboard.press("ArrowUp")
    assert buttons.first.evaluate("button => button === document.activeElement")


def test_plot_has_a_point_for_each_row(open_report):
    page = open_report(explanation(3, 57))
    assert page.locator(".plot .points").get_attribute("d").count("M") == 57
    painted = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].some(Boolean)"
    page.wait_for_function("document.querySelectorAll('canvas.strip')[2].width !== 300")
    assert all(canvas.evaluate(painted) for canvas in page.locator("canvas.strip").all())


@pytest.mark.parametrize(("low", "high"), [(-0.55, 0.4), (-0.9, 0.1), (0.0, 7.4), (-14.9, 14.9)])
def test_contribution_axis_has_at_least_three_ticks(open_report, low, high):
    values = np.linspace(low, high, 40)[:, None]
    explained = replace(
        explanation(1), local_values=values, global_values=np.abs(values).mean(axis=0)
    )
    labels = open_report(explained).locator(".plot text[text-anchor=end]").all_text_contents()
    ticks = [float(label.replace("\u2212", "-")) for label in labels]
    assert len({len(label.partition(".")[2]) for label in labels}) == 1  # equal numbers of decimals
    assert 3 <= len(ticks) <= 8
    steps = np.diff(ticks)
    assert steps == pytest.approx(np.full(len(steps), steps[0]))
    assert ticks[0] - low < steps[0] + 1e-9
    assert high - ticks[-1] < steps[0] + 1e-9


def test_two_classes_with_equal_importances_are_shown_once(open_report):
    single = explanation(3)
    values = single.local_values
    mirrored = replace(
        explanation(3, n_classes=2), local_values=np.stack([-values, values]),
        per_class_values=np.stack([single.global_values] * 2),
    )  # fmt: skip
    page = open_report(mirrored)
    assert page.locator(".plot").count() == 1
    assert "Importance by class" not in page.locator("tr.detail").inner_text()


def test_rows_with_equal_values_are_one_point_of_the_mean_line(open_report):
    explained = explanation(1, 120)
    rows = explained.evaluation_rows.round()  # about seven values, mostly 0
    page = open_report(replace(explained, evaluation_rows=rows))
    path = page.locator(".plot .mean").get_attribute("d")
    across = [float(point.split()[0]) for point in path[1:].split("L")]
    assert 3 <= len(across) <= rows["f0"].nunique()
    assert all(a < b for a, b in pairwise(across))


def test_ticks_of_whole_values_and_years(open_report):
    years = pd.DataFrame({"f0": np.repeat([2007, 2008, 2009], 20)})
    page = open_report(explanation(1, 60, rows=years))
    texts = page.locator(".plot text[text-anchor=middle]").all_text_contents()
    assert texts == ["2007", "2008", "2009", "f0"]


def test_labels_of_boolean_values(open_report):
    page = open_report(explanation(1, 40, rows=pd.DataFrame({"f0": [True, False] * 20})))
    texts = page.locator(".plot text[text-anchor=middle]").all_text_contents()
    assert texts == ["False", "True", "f0"]


def test_importances_by_class_have_intervals(open_report):
    explained = explanation(3, 40, 4)
    page = open_report(explained)
    best = explained.features.index(explained.ranked()[0][0])
    errors = np.abs(explained.local_values).std(axis=1, ddof=1)[:, best] / np.sqrt(40)
    list_of_classes = page.locator("tr.detail .classes")
    texts = dict(zip(list_of_classes.locator("bdi").all_text_contents(),
                    list_of_classes.locator("small").all_text_contents()))  # fmt: skip
    assert texts == {
        name: f"± {format_number(1.96 * error, 2)}"
        for name, error in zip(explained.classes, errors)
    }
    for bar in list_of_classes.locator("svg").all():
        (size, line) = (rect.bounding_box() for rect in bar.locator("rect").all())
        assert line["x"] < size["x"] + size["width"] < line["x"] + line["width"]


@pytest.mark.parametrize("width", [360, 800, 1100])
def test_long_class_names_leave_room_for_bars(open_report, width):
    names = tuple(f"a long name of a class, the {i}th of them" for i in range(14))
    page = open_report(replace(explanation(3, 40, 14), classes=names), width=width)
    bars = page.locator("tr.detail .classes svg").all()
    assert len(bars) == 12
    assert min(bar.bounding_box()["width"] for bar in bars) >= 48
    detail = page.locator("tr.detail .classes").bounding_box()
    cell = page.locator("tr.detail td").bounding_box()
    assert detail["x"] + detail["width"] <= cell["x"] + cell["width"]


def every_kind_of_column(n_rows=84):
    numbers = np.arange(n_rows)
    return pd.DataFrame(
        {
            "numbers": numbers / 7,
            "large": 10**12 * numbers,
            "thousands": 2500 * numbers,
            "small": 5 + 1e-9 * numbers,
            "few": [f"{i % 3} and a long name" for i in numbers],
            "many": [f"category {i % 40}" for i in numbers],
            "wide": [f"{i % 12}番目の等級" for i in numbers],
            "ordered": pd.Categorical(
                np.array(list("lms"))[numbers % 3], list("sml"), ordered=True
            ),
            "true or false": numbers % 2 == 0,
            "times": pd.date_range("2020-01-01 11:00", periods=n_rows, freq="h"),
            "durations": pd.to_timedelta(numbers, "s"),
            "constant": 1.0,
            "nothing": np.nan,
            "no text": np.array([None] * n_rows, dtype=object),
        }
    )


# The texts of a plot that are cut off or overlap.
CROWDED = """plot => {
  const frame = plot.getBoundingClientRect();
  const boxes = [...plot.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const cut = boxes.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1);
  const over = boxes.filter(([, a], i) => boxes.slice(0, i).some(([, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2));
  return [...cut, ...over].map(([text]) => text);
}"""


@pytest.mark.parametrize("width", [320, 700, 1100])
def test_plot_labels_of_all_kinds_of_columns(open_report, width):
    rows = every_kind_of_column()
    explained = explanation(rows.shape[1], len(rows), 3, rows=rows)
    classes = tuple(f"{'class ' * i}{'x' * 40}" for i in range(3))
    explained = replace(explained, features=tuple(rows), classes=classes)
    page = open_report(explained, width=width)
    for button in page.locator("#table tbody th button").all()[1:]:
        button.click()
    plots = page.locator(".plot").all()
    assert len(plots) == rows.shape[1]
    assert [plot.evaluate(CROWDED) for plot in plots] == [[]] * len(plots)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_print(open_report):
    page = open_report(explanation(28, 60, 3), color_scheme="dark")
    page.locator("#theme").click()
    page.locator("#theme").click()
    page.locator("#output").select_option(label="c2")
    page.emulate_media(media="print", color_scheme="light")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    painted = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].some(Boolean)"
    assert all(strip.evaluate(painted) for strip in page.locator("canvas.strip").all())
    assert page.locator("#output").is_visible()
    assert page.locator("#theme").is_hidden()
    assert page.locator("#search").is_hidden()
    detail, table = (page.locator(element).bounding_box() for element in ("tr.detail td", "#table"))
    last = page.locator("#table tbody tr:not(.detail)").last.bounding_box()
    assert detail["width"] == pytest.approx(table["width"], abs=2)
    assert last["width"] == pytest.approx(table["width"], abs=2)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_wording_for_targets(open_report):
    targets = replace(explanation(3, n_classes=3), classes=None, targets=("kg", "m", "0"))
    page = open_report(targets)
    assert "Share of each target's importances (%)" in page.locator("tr.detail").inner_text()
    assert "class" not in page.locator("tr.detail").inner_text()
    page.locator("#output").select_option(label="0")
    assert "Contribution to target 0" in page.locator("tr.detail").inner_text()


def test_importances_by_target_are_shares(open_report):
    explained = explanation(3, 40, 2)
    units = np.array([1.0, 1e6])
    values = np.asarray(explained.per_class_values) * units[:, None]
    targets = replace(
        explained, classes=None, targets=("m", "um"), per_class_values=values,
        global_values=values.mean(axis=0),
        local_values=np.asarray(explained.local_values) * units[:, None, None],
    )  # fmt: skip
    page = open_report(targets)
    best = int(np.argmax(values.mean(axis=0)))
    texts = page.locator("tr.detail .classes > span").all_text_contents()
    share = 100 * values[:, best] / values.sum(axis=1)
    assert sorted(float(text.split()[0]) for text in texts) == pytest.approx(
        sorted(share), rel=1e-2
    )


@pytest.mark.parametrize("width", [360, 520, 800, 1100])
def test_plots_are_not_scaled_down(open_report, width):
    page = open_report(explanation(3, 40, 3), width=width)
    plot = page.locator(".plot")
    assert plot.bounding_box()["width"] >= float(plot.get_attribute("width")) - 1


def test_singular_row(open_report):
    page = open_report(explanation(2, 1))
    assert "1 row;" in page.locator("tr.detail").inner_text()


def test_baseline_section_has_a_legend_and_scrolls_by_the_keyboard(open_report):
    importances = [{"feature": f"f{i}", "rank": i + 1, "share": 0.1} for i in range(6)]
    details = {"baseline": {"run_id": "run-6", "importances": importances}}
    page = open_report(replace(explanation(), details=Details.from_json(details)), width=360)
    area = page.get_by_role("group", name="Comparison with the baseline")
    assert area.evaluate("element => element.scrollWidth > element.clientWidth")
    area.focus()
    assert area.evaluate("element => element === document.activeElement")
    ground, fill = (
        "element => getComputedStyle(element).backgroundColor",
        "element => getComputedStyle(element).fill",
    )
    keys = [key.evaluate(ground) for key in area.locator("th i").all()]
    bars = area.locator("tbody tr").first.locator("rect").all()
    assert keys == [bar.evaluate(fill) for bar in bars]
    assert len(set(keys)) == 2


def test_hostile_names_are_escaped(open_report):
    explained = hostile()
    page = open_report(explained)
    for button in page.locator("#table tbody th button").all()[1:]:
        button.click()
    page.locator("#output").select_option(index=1)
    assert set(names(page)) == {truncate(name) for name in explained.features}
    assert page.locator("img, iframe, b, a").count() == 0
    assert page.locator("script").count() == 2
    assert page.locator("tr.detail").count() == len(explained.features)
    assert page.locator(".plot text").filter(has_text="<script>").count() > 0


def test_page_without_scripts(open_report):
    explained = explanation(40, 30, 3)
    page = open_report(explained, java_script_enabled=False)
    assert names(page) == [name for name, _ in explained.ranked()]
    assert page.locator("#search").is_hidden()
    assert page.locator("#theme").is_hidden()
    assert page.get_by_role("heading", name="Details").is_visible()


@pytest.mark.parametrize("width", [360, 520, 700, 1100])
def test_details_of_a_feature_are_as_wide_as_the_table(open_report, width):
    page = open_report(hostile(), width=width)
    detail = page.locator("tr.detail td").bounding_box()
    table = page.locator("#table").bounding_box()
    assert detail["width"] == pytest.approx(table["width"], abs=2)


def test_large_and_minimal_explanations(open_report):
    large = open_report(explanation(500, 200, 30))
    assert large.get_by_role("status").inner_text() == "25 of 500 features"
    bare = open_report(replace(explanation(n_classes=2).without_rows(), global_errors=None))
    bare.locator("#table tbody th button").first.click()
    assert "no contributions of single rows were stored" in bare.locator("tr.detail").inner_text()
    assert bare.locator("canvas").count() == 0
