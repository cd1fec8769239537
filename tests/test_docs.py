"""The documentation: its size, its links, and the messages that it explains."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import mlflow_interpret
from mlflow_interpret.explaining import shared_budget

ROOT = Path(__file__).parents[1]
PACKAGE = Path(mlflow_interpret.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FAQ = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^### (.*)", FAQ.partition("## Messages")[2], flags=re.MULTILINE)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_has_one_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not link.startswith("http"):
            path, _, heading = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not heading or heading in headings(target), link


def test_the_described_time_budget_is_that_of_the_package():
    claim = re.compile(r"([\d.]+) %[^.]*?\bat least (\d+) and\s+at most (\d+)")
    expected = (
        100 * shared_budget.SHARE,
        shared_budget.SHORTEST_BUDGET,
        shared_budget.LONGEST_BUDGET,
    )
    for page in ("README.md", "CHANGELOG.md", "docs/getting-started.md", "docs/options.md"):
        (claimed,) = claim.findall((ROOT / page).read_text(encoding="utf-8"))
        assert tuple(map(float, claimed)) == expected, page


def test_the_page_of_options_has_all_options_of_autolog():
    page = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in inspect.signature(mlflow_interpret.autolog).parameters
        if f"`{name}`" not in page
    ]
    assert not missing


def test_the_speedups_of_the_readme_are_in_the_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    table = readme.partition("| model | speedup |")[2].partition("\n\n")[0]
    speedups = [
        number
        for row in table.splitlines()[2:]
        for number in re.findall(r"[\d.]+", row.split("|")[2])
    ]
    assert len(speedups) > 6
    for number in speedups:
        assert re.search(rf"\| {re.escape(number)} \|", results), number


def test_the_explained_messages_are_those_of_the_package():
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    text = re.sub(r'"\s*\n\s*f?"', "", source)  # strings over several lines
    text = text.replace("{store.title}", "Azure ML")
    assert len(MESSAGES) > 10
    missing = []
    for message in MESSAGES:
        for part in message.split("..."):
            missing += [message] * (part.strip() not in text)
    assert not missing
