"""The records: plain, frozen, ranked as interpret-community ranks."""

from __future__ import annotations

import uuid
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_interpret.core.explanation import Explanation, TrainingContext, distinct_names
from mlflow_interpret.core.statistics import rank
from mlflow_interpret.runtime.isolation import suppress_warnings

quick = settings(deadline=None, max_examples=50)


def explanation(values=(0.5, 2.0, 1.0), **more):
    return Explanation(
        method="shap_tree",
        task="regression",
        model_class="Model",
        features=tuple(f"f{i}" for i in range(len(values))),
        global_values=np.array(values),
        **more,
    )


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        explanation().method = "other"
    with pytest.raises(FrozenInstanceError):
        TrainingContext(model=None, X=None).y = 1


def test_each_explanation_has_an_id_of_its_own():
    ids = {explanation().id for _ in range(3)}
    assert len(ids) == 3
    assert all(str(uuid.UUID(one)) == one for one in ids)


def test_records_with_arrays_can_be_compared_and_hashed():
    one = explanation()
    assert one == one  # noqa: PLR0124
    assert one != explanation()
    assert len({one, one}) == 1


def test_the_most_important_feature_comes_first():
    assert explanation().ranked() == [("f1", 2.0), ("f2", 1.0), ("f0", 0.5)]


def test_details_are_not_shared():
    one, other = explanation(), explanation()
    one.details["a"] = 1
    assert other.details == {}


def test_what_quotes_a_row_goes_with_the_rows():
    """Also where a longer text was cut off in the middle of the quoted one."""
    text = "could not convert string to float: 'planted-cell' and more"
    notes = ["Of ours.", f"Not exact, because {text}.", f"Because it failed: {text[:45]}..."]
    details = {"notes": notes, "engine": {"why": text}, "rows": 3}
    one = explanation(details=details, engineered=explanation(details={"notes": [text]}))
    assert one.quoting(["something else"]) is one
    known = one.quoting([text, "something else"])
    assert (known.details["notes"], known.details["quoted"]) == (notes, [text])
    left = known.without_rows()
    why = "(its text may hold values of rows, so it is left out)"
    assert left.details == {
        "notes": ["Of ours.", f"Not exact, because {why}", f"Because it failed: {why}"],
        "engine": {"why": why},
        "rows": 3,
    }
    assert left.engineered.details == {"notes": [why]}


@quick
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30))
def test_ranked_falls_and_holds_every_feature_once(values):
    ranked = explanation(values).ranked()
    importances = [value for _, value in ranked]
    assert importances == sorted(importances, reverse=True)
    assert sorted(name for name, _ in ranked) == sorted(f"f{i}" for i in range(len(values)))
    assert all(values[int(name[1:])] == value for name, value in ranked)


def test_rank_is_interpret_community_s_own():
    with suppress_warnings():
        from interpret_community.common.explanation_utils import _order_imp

    draw = np.random.default_rng(0)
    for values in (draw.random(10), draw.integers(0, 3, 12).astype(float), draw.random((3, 7))):
        assert np.array_equal(rank(values), _order_imp(values))


@quick
@given(st.lists(st.text(alphabet="ab.2x01", max_size=4), max_size=12))
def test_distinct_names_are_distinct_and_stable(names):
    distinct = distinct_names(names)
    assert len(distinct) == len(set(distinct)) == len(names)
    assert all(distinct)
    assert distinct_names(distinct) == distinct


def test_stored_standard_errors_count_before_those_of_local_values():
    local = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    computed = explanation(local_values=local).standard_errors()
    np.testing.assert_allclose(computed, [1, 0, 1])
    stored = np.array([0.1, 0.2, 0.3])
    assert explanation(local_values=local, global_errors=stored).standard_errors() is stored
    assert explanation(global_errors=stored).without_rows().standard_errors() is stored


def test_errors_by_class_are_those_of_means_over_all_explained_rows():
    local = np.array([[[1.0, 2.0], [3.0, 2.0]], [[-1.0, 0.0], [5.0, 0.0]]])  # two classes
    found = explanation(local_values=local)
    np.testing.assert_allclose(found.per_class_standard_errors(), [[1, 0], [2, 0]])
    kept = found.without_rows()
    assert kept.local_values is None
    np.testing.assert_allclose(kept.per_class_standard_errors(), [[1, 0], [2, 0]])
    sample = explanation(local_values=local, details={"rows": {"explained": 200, "kept": 2}})
    np.testing.assert_allclose(sample.per_class_standard_errors(), [[0.1, 0], [0.2, 0]])
    single = explanation(local_values=local[:, :1])
    assert single.per_class_standard_errors() is explanation().per_class_standard_errors() is None
