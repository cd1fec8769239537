"""Only the outermost fit is an event, also with inner fits in threads and processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.dummy
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool

import joblib
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge

from mlflow_interpret.autologging import fit_hooks

X, y = load_diabetes(return_X_y=True)
X, y = X[:40], y[:40]


class Parts(RegressorMixin, BaseEstimator):
    """A model that fits its parts by a function of the test."""

    def __init__(self, fit_parts):
        self.fit_parts = fit_parts

    def fit(self, X, y):
        self.fit_parts()
        return self

    def predict(self, X):
        return X.sum(axis=1)


def part(alpha=1.0):
    Ridge(alpha=alpha).fit(X, y)


def in_thread(function, thread_class=threading.Thread):
    thread = thread_class(target=function)
    thread.start()
    thread.join()


def with_joblib(**options):
    joblib.Parallel(2, **options)(joblib.delayed(part)(alpha) for alpha in (1, 2))


def with_executor(executor):
    with executor:
        list(executor.map(part, (1, 2)))


def with_pool(pool):
    with pool:
        pool.map(part, (1, 2))
        pool.starmap(part, [(1,), (2,)])
        pool.apply(part)
        pool.apply_async(func=part).get()
        list(pool.imap(part, (1, 2)))
        list(pool.imap_unordered(part, (1, 2)))
        pool.map_async(part, (1, 2)).get()
        pool.starmap_async(part, [(1,), (2,)]).get()


def with_dask():
    dask = pytest.importorskip("dask")
    dask.compute(*(dask.delayed(part)(alpha) for alpha in (1, 2)), scheduler="threads")


async def in_threads_of_asyncio():
    await asyncio.gather(asyncio.to_thread(part), asyncio.to_thread(part, 2))


def with_timer():
    timer = threading.Timer(0, part)
    timer.start()
    timer.join()


WAYS = {
    "joblib, threads": partial(with_joblib, prefer="threads"),
    "joblib, threading": partial(with_joblib, backend="threading"),
    "executor": lambda: with_executor(ThreadPoolExecutor(2)),
    "thread": partial(in_thread, part),
    "thread in a thread": partial(in_thread, partial(in_thread, part)),
    "executor in a thread": partial(in_thread, lambda: with_executor(ThreadPoolExecutor(2))),
    "timer": with_timer,
    "pool": lambda: with_pool(ThreadPool(2)),
    "dummy pool": lambda: with_pool(multiprocessing.dummy.Pool(2)),
    "asyncio": lambda: asyncio.run(in_threads_of_asyncio()),
    "dask": with_dask,
}


@pytest.mark.parametrize("way", WAYS)
def test_fits_in_threads_of_a_fit_are_parts_of_it(events, way):
    model = Parts(WAYS[way]).fit(X, y)
    assert [event.model for event in events] == [model]
    own = Ridge().fit(X, y)
    assert [event.model for event in events] == [model, own]


POOLS = {"executor": (ThreadPoolExecutor, with_executor), "pool": (ThreadPool, with_pool)}


@pytest.mark.parametrize("kind", POOLS)
def test_tasks_of_a_fit_are_parts_of_it_in_a_pool_that_was_there_before(events, kind):
    new, use = POOLS[kind]
    pool = new(2)
    pool.apply(part) if kind == "pool" else pool.submit(part).result()  # the threads exist
    assert len(events) == 1
    model = Parts(partial(use, pool)).fit(X, y)
    assert [event.model for event in events[1:]] == [model]


def test_tasks_of_a_fit_are_parts_of_it_in_an_open_parallel_of_joblib(events):
    with joblib.Parallel(2, prefer="threads") as parallel:
        parts = partial(parallel, [joblib.delayed(part)(alpha) for alpha in (1, 2)])
        parts()
        n_before = len(events)
        model = Parts(parts).fit(X, y)
    assert n_before == 2
    assert [event.model for event in events[2:]] == [model]


def test_a_thread_that_the_user_starts_during_a_fit_has_fits_of_its_own(events):
    fitting, fitted = threading.Event(), threading.Event()

    def fit_parts():
        fitting.set()
        assert fitted.wait(60)
        in_thread(part)

    model, other = Parts(fit_parts), LinearRegression()
    thread = threading.Thread(target=model.fit, args=(X, y))
    thread.start()
    assert fitting.wait(60)
    in_thread(partial(other.fit, X, y))
    fitted.set()
    thread.join()
    assert [event.model for event in events] == [other, model]


def test_tasks_of_the_user_are_fits_of_their_own_in_threads_that_a_fit_started(events):
    fitting, fitted = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as executor:

        def fit_parts():
            executor.submit(part).result()  # starts the only thread of the pool
            fitting.set()
            assert fitted.wait(60)

        model, other = Parts(fit_parts), LinearRegression()
        thread = threading.Thread(target=model.fit, args=(X, y))
        thread.start()
        assert fitting.wait(60)
        executor.submit(other.fit, X, y).result()
        fitted.set()
        thread.join()
        last = LinearRegression()
        executor.submit(last.fit, X, y).result()
    assert [event.model for event in events] == [other, model, last]


def test_a_thread_that_outlives_a_fit_has_fits_of_its_own(events):
    fitted = threading.Event()
    threads = []

    def later():
        assert fitted.wait(60)
        Parts(part).fit(X, y)

    def fit_parts():
        threads.append(threading.Thread(target=later))
        threads[0].start()

    model = Parts(fit_parts).fit(X, y)
    fitted.set()
    threads[0].join()
    assert len(events) == 2
    assert events[0].model is model
    assert isinstance(events[1].model, Parts)


def test_the_functions_that_start_threads_are_restored(events):
    before = threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.map
    during = []
    Parts(lambda: during.append(threading.Thread.start)).fit(X, y)
    assert during[0] is not before[0]
    assert (threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.map) == before


def test_an_error_in_a_thread_is_raised_as_without_us(events):
    def fail():
        raise KeyError("part")

    def fit_parts():
        with ThreadPoolExecutor(1) as executor:
            executor.submit(fail).result()

    with pytest.raises(KeyError, match="part"):
        Parts(fit_parts).fit(X, y)
    assert events == []


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def with_processes():
    context = multiprocessing.get_context("fork")
    with_executor(ProcessPoolExecutor(2, mp_context=context))
    with_pool(context.Pool(2))
    process = context.Process(target=part)
    process.start()
    process.join()


@pytest.fixture
def models(tmp_path):
    """The classes of all events, also those of forked processes."""
    path = tmp_path / "models"

    def observe(event):
        with path.open("a") as file:
            file.write(f"{type(event.model).__name__}\n")

    fit_hooks.install(observe)
    yield lambda: path.read_text().split() if path.exists() else []
    fit_hooks.uninstall()


@fork
@pytest.mark.subprocess
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fits_in_processes_of_a_fit_are_parts_of_it(models):
    Parts(with_processes).fit(X, y)
    assert models() == ["Parts"]


@fork
@pytest.mark.subprocess
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fits_in_processes_that_were_there_before_are_parts_of_the_fit_that_submits_them(models):
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as executor, context.Pool(1) as pool:
        executor.submit(part).result()
        pool.apply(part)
        assert models() == ["Ridge", "Ridge"]

        def fit_parts():
            executor.submit(part).result()
            pool.map(part, (1, 2))

        Parts(fit_parts).fit(X, y)
        assert models()[2:] == ["Parts"]
        executor.submit(part).result()
        assert models()[3:] == ["Ridge"]
