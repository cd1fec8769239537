"""How many rows are explained, in which order, and when it ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVR

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining import row_scheduler
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.base import ExplainerInfo
from mlflow_interpret.explaining.explainers.tabular_explainer import TabularFastExplainer
from mlflow_interpret.explaining.explainers.trees import TreeExplainer
from mlflow_interpret.explaining.time_budget import Budget, OutOfTimeError, TooSlowError
from mlflow_interpret.runtime.isolation import suppress_warnings

N = 20_000
draw = np.random.default_rng(0)
CLEAR = draw.normal(size=(N, 4)) * [8.0, 4.0, 2.0, 1.0]
CLOSE = draw.normal(size=(N, 3)) * [1.0, 1.06, 1.12]


class Aggregates:
    """An engine whose contributions are the cells, and which takes a time for each row."""

    method = "shap_sums"

    def __init__(self, ceiling=1_000, clock=None, seconds=0.0, wrong=None, whole=None):
        self.ceiling, self.whole = ceiling, ceiling if whole is None else whole
        self.clock, self.seconds, self.wrong = clock, seconds, wrong
        self.sizes = []

    @property
    def info(self):
        return ExplainerInfo(self.method, "sums", self.ceiling, self.whole, notes=("A sum.",))

    def explain(self, rows, scale=None):
        self.sizes.append(len(rows))
        if self.clock is not None:
            self.clock.now += self.seconds * len(rows)
        local = rows.frame.to_numpy()
        off = 0 if self.wrong is None else np.isin(rows.numbers, self.wrong)
        return Attributions(local, np.zeros(1), local.sum(axis=1) + off, "prediction")


def run(engine, X, plan=None, budget=None, available=None, **options):
    plan = Plan() if plan is None else plan
    rows = as_batch(X, feature_names(X, None), X)
    return row_scheduler.run(engine, rows, plan, Budget(budget), available or len(X), **options)


def test_a_few_rows_are_enough_where_the_ranking_is_clear():
    found = run(Aggregates(), CLEAR)
    assert found.stopped == "settled"
    assert found.settled
    assert not found.partial
    assert len(found.rows) == 100
    assert np.array_equal(found.local_values, CLEAR[found.rows])
    assert list(found.rows) == sorted(set(found.rows))


def test_rows_are_added_until_features_of_like_importance_are_told_apart_or_as_good_as_equal():
    found = run(Aggregates(ceiling=10_000), CLOSE)
    assert found.stopped == "settled"
    assert 100 < len(found.rows) < 10_000


def test_the_ceiling_is_not_passed_without_a_budget():
    found = run(Aggregates(ceiling=150), CLOSE)
    assert (found.stopped, len(found.rows), found.settled) == ("max_rows", 150, False)


def test_with_a_budget_more_rows_than_the_ceiling_are_explained_where_they_are_needed(clock):
    found = run(Aggregates(ceiling=500, clock=clock, seconds=1e-4), CLOSE, budget=60.0)
    assert found.stopped == "settled"
    assert 500 < len(found.rows) <= 5_000
    asked = run(Aggregates(150, clock, 1e-4), CLOSE, Plan(max_rows=150), budget=60.0)
    assert len(asked.rows) == 150


@pytest.mark.parametrize("plan", [Plan(), Plan(max_rows=300), Plan(max_rows=1_000)])
def test_all_rows_are_explained_where_they_are_no_more_than_the_ceiling(plan):
    found = run(Aggregates(ceiling=300), CLEAR[:300], plan)
    assert (found.stopped, found.settled) == ("all rows", True)
    assert np.array_equal(found.rows, np.arange(300))


def test_a_set_that_takes_long_is_explained_whole_only_where_the_ranking_needs_it_or_it_is_asked_for():
    engine = Aggregates(ceiling=400, whole=150)
    assert len(run(engine, CLEAR[:150]).rows) == 150
    settled = run(engine, CLEAR[:300])
    assert (settled.stopped, len(settled.rows)) == ("settled", 100)
    open_ = run(engine, CLOSE[:180])
    assert (open_.stopped, len(open_.rows)) == ("all rows", 180)
    assert len(run(engine, CLEAR[:300], Plan(max_rows=300)).rows) == 300


def test_a_sample_of_a_larger_set_is_not_taken_for_all_of_it():
    found = run(Aggregates(ceiling=50), CLEAR[:50], available=N)
    assert (found.stopped, found.settled) == ("max_rows", False)


def test_one_seed_gives_one_set_of_rows_and_another_gives_another():
    first, again, other = (run(Aggregates(), CLEAR, Plan(random_state=s)).rows for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_budget_ends_it_with_what_is_known_and_says_so(clock):
    engine = Aggregates(clock=clock, seconds=0.5)
    began = clock.now
    found = run(engine, CLEAR, budget=20.0)
    assert (found.stopped, found.partial, found.settled) == ("time_budget", True, False)
    assert clock.now - began <= 20.0
    assert 20 <= len(found.rows) <= 40
    assert engine.sizes[0] == 1  # nothing is known of the cost before
    assert any("time budget of 20 s" in str(note) for note in found.notes)


def test_a_row_that_takes_longer_than_the_budget_is_the_only_one(clock):
    engine = Aggregates(clock=clock, seconds=30.0)
    found = run(engine, CLEAR, budget=20.0)
    assert engine.sizes == [1]
    assert found.partial


def test_a_budget_that_is_not_spent_changes_nothing(clock):
    free = run(Aggregates(ceiling=2_000), CLEAR)
    limited = run(Aggregates(ceiling=2_000, clock=clock, seconds=1e-6), CLEAR, budget=5.0)
    assert np.array_equal(free.rows, limited.rows)
    assert not limited.partial


class TestRival:
    """Another engine takes over where one is too slow for the budget, and only there."""

    def asked(self, clock, seconds, fallback, budget=10.0):
        rows = []

        def other(n_rows):
            rows.append(n_rows)
            return fallback

        engine = Aggregates(clock=clock, seconds=seconds)
        return run(engine, CLEAR, budget=budget, exact=True, fallback=other), rows

    def test_it_takes_over_from_a_slow_engine_and_a_note_says_so(self, clock):
        fallback = Aggregates(clock=clock, seconds=0.01)
        fallback.method = "shap_others"
        found, rows = self.asked(clock, 1.0, fallback)
        assert rows == [9]
        assert found.method == "shap_others"
        assert len(found.rows) >= 100
        assert np.array_equal(found.local_values, CLEAR[found.rows])
        (note,) = [note for note in found.notes if "could have explained 9 rows" in note]
        assert "shap_others explains more" in note

    def test_it_is_not_asked_by_a_quick_engine_or_without_a_budget(self, clock):
        for seconds, budget in ((0.1, 10.0), (1.0, None)):
            found, rows = self.asked(clock, seconds, Aggregates(), budget)
            assert found.method == "shap_sums"
            assert rows == []

    def test_without_one_the_slow_engine_goes_on(self, clock):
        found, _ = self.asked(clock, 1.0, None)
        assert 5 <= len(found.rows) <= 9
        assert found.stopped == "time_budget"
        assert not any("could have" in str(note) for note in found.notes)

    @pytest.mark.parametrize("error", [OutOfTimeError(), CannotExplainError("cannot")])
    def test_when_it_fails_the_slow_engine_goes_on(self, clock, error):
        class Broken(Aggregates):
            def explain(self, rows, scale=None):
                raise error

        found, rows = self.asked(clock, 1.0, Broken())
        assert rows == [9]
        assert 5 <= len(found.rows) <= 9
        assert found.method == "shap_sums"
        assert not any("could have" in str(note) for note in found.notes)

    @pytest.mark.parametrize("predicts_quickly", [True, False])
    def test_a_forest_that_is_slow_to_explain_is_sampled_where_it_predicts_quickly(
        self, clock, monkeypatch, predicts_quickly
    ):
        cost = 1e-5 if predicts_quickly else 0.5

        class Forest(RandomForestRegressor):
            def predict(self, X):
                clock.now += cost * len(X)
                return super().predict(X)

        X, y = load_diabetes(return_X_y=True, as_frame=True)
        model = Forest(5, max_depth=3, random_state=0).fit(X, y)
        for engine in (TreeExplainer, TabularFastExplainer):
            explain_rows = engine.explain

            def slow(self, rows, scale=None, explain_rows=explain_rows):
                clock.now += 2.0 * len(rows)
                return explain_rows(self, rows, scale)

            monkeypatch.setattr(engine, "explain", slow)
        with suppress_warnings():
            found = explain(TrainingContext(model, X, y), Plan(time_budget=20.0))
            whole = explain(TrainingContext(model, X, y), Plan(time_budget=None, max_rows=300))
        assert whole.method == "shap_tree"
        assert (found.method == "shap_permutation") is predicts_quickly
        if predicts_quickly:
            assert found.details.rows.explained > 50
            assert found.details.output_scale == whole.details.output_scale
            leading = np.argsort(-whole.global_values)[:2]
            np.testing.assert_allclose(
                found.global_values[leading], whole.global_values[leading], rtol=0.3
            )


def test_values_that_do_not_add_up_are_refused_where_they_have_to():
    with pytest.raises(CannotExplainError, match="shap_sums values add up to no output"):
        run(Aggregates(wrong=np.arange(N)), CLEAR, exact=True)
    odd = run(Aggregates(), CLEAR).rows[50:51]  # not among the first rows
    with pytest.raises(CannotExplainError, match=r"off by 1\)"):
        run(Aggregates(wrong=odd), CLEAR, exact=True)
    assert run(Aggregates(wrong=odd), CLEAR).additivity_error == pytest.approx(1.0)


def test_the_progress_rises_to_the_rows_that_are_explained():
    seen = []
    found = run(Aggregates(ceiling=150), CLOSE, Plan(progress=lambda *some: seen.append(some)))
    done = [n for n, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (len(found.rows), 150)


class TestSlowModels:
    """Models that take their time, on a clock that only they move."""

    @pytest.fixture
    def slow(self, clock):
        class Slow(SVR):
            seconds, calls = 0.01, 0

            def predict(self, X):
                clock.now += self.seconds * len(X)
                Slow.calls += 1
                return super().predict(X)

        X, y = load_diabetes(return_X_y=True, as_frame=True)
        return Slow().fit(X, y), X, y

    def explained(self, slow, **plan):
        model, X, y = slow
        with suppress_warnings():
            return explain(TrainingContext(model, X, y), Plan(**plan))

    @pytest.mark.parametrize("engine", ["auto", "kernel"])
    @pytest.mark.parametrize("budget", [20.0, 100.0])
    def test_the_answer_comes_in_time_is_partial_and_has_error_bars(
        self, slow, clock, engine, budget
    ):
        began = clock.now
        found = self.explained(slow, time_budget=budget, engine=engine)
        assert 0.3 * budget < clock.now - began <= 1.5 * budget
        assert found.details.partial is True
        assert found.details.time_budget == budget
        assert 2 <= found.details.rows.explained < 442
        assert np.isfinite(found.standard_errors()).all()
        assert found.standard_errors().max() > 0
        if engine == "auto":
            assert found.details.additivity_error < 1e-6

    def test_more_time_gives_a_better_answer(self, slow):
        short, long = (self.explained(slow, time_budget=t) for t in (10.0, 400.0))
        assert long.details.rows.explained > short.details.rows.explained
        assert long.standard_errors().max() < short.standard_errors().max()

    def test_a_model_for_which_the_time_does_not_do_is_refused(self, slow, clock):
        slow[0].seconds = 5.0
        began = clock.now
        with pytest.raises(TooSlowError, match="time_budget of 20 s is too short for Slow"):
            self.explained(slow, time_budget=20.0)
        assert clock.now - began <= 1.5 * 20.0 + 5.0

    def test_enough_time_gives_the_answer_of_no_limit(self, slow):
        slow[0].seconds = 1e-6
        free, limited = self.explained(slow), self.explained(slow, time_budget=1_000.0)
        limited_rows = limited.details.rows.explained
        assert limited_rows >= free.details.rows.explained
        assert limited.details.partial is False
        both = limited.evaluation_rows.index.intersection(free.evaluation_rows.index)
        assert len(both) == len(free.evaluation_rows)
        there = limited.evaluation_rows.index.get_indexer(free.evaluation_rows.index)
        np.testing.assert_allclose(limited.local_values[there], free.local_values, atol=1e-9)


def test_the_record_says_how_many_rows_were_needed():
    X = pd.DataFrame(CLEAR, columns=list("abcd"))
    model = LinearRegression().fit(X, X @ [4.0, 3.0, 2.0, 1.0])
    with suppress_warnings():
        found = explain(TrainingContext(model, X), Plan())
    details = found.details
    assert details.to_json()["rows"] == {
        "source": "training rows",
        "available": N,
        "explained": 100,
    }
    assert (details.stopped, details.has_converged, details.partial) == ("settled", True, False)
    assert details.intervals["level"] == 0.95
    assert details.intervals["about"] == f"the mean over all {N:,} available rows"
    for one in details.intervals["of"]:
        value = dict(found.ranked())[one["feature"]]
        assert one["low"] < value < one["high"]
    assert [one["feature"] for one in details.intervals["of"]] == ["a", "b", "c", "d"]


def test_intervals_of_all_rows_have_no_width_but_that_of_sampling():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X.iloc[:60, :4], y[:60]
    with suppress_warnings():
        exact = explain(TrainingContext(LinearRegression().fit(X, y), X, y))
        sampled = explain(TrainingContext(SVR().fit(X, y), X, y))

    def widths(found):
        return [one["high"] - one["low"] for one in found.details.intervals["of"]]

    assert max(widths(exact)) == 0
    assert 0 < max(widths(sampled)) < 0.2 * sampled.global_values.max()
    assert exact.standard_errors().min() > 0  # which are about other rows, too
