"""Explanations in the MLflow UI of a real server."""

from __future__ import annotations

import re

import mlflow_interpret
from explanations import hostile
from mlflow_interpret.core.text import truncate

TIMEOUT = 60_000  # milliseconds


def report_frame(watched, server, experiment_id, run_id):
    """The report in the frame of the artifact viewer."""
    path = f"/#/experiments/{experiment_id}/runs/{run_id}/artifacts/mlflow_interpret/report.html"
    page = watched.page
    page.set_default_timeout(TIMEOUT)
    page.goto(f"{server.url}{path}")
    page.frame_locator("iframe").locator("#table tbody th button").first.wait_for()
    return next(frame for frame in page.frames[1:] if frame.locator("#table").count())


def test_report_in_the_artifact_viewer(open_page, server):
    frame = report_frame(open_page(1400), server, server.experiment_id, server.runs[0])
    assert frame.evaluate("origin") == "null"
    names = frame.locator("#table tbody tr:not([hidden]) > th bdi")
    assert len(names.all_text_contents()) == 6
    frame.get_by_label("Search features").fill("BILL")
    assert set(names.all_text_contents()) == {"bill_length_mm", "bill_depth_mm"}
    frame.get_by_label("Search features").fill("")
    frame.locator("th[data-sort=name] button").click()
    assert names.all_text_contents() == sorted(names.all_text_contents())
    frame.locator("#output").select_option(label="Gentoo")
    button = frame.get_by_role("button", name="island")
    button.focus()
    button.press("Enter")
    detail = frame.locator("tr.detail").filter(has_text="Torgersen")
    assert "Contribution to Gentoo (probability)" in detail.inner_text()
    assert re.search(r"Adelie|Chinstrap", detail.inner_text())
    assert "validation_score 0.5000" in " ".join(frame.locator(".metrics").inner_text().split())
    frame.locator("#row-number").fill("3")
    frame.locator("#row-number").press("Enter")
    assert re.search(r"Predicted class: \w+ .*True class: \w+", frame.locator("#row").inner_text())
    lines = frame.locator("#waterfall tbody tr")
    assert lines.count() == 1 + 6 + 1
    assert frame.locator("#waterfall .down, #waterfall .up").count() == 6
    frame.locator("#theme").click()
    assert frame.locator("html").get_attribute("data-theme") == "dark"


def test_hostile_names_in_the_artifact_viewer(open_page, server):
    frame = report_frame(open_page(1400), server, server.hostile_experiment_id, server.hostile_run)
    expected = {truncate(name) for name in hostile().features}
    assert set(frame.locator("#table tbody tr > th bdi").all_text_contents()) == expected
    assert frame.locator("img, script:not([type]), iframe").count() == 1


def test_charts_of_two_runs_have_one_section(open_page, server):
    page = open_page(1600, 1200).page
    page.set_default_timeout(TIMEOUT)
    page.goto(f"{server.url}/#/experiments/{server.experiment_id}/runs?compareRunsMode=CHART")
    page.get_by_text(re.compile(r"^importance\s*\(6\)$")).first.wait_for()
    for feature in ("bill_length_mm", "island", "sex"):
        page.get_by_text(f"importance/{feature}").first.wait_for(state="attached")


def test_table_is_compared_across_runs(open_page, server):
    page = open_page(1600, 1200).page
    page.set_default_timeout(TIMEOUT)
    page.goto(f"{server.url}/#/experiments/{server.experiment_id}/runs?compareRunsMode=ARTIFACT")
    page.get_by_text("bill_length_mm").first.wait_for()
    for name in ("depth 3", "depth 8", "island"):
        page.get_by_text(name).first.wait_for(state="attached")


def test_parallel_coordinates_of_two_runs(open_page, server):
    page = open_page(1400).page
    page.set_default_timeout(TIMEOUT)
    runs = ",".join(f'"{run}"' for run in server.runs)
    page.goto(f'{server.url}/#/compare-runs?runs=[{runs}]&experiments=["{server.experiment_id}"]')
    page.get_by_text("importance/bill_length_mm").first.wait_for(state="attached")
    best = mlflow_interpret.load_explanation(server.runs[0]).get_ranked_global_names()[0]
    assert page.get_by_text(f"importance/{best}").count() > 0
