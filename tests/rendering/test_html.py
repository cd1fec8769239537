"""HTML pages: self-contained, without requests, and with all text escaped."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import re
from html.parser import HTMLParser

import jinja2
import pytest

from explanations import HOSTILE
from mlflow_interpret.core.text import truncate
from mlflow_interpret.rendering import html

PAGE = (
    '{% extends "base.html" %}{% block title %}{{ name|truncate_name }}{% endblock %}'
    '{% block content %}<p title="{{ name|truncate_name }}">{{ name|truncate_name }}</p>{% endblock %}'
)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend((tag, *pair) for pair in attrs)

    def handle_data(self, data):
        self.texts.setdefault(self.tags[-1] if self.tags else "", []).append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


@pytest.fixture
def render(monkeypatch):
    """`html.render` with a template for this test."""
    environment = html._environment("mlflow_interpret.report")
    loader = jinja2.ChoiceLoader([jinja2.DictLoader({"page.html": PAGE}), environment.loader])
    monkeypatch.setattr(environment, "loader", loader)
    return lambda name, **more: html.render(
        "mlflow_interpret.report", "page.html", {"name": name}, **more
    )


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_names_are_escaped_everywhere(render, name):
    plain, hostile = read(render("name", data=["name"])), read(render(name, data=[name]))
    assert hostile.tags == plain.tags
    assert [(t, k) for t, k, _ in hostile.attributes] == [(t, k) for t, k, _ in plain.attributes]
    assert truncate(name) in [text.strip() for text in hostile.texts["p"]]
    assert truncate(name) in [value for _, key, value in hostile.attributes if key == "title"]
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>',
                         render(name, data=[name]))  # fmt: skip
    assert json.loads(data) == [name]
    assert not re.search("[<>&\u2028\u2029]", data)


def test_policy_allows_the_style_and_the_script_of_the_page_only(render):
    page = render("a", data=[1])
    policy = next(v for _, k, v in read(page).attributes if k == "content" and "default-src" in v)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_page_makes_no_request(render):
    page = render("a")
    names = {name for _, name, _ in read(page).attributes}
    assert not names & {"src", "href", "srcset", "action", "data", "poster", "background"}
    assert not any(name.startswith("on") for name in names)
    assert "url(" not in page
    assert "@import" not in page


def test_nonfinite_numbers_become_null(render):
    page = render("a", data={"x": [float("nan"), float("inf"), 1.5], "n": None})
    (data,) = re.findall(r'id="data">(.*?)</script>', page)
    assert json.loads(data) == {"x": [None, None, 1.5], "n": None}


def test_notebook_frame_is_sandboxed(render):
    page = render(HOSTILE[2])
    framed = read(html.frame(page, '"><b>'))
    assert framed.tags == ["iframe"]
    given = {name: value for _, name, value in framed.attributes}
    assert given["srcdoc"] == page
    assert given["sandbox"] == "allow-scripts"
    assert given["title"] == '"><b>'
    assert markup.unescape(markup.escape(page)) == page
