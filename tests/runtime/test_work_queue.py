"""Jobs in their order, by the thread of the queue or by a thread that waits."""

from __future__ import annotations

import threading

from mlflow_interpret.runtime.work_queue import Job, WorkQueue


class Here:
    def ask(self, request):
        return request


def held_queue():
    """A queue whose thread waits until an event is set."""
    go = threading.Event()
    return WorkQueue("test", "no_such_module", 60.0, prepare=lambda _: go.wait()), go


def test_the_thread_handles_jobs_in_order_and_survives_failures():
    queue, go = held_queue()
    done = []
    for number in range(3):
        queue.put(Job(lambda _, number=number: done.append(number), silent=True))
    queue.put(Job(lambda _: 1 / 0, silent=True))
    queue.put(Job(lambda _: done.append("last"), silent=True))
    assert queue.wait(0, description="", unit="") == 5
    go.set()
    assert queue.wait(None, description="", unit="") == 0
    assert done == [0, 1, 2, "last"]


def test_a_thread_that_waits_can_help():
    queue, go = held_queue()
    helper, helpers = Here(), []
    for _ in range(3):
        queue.put(Job(helpers.append, silent=True))
    assert queue.wait(None, description="", unit="", helper=helper) == 0
    assert helpers == [helper] * 3
    go.set()


def test_a_job_is_pending_until_it_has_ended():
    queue, go = held_queue()
    started, end = threading.Event(), threading.Event()

    def run(_):
        started.set()
        end.wait()

    queue.put(Job(run, silent=True, size=7))
    go.set()
    started.wait()
    (job,) = queue.pending()
    assert job.size == 7
    assert queue.is_silent()
    assert not queue.run_next(Here())
    end.set()
    assert queue.wait(None, description="", unit="") == 0


def threads_of(name):
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_an_idle_thread_ends_when_it_is_told_and_starts_again():
    queue = WorkQueue("ends", "no_such_module", 3600.0)
    done = []
    for number in range(2):
        queue.put(Job(lambda _, number=number: done.append(number), silent=True))
        assert queue.wait(None, description="", unit="") == 0
        assert threads_of("ends")
        queue.end_idle()
        assert not threads_of("ends")
    assert done == [0, 1]


def test_a_thread_with_work_does_not_end():
    queue, go = held_queue()
    queue.put(Job(lambda _: None, silent=True))
    queue.end_idle()
    go.set()
    assert queue.wait(None, description="", unit="") == 0


def test_an_idle_worker_that_is_starting_is_ended_at_once():
    queue = WorkQueue("test", "no_such_module", 60.0, prepare=lambda _: starting.wait())
    starting, killed = threading.Event(), []
    queue.worker.kill = lambda: (killed.append(True), starting.set())
    queue.put(Job(lambda _: None, silent=True))
    assert queue.run_next(Here())  # while the thread starts the worker
    queue.end_idle()
    assert killed == [True]
    asked = []
    queue.put(Job(asked.append, silent=True))
    queue.wait(None, description="", unit="")
    assert asked == [queue.worker]
    queue.end_idle()
