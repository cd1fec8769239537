"""Warnings, filters, random state and environment stay as the user left them."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest
from sklearn.utils.parallel import Parallel, delayed

from mlflow_interpret.runtime.isolation import (
    is_isolated,
    preserve_random_state,
    seeded_numpy,
    suppress_warnings,
)


def warn(message="inside"):
    warnings.warn(message, UserWarning, stacklevel=2)


def test_warnings_inside_are_dropped_even_if_they_would_raise():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        with suppress_warnings():
            warnings.warn("inside", UserWarning, stacklevel=1)
    assert seen == []


RESTORED = """
import threading, types, warnings
from mlflow_interpret.runtime.isolation import suppress_warnings

warnings.simplefilter("error", ImportWarning)
filters, show = list(warnings.filters), warnings.showwarning
functions = warnings._add_filter, warnings.resetwarnings, threading.Thread.start
with suppress_warnings():
    warnings.simplefilter("always")
    warnings.filterwarnings("ignore", message="anything")
assert warnings.filters == filters
assert warnings.showwarning is show
assert type(warnings) is types.ModuleType
assert functions == (warnings._add_filter, warnings.resetwarnings, threading.Thread.start)
"""


def test_filters_are_restored():
    # In a process of its own: a thread of another test may still be covered.
    subprocess.run([sys.executable, "-c", RESTORED], check=True)


def test_filters_are_restored_after_an_error():
    before = list(warnings.filters)
    with pytest.raises(KeyboardInterrupt), suppress_warnings():
        warnings.simplefilter("error")
        raise KeyboardInterrupt
    assert warnings.filters == before


def test_warnings_are_seen_again_afterwards():
    with suppress_warnings():
        pass
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", UserWarning, stacklevel=1)


def test_functions_that_use_warnings_can_be_pickled_inside():
    def function():
        return warnings.__name__

    with suppress_warnings():
        pickled = cloudpickle.dumps(function)
    assert cloudpickle.loads(pickled)() == "warnings"
    with suppress_warnings():
        assert cloudpickle.loads(pickled)() == "warnings"


def test_it_may_be_nested():
    before = list(warnings.filters)
    with suppress_warnings(), suppress_warnings():
        warnings.warn("inside", UserWarning, stacklevel=1)
    assert warnings.filters == before


class Explaining:
    """A thread that explains, warns and calls catch_warnings all the time, until it is left."""

    def __enter__(self):
        self.leave, entered = threading.Event(), threading.Event()

        def work():
            with suppress_warnings():
                while not self.leave.is_set():
                    warn("of the explaining thread")
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        np.log(np.array([-1.0]))
                    with warnings.catch_warnings(record=True):
                        warnings.simplefilter("always")
                        warn("recorded by the explaining thread")
                    entered.set()
                    time.sleep(0)

        self.thread = threading.Thread(target=work)
        self.thread.start()
        assert entered.wait(60)
        return self

    def __exit__(self, *_):
        self.leave.set()
        self.thread.join(60)


def test_warnings_of_other_threads_pass_while_one_explains():
    with Explaining():
        for i in range(200):
            with pytest.warns(UserWarning, match=f"number {i}") as seen:
                warn(f"number {i}")
            assert len(seen) == 1
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            for i in range(200):
                warn(f"number {i}")
                time.sleep(0)
    assert [str(warning.message) for warning in log] == [f"number {i}" for i in range(200)]


def test_filters_of_other_threads_hold_while_one_explains():
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        with Explaining():
            with warnings.catch_warnings(), pytest.raises(UserWarning, match="an error"):
                warnings.simplefilter("error")
                warn("an error")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warn("ignored")
            np.log(np.array([-1.0]))  # numpy warns from C
    assert [warning.category for warning in log] == [RuntimeWarning]


def test_the_end_of_another_thread_s_filters_does_not_end_the_suppression():
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()

    def other():
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            entered.set()
            leave.wait(60)
        left.set()

    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        thread = threading.Thread(target=other)
        thread.start()
        assert entered.wait(60)
        with suppress_warnings():
            leave.set()
            assert left.wait(60)
            warn()
        thread.join(60)
    assert log == []


def test_filters_that_code_inside_sets_for_itself_work():
    before = list(warnings.filters)
    with suppress_warnings():
        with warnings.catch_warnings(), pytest.raises(UserWarning, match="inside"):
            warnings.simplefilter("error")
            warn()
        with warnings.catch_warnings(record=True) as log:
            warnings.resetwarnings()
            warnings.filterwarnings("always", message="in", append=True)
            warn()
        warn()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warn("not shown")
    assert [str(warning.message) for warning in log] == ["inside"]
    assert warnings.filters == before


@pytest.mark.filterwarnings("error")
def test_threads_that_start_inside_are_covered():
    before = list(warnings.filters)
    with suppress_warnings():
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(warn) for _ in range(4)]:
                done.result(60)
            assert pool.submit(is_isolated).result(60)
        Parallel(n_jobs=2, backend="threading")(delayed(warn)() for _ in range(4))
    assert warnings.filters == before
    assert not is_isolated()


def test_scikit_learn_s_threads_do_not_silence_other_threads():
    started, leave = threading.Event(), threading.Event()

    def task():
        started.set()
        leave.wait(60)

    def explain():
        with suppress_warnings():
            Parallel(n_jobs=2, backend="threading")(delayed(task)() for _ in range(2))

    thread = threading.Thread(target=explain)
    thread.start()
    assert started.wait(60)
    with pytest.warns(UserWarning, match="outside"):
        warn("outside")
    leave.set()
    thread.join(60)


def test_a_thread_that_outlives_the_block_warns_again():
    before = list(warnings.filters)
    inside, leave, leave_catching = (threading.Event() for _ in range(3))

    def worker():
        with warnings.catch_warnings():
            inside.set()
            leave_catching.wait(60)
        leave.wait(60)
        assert not is_isolated()
        warn("afterwards")

    with suppress_warnings():
        thread = threading.Thread(target=worker)
        thread.start()
        assert inside.wait(60)
    leave_catching.set()
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        leave.set()
        thread.join(60)
    assert [str(warning.message) for warning in log] == ["afterwards"]
    assert warnings.filters == before


def test_importing_interpret_community_leaves_no_filter_and_no_variable():
    code = """
