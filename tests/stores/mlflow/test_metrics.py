"""Metric names: accepted by MLflow, all different, and reversible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.feature_groups import GroupImportances
from mlflow_interpret.stores.mlflow.logged_models import is_importance
from mlflow_interpret.stores.mlflow.metrics import MetricRoom, metric_name, metrics_of

quick = settings(deadline=None, max_examples=100)
TRAPS = st.sampled_from(
    ["a", "A", "a_2", "A_2", "a/b", "a:b", "a_b", "..", ".", "...", "/", "//", " ", "  a ", "\n",
     "ß", "ss", "SS", "ﬁ", "fi", "É", "é", "<script>", "x" * 300, "x" * 301, "X" * 300, "\x00",
     "importance/a", "年齢", "🙂", "-", "_", "../../etc", "a" * 199 + "é", "\ud800"]
)  # fmt: skip
NAMES = st.lists(TRAPS | st.text(max_size=20), min_size=1, max_size=40, unique=True)


def explanation(features, values=None):
    if values is None:
        values = np.arange(len(features), 0, -1, dtype=float)
    return Explanation(
        method="shap_tree",
        task="regression",
        model_class=None,
        features=tuple(features),
        global_values=np.asarray(values, dtype=float),
    )


@quick
@given(NAMES, st.integers(1, 30), st.integers(1, 12))
def test_names_are_valid_distinct_reversible_and_few(features, top_k, number):
    metrics = metrics_of(explanation(features), top_k, number, kinds=("importance",))
    assert len(metrics.values) == min(top_k, len(features))
    for name in metrics.values:
        _validate_metric_name(name)
        assert len(name) <= MAX_ENTITY_KEY_LENGTH
        assert name.count("/") == 1
        assert ":" not in name
        assert name == name.rstrip()
        name.encode("utf-8")
    assert len({name.casefold() for name in metrics.values}) == len(metrics.values)
    assert metrics.features.keys() == metrics.values.keys()
    for name, feature in metrics.features.items():
        assert metrics.values[name] == len(features) - features.index(feature)
    assert metrics.left_out == len(features) - len(metrics.values)


def test_a_valid_name_is_unchanged():
    for name in ("age", "petal width cm", "s5", "x.1", "max-speed", "年齢", "Größe"):
        assert metric_name(name) == name


def test_the_most_important_features_become_metrics():
    metrics = metrics_of(explanation(list("abcd"), [1.0, 4.0, 2.0, 3.0]), top_k=2)
    assert metrics.values == {
        "importance/b": 4.0,
        "importance/d": 3.0,
        "importance_share/b": 0.4,
        "importance_share/d": 0.3,
    }
    assert metrics.left_out == 2


@pytest.mark.parametrize("kind", ["importance", "share"])
def test_one_kind_of_metrics_is_chosen(kind):
    values = metrics_of(explanation(list("ab"), [1.0, 4.0]), top_k=2, kinds=(kind,)).values
    group = "importance" if kind == "importance" else "importance_share"
    assert list(values) == [f"{group}/b", f"{group}/a"]


@given(
    st.lists(st.just(0.0) | st.floats(1e-100, 1e100), min_size=1, max_size=30), st.floats(1e-3, 1e3)
)
def test_shares_do_not_depend_on_the_scale(values, scale):
    names = [f"f{i}" for i in range(len(values))]
    shares = metrics_of(explanation(names, values), 30, kinds=("share",)).values
    scaled = metrics_of(explanation(names, np.multiply(values, scale)), 30, kinds=("share",)).values
    assert sum(shares.values()) == pytest.approx(1) or not any(values)
    assert all(0 <= share <= 1 for share in shares.values())
    for name in shares.keys() & scaled.keys():
        assert scaled[name] == pytest.approx(shares[name], rel=1e-9)


def test_shares_take_the_names_that_importances_leave():
    record = explanation([f"f{i}" for i in range(20)])
    metrics = metrics_of(record, 20, room=MetricRoom(30))
    assert [name.partition("/")[0] for name in metrics.values] == (
        ["importance"] * 20 + ["importance_share"] * 10
    )
    metrics = metrics_of(record, 20, room=MetricRoom(30, 30))
    assert len(metrics.values) == 40
    assert metrics.left_out == 0


def test_zero_is_logged_and_infinity_is_not():
    metrics = metrics_of(explanation(list("abcd"), [np.nan, 0.0, np.inf, 1.0]), top_k=2)
    assert metrics.values == {
        "importance/d": 1.0,
        "importance/b": 0.0,
        "importance_share/d": 1.0,
        "importance_share/b": 0.0,
    }
    assert metrics.left_out == 2


def test_later_explanations_of_a_run_have_their_own_groups():
    first = metrics_of(explanation(["a", "b"]), 2)
    second = metrics_of(explanation(["a", "b"]), 2, number=2)
    assert list(second.values) == [
        "importance-2/a", "importance-2/b", "importance_share-2/a", "importance_share-2/b"
    ]  # fmt: skip
    assert not first.values.keys() & second.values.keys()


@pytest.mark.parametrize("room", [60, 30, 20, 10, 1, 0, -1, -70])
def test_the_room_of_the_run_limits_the_metrics(room):
    record = explanation([f"f{i}" for i in range(100)])
    metrics = metrics_of(record, 20, number=2, room=MetricRoom(room))
    assert len(metrics.values) == max(0, min(40, room))
    assert metrics.left_out == 100 - max(0, min(20, room))
    shifted = replace(record, details=Details.from_json({"baseline": SHIFTED}))
    metrics = metrics_of(shifted, 20, number=2, room=MetricRoom(room))
    assert len(metrics.values) == max(0, min(43, room))
    assert metrics.left_out == 100 - len(metrics.features)


SHIFTED = {"spearman": 0.5, "kendall": 0.25, "top_k_overlap": 0.75, "k": 4, "run_id": "x"}


def test_the_comparison_with_a_baseline_has_its_own_group():
    record = replace(explanation(["a"]), details=Details.from_json({"baseline": SHIFTED}))
    assert metrics_of(record, 20).values == {
        "importance_shift/spearman": 0.5,
        "importance_shift/kendall": 0.25,
        "importance_shift/top_k_overlap": 0.75,
        "importance/a": 1.0,
        "importance_share/a": 1.0,
    }
    assert "importance_shift-2/kendall" in metrics_of(record, 20, number=2).values
    assert metrics_of(record, 20).features == {"importance/a": "a"}
    assert metrics_of(record, 20).shares == {"importance_share/a": "a"}
    unknown = {**SHIFTED, "spearman": None, "kendall": None}
    record = replace(record, details=Details.from_json({"baseline": unknown}))
    assert list(metrics_of(record, 20, kinds=("importance",)).values) == [
        "importance_shift/top_k_overlap", "importance/a"
    ]  # fmt: skip


@quick
@given(NAMES, st.randoms())
def test_runs_with_the_same_features_share_metric_names(features, random):
    """Whatever their ranks, which charts of several runs rely on."""
    first = metrics_of(explanation(features), 30).features
    values = list(range(len(features)))
    random.shuffle(values)
    order = random.sample(features, len(features))
    second = metrics_of(explanation(order, values), 30).features
    for name in first.keys() & second.keys():
        assert first[name] == second[name]


def test_a_valid_name_is_unchanged_beside_a_similar_name():
    names = metrics_of(explanation(["a/b", "a_b", "A/b"]), 30).features
    assert names["importance/a_b"] == "a_b"
    assert len(names) == 3


def test_long_names_that_differ_at_the_end_stay_distinct():
    one, other = metric_name("n" * 5000 + "1"), metric_name("n" * 5000 + "2")
    assert one != other
    assert one == metric_name("n" * 5000 + "1")


GROUPED = GroupImportances(
    {"group": ("a", "b"), "x/y": ("c", "d")}, ("group", "x/y", "e"), np.array([3.0, 5.0, 2.0])
)


def test_groups_are_metrics_with_their_shares():
    record = replace(explanation(list("abcde")), groups=GROUPED)
    metrics = metrics_of(record, 20)
    groups = {name: value for name, value in metrics.values.items() if "group" in name}
    assert groups == {
        "importance_group/x_y": 5.0,
        "importance_group/group": 3.0,
        "importance_share_group/x_y": 0.5,
        "importance_share_group/group": 0.3,
    }
    assert metrics.groups == {"importance_group/x_y": "x/y", "importance_group/group": "group"}
    assert metrics.groups_left_out == 0
    assert "importance_group-2/x_y" in metrics_of(record, 20, number=2).values
    one = metrics_of(record, 1, kinds=("share",))
    assert one.group_shares == {"importance_share_group/x_y": "x/y"}
    assert one.groups_left_out == 1
    assert not one.groups


@pytest.mark.parametrize(("room", "n_groups", "n_shares"), [(14, 2, 2), (6, 1, 0), (5, 0, 0)])
def test_a_limit_leaves_importances_of_groups_before_shares(room, n_groups, n_shares):
    record = replace(explanation(list("abcde")), groups=GROUPED)
    metrics = metrics_of(record, 20, room=MetricRoom(room))
    assert len(metrics.values) <= room
    assert len(metrics.features) == 5
    assert len(metrics.groups) == n_groups
    assert len(metrics.group_shares) == n_shares
    unlimited = metrics_of(record, 20, room=MetricRoom(30, 30, 0))
    assert not unlimited.groups
    assert not unlimited.group_shares


def test_metrics_of_groups_are_no_metrics_of_the_model():
    record = replace(explanation(list("abcde")), groups=GROUPED)
    for number in (1, 2):
        assert all(is_importance(name) for name in metrics_of(record, 20, number=number).values)
    assert not is_importance("importance_groups/a")
