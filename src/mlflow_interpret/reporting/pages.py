"""HTML pages that stand alone: one file, no request, and nothing in a name can become markup.

A page is a template that extends ``base.html``. Text is escaped by Jinja; data for scripts is JSON
in a block that no browser runs; the content security policy names the page's own style and script
by their hashes, so that nothing else would run even if it got into the page.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

NAME_LENGTH = 160
"""Characters of a name that a page shows; a longer one loses its middle."""


def render(
    template: str,
    context: Mapping[str, Any],
    *,
    data: Any = None,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """A page.

    Args:
        template: A template in ``templates/`` that extends ``base.html``.
        context: What the template shows.
        data: What its scripts read: JSON values, where an infinite number becomes null.
        scripts: Further files in ``templates/`` that run after ``base.js``.
        styles: Further files in ``templates/`` after ``base.css``.
    """
    from markupsafe import Markup

    script = "\n".join(map(_source, ("base.js", *scripts)))
    style = "\n".join(map(_source, ("base.css", *styles)))
    page = (
        _environment()
        .get_template(template)
        .render(
            **context,
            page_data=None if data is None else finite(data),
            # These are files of this package, and nothing of a user's is put into them.
            page_script=Markup(script),  # noqa: S704
            page_style=Markup(style),  # noqa: S704
            page_policy=(
                f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
                "img-src data:; base-uri 'none'; form-action 'none'"
            ),
        )
    )
    # Half of a surrogate pair, as in undecodable names of files, has no place in UTF-8.
    return page.encode("utf-8", "replace").decode("utf-8")


def frame(page: str, title: str, height: int = 640) -> str:
    """A page as a sandboxed frame for notebooks: it cannot touch the notebook around it."""
    return (
        f'<iframe title="{html.escape(title, quote=True)}" sandbox="allow-scripts" '
        f'srcdoc="{html.escape(page, quote=True)}" '
        f'style="width:100%;height:{height}px;border:0;resize:vertical"></iframe>'
    )


def shown(name: Any, limit: int = NAME_LENGTH) -> str:
    """A name as one line of at most ``limit`` characters, none of them invisible control."""
    text = str(name)
    long = len(text) > limit
    if long:  # a cut name may be megabytes: nothing is done with the middle
        text = f"{text[: limit - limit // 3 - 1]}…{text[-(limit // 3) :]}"
    line = "".join(" " if c.isspace() else "\ufffd" if _control(c) else c for c in text)
    return line.strip() or "(no name)"


def escaped(name: Any) -> bytes:
    """A name as it stands in a page, as markup in UTF-8."""
    return html.escape(shown(name)).encode()


def places(text: str) -> int:
    """How many places a text takes in a terminal: letters of East Asia take two, accents none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def padded(text: str, width: int) -> str:
    """A text with spaces behind it, up to a width in a terminal."""
    return text + " " * max(0, width - places(text))


def number(value: Any, digits: int = 3) -> str:
    """A number for people: significant digits, thousands set apart where it is whole."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    value = float(value)
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(decimals, 0)}f}"


def finite(value: Any) -> Any:
    """JSON values without infinity and NaN, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _control(character: str) -> bool:
    # Cc and Cs: control characters and lone surrogates; Cf holds the marks that turn text around.
    return unicodedata.category(character) in {"Cc", "Cs"} or character in _TURNING


_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mlflow_interpret.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # The filter tojson writes <, >, & and ' as \u003c..., and all beyond ASCII, too.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["shown"] = shown
    environment.filters["number"] = number
    return environment


@cache
def _source(name: str) -> str:
    environment = _environment()
    loader = environment.loader
    if loader is None:  # cannot be: it is set above
        return ""
    # Browsers hash what they read, and they read every end of a line as one character.
    return loader.get_source(environment, name)[0].replace("\r\n", "\n").strip()