import importlib.util, os, warnings
import mlflow, sklearn.ensemble, pandas  # they have filters and variables of their own
if importlib.util.find_spec("polars"):
    import polars
before, environment = list(warnings.filters), dict(os.environ)
from mlflow_interpret.runtime.optional_import import import_optional
import_optional("interpret_community")
import interpret_community
import shap
assert warnings.filters == before, warnings.filters
assert dict(os.environ) == environment
"""
    if not importlib.util.find_spec("interpret_community"):
        pytest.skip("interpret-community is not installed")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_fresh_seed_leaves_the_user_s_stream_and_does_not_follow_it():
    random.seed(1)
    state = random.getstate()
    with preserve_random_state():
        first = random.random()
    assert random.getstate() == state
    with preserve_random_state():
        assert random.random() != first
    assert random.getstate() == state


def test_random_states_of_threads_do_not_mix():
    random.seed(1)
    np.random.seed(1)
    states = random.getstate(), np.random.get_state()

    def draw(seed):
        draws = []
        for _ in range(20):
            with preserve_random_state(), seeded_numpy(seed):
                time.sleep(0.0001)
                draws.append(np.random.random())
        return len(set(draws))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(4))) == [1] * 4
    assert random.getstate() == states[0]
    np.testing.assert_equal(np.random.get_state(), states[1])


def test_the_first_import_holds_nothing_of_its_caller():
    """shap keeps the tracebacks of imports that failed, with all frames below them."""
    if not importlib.util.find_spec("interpret_community"):
        pytest.skip("interpret-community is not installed")
    code = (
        "import gc, weakref\n"
        "from mlflow_interpret.runtime.optional_import import import_optional\n"
        "class Model: pass\n"
        "def train():\n"
        "    model = Model()\n"
        "    import_optional('interpret_community')\n"
        "    import interpret_community, shap\n"
        "    return weakref.ref(model)\n"
        "watched = train()\n"
        "gc.collect()\n"
        "assert watched() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
