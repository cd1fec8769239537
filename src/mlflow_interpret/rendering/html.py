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
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from mlflow_interpret.core.text import format_number, truncate

if TYPE_CHECKING:
    import jinja2


def render(
    package: str,
    template: str,
    context: Mapping[str, Any],
    *,
    data: Any = None,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """A page.

    Args:
        package: The package whose folder ``templates/`` holds the template, scripts and styles.
        template: A template that extends ``base.html``.
        context: What the template shows.
        data: What its scripts read: JSON values, where an infinite number becomes null.
        scripts: Further files in ``templates/`` that run after ``base.js``.
        styles: Further files in ``templates/`` after ``base.css``.
    """
    from markupsafe import Markup

    script = "\n".join(_source(package, name) for name in ("base.js", *scripts))
    style = "\n".join(_source(package, name) for name in ("base.css", *styles))
    page = (
        _environment(package)
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


def escaped(name: Any) -> bytes:
    """A name as it stands in a page, as markup in UTF-8."""
    return html.escape(truncate(name)).encode()


def finite(value: Any) -> Any:
    """JSON values without infinity and NaN, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _environment(package: str) -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package), jinja2.PackageLoader("mlflow_interpret.rendering")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # The filter tojson writes <, >, & and ' as \u003c..., and all beyond ASCII, too.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["shown"] = truncate
    environment.filters["number"] = format_number
    return environment


@cache
def _source(package: str, name: str) -> str:
    environment = _environment(package)
    loader = environment.loader
    if loader is None:  # cannot be: it is set above
        return ""
    # Browsers hash what they read, and they read every end of a line as one character.
    return loader.get_source(environment, name)[0].replace("\r\n", "\n").strip()
