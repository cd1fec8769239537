"""Explanations and skipped fits that could not be logged: kept, and logged later as by the fit."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mlflow_interpret.autologging import logged_models, mlflow_patches
from mlflow_interpret.autologging.baseline import log_to_run
from mlflow_interpret.autologging.computed import Computed
from mlflow_interpret.autologging.logged_models import ModelLink
from mlflow_interpret.autologging.run_context import ExplanationRun, RunContext, resolved
from mlflow_interpret.core.errors import MlflowInterpretError, RunNotFoundError, one_line
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.options import Options
from mlflow_interpret.core.redaction import without_credentials
from mlflow_interpret.runtime.messages import warn
from mlflow_interpret.stores import drawing, spool
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores.record import Record, now
from mlflow_interpret.stores.spool_entry import Entry, NewRun, SkippedFit

_logger = logging.getLogger("mlflow_interpret")

_AT_ONCE = 5  # of one fit

_kept: deque[Kept] = deque()  # oldest first


@dataclass(frozen=True)
class Kept:
    """An explanation or a skipped fit that this process has kept.

    Attributes:
        tracking_uri: The tracking URI.
        folder: Its folder in the spool.
        link: Its link to the logged models of MLflow.
    """

    tracking_uri: str
    folder: Path
    link: ModelLink | None


@dataclass(frozen=True, eq=False)
class Attempt:
    """An attempt to log an explanation, or a skipped fit, that failed.

    Attributes:
        model: The class of the fitted model.
        tracking_uri: The tracking URI.
        run: The run.
        content: The explanation, with its folder if it was written; or the skipped fit.
        is_logged: The content is in the run, which was not ended.
        link: Its link to the logged models of MLflow.
    """

    model: str
    tracking_uri: str
    run: ExplanationRun
    content: Computed | Record | SkippedFit
    is_logged: bool
    link: ModelLink | None = None

    @property
    def subject(self) -> str:
        """The subject of the warning."""
        if isinstance(self.content, SkippedFit):
            reason = self.content.reason.rstrip(".")
            return f"The fit of {self.model} was not explained: {reason}. The reason"
        return f"The explanation of {self.model}"


def keep(options: Options, attempt: Attempt, error: BaseException) -> None:
    """Keep the explanation or the skipped fit of an attempt in the spool, with one warning.

    Args:
        options: The options.
        attempt: The attempt.
        error: Why it failed.
    """
    uri, run_id = attempt.tracking_uri, attempt.run.run_id
    run = f"run {run_id}" if run_id else "a new run"
    reason = error.problem if isinstance(error, MlflowInterpretError) else error
    problem = f"{one_line(reason).rstrip('.')}."
    subject, later = attempt.subject, "log it later with"
    failure = f"{subject} could not be logged to {run}: {problem}"
    if attempt.is_logged:
        failure = f"{subject} is in {run}, which could not be ended: {problem}"
        later = "end the run later with"
    try:
        folder = _kept_folder(options, attempt)
    except Exception as unwritable:
        _logger.debug("Nothing could be kept", exc_info=True)
        _note_loss(attempt, failure)
        warn(
            options,
            f"{failure} Nor could it be kept on this machine: {one_line(unwritable)}. Name a "
            f"writable folder in the environment variable {spool.VARIABLE}.",
        )
        return
    if attempt.link is not None:
        attempt.link.add_waiting(uri, folder)
    _kept.append(Kept(uri, folder, attempt.link))
    warn(options, f"{failure} It is kept in {folder}; {later}: {_flush_command(error, uri)}")


def _flush_command(error: BaseException, tracking_uri: str) -> str:
    """Return the command that logs a kept explanation after an error."""
    command = "mlflow-interpret flush"
    if isinstance(error, RunNotFoundError):
        return f"{command} --tracking-uri URI, where URI is the store that holds the run"
    if without_credentials(tracking_uri) != tracking_uri:  # the entry lacks the password
        return f"{command} --tracking-uri URI, where URI is the whole address of the store"
    return command


def entry_for(
    options: Options, tracking_uri: str, run: ExplanationRun, model: str | None = None
) -> Entry:
    """Return the entry of an explanation that is being logged; it asks neither server nor git.

    Args:
        options: The options.
        tracking_uri: The tracking URI.
        run: The run.
        model: The class of the fitted model, of an explanation that is not written yet or of a
            skipped fit.
    """
    entry = Entry.of(options, tracking_uri, run.run_id, model)
    return replace(entry, new_run=run.new_run(all_tags=False), created=now())


def _kept_folder(options: Options, attempt: Attempt) -> Path:
    """Write the content of an attempt into the spool and return its folder."""
    run, content = attempt.run, attempt.content
    model = attempt.model if isinstance(content, SkippedFit) else None
    entry = Entry.of(options, attempt.tracking_uri, run.run_id, model)
    entry = replace(entry, new_run=run.new_run(all_tags=True))
    if isinstance(content, SkippedFit):
        entry = replace(entry, created=now(), skipped=content)
        return spool.keep_skipped(content.fit_id, entry)
    if isinstance(content, Record):
        entry = replace(entry, created=content.created)
        if attempt.is_logged:  # the folder belongs to the stores
            return spool.keep(content.explanation, entry)
        return spool.keep_folder(content.folder, content.explanation.id, entry)
    # The figures and the report are drawn when it is logged.
    data_only = replace(options, log_figures=False, log_report=False)
    with spool.new_folder(content.explanation_id) as folder:
        content.write(folder, data_only, None, {})
        spool.update(folder, entry)
    return folder


def _note_loss(attempt: Attempt, reason: str) -> None:
    """Write into the run why it lacks its explanation."""
    with suppress(Exception):
        if attempt.run.run_id is not None and not attempt.is_logged:
            mlflow_store.note_skipped(attempt.run.run_id, attempt.tracking_uri, reason)


def log_earlier(options: Options, tracking_uri: str) -> None:
    """Log explanations that this process has kept, since their store answers again.

    Args:
        options: The options of the fit that was logged.
        tracking_uri: Its store.
    """
    waiting = [kept for kept in list(_kept) if kept.tracking_uri == tracking_uri][:_AT_ONCE]
    for kept in waiting:
        folder = kept.folder
        with suppress(ValueError):  # another thread takes it
            _kept.remove(kept)
            try:
                run_id = log_kept(
                    folder, tracking_uri, draw_later=drawing.has_room(), link=kept.link
                )
            except spool.ClaimedError:
                continue
            except Exception as error:
                _logger.debug("%s could not be logged", folder, exc_info=True)
                if not isinstance(error, RunNotFoundError):
                    _kept.append(kept)
                return
            if not options.silent:
                _logger.info("The explanation in %s is logged to run %s.", folder, run_id)


def log_kept(
    folder: Path,
    tracking_uri: str,
    experiment_id: str | None = None,
    *,
    draw_later: bool = False,
    link: ModelLink | None = None,
) -> str:
    """Log an explanation or a skipped fit of the spool and delete it there.

    Each step can be repeated, by this process or another: the run, the folder and the time of the
    first attempt are found again.

    Args:
        folder: Its folder.
        tracking_uri: The tracking URI, with credentials.
        experiment_id: The experiment for a new run. Default: that of the fit, if it is known and
            ``tracking_uri`` is its store.
        draw_later: Draw the figures and the report beside the training.
        link: The link to the logged models of this process. Default: those of the entry.

    Returns:
        The run.

    Raises:
        ClaimedError: Another process logs it.
        Exception: It could not be logged and is still there.
    """
    with spool.claimed(folder):
        mlflow_store.check_reachable(tracking_uri)
        entry = spool.entry_of(folder)
        skipped = entry.skipped
        explanation = spool.load(folder) if skipped is None else None
        created = entry.created or now()
        entry = _with_autologged_run(entry, tracking_uri)
        run_id = entry.run_id
        if run_id is None:
            new_run = entry.new_run or _new_run_of_0_1(folder.name)
            entry = replace(entry, new_run=new_run)
            run_id = _create(entry, new_run, experiment_id, tracking_uri)
        entry = replace(entry, run_id=run_id, created=created)
        spool.update(folder, entry)
        if skipped is not None:
            _log_skipped(entry, skipped, run_id, tracking_uri)
        elif explanation is not None:
            options = _options(entry, explanation)
            logged = log_to_run(
                explanation, run_id, tracking_uri, options, created=created, draw_later=draw_later
            )
            if link is not None:
                link.add_explanation(options, explanation, logged)
            else:
                logged_models.connect(options, explanation, logged, entry.model_ids)
        if entry.new_run is not None:
            ended = datetime.fromisoformat(created).timestamp()
            mlflow_store.end_new_run(tracking_uri, run_id, ended)
        spool.drop(folder)
    return run_id


def skip_pending(entry: Entry, reason: str) -> Path:
    """Keep a fit that waited for its explanation as a skipped fit; return its folder."""
    skipped, new_run = SkippedFit(str(uuid.uuid4()), reason), entry.new_run
    if new_run is not None:
        tags = mlflow_store.skipped_run_tags(skipped.fit_id, new_run.tags)
        new_run = replace(new_run, tags=tags)
    entry = replace(entry, explanation_id=None, skipped=skipped, new_run=new_run, created=now())
    return spool.keep_skipped(skipped.fit_id, entry)


def _log_skipped(entry: Entry, skipped: SkippedFit, run_id: str, tracking_uri: str) -> None:
    details = {
        "created": entry.created,
        "model": {"fitted": entry.model},
        "comment": entry.options.get("comment"),
    }
    mlflow_store.log_skipped(
        run_id, tracking_uri, skipped.reason, details, fit_id=skipped.fit_id, is_repeated=True
    )


def _with_autologged_run(entry: Entry, tracking_uri: str) -> Entry:
    """Return the entry with the run of an autologger, if that is the run of the fit."""
    new_run = entry.new_run
    if entry.run_id is not None or new_run is None or new_run.last_run_id is None:
        return entry
    context = resolved(RunContext(tracking_uri, last_run_id=new_run.last_run_id))
    if context.run_id is None:
        return replace(entry, new_run=replace(new_run, last_run_id=None))
    return replace(entry, run_id=context.run_id, new_run=None)


def _create(
    entry: Entry,
    new_run: NewRun,
    experiment_id: str | None,
    tracking_uri: str,
) -> str:
    """Return the run that was created without an answer, else a new one."""
    is_same_store = without_credentials(tracking_uri) == entry.tracking_uri
    of_fit = new_run.experiment_id if is_same_store else None
    experiment_id = experiment_id or of_fit or mlflow_patches.default_experiment_id()
    found = mlflow_store.find_new_run(tracking_uri, of_fit or experiment_id, new_run.tags)
    if found is not None:
        return found
    run_id = mlflow_store.create_run(
        tracking_uri, experiment_id, new_run.name, new_run.tags, new_run.started
    )
    mlflow_store.delete_copies(tracking_uri, experiment_id, run_id, new_run.tags)
    return run_id


def find_run(new_run: NewRun, tracking_uri: str) -> str | None:
    """Return the run that a killed process has created, None if it has created none."""
    experiment_id = new_run.experiment_id or mlflow_patches.default_experiment_id()
    return mlflow_store.find_new_run(tracking_uri, experiment_id, new_run.tags)


def _new_run_of_0_1(explanation_id: str) -> NewRun:
    """Return the run for an entry that does not describe it."""
    tags = mlflow_store.new_run_tags(explanation_id)
    started = datetime.fromisoformat(now()).timestamp()
    return NewRun(None, mlflow_patches.random_run_name(), tags, started)


def _options(entry: Entry, explanation: Explanation) -> Options:
    """Return the options; an explanation that was compared with its baseline is not again."""
    options, details = entry.to_options(), explanation.details
    is_compared = details.baseline is not None or details.baseline_missing is not None
    return replace(options, baseline=None) if is_compared else options
