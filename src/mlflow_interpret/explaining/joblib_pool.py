"""The worker pool that joblib keeps open: the only module that reads joblib's private state.

joblib has no public way to ask for the size of the pool. `get_reusable_executor` would return the
open pool, but starts one where there is none.
"""

from __future__ import annotations


def open_pool_size() -> int | None:
    """Number of workers in the open pool of processes; None if there is no pool."""
    from joblib.externals.loky import reusable_executor

    size = getattr(getattr(reusable_executor, "_executor", None), "_max_workers", None)
    return size if isinstance(size, int) else None
