"""The bar chart: right bars in the right order, whatever the names are, and no global state."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

from mlflow_interpret.records import Explanation
from mlflow_interpret.report import bar_chart, short_name


def explanation(features, values, **details):
    return Explanation(
        method="shap_tree",
        task="regression",
        model_class=None,
        features=tuple(features),
        global_values=np.asarray(values, dtype=float),
        details=details,
    )


def drawn(figure):
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    return axes, labels, [bar.get_width() for bar in axes.patches]


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return buffer.getvalue()


def test_bars_fall_from_top_to_bottom_beside_their_names():
    axes, labels, widths = drawn(bar_chart(explanation("abc", [1.0, 3.0, 2.0])))
    assert labels == ["b", "c", "a"]
    assert widths == [3.0, 2.0, 1.0]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts] == ["3", "2", "1"]


def test_only_the_top_is_shown_and_the_title_says_so():
    shown = explanation([f"f{i}" for i in range(50)], range(50))
    axes, labels, _ = drawn(bar_chart(shown, top_k=5))
    assert labels == ["f49", "f48", "f47", "f46", "f45"]
    assert "top 5 of 50 features" in axes.figure.get_suptitle()
    axes, labels, _ = drawn(bar_chart(shown, top_k=99))
    assert len(labels) == 50
    assert "50 features" in axes.figure.get_suptitle()
    assert "top" not in axes.figure.get_suptitle()


def test_the_axis_names_the_scale():
    axes, _, _ = drawn(bar_chart(explanation("a", [1.0], output_scale="probability")))
    assert axes.get_xlabel().endswith("(probability)")


ODD = ["<script>", "$x^2", "$", "a_b^{", "Größe 年齢", "🙂", "n" * 10_000, "line\nbreak", "\x00", " ", "%s %d {}",
       "\\frac{1}{2}$"]  # fmt: skip


def test_odd_names_are_drawn_as_they_are():
    figure = bar_chart(explanation(ODD, range(len(ODD), 0, -1)))
    assert png(figure).startswith(b"\x89PNG")
    axes, labels, _ = drawn(figure)
    assert labels[:4] == ODD[:4]
    assert not any(text.get_parse_math() for text in axes.get_yticklabels())


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [np.nan, np.nan], [1e-300, 1e300]], ids=str
)
def test_any_values_can_be_drawn(values):
    assert png(bar_chart(explanation("ab", values))).startswith(b"\x89PNG")


def test_two_drawings_are_the_same_picture():
    one = explanation(["a", "b"], [1.0, 2.0])
    assert png(bar_chart(one)) == png(bar_chart(one))


def test_more_lines_make_a_taller_figure():
    short = bar_chart(explanation("abc", [1, 2, 3])).get_size_inches()[1]
    names = ["long name " * 20 + str(i) for i in range(20)]
    assert bar_chart(explanation(names, range(20))).get_size_inches()[1] > 3 * short


def test_short_names_keep_both_ends_on_two_lines():
    assert short_name("age") == "age"
    assert short_name("") == short_name("\n\t") == "(no name)"
    long = short_name("start " + "x" * 500 + " end")
    assert long.startswith("start")
    assert long.endswith("end")
    assert "…" in long
    for name in (*ODD, "word " * 200, "x" * 97, "a-b " * 24):
        lines = short_name(name).split("\n")
        assert 1 <= len(lines) <= 2
        assert all(0 < len(line) <= 40 for line in lines)


def test_pyplot_is_not_touched():
    code = """
import sys
import numpy as np
from mlflow_interpret.records import Explanation
from mlflow_interpret.report import bar_chart
bar_chart(Explanation("m", "regression", None, ("a",), np.ones(1))).savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "figure.png"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
