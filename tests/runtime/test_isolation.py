"""Explaining leaves warnings, filters and other threads as they were."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import warnings

import pytest

from mlflow_interpret.runtime.isolation import preserve_random_state, suppress_warnings


def test_warnings_inside_are_dropped_even_where_they_would_raise():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        with suppress_warnings():
            warnings.warn("inside", UserWarning, stacklevel=1)
    assert seen == []


def test_filters_are_restored():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImportWarning)
        before, show = list(warnings.filters), warnings.showwarning
        with suppress_warnings():
            warnings.simplefilter("always")
            warnings.filterwarnings("ignore", message="anything")
        assert warnings.filters == before
        assert warnings.showwarning is show


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


def test_it_may_be_nested():
    before = list(warnings.filters)
    with suppress_warnings(), suppress_warnings():
        warnings.warn("inside", UserWarning, stacklevel=1)
    assert warnings.filters == before


def test_one_thread_at_a_time():
    inside, entered, leave = [], threading.Event(), threading.Event()

    def second():
        with suppress_warnings():
            inside.append("second")

    def first():
        with suppress_warnings():
            entered.set()
            leave.wait(10)
            inside.append("first")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    assert inside == []
    leave.set()
    for thread in threads:
        thread.join(10)
    assert inside == ["first", "second"]


def test_importing_interpret_community_inside_leaves_no_filter():
    code = """
import warnings
import sklearn.ensemble, pandas  # they have filters of their own
before = list(warnings.filters)
from mlflow_interpret.runtime.isolation import preserve_random_state, suppress_warnings
with suppress_warnings():
    import interpret_community
    import shap
assert warnings.filters == before, warnings.filters
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_own_chance_leaves_the_user_s_stream_and_does_not_follow_it():
    random.seed(1)
    state = random.getstate()
    with preserve_random_state():
        first = random.random()
    assert random.getstate() == state
    with preserve_random_state():
        assert random.random() != first
    assert random.getstate() == state


def test_the_first_import_holds_nothing_of_its_caller():
    """shap keeps the tracebacks of imports that failed, with all frames below them."""
    code = (
        "import gc, weakref\n"
        "from mlflow_interpret.runtime.isolation import suppress_warnings\n"
        "class Model: pass\n"
        "def train():\n"
        "    model = Model()\n"
        "    with suppress_warnings():\n"
        "        import interpret_community, shap\n"
        "    return weakref.ref(model)\n"
        "watched = train()\n"
        "gc.collect()\n"
        "assert watched() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
