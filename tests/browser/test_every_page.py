"""Properties of each page: self-contained, secure, readable and responsive."""

from __future__ import annotations

import pytest

from compare.runs import hostile_runs
from explanations import HOSTILE, hostile
from mlflow_interpret import ExplanationDisplay
from mlflow_interpret.compare import RunComparison
from mlflow_interpret.report.page import render_report

METRICS = {**dict.fromkeys(HOSTILE, 0.5), "training_root_mean_squared_error": 12345.678}
WIDTHS = (320, 520, 700, 1100)


def comparison(n_runs=4):
    return RunComparison(hostile_runs(n_runs), {HOSTILE[0]: HOSTILE[1]})


PAGES = {
    "report": lambda: render_report(hostile(), {"metrics": METRICS}),
    "comparison": lambda: comparison().to_html(),
    "comparison of many runs": lambda: comparison(12).to_html(),
}
NOTEBOOKS = {
    "report": lambda: ExplanationDisplay.from_explanation(hostile()),
    "comparison": comparison,
}


@pytest.fixture(params=PAGES)
def page(request):
    return PAGES[request.param]()


def test_policy_blocks_injected_code_and_requests(open_text, page):
    """The content security policy refuses an injected script, handler, style and request."""
    injected = (
        "<script>window.hacked = 1</script><p id='x' style='display:none' onclick='hacked = 1'>x</p>"
        "<img src='http://192.0.2.1/x.png' onerror='window.hacked = 1'>"
    )
    watched = open_text(page.replace("<main>", f"<main>{injected}"))
    watched.page.locator("#x").click()
    assert watched.page.evaluate("window.hacked") is None
    assert sum("Content Security Policy" in error for error in watched.errors) >= 3
    assert watched.refused == ["http://192.0.2.1/x.png"]
    watched.errors.clear()  # the expected errors
    watched.requests.remove(*watched.refused)


def test_page_makes_no_request(open_text, page):
    watched = open_text(page)
    watched.page.locator("#search").fill("script")
    watched.page.locator("#theme").click()
    watched.page.wait_for_timeout(100)
    assert [url for url in watched.requests if not url.startswith("file:")] == []
    assert len(watched.requests) == 1  # the page itself


@pytest.mark.parametrize("width", WIDTHS)
def test_narrow_pages_do_not_scroll_horizontally(open_text, page, width):
    opened = open_text(page, width=width).page
    widths = opened.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_light_and_dark(open_text, page):
    colors = (
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    opened = open_text(page, color_scheme="dark").page
    dark = opened.evaluate(colors)
    opened.locator("#theme").click()
    light = opened.evaluate(colors)
    assert all(a != b for a, b in zip(dark, light))
    assert open_text(page, color_scheme="light").page.evaluate(colors) == light


# WCAG 2 requires a contrast of 4.5 to 1 for small text. Colors may be mixed and translucent, so they
# are painted on a canvas, one layer for each element.
CONTRASTS = """() => {
  const painter = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const luminance = (layers) => {
    for (const colour of layers) {
      painter.fillStyle = colour;
      painter.fillRect(0, 0, 1, 1);
    }
    const [r, g, b] = [...painter.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script, title")) continue;
    if (!element.checkVisibility() || !element.getClientRects().length) continue;
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.unshift(getComputedStyle(at).backgroundColor);
    }
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [luminance(layers), luminance([...layers, colour])];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${walker.currentNode.data.trim()}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_every_text(open_text, page, scheme):
    assert open_text(page, color_scheme=scheme).page.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("kind", NOTEBOOKS)
def test_page_in_the_frame_of_a_notebook(open_page, kind):
    page = open_page().page
    page.set_content(NOTEBOOKS[kind]()._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("#theme").click()
    assert frame.locator("#table tbody th").count() == len(HOSTILE) - 1
    assert page.frames[1].evaluate("origin") == "null"
