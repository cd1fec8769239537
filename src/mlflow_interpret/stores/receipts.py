"""The receipts of one explanation, handed in by stores from their own threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from mlflow_interpret.stores.base import Receipt


class Receipts:
    """Collect final receipts and write them into the run, one request at a time.

    Args:
        names: The stores that will hand in a receipt.
        note: Writes the receipts so far, and returns whether it could; its second argument says
            whether all are there. It is called in one thread at a time, without a lock.
        release: Deletes the folder of the explanation, which all stores have read then.
    """

    def __init__(
        self,
        names: Iterable[str],
        note: Callable[[Mapping[str, Receipt], bool], bool],
        release: Callable[[], None],
    ) -> None:
        self._missing = set(names)
        self._note = note
        self._release = release
        self._lock = threading.Lock()  # for these attributes only
        self._receipts: dict[str, Receipt] = {}
        self._is_noting = False
        if not self._missing:
            release()

    def add(self, name: str, receipt: Receipt) -> bool:
        """Add the receipt of a store; return False if it could not be written into the run."""
        with self._lock:
            self._receipts[name] = receipt
            self._missing.discard(name)
            is_last = not self._missing
            another_thread_notes, self._is_noting = self._is_noting, True
        if is_last:
            self._release()
        while not another_thread_notes:
            with self._lock:
                receipts, is_last = dict(self._receipts), not self._missing
            is_noted = self._note(receipts, is_last)
            with self._lock:
                if receipts == self._receipts:
                    self._is_noting = False
                    return is_noted
        return True  # the other thread writes it
