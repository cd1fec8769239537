"""Figures: correct numbers and order, any names, and no global state."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import with_groups
from mlflow_interpret.report import figure_parts
from mlflow_interpret.report.figure_parts import wrap_name
from mlflow_interpret.report.figures import beeswarm, groups, importances, per_class


def explanation(features, values, **details):
    return Explanation(
        method="shap_tree",
        task="regression",
        model_class=None,
        features=tuple(features),
        global_values=np.asarray(values, dtype=float),
        details=Details.from_json(details),
    )


def local(n_features=4, n_rows=60, n_classes=None, names=None, targets=None, rows=None):
    """An explanation whose contributions are the values times a constant for each feature."""
    names = tuple(names or (f"f{i}" for i in range(n_features)))
    X = np.random.default_rng(0).normal(size=(n_rows, n_features))
    values = X * np.arange(n_features, 0, -1)
    if n_classes:
        values = values[None] * np.linspace(-1, 2, n_classes)[:, None, None]
    sizes = np.abs(values).mean(axis=-2)
    classes = None if targets or not n_classes else tuple(f"c{i}" for i in range(n_classes))
    return Explanation(
        method="m", task="regression" if classes is None else "classification", model_class=None,
        features=names, global_values=sizes.mean(axis=0) if n_classes else sizes, classes=classes,
        targets=targets, per_class_values=sizes if n_classes else None, local_values=values,
        evaluation_rows=pd.DataFrame(X, columns=list(names)) if rows is None else rows,
        details=Details.from_json({"rows": {"explained": n_rows, "available": 999}, "output_scale": "probability"}),
    )  # fmt: skip


def drawn(figure):
    axes = figure.axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    return axes, labels, [bar.get_width() for bar in axes.patches]


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return buffer.getvalue()


def cut(figure):
    """The texts of a figure that extend beyond its edges."""
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    texts = [figure._suptitle]
    texts += figure.axes[0].get_yticklabels()
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
        texts += axes.get_xticklabels() if axes.images else []
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    boxes = {text.get_text(): text.get_window_extent() for text in texts if text.get_text()}
    return [name for name, box in boxes.items()
            if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]  # fmt: skip


def test_bars_are_sorted_from_top_to_bottom():
    axes, labels, widths = drawn(importances(explanation("abc", [1.0, 2571.8, 2.0])))
    assert labels == ["b", "c", "a"]
    assert widths == [2571.8, 2.0, 1.0]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts] == ["2,572", "2.00", "1.00"]


def test_error_bars_are_1_96_standard_errors_and_not_below_0():
    explained = local()
    axes, _, widths = drawn(importances(explained))
    (segments,) = [lines.get_segments() for lines in axes.collections]
    errors = explained.standard_errors()
    for segment, width, error in zip(segments, widths, errors):
        assert segment[:, 0] == pytest.approx([max(0, width - 1.96 * error), width + 1.96 * error])
    assert "95 % intervals" in axes.get_xlabel()
    axes, _, _ = drawn(importances(explanation("a", [1.0])))
    assert "95 %" not in axes.get_xlabel()
    noisy = explanation("a", [1.0])
    object.__setattr__(noisy, "global_errors", np.array([5.0]))
    (lines,) = drawn(importances(noisy))[0].collections
    assert lines.get_segments()[0][0, 0] == 0


def test_top_k_features_are_drawn_and_counted_in_the_title():
    shown = explanation([f"f{i}" for i in range(50)], range(50))
    axes, labels, _ = drawn(importances(shown, top_k=5))
    assert labels == ["f49", "f48", "f47", "f46", "f45"]
    assert "top 5 of 50 features" in axes.figure.get_suptitle()
    axes, labels, _ = drawn(importances(shown, top_k=99))
    assert len(labels) == 50
    assert "50 features" in axes.figure.get_suptitle()
    assert "top" not in axes.figure.get_suptitle()


def test_axis_label_has_the_scale():
    axes, _, _ = drawn(importances(explanation("a", [1.0], output_scale="probability")))
    assert axes.get_xlabel().startswith("mean |contribution| (probability)")


def test_beeswarm_has_a_point_for_each_row_colored_by_value():
    explained = local(2, 30)
    figure = beeswarm(explained)
    axes, labels, _ = drawn(figure)
    assert labels == ["f0", "f1"]
    (points,) = axes.collections
    offsets = points.get_offsets()
    assert sorted(offsets[:, 0]) == pytest.approx(sorted(explained.local_values.ravel()))
    colors = [to_hex(color) for color in points.get_facecolors()]
    first = np.flatnonzero(np.abs(offsets[:, 1]) < 0.5)  # of the feature on top
    ordered = first[np.argsort(offsets[first, 0])]
    assert colors[ordered[0]] == figure_parts.BLUE.lower()
    assert colors[ordered[-1]] == figure_parts.VERMILION.lower()


def test_points_stay_in_the_row_of_their_feature():
    (points,) = drawn(beeswarm(local(3, 1000)))[0].collections
    rows = points.get_offsets()[:, 1]
    assert np.all(np.abs(rows - rows.round()) <= 0.41)
    assert set(rows.round()) == {0, 1, 2}


def test_categories_and_missing_values_are_gray():
    rows = pd.DataFrame({"f0": ["a", "b", "c"] * 4, "f1": [np.nan] * 12})
    (points,) = drawn(beeswarm(local(2, 12, rows=rows)))[0].collections
    assert len({to_hex(color) for color in points.get_facecolors()}) == 1


def test_name_of_a_feature_with_two_categories_includes_them():
    """The first category has the low color. Long and boolean pairs are omitted."""
    rows = pd.DataFrame({
        "f0": ["male"] * 7 + ["female"] * 5, "f1": [True, False] * 6, "f2": ["a" * 30, "b"] * 6,
    })  # fmt: skip
    explained = local(3, 12, rows=rows)
    axes, labels, _ = drawn(beeswarm(explained))
    assert labels == ["f0 (male to female)", "f1", "f2"]
    (points,) = axes.collections
    offsets, values = points.get_offsets(), explained.local_values[:, 0]
    color_of = {x: to_hex(c) for x, c in zip(offsets[:, 0], points.get_facecolors()) if x in values}
    expected = np.where(
        rows["f0"] == "male", figure_parts.BLUE.lower(), figure_parts.VERMILION.lower()
    )
    assert [color_of[x] for x in values] == expected.tolist()


def test_beeswarm_of_many_rows_shows_a_seeded_sample():
    explained = local(2, 1500)
    assert "1,000 of them shown" in beeswarm(explained).get_suptitle()
    assert png(beeswarm(explained)) == png(beeswarm(explained))


def test_classes_of_a_beeswarm():
    assert "contribution to c1" in drawn(beeswarm(local(n_classes=2)))[0].get_xlabel()
    figure = beeswarm(local(n_classes=5))
    assert [axes.get_xlabel() for axes in figure.axes[:3]] == [
        "contribution to c0", "contribution to c3", "contribution to c4"
    ]  # fmt: skip
    assert "3 of 5 classes" in figure.get_suptitle()
    assert "to c2" in drawn(beeswarm(local(n_classes=5), output=2))[0].get_xlabel()


def test_no_figure_without_values_of_rows_or_classes():
    assert beeswarm(explanation("ab", [1, 2])) is None
    assert beeswarm(local().without_rows()) is None
    assert per_class(local()) is None


def test_no_figure_by_class_for_two_classes_with_equal_importances():
    values = local(3).local_values
    mirrored = replace(
        local(3, n_classes=2),
        local_values=np.stack([-values, values]),
        per_class_values=np.abs(np.stack([values, values])).mean(axis=1),
    )
    assert mirrored.is_mirrored
    assert per_class(mirrored) is None
    assert per_class(local(3, n_classes=2)) is not None
    targets = replace(mirrored, classes=None, targets=("kg", "m"))
    assert per_class(targets) is not None


def test_bars_by_class_are_stacked():
    explained = local(3, n_classes=4)
    axes, labels, widths = drawn(per_class(explained))
    assert labels == ["f0", "f1", "f2"]
    assert widths == pytest.approx(explained.per_class_values.ravel())
    starts = [bar.get_x() for bar in axes.patches]
    assert starts[3:6] == pytest.approx(explained.per_class_values[0])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["c0", "c1", "c2", "c3"]
    axes.figure.canvas.draw()
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1 - 1


def test_short_class_labels_are_horizontal_below_a_heat_map():
    digits = replace(local(2, n_classes=10), classes=tuple(range(10)))
    axes = per_class(digits).axes[0]
    assert axes.get_xlabel() == "class"
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {0}
    words = per_class(replace(digits, classes=tuple(f"class {i}" for i in range(10)))).axes[0]
    assert {label.get_rotation() for label in words.get_xticklabels()} == {90}


@pytest.mark.parametrize("size", [0.01, 1.0, 1e5])
def test_ticks_of_several_panels_do_not_overlap(size):
    explained = local(3, n_classes=4)
    figure = beeswarm(replace(explained, local_values=size * explained.local_values))
    figure.canvas.draw()
    for axes in figure.axes[:3]:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert len(boxes) >= 3
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))


@pytest.mark.parametrize(("n_classes", "columns"), [(8, 8), (30, 30), (31, 30), (100, 30)])
def test_heat_map_of_many_classes(n_classes, columns):
    explained = local(3, n_classes=n_classes)
    (image,) = per_class(explained).axes[0].images
    values = np.asarray(image.get_array())
    assert values.shape == (3, columns)
    names = [text.get_text() for text in image.axes.get_xticklabels()]
    if n_classes == columns:
        assert values == pytest.approx(explained.per_class_values.T)
    else:
        assert names[-1] == f"mean of {n_classes - 29} others"
        assert values.mean(axis=1) * 30 + values[:, -1] * (n_classes - 30) == pytest.approx(
            explained.per_class_values.sum(axis=0)
        )


def test_importances_by_target_are_shares():
    explained = local(3, n_classes=2, targets=("kg", "m"))
    axes, _, widths = drawn(per_class(explained))
    assert sum(widths[:3]) == pytest.approx(100)
    assert sum(widths[3:]) == pytest.approx(100)
    assert "share" in axes.get_xlabel()


@pytest.mark.parametrize("draw", [importances, beeswarm, per_class])
def test_figures_can_be_drawn_into_axes_of_the_user(draw):
    figure = Figure()
    axes = figure.subplots()
    assert draw(local(n_classes=3), ax=axes) is figure
    assert [text.get_text() for text in axes.get_yticklabels()] == ["f0", "f1", "f2", "f3"]
    assert axes.get_title()


ODD = ["<script>", "$x^2", "$", "a_b^{", "Größe 年齢", "🙂", "n" * 10_000, "line\nbreak", "\x00", " ", "%s %d {}",
       "\\frac{1}{2}$", "\ud800"]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph")
def test_unusual_names_are_drawn_unchanged():
    figure = importances(explanation(ODD, range(len(ODD), 0, -1)))
    assert png(figure).startswith(b"\x89PNG")
    axes, labels, _ = drawn(figure)
    assert labels[:4] == ODD[:4]
    assert not any(text.get_parse_math() for text in axes.get_yticklabels())


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("n_classes", [3, 12], ids=["stack", "heat map"])
def test_unusual_class_names_are_drawn(n_classes):
    explained = local(len(ODD) - 1, 20, n_classes, names=ODD[:-1])
    object.__setattr__(explained, "classes", tuple(ODD[-n_classes:]))
    for draw in (beeswarm, per_class):
        assert png(draw(explained)).startswith(b"\x89PNG")


LONG = [
    f"{i:03d} a name of a hundred characters, which is long, {'word ' * 9}{i:03d}"
    for i in range(30)
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", [importances, beeswarm, per_class])
@pytest.mark.parametrize(
    ("n_features", "n_classes", "names"),
    [(1, 2, None), (500, 2, None), (30, 30, LONG), (30, 3, LONG), (3, 30, LONG)],
    ids=["1 feature", "500 features", "30 classes", "long names", "3 features of 30 classes"],
)
def test_nothing_is_cut_off(draw, n_features, n_classes, names):
    explained = local(n_features, 20, n_classes, names and names[:n_features])
    if names:
        object.__setattr__(explained, "classes", tuple(names[:n_classes]))
    assert cut(draw(explained)) == []


def color_bar(figure):
    figure.canvas.draw()
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    return bar


@pytest.mark.parametrize("n_features", [2, 7, 20])
def test_row_height_of_a_heat_map_does_not_depend_on_class_labels(n_features):
    long = replace(local(n_features, n_classes=30), classes=tuple(LONG))
    figure = per_class(long)
    bar = color_bar(figure)
    inches = figure.axes[0].get_window_extent().height / figure.dpi
    assert inches / n_features > 0.2
    assert 0.08 < bar.get_window_extent().width / figure.dpi < 0.3


@pytest.mark.parametrize("n_classes", [2, 3])
def test_color_bar_explains_gray_points(n_classes):
    rows = pd.DataFrame({"f0": ["a", "b", "c"] * 4, "f1": range(12)})
    figure = beeswarm(local(2, 12, n_classes, rows=rows))
    assert color_bar(figure).get_ylabel() == "feature value\ngray: category\nor missing"
    assert cut(figure) == []
    assert color_bar(beeswarm(local(2, 12, n_classes))).get_ylabel() == "feature value"


def test_beeswarm_of_targets():
    figure = beeswarm(local(n_classes=5, targets=tuple("abcde")))
    assert "3 of 5 targets" in figure.get_suptitle()
    both = beeswarm(local(n_classes=2, targets=("kg", "m"))).axes[:2]
    assert [axes.get_xlabel() for axes in both] == ["contribution to kg", "contribution to m"]


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [np.nan, np.nan], [1e-300, 1e300]], ids=str
)
def test_unusual_values_are_drawn(values):
    assert png(importances(explanation("ab", values))).startswith(b"\x89PNG")
    explained = local(2, 3, 3)
    strange = np.asarray(explained.local_values).copy()
    strange[:, 0] = values
    object.__setattr__(explained, "local_values", strange)
    object.__setattr__(explained, "per_class_values", strange[:, 0])
    for draw in (beeswarm, per_class):
        assert png(draw(explained)).startswith(b"\x89PNG")


def test_figures_are_reproducible():
    explained = explanation(["a", "b"], [1.0, 2.0])
    assert png(importances(explained)) == png(importances(explained))


def test_figure_height_grows_with_the_number_of_rows():
    short = importances(explanation("abc", [1, 2, 3])).get_size_inches()[1]
    names = ["long name " * 20 + str(i) for i in range(20)]
    assert importances(explanation(names, range(20))).get_size_inches()[1] > 3 * short


def test_wrapped_names_keep_both_ends_on_two_lines():
    assert wrap_name("age") == "age"
    assert wrap_name("") == wrap_name("\n\t") == "(no name)"
    long = wrap_name("start " + "x" * 500 + " end")
    assert long.startswith("start")
    assert long.endswith("end")
    assert "…" in long
    for name in (*ODD, "word " * 200, "x" * 97, "a-b " * 24):
        lines = wrap_name(name).split("\n")
        assert 1 <= len(lines) <= 2
        assert all(0 < len(line) <= 40 for line in lines)


def test_pyplot_is_not_imported():
    code = """
