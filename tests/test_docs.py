"""The documentation: its size, its links, and the messages that it explains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mlflow_interpret

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
