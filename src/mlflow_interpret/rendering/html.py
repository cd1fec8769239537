"""Self-contained HTML pages that make no request and escape all names.

A page is a template that extends ``base.html``. Jinja escapes text, and scripts read their data
from a JSON block, which browsers do not run. The content security policy allows only the style and
the script of the page, by their hashes, so injected code would not run.
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
    """Render a page.

    Args:
        package: The package whose ``templates/`` folder has the template, scripts and styles.
        template: Name of a template that extends ``base.html``.
        context: Variables of the template.
        data: JSON values for the scripts. Numbers that are not finite become null.
        scripts: Files in ``templates/`` that run after ``base.js``.
        styles: Files in ``templates/`` that follow ``base.css``.

    Returns:
        The HTML text.
    """
    from markupsafe import Markup

    script = "\n".join(_source(package, name) for name in ("base.js", *scripts))
    style = "\n".join(_source(package, name) for name in ("base.css", *styles))
    page = (
        _environment(package)
        .get_template(template)
        .render(
            **context,
            page_data=None if data is None else replace_nonfinite(data),
            # These are files of this package without any text of the user.
            page_script=Markup(script),  # noqa: S704
            page_style=Markup(style),  # noqa: S704
            page_policy=(
                f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
                "img-src data:; base-uri 'none'; form-action 'none'"
            ),
        )
    )
    # UTF-8 cannot encode lone surrogates, as in undecodable file names.
    return page.encode("utf-8", "replace").decode("utf-8")


def render_fragment(package: str, template: str, context: Mapping[str, Any]) -> str:
    """Render a template without a page around it, for the output of a notebook.

    Args:
        package: The package whose ``templates/`` folder has the template.
        template: Name of the template.
        context: Variables of the template.
    """
    text = _environment(package).get_template(template).render(**context)
    return text.encode("utf-8", "replace").decode("utf-8")


def frame(page: str, title: str, height: int = 640) -> str:
    """Wrap a page in a sandboxed frame, which isolates it from the notebook that shows it."""
    return (
        f'<iframe title="{html.escape(title, quote=True)}" sandbox="allow-scripts" '
        f'srcdoc="{html.escape(page, quote=True)}" '
        f'style="width:100%;height:{height}px;border:0;resize:vertical"></iframe>'
    )


def escaped_size(name: Any) -> int:
    """Number of bytes that a name takes in a page."""
    return len(html.escape(truncate(name)).encode())


def replace_nonfinite(value: Any) -> Any:
    """Replace infinity and NaN in JSON values by None, since JSON cannot represent them."""
    if isinstance(value, Mapping):
        return {str(key): replace_nonfinite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_nonfinite(item) for item in value]
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
    # The tojson filter escapes <, >, &, ' and everything beyond ASCII.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters["truncate_name"] = truncate
    environment.filters["format_number"] = format_number
    return environment


@cache
def _source(package: str, name: str) -> str:
    environment = _environment(package)
    loader = environment.loader
    if loader is None:  # for the type checker: it is set above
        return ""
    # Browsers normalize line endings before they hash the text.
    return loader.get_source(environment, name)[0].replace("\r\n", "\n").strip()
