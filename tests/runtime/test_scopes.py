"""Scopes reach the threads, tasks and processes that are started inside."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlflow_interpret.runtime.scopes import Scope

scope, other = Scope("scope"), Scope("other")


def test_a_scope_is_active_inside_of_its_block_only():
    assert not scope.is_active()
    with scope.entered():
        assert scope.is_active()
        assert not other.is_active()
        with other.entered(), scope.entered():
            assert scope.is_active()
            assert other.is_active()
        assert scope.is_active()
        assert not other.is_active()
    assert not scope.is_active()


def test_a_thread_has_all_scopes_of_the_thread_that_starts_it():
    seen = []
    with scope.entered(), other.entered():
        thread = threading.Thread(
            target=lambda: seen.append((scope.is_active(), other.is_active()))
        )
        thread.start()
        thread.join()
    assert seen == [(True, True)]


def test_a_scope_that_ends_leaves_the_other_one_to_new_threads():
    with ThreadPoolExecutor(1) as executor:
        with scope.entered():
            with other.entered():
                pass
            assert executor.submit(scope.is_active).result()
            assert not executor.submit(other.is_active).result()
        assert not executor.submit(scope.is_active).result()


def test_tasks_for_other_interpreters_are_unchanged():
    # Of this name from Python 3.14 on; it pickles its tasks.
    pool = type("InterpreterPoolExecutor", (ThreadPoolExecutor,), {})
    with scope.entered(), pool(1) as executor:
        task = executor.submit(lambda: sys._getframe(1).f_code.co_filename)
        assert task.result().endswith("thread.py")


def test_a_context_is_entered_in_each_thread_of_a_block():
    entered = []

    class Recorded:
        def __init__(self, is_open):
            self.is_open = is_open

        def __enter__(self):
            entered.append((threading.current_thread().name, self.is_open()))

        def __exit__(self, *_):
            pass

    recorded = Scope("recorded", in_thread=Recorded)
    with recorded.entered():
        thread = threading.Thread(target=lambda: None, name="thread")
        thread.start()
        thread.join()
    assert entered == [(threading.current_thread().name, True), ("thread", True)]


SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from mlflow_interpret.runtime.scopes import Scope

scope = Scope("scope")

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(1, mp_context=context) as before, context.Pool(1) as pool:
        answers = [before.submit(scope.is_active).result()]
        with scope.entered():
            answers += [before.submit(scope.is_active).result(), pool.apply(scope.is_active)]
            with ProcessPoolExecutor(1, mp_context=context) as inside:
                answers += inside.map(Scope.is_active, [scope])
        answers += [before.submit(scope.is_active).result(), pool.apply(scope.is_active)]
    print(*answers)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_new_process_has_the_scopes_of_the_code_that_starts_it(method, tmp_path):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore", str(tmp_path / "script.py"), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True", "True", "True", "False", "False"]