import sys
import numpy as np
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.report.figures import beeswarm, groups, importances, per_class
values = np.random.default_rng(0).normal(size=(2, 9, 1))
explanation = Explanation("m", "classification", None, ("a",), np.ones(1), (0, 1),
                          per_class_values=np.array([[1.0], [2.0]]), local_values=values)
for draw in (beeswarm, importances, per_class):
    draw(explanation).savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "figure.png"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_palette_of_okabe_and_ito():
    okabe_ito = {
        "#000000",
        "#E69F00",
        "#56B4E9",
        "#009E73",
        "#F0E442",
        "#0072B2",
        "#D55E00",
        "#CC79A7",
    }
    assert {*figure_parts.STACK, figure_parts.BLUE, figure_parts.VERMILION} <= okabe_ito
    assert len(set(figure_parts.STACK)) == len(figure_parts.STACK)


def test_groups_are_drawn_with_the_single_features():
    record = local(n_classes=3)
    assert groups(record) is None
    figure = groups(with_groups(record, {"pair": ["f0", "f3"]}))
    _, labels, widths = drawn(figure)
    sums = record.local_values[..., 0] + record.local_values[..., 3]
    expected = {"pair": np.abs(sums).mean(), "f1": record.global_values[1]}
    expected["f2"] = record.global_values[2]
    assert dict(zip(labels, widths, strict=True)) == pytest.approx(expected)
    assert widths == sorted(widths, reverse=True)
    assert "Importance by group" in figure.get_suptitle()
    assert "3 groups and single features" in figure.get_suptitle()
    alone = groups(with_groups(record, {"all": ["f0", "f1", "f2", "f3"]}))
    assert "1 group" in alone.get_suptitle()
