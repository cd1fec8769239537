"""Scopes: blocks of code, with the threads, tasks of pools and processes that are started inside.

A thread does not inherit `threading.local` values or context variables of the thread that starts
it. While a scope is entered, the methods that start threads, tasks and processes are wrapped, as
OpenTelemetry does for its context; afterwards they are restored.
"""

from __future__ import annotations

import functools
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from mlflow_interpret.runtime.thread_warnings import SharedChange, Undo

Method = Callable[..., Any]

# The attribute of a process object with the names of the scopes that the process was started in.
_MARK = "mlflow_interpret_scopes"
_POOL_METHODS = (
    "apply_async", "imap", "imap_unordered", "map", "map_async", "starmap", "starmap_async"
)  # fmt: skip


class _Block:
    """One block of a scope. Threads that outlive it are no longer in it."""

    is_open = True


class Scope:
    """A kind of block that threads, tasks and processes inherit.

    A task of a pool belongs to the blocks of the code that submits it, even if other code started
    the pool. A process belongs to the scope until it ends.

    Args:
        name: A name, for processes.
        in_thread: Returns a context that is entered in each thread of a block, beside the block. It
            gets a function that says whether the block is still open.
    """

    def __init__(
        self,
        name: str,
        in_thread: Callable[[Callable[[], bool]], AbstractContextManager[None]] | None = None,
    ) -> None:
        self.name = name
        self.in_thread = in_thread

    def is_active(self) -> bool:
        """Whether the current thread, or the code that started it, is in a block of this scope."""
        block = _state.blocks.get(self)
        if block is not None and block.is_open:
            return True
        return self.name in getattr(multiprocessing.current_process(), _MARK, ())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Enter a new block of this scope."""
        block = _Block()
        with _wrapped_starts.applied(), _inside({**_state.blocks, self: block}):
            try:
                yield
            finally:
                block.is_open = False


class _State(threading.local):
    blocks: Mapping[Scope, _Block] = {}  # replaced, never changed


_state = _State()


@contextmanager
def _inside(blocks: Mapping[Scope, _Block]) -> Iterator[None]:
    """Let the current thread be in other blocks."""
    outer, _state.blocks = _state.blocks, blocks
    try:
        with ExitStack() as stack:
            for scope, block in blocks.items():
                if scope.in_thread is not None and outer.get(scope) is not block and block.is_open:
                    stack.enter_context(scope.in_thread(functools.partial(_is_open, block)))
            yield
    finally:
        _state.blocks = outer


def _is_open(block: _Block) -> bool:
    return block.is_open


def _wrap_starts() -> Undo:
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    from multiprocessing.pool import Pool
    from multiprocessing.process import BaseProcess

    wrappers: list[tuple[Any, str, Callable[[Method], Method]]] = [
        (threading.Thread, "start", _thread_start),
        (BaseProcess, "start", _process_start),
        (ThreadPoolExecutor, "submit", _submit_to_threads),
        (ProcessPoolExecutor, "submit", _submit_to_processes),
        *((Pool, name, _pool_method) for name in _POOL_METHODS),
    ]
    replaced = []
    for cls, name, wrap in wrappers:
        original = getattr(cls, name)
        wrapper = functools.wraps(original)(wrap(original))
        setattr(cls, name, wrapper)
        replaced.append((cls, name, wrapper, original))

    def undo() -> None:
        for cls, name, wrapper, original in replaced:
            if getattr(cls, name) is wrapper:
                setattr(cls, name, original)

    return undo


def _thread_start(original: Method) -> Method:
    def start(thread: threading.Thread) -> None:
        blocks = _state.blocks
        if blocks:
            run = thread.run

            def run_in_blocks() -> None:
                del thread.run  # a reference cycle
                with _inside(blocks):
                    run()

            setattr(thread, "run", run_in_blocks)  # noqa: B010 - mypy forbids the assignment
        original(thread)

    return start


def _process_start(original: Method) -> Method:
    def start(process: Any) -> None:
        names = _open_names()
        if names:
            setattr(process, _MARK, names)
        original(process)

    return start


def _submit_to_threads(original: Method) -> Method:
    def submit(executor: Any, task: Method, /, *args: Any, **kwargs: Any) -> Any:
        # From Python 3.14 on, a subclass pickles its tasks for other interpreters.
        names = {cls.__name__ for cls in type(executor).__mro__}
        if "InterpreterPoolExecutor" not in names:
            task = _thread_task(task)
        return original(executor, task, *args, **kwargs)

    return submit


def _submit_to_processes(original: Method) -> Method:
    def submit(executor: Any, task: Method, /, *args: Any, **kwargs: Any) -> Any:
        return original(executor, _process_task(task), *args, **kwargs)

    return submit


def _pool_method(original: Method) -> Method:
    def method(pool: Any, *args: Any, **kwargs: Any) -> Any:
        from multiprocessing.pool import ThreadPool

        as_task = _thread_task if isinstance(pool, ThreadPool) else _process_task
        if "func" in kwargs:
            kwargs["func"] = as_task(kwargs["func"])
        elif args:
            args = (as_task(args[0]), *args[1:])
        return original(pool, *args, **kwargs)

    return method


def _thread_task(task: Method) -> Method:
    """A task in the blocks of the code that submits it, also in none."""
    blocks = _state.blocks

    @functools.wraps(task, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        with _inside(blocks):
            return task(*args, **kwargs)

    return run


def _process_task(task: Method) -> Method:
    names = _open_names()
    return functools.partial(_run_marked, names, task) if names else task


def _run_marked(names: tuple[str, ...], task: Method, *args: Any, **kwargs: Any) -> Any:
    """Run a task in a process of a pool that may have been started outside of the scopes."""
    process = multiprocessing.current_process()
    outer = getattr(process, _MARK, ())
    setattr(process, _MARK, names)
    try:
        return task(*args, **kwargs)
    finally:
        setattr(process, _MARK, outer)


def _open_names() -> tuple[str, ...]:
    return tuple(scope.name for scope, block in _state.blocks.items() if block.is_open)


_wrapped_starts = SharedChange(_wrap_starts)
