"""Deliver an explanation: to its MLflow run, then to each store that accepts it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mlflow_interpret.core.errors import one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options, metric_kinds
from mlflow_interpret.runtime import temporary_folders
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.stores import base, drawing
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.base import Receipt, Store, TargetRun
from mlflow_interpret.stores.receipts import Receipts
from mlflow_interpret.stores.record import Record, write_record

_logger = logging.getLogger("mlflow_interpret")


def check_options(options: Options) -> None:
    """Check the options of all stores.

    Raises:
        OptionError: A value is not allowed.
    """
    for store in base.stores():
        store.check_options(options)


def prepare(options: Options) -> None:
    """Prepare all stores for explanations that may come after hours of training."""
    for store in base.stores():
        store.prepare(options)


def flush(timeout: float | None = None) -> bool:
    """Wait for the drawings and for the stores that work beside the training.

    Args:
        timeout: Seconds to wait, None for no limit.

    Returns:
        Whether all explanations are drawn, and stored or failed.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    finished = [drawing.flush(timeout)]
    finished += [
        store.flush(None if deadline is None else max(0.0, deadline - time.monotonic()))
        for store in base.stores()
    ]
    return all(finished)


def end_idle_workers() -> None:
    """End the processes and threads that have no work; more work starts others."""
    drawing.end_idle_worker()
    for store in base.stores():
        store.end_idle_workers()


def deliver_explanation(
    explanation: Explanation,
    run_id: str,
    tracking_uri: str,
    options: Options,
    *,
    created: str | None = None,
    draw_later: bool = False,
) -> mlflow_store.Logged:
    """Write the folder of an explanation and deliver it; see `write_record` and `deliver`."""
    if not options.log_data:
        explanation = explanation.without_rows()
    folder = temporary_folders.create()
    try:
        record = write_record(
            explanation,
            folder,
            figures=options.log_figures,
            report=options.log_report,
            run_id=run_id,
            comment=options.comment,
            metrics=mlflow_store.read_model_metrics(run_id, tracking_uri),
            created=created,
            draw_later=draw_later,
        )
        return deliver(record, run_id, tracking_uri, options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def deliver(
    record: Record, run_id: str, tracking_uri: str, options: Options
) -> mlflow_store.Logged:
    """Log an explanation to its run and put it into each store that accepts it.

    The folder is deleted when the last store has finished. A store that fails is one warning and
    the status ``failed``; it raises nothing.

    Args:
        record: The explanation and its folder, without rows where they are not to be logged.
        run_id: An existing run.
        tracking_uri: The tracking URI.
        options: The options.

    Raises:
        Exception: The run could not be written; the folder is still there.
    """
    stores = [store for store in base.stores() if store.accepts(options, tracking_uri)]
    logged = mlflow_store.log(
        record,
        run_id,
        tracking_uri,
        top_k=options.top_k,
        kinds=metric_kinds(options.metrics),
        state="pending" if stores else "complete",
        comment=options.comment,
        description=options.log_description,
        model_id=options.model_id,
        entries=_initial_entries(record, stores, options),
    )
    if options.model_id is not None:
        _link(logged, record.explanation, options.model_id)
    drawing.warn_not_drawn(logged.run_id, record.not_drawn, options)
    _put(record, logged, options, stores)
    return logged


def note_receipt(
    logged: mlflow_store.Logged, receipts: Mapping[str, Receipt], *, is_last: bool = True
) -> mlflow_store.Logged:
    """Write final receipts of stores into the status record, unless it holds them already.

    Args:
        logged: The explanation in its run.
        receipts: The receipts, by the names of the stores.
        is_last: No other store is still at work.
    """
    failed = [receipt for receipt in receipts.values() if receipt.state == "failed"]
    state: mlflow_store.State = "failed" if failed else "complete" if is_last else "pending"
    entries = {name: dict(logged.status.get(name) or {}) for name in receipts}
    is_known = all(receipts[name].entry.items() <= entry.items() for name, entry in entries.items())
    if logged.status.get("status") == state and is_known:
        return logged
    for name, receipt in receipts.items():
        entries[name] |= receipt.entry
        if receipt.seconds is not None:
            entries[name]["seconds"] = receipt.seconds
    return mlflow_store.update_status(logged, state, failed[0].reason if failed else None, entries)


def _link(logged: mlflow_store.Logged, explanation: Explanation, model_id: str) -> None:
    """Note in a logged model which explanation is about it, where the server has such models."""
    if base.limits_of(logged.tracking_uri).has_logged_models:
        try:
            mlflow_store.link_explanation(logged, explanation.id, model_id)
        except Exception:  # an MLflow 2 server; the metrics are logged
            _logger.debug("The logged model has no link to its explanation", exc_info=True)


def _initial_entries(
    record: Record, stores: Sequence[Store], options: Options
) -> dict[str, Mapping[str, Any]]:
    entries = {store.name: store.initial_entry(options) for store in stores}
    if record.drawings is not None:
        entries[drawing.NAME] = {"state": "pending"}
    return entries


def _put(
    record: Record, logged: mlflow_store.Logged, options: Options, stores: Sequence[Store]
) -> None:
    names = {store.name for store in stores}
    receipts = Receipts(
        names | ({drawing.NAME} if record.drawings else set()),
        partial(_note, logged, options, names),
        partial(shutil.rmtree, record.folder, ignore_errors=True),
    )
    if record.drawings is not None:
        finish_drawings = partial(receipts.add, drawing.NAME)
        drawing.submit(record, record.drawings, logged, options, finish_drawings)
    for store in stores:
        finish = partial(_finish, store, logged, options, receipts)
        run = TargetRun(logged.tracking_uri, logged.run_id, options, finish)
        try:
            receipt = store.put(record.explanation, record.folder, run)
        except Exception as error:
            _logger.debug("Storing in %s failed", store.title, exc_info=True)
            receipt = Receipt("failed", one_line(error))
        if receipt.state != "pending":
            finish(receipt)


def _finish(
    store: Store,
    logged: mlflow_store.Logged,
    options: Options,
    receipts: Receipts,
    receipt: Receipt,
) -> None:
    if receipt.state == "failed":
        remedy = "" if receipt.remedy is None else f" Finish it later with: {receipt.remedy}"
        warn(
            options,
            f"The upload to {store.title} failed for run {logged.run_id}; the explanation is in "
            f"the MLflow run. Reason: {receipt.reason}.{remedy}",
        )
    receipts.add(store.name, receipt)


def _note(
    logged: mlflow_store.Logged,
    options: Options,
    stores: set[str],
    receipts: Mapping[str, Receipt],
    is_last: bool,
) -> bool:
    if not is_last and not base.limits_of(logged.tracking_uri).overwrites:
        return True  # each status record would be a further artifact
    try:
        # The state is that of the stores; the drawings have their own.
        note_receipt(logged, receipts, is_last=stores <= receipts.keys())
    except Exception:
        warn(options, f"The status of run {logged.run_id} could not be updated.")
        _logger.debug("Updating the status failed", exc_info=True)
        return False
    return True
