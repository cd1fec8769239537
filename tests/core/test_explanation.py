"""The records: plain, frozen, ranked as interpret-community ranks."""

from __future__ import annotations

import uuid
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_interpret.core.details import Details, RowCounts, as_notes, note_because
from mlflow_interpret.core.errors import LEFT_OUT, CannotExplainError
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


def test_values_of_rows_in_notes_go_with_the_rows():
    error = CannotExplainError("the step failed", ValueError("not a float: 'planted-cell'"))
    note = note_because("Explained as a black box", error)
    details = Details(notes=as_notes(["A plain note.", note]), histograms=({"feature": "f0"},))
    whole = explanation(details=details, engineered=explanation(details=details))
    bare = whole.without_rows()
    assert "planted-cell" in str(whole.details.to_json())
    for kept in (bare.details, bare.engineered.details):
        assert "planted-cell" not in str(kept.to_json())
        assert kept.histograms is None
        assert [note.text for note in kept.notes] == [
            "A plain note.",
            f"Explained as a black box, because the step failed: ValueError {LEFT_OUT}.",
        ]


@quick
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30))
def test_ranked_falls_and_holds_every_feature_once(values):
    ranked = explanation(values).ranked()
    importances = [value for _, value in ranked]
    assert importances == sorted(importances, reverse=True)
    assert sorted(name for name, _ in ranked) == sorted(f"f{i}" for i in range(len(values)))
    assert all(values[int(name[1:])] == value for name, value in ranked)


@pytest.mark.interpret
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
    sample = explanation(local_values=local, details=Details(rows=RowCounts(explained=200, kept=2)))
    np.testing.assert_allclose(sample.per_class_standard_errors(), [[0.1, 0], [0.2, 0]])
    single = explanation(local_values=local[:, :1])
    assert single.per_class_standard_errors() is explanation().per_class_standard_errors() is None
