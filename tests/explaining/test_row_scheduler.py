"""Tests of the loop over the rows: their number, their order, and the reasons to stop."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVR

from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan, TrainingContext
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import as_batch, feature_names
from mlflow_interpret.explaining.explain import explain
from mlflow_interpret.explaining.explainers.base import ExplainerInfo
from mlflow_interpret.explaining.explainers.shap_trees import ShapTreeExplainer
from mlflow_interpret.explaining.explainers.tabular_explainer import TabularFastExplainer
from mlflow_interpret.explaining.explainers.trees import TreeExplainer
from mlflow_interpret.explaining.row_scheduler import run as run_loop
from mlflow_interpret.explaining.row_sources import TableSource
from mlflow_interpret.explaining.time_budget import Budget, OutOfTimeError, TooSlowError
from mlflow_interpret.runtime.isolation import suppress_warnings

N = 20_000
draw = np.random.default_rng(0)
CLEAR = draw.normal(size=(N, 4)) * [8.0, 4.0, 2.0, 1.0]
CLOSE = draw.normal(size=(N, 3)) * [1.0, 1.06, 1.12]


class SumExplainer:
    """Attributes a sum to its cells; each row advances the clock by some seconds."""

    method = "shap_sums"

    def __init__(self, max_rows=1_000, clock=None, seconds=0.0, wrong=None, rows_in_full=-1):
        self.max_rows, self.rows_in_full = max_rows, rows_in_full
        self.clock, self.seconds, self.wrong = clock, seconds, wrong
        self.sizes = []

    @property
    def info(self):
        return ExplainerInfo(
            self.method, "sums", self.max_rows, self.rows_in_full, notes=("A sum.",)
        )

    def explain(self, rows, scale=None):
        self.sizes.append(len(rows))
        if self.clock is not None:
            self.clock.now += self.seconds * len(rows)
        local = rows.frame.to_numpy()
        off = 0 if self.wrong is None else np.isin(rows.numbers, self.wrong)
        return Attributions(local, np.zeros(1), local.sum(axis=1) + off, "prediction")


def run(explainer, X, plan=None, seconds=None, n_available=None, **options):
    source = TableSource(as_batch(X, feature_names(X, None), X), n_available)
    budget = Budget(seconds, explainer.clock or time.monotonic)
    return run_loop(explainer, source, plan or Plan(), budget, **options)


def test_a_clear_ranking_converges_after_the_first_check():
    found = run(SumExplainer(), CLEAR)
    assert found.stopped == "settled"
    assert found.has_converged
    assert not found.partial
    assert len(found.rows) == 100
    assert np.array_equal(found.local_values, CLEAR[found.rows])
    assert list(found.rows) == sorted(set(found.rows))


def test_a_close_ranking_takes_more_rows():
    found = run(SumExplainer(max_rows=10_000), CLOSE)
    assert found.stopped == "settled"
    assert 100 < len(found.rows) < 10_000


def test_without_a_budget_max_rows_is_not_exceeded():
    found = run(SumExplainer(max_rows=150), CLOSE)
    assert (found.stopped, len(found.rows), found.has_converged) == ("max_rows", 150, False)
    assert found.partial  # the limit is the explainer's
    asked = run(SumExplainer(max_rows=1_000), CLOSE, Plan(max_rows=150))
    assert (asked.stopped, asked.has_converged, asked.partial) == ("max_rows", False, False)


def test_with_a_budget_an_open_ranking_exceeds_max_rows_of_the_explainer(clock):
    found = run(SumExplainer(max_rows=500, clock=clock, seconds=1e-4), CLOSE, seconds=60.0)
    assert found.stopped == "settled"
    assert 500 < len(found.rows) <= 5_000
    asked = run(SumExplainer(150, clock, 1e-4), CLOSE, Plan(max_rows=150), seconds=60.0)
    assert len(asked.rows) == 150


@pytest.mark.parametrize("plan", [Plan(), Plan(max_rows=300), Plan(max_rows=1_000)])
def test_a_table_within_max_rows_is_explained_in_full(plan):
    found = run(SumExplainer(max_rows=300), CLEAR[:300], plan)
    assert (found.stopped, found.has_converged) == ("all rows", True)
    assert np.array_equal(found.rows, np.arange(300))


def test_a_slow_table_is_explained_in_full_only_for_an_open_ranking_or_on_request():
    explainer = SumExplainer(max_rows=400, rows_in_full=150)
    assert len(run(explainer, CLEAR[:150]).rows) == 150
    found = run(explainer, CLEAR[:300])
    assert (found.stopped, len(found.rows)) == ("settled", 100)
    open_ = run(explainer, CLOSE[:180])
    assert (open_.stopped, len(open_.rows)) == ("all rows", 180)
    assert len(run(explainer, CLEAR[:300], Plan(max_rows=300)).rows) == 300


def test_a_sample_of_a_table_is_not_all_of_its_rows():
    found = run(SumExplainer(max_rows=50), CLEAR[:50], n_available=N)
    assert (found.stopped, found.has_converged) == ("max_rows", False)


def test_the_seed_chooses_the_rows():
    first, again, other = (run(SumExplainer(), CLEAR, Plan(random_state=s)).rows for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_spent_budget_ends_the_loop_with_a_note(clock):
    explainer = SumExplainer(clock=clock, seconds=0.5)
    began = clock.now
    found = run(explainer, CLEAR, seconds=20.0)
    assert (found.stopped, found.partial, found.has_converged) == ("time_budget", True, False)
    assert clock.now - began <= 20.0
    assert 20 <= len(found.rows) <= 40
    assert explainer.sizes[0] == 1  # nothing is known of the cost before
    assert any("time budget of 20 s" in str(note) for note in found.notes)


def test_a_row_that_takes_longer_than_the_budget_is_the_only_row(clock):
    explainer = SumExplainer(clock=clock, seconds=30.0)
    found = run(explainer, CLEAR, seconds=20.0)
    assert explainer.sizes == [1]
    assert found.partial


def test_a_budget_that_is_not_spent_changes_nothing(clock):
    free = run(SumExplainer(max_rows=2_000), CLEAR)
    limited = run(SumExplainer(max_rows=2_000, clock=clock, seconds=1e-6), CLEAR, seconds=5.0)
    assert np.array_equal(free.rows, limited.rows)
    assert not limited.partial


class TestFallback:
    """The fallback explainer replaces an explainer that is too slow for the budget."""

    def run_with(self, fallback, clock, seconds, budget=10.0):
        """The result, and the numbers of rows that the fallback was asked about."""
        rows = []

        def ask(n_rows):
            rows.append(n_rows)
            return fallback

        explainer = SumExplainer(clock=clock, seconds=seconds)
        return run(explainer, CLEAR, seconds=budget, exact=True, fallback=ask), rows

    def test_it_replaces_a_slow_explainer_with_a_note(self, clock):
        fallback = SumExplainer(clock=clock, seconds=0.01)
        fallback.method = "shap_others"
        found, rows = self.run_with(fallback, clock, 1.0)
        assert rows == [9]
        assert found.method == "shap_others"
        assert len(found.rows) >= 100
        assert np.array_equal(found.local_values, CLEAR[found.rows])
        (note,) = [note for note in found.notes if "could have explained 9 rows" in note]
        assert "shap_others explains more" in note

    def test_it_is_not_used_for_a_quick_explainer_or_without_a_budget(self, clock):
        for seconds, budget in ((0.1, 10.0), (1.0, None)):
            found, rows = self.run_with(SumExplainer(), clock, seconds, budget)
            assert found.method == "shap_sums"
            assert rows == []

    def test_without_it_the_slow_explainer_continues(self, clock):
        found, _ = self.run_with(None, clock, 1.0)
        assert 5 <= len(found.rows) <= 9
        assert found.stopped == "time_budget"
        assert not any("could have" in str(note) for note in found.notes)

    @pytest.mark.parametrize("error", [OutOfTimeError(), CannotExplainError("cannot")])
    def test_if_it_fails_the_slow_explainer_continues(self, clock, error):
        class Broken(SumExplainer):
            def explain(self, rows, scale=None):
                raise error

        found, rows = self.run_with(Broken(), clock, 1.0)
        assert rows == [9]
        assert 5 <= len(found.rows) <= 9
        assert found.method == "shap_sums"
        assert not any("could have" in str(note) for note in found.notes)

    @pytest.mark.parametrize("predicts_quickly", [True, False])
    def test_a_forest_that_is_slow_to_explain_is_sampled_if_it_predicts_quickly(
        self, clock, monkeypatch, predicts_quickly
    ):
        cost = 1e-5 if predicts_quickly else 0.5

        class Forest(RandomForestRegressor):
            def predict(self, X):
                clock.now += cost * len(X)
                return super().predict(X)

        X, y = load_diabetes(return_X_y=True, as_frame=True)
        model = Forest(5, max_depth=3, random_state=0).fit(X, y)
        for explainer_class in (TreeExplainer, ShapTreeExplainer, TabularFastExplainer):
            explain_batch = explainer_class.explain

            def slow(self, rows, scale=None, explain_batch=explain_batch):
                clock.now += 2.0 * len(rows)
                return explain_batch(self, rows, scale)

            monkeypatch.setattr(explainer_class, "explain", slow)
        with suppress_warnings():
            found = explain(TrainingContext(model, X, y), Plan(time_budget=20.0), clock)
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


def test_an_exact_explainer_must_add_up():
    with pytest.raises(CannotExplainError, match="shap_sums values add up to no output"):
        run(SumExplainer(wrong=np.arange(N)), CLEAR, exact=True)
    odd = run(SumExplainer(), CLEAR).rows[50:51]  # not in the probe
    with pytest.raises(CannotExplainError, match=r"off by 1\)"):
        run(SumExplainer(wrong=odd), CLEAR, exact=True)
    assert run(SumExplainer(wrong=odd), CLEAR).additivity_error == pytest.approx(1.0)


def test_progress_rises_to_the_number_of_explained_rows():
    calls = []
    found = run(
        SumExplainer(max_rows=150), CLOSE, Plan(progress=lambda *counts: calls.append(counts))
    )
    done = [n for n, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == (len(found.rows), 150)


def test_the_expected_number_of_rows_stays_while_the_default_is_exceeded():
    calls = []
    plan = Plan(progress=lambda *counts: calls.append(counts))
    found = run(SumExplainer(max_rows=30), CLOSE, plan, seconds=1e9)
    assert len(found.rows) > 150
    assert {total for _, total in calls} == {300}


@pytest.mark.slow
class TestSlowModels:
    """Models that advance the clock with each prediction."""

    @pytest.fixture
    def slow(self, clock):
        class Slow(SVR):
            seconds, calls = 0.01, 0

            def predict(self, X):
                clock.now += self.seconds * len(X)
                Slow.calls += 1
                return super().predict(X)

        X, y = load_diabetes(return_X_y=True, as_frame=True)
        return Slow(kernel="poly").fit(X, y), X, y

    def explained(self, slow, clock, **plan):
        model, X, y = slow
        with suppress_warnings():
            return explain(TrainingContext(model, X, y), Plan(**plan), clock)

    @pytest.mark.parametrize(
        "engine", ["auto", pytest.param("kernel", marks=pytest.mark.interpret)]
    )
    @pytest.mark.parametrize("budget", [20.0, 100.0])
    def test_a_result_in_time_is_partial_and_has_error_bars(self, slow, clock, engine, budget):
        began = clock.now
        found = self.explained(slow, clock, time_budget=budget, engine=engine)
        assert 0.3 * budget < clock.now - began <= 1.5 * budget
        assert found.details.partial is True
        assert found.details.time_budget == budget
        assert 2 <= found.details.rows.explained < 442
        assert np.isfinite(found.standard_errors()).all()
        assert found.standard_errors().max() > 0
        if engine == "auto":
            assert found.details.additivity_error < 1e-6

    def test_more_time_gives_smaller_errors(self, slow, clock):
        short, long = (self.explained(slow, clock, time_budget=t) for t in (10.0, 400.0))
        assert long.details.rows.explained > short.details.rows.explained
        assert long.standard_errors().max() < short.standard_errors().max()

    def test_a_model_that_is_too_slow_for_the_budget_is_refused(self, slow, clock):
        slow[0].seconds = 5.0
        began = clock.now
        with pytest.raises(TooSlowError, match="time_budget of 20 s is too short for Slow"):
            self.explained(slow, clock, time_budget=20.0)
        assert clock.now - began <= 1.5 * 20.0 + 5.0

    def test_enough_time_gives_the_result_without_a_budget(self, slow, clock):
        slow[0].seconds = 1e-6
        free, limited = (
            self.explained(slow, clock),
            self.explained(slow, clock, time_budget=1_000.0),
        )
        limited_rows = limited.details.rows.explained
        assert limited_rows >= free.details.rows.explained
        assert limited.details.partial is False
        common = limited.evaluation_rows.index.intersection(free.evaluation_rows.index)
        assert len(common) == len(free.evaluation_rows)
        positions = limited.evaluation_rows.index.get_indexer(free.evaluation_rows.index)
        np.testing.assert_allclose(limited.local_values[positions], free.local_values, atol=1e-9)


def test_the_details_say_how_many_rows_were_needed():
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


def test_intervals_of_all_rows_have_the_width_of_sampling_only():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X.iloc[:60, :4], y[:60]
    with suppress_warnings():
        exact = explain(TrainingContext(LinearRegression().fit(X, y), X, y))
        sampled = explain(TrainingContext(SVR(kernel="poly").fit(X, y), X, y))

    def widths(found):
        return [one["high"] - one["low"] for one in found.details.intervals["of"]]

    assert max(widths(exact)) == 0
    assert 0 < max(widths(sampled)) < 0.2 * sampled.global_values.max()
    assert exact.standard_errors().min() > 0  # these refer to a larger population


def test_a_source_that_explains_other_rows_than_it_announced_is_refused():
    class Changing(TableSource):
        def explain(self, task, workers, positions, batch_size, n_jobs):
            return super().explain(task, workers, positions[1:], batch_size, n_jobs)

    source = Changing(as_batch(CLEAR[:100], list("abcd"), CLEAR[:100]))
    with pytest.raises(CannotExplainError, match="changed while they were explained"):
        run_loop(SumExplainer(), source, Plan(), Budget(None))
