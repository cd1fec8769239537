"""Report in a browser: table, plots, keyboard and print."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from explanations import explanation, hostile
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.interactions import Interactions
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


def test_direction_of_a_feature_is_that_of_the_second_class(open_report):
    explained = explanation(2, 30, 2)
    best = explained.features[int(np.argmax(explained.global_values))]
    details = Details.from_json({"directions": {best: {"correlation": 0.9}}})
    page = open_report(replace(explained, details=details))
    text = "Direction: higher values raise it. 30 rows;"
    for output, is_shown in (("c0", False), ("c1", True), ("All", True)):
        page.locator("#output").select_option(label=output)
        assert (text in page.locator("tr.detail").inner_text()) == is_shown


def test_each_of_several_classes_has_its_direction(open_report):
    explained = explanation(1, 30, 3)
    outputs = {"c0": {"correlation": 0.9}, "c2": {"correlation": -0.9}}
    details = Details.from_json({"directions": {"f0": {"outputs": outputs}}})
    page = open_report(replace(explained, details=details))
    for output, text in (("c0", "raise it"), ("c1", None), ("c2", "lower it")):
        page.locator("#output").select_option(label=output)
        shown = page.locator("tr.detail").inner_text()
        assert "Direction" not in shown if text is None else f"higher values {text}" in shown


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


def number_of(text):
    return float(text.replace("\u2212", "-").replace(",", ""))


def waterfall(page):
    """The names and numbers of the waterfall, from the base value to the output."""
    texts = "lines => lines.map((line) => [line.cells[0].innerText, line.cells[2].innerText])"
    lines = page.locator("#waterfall tbody tr").evaluate_all(texts)
    return [(name, number_of(number)) for name, number in lines]


def single_row_explanation():
    labels = np.array(["c0", "c1", "c2"])[np.arange(40) % 3]
    return replace(
        explanation(14, 40, 3), expected_values=np.array([0.2, 0.3, 0.5]),
        true_labels=labels, predicted=labels[::-1],
    )  # fmt: skip


def test_waterfall_of_a_row(open_report):
    explained = single_row_explanation()
    page = open_report(explained)
    page.locator("#row-number").fill("7")
    page.keyboard.press("Enter")
    outputs = explained.expected_values + explained.local_values[:, 7].sum(axis=1)
    for output in (int(np.argmax(outputs)), 0, 1):  # the predicted class first
        if output != np.argmax(outputs):
            page.locator("#row-output").select_option(label=f"c{output}")
        lines = waterfall(page)
        contributions = explained.local_values[output, 7]
        order = np.argsort(-np.abs(contributions))
        assert lines[0] == ("Base value", explained.expected_values[output])
        assert lines[-1] == (f"Output for c{output}", pytest.approx(outputs[output], rel=0.01))
        assert [name.split(" = ")[0] for name, _ in lines[1:11]] == [f"f{i}" for i in order[:10]]
        assert [value for _, value in lines[1:11]] == pytest.approx(
            contributions[order[:10]], rel=0.01, abs=1e-3
        )
        values = [number_of(name.split(" = ")[1]) for name, _ in lines[1:11]]
        assert values == pytest.approx(
            explained.evaluation_rows.iloc[7, order[:10]].to_numpy(), rel=0.01, abs=1e-3
        )
        assert lines[11] == (
            "4 other features",
            pytest.approx(contributions[order[10:]].sum(), rel=0.01, abs=1e-3),
        )
    widths = "bars => bars.map((bar) => bar.getBoundingClientRect().width)"
    assert min(page.locator("#waterfall .bar rect").evaluate_all(widths)) > 0
    assert page.locator("#row-labels").inner_text() == "Predicted class: c2. True class: c1."


# The place of a row in the first plot and in the first strip.
CENTER_OF_ROW = """(plot, row) => {
  const dots = plot.querySelector(".points").getAttribute("d").split("M").slice(1);
  return dots[row].split("h")[0].split(" ").map(Number);
}"""
STRIP_OF_ROW = (
    """(row) => stripX(contributions(0)[row], document.querySelector("canvas.strip").clientWidth)"""
)


def test_rows_are_selected_by_keyboard_and_by_a_click(open_report):
    explained = single_row_explanation()
    feature = int(np.argmax(explained.global_values))
    output = int(np.argmax(explained.per_class_values[:, feature]))
    page = open_report(explained)
    number, before = page.locator("#row-number"), page.get_by_role("button", name="Previous")
    assert number.input_value() == "0"
    assert before.is_disabled()
    number.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")  # commits the number
    assert number.input_value() == "2"
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").press("Enter")
    before.press("Space")
    assert number.input_value() == "3"
    number.fill("400")
    number.press("Enter")
    assert number.input_value() == "39"
    assert page.locator("#row-note").inner_text() == "Row 400 is not on this page; row 39 is shown."
    for area, left, top in (
        (".plot", *page.locator(".plot").first.evaluate(CENTER_OF_ROW, 5)),
        ("canvas.strip", page.evaluate(STRIP_OF_ROW, 8), 13),
    ):
        page.locator(area).first.click(position={"x": left, "y": top})
        expected = 5 if area == ".plot" else 8
        selected = explained.local_values[output, int(number.input_value()), feature]
        assert selected == pytest.approx(explained.local_values[output, expected, feature], abs=0.1)


def test_waterfall_of_a_sample_of_rows(open_report):
    explained = replace(explanation(3, 5000), expected_values=np.array([2.5]))
    page = open_report(explained)
    number = page.locator("#row-number")
    first = int(number.input_value())
    number.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    second = int(number.input_value())
    assert second > first
    assert page.locator("#row-output").count() == 0
    lines = waterfall(page)
    assert lines[0] == ("Base value", 2.5)
    assert lines[-1] == (
        "Prediction",
        pytest.approx(2.5 + explained.local_values[second].sum(), rel=0.01),
    )
    assert sum(value for _, value in lines[:-1]) == pytest.approx(lines[-1][1], abs=0.05)


def test_output_of_a_row_follows_the_selected_one(open_report):
    page = open_report(replace(explanation(3, n_classes=2), expected_values=np.array([1.0, 2.0])))
    assert page.locator("#row-output option").all_text_contents() == ["c0", "c1"]
    for selected, shown in ((None, "c1"), ("c0", "c0"), ("All", "c1")):
        if selected:
            page.locator("#output").select_option(label=selected)
        assert waterfall(page)[-1][0] == f"Output for {shown}"
    explained = single_row_explanation()
    local = explained.local_values.copy()
    local[0, 3, 2] = np.nan
    page = open_report(replace(explained, local_values=local))
    for selected, is_known in (("c0", False), ("c1", True)):
        page.locator("#row-output").select_option(label=selected)
        assert page.locator("#waterfall").is_visible() == is_known
        assert page.locator("#row-missing").is_visible() != is_known


def test_waterfall_without_values_rows_or_a_base_value(open_report):
    page = open_report(replace(explanation(3), evaluation_rows=None))
    lines = waterfall(page)
    assert lines[0] == ("0 (the base value was not recorded)", 0)
    assert lines[-1][0] == "Sum of the contributions"
    assert {name for name, _ in lines[1:-1]} == {"f0", "f1", "f2"}
    page = open_report(explanation(3).without_rows())
    assert "no contributions of single rows were stored" in page.locator("#row").inner_text()


def test_values_of_all_kinds_of_columns_in_the_waterfall(open_report):
    rows = every_kind_of_column().drop(columns=["large", "small", "wide"])
    explained = replace(
        explanation(rows.shape[1], len(rows), rows=rows), features=tuple(rows),
        expected_values=np.array([1.0]),
    )  # fmt: skip
    shown = {}
    page = open_report(explained, width=360)
    for number in range(40, 46):
        page.locator("#row-number").fill(str(number))
        page.keyboard.press("Enter")
        shown |= dict.fromkeys((name for name, _ in waterfall(page)), number)
    texts = set(shown)
    assert any(text.startswith("times = 2020-01-03 ") for text in texts)
    for name in ("ordered", "true or false", "few", "nothing", "numbers", "thousands"):
        values = {
            text.split(" = ")[1]: row
            for text, row in shown.items() if text.startswith(f"{name} = ")
        }  # fmt: skip
        assert values, name
        for text, row in values.items():
            cell = rows[name].iloc[row]
            if name in {"numbers", "thousands"}:
                assert number_of(text) == pytest.approx(cell, rel=0.01)
            else:
                assert text == ("missing" if pd.isna(cell) else str(cell))
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_dots_have_the_color_of_the_strongest_partner(open_report):
    explained = explanation(4, 60)
    sizes = np.zeros((4, 4))
    sizes[0, 1] = sizes[1, 0] = 1.0
    names = tuple(name for name, _ in explained.ranked())
    interactions = Interactions(names, sizes, None, 60, is_sampled=False)
    page = open_report(replace(explained, interactions=interactions))
    colors = {
        page.locator(f"tr.detail path.{style}").evaluate("path => getComputedStyle(path).stroke")
        for style in ("low", "lower", "middle", "higher", "high")
    }
    assert len(colors) == 5
    assert f"the value of {names[1]}, low to high" in page.locator("tr.detail").inner_text()
    assert page.locator("table.pairs tbody tr").count() == 6
    page.locator("#table tbody th button").nth(2).click()  # without interactions
    detail = page.locator("tr.detail").nth(1)
    assert detail.locator("path.points").count() == 1
    assert "low to high" not in detail.inner_text()
