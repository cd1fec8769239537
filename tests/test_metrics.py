"""Metric names: accepted by MLflow, all different, and reversible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

from mlflow_interpret.config import MAX_METRICS
from mlflow_interpret.metrics import metric_name, metrics_of
from mlflow_interpret.records import Explanation

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
def test_names_are_valid_different_reversible_and_few(features, top_k, number):
    metrics = metrics_of(explanation(features), top_k, number)
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


def test_a_plain_name_is_kept_as_it_is():
    for name in ("age", "petal width cm", "s5", "x.1", "max-speed", "年齢", "Größe"):
        assert metric_name(name) == name


def test_the_most_important_features_are_taken():
    metrics = metrics_of(explanation(list("abcd"), [1.0, 4.0, 2.0, 3.0]), top_k=2)
    assert metrics.values == {"importance/b": 4.0, "importance/d": 3.0}
    assert metrics.left_out == 2


def test_zero_is_a_value_and_what_is_not_finite_is_left_out():
    metrics = metrics_of(explanation(list("abcd"), [np.nan, 0.0, np.inf, 1.0]), top_k=2)
    assert metrics.values == {"importance/d": 1.0, "importance/b": 0.0}
    assert metrics.left_out == 2


def test_later_explanations_of_a_run_have_groups_of_their_own():
    first = metrics_of(explanation(["a", "b"]), 2)
    second = metrics_of(explanation(["a", "b"]), 2, number=2)
    assert list(second.values) == ["importance-2/a", "importance-2/b"]
    assert not first.values.keys() & second.values.keys()


@pytest.mark.parametrize("taken", [0, 10, 29, 30, 31, 100])
def test_all_explanations_of_a_run_together_stay_below_the_limit(taken):
    metrics = metrics_of(explanation([f"f{i}" for i in range(100)]), 20, number=2, taken=taken)
    assert len(metrics.values) == max(0, min(20, MAX_METRICS - taken))
    assert metrics.left_out == 100 - len(metrics.values)


def test_long_names_that_differ_at_their_end_stay_apart():
    one, other = metric_name("n" * 5000 + "1"), metric_name("n" * 5000 + "2")
    assert one != other
    assert one == metric_name("n" * 5000 + "1")
