"""Explain the rows of a Parquet or CSV file, in bounded memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mlflow_interpret.api.explain_rows import explained_model, row_explainer
from mlflow_interpret.api.row_columns import columns_of, labelled
from mlflow_interpret.api.row_files import RowFile, is_csv, open_rows
from mlflow_interpret.autologging import fit_hooks
from mlflow_interpret.core.errors import OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.option_checks import check_columns
from mlflow_interpret.runtime.isolation import suppress_warnings
from mlflow_interpret.runtime.progress import Report

_HEAD_ROWS = 256


@dataclass(frozen=True)
class FileExplained:
    """The result of `explain_file`.

    Attributes:
        n_rows: The number of rows.
        ignored: Columns of the file that the model does not take.
    """

    n_rows: int
    ignored: tuple[str, ...]


def explain_file(
    model: str,
    source: Path,
    target: Path,
    *,
    initialization_examples: Path | None = None,
    force: bool = False,
    report: Report,
) -> FileExplained:
    """Write the predictions and contributions of the rows of a file into another one.

    Args:
        model: As for `explain_rows`.
        source: A Parquet or CSV file, or a folder of Parquet files.
        target: A Parquet or CSV file, by its suffix. It is there complete or not at all.
        initialization_examples: A file with background rows, as for `explain_rows`.
        force: Replace an existing file.
        report: Called with the number of finished and of all rows, None for a CSV file.

    Raises:
        OptionError: A file does not exist, or exists, or has other columns.
        MlflowInterpretError: As of `explain_rows`.
    """
    if target.exists() and not force:
        raise OptionError(f"target must be a new file, got {str(target)!r}.", argument="target")
    if not target.parent.is_dir():
        raise OptionError(
            f"target must be in an existing folder, got {str(target)!r}.", argument="target"
        )
    file = open_rows(source, "rows")
    background_file = None
    if initialization_examples is not None:
        background_file = open_rows(initialization_examples, "initialization_examples")
    explained = explained_model(model)
    columns = columns_of(explained.explanation, file.names)
    names = [str(label) for label in columns]
    check_columns("rows", file.names, names, may_have_more=True)
    background = None
    if background_file is not None:
        background_file = _typed(background_file, explained.explanation, names)
        check_columns("initialization_examples", background_file.names, names, may_have_more=True)
        background = background_file.sample(names, explained.explanation.details.random_state or 0)
    file = _typed(file, explained.explanation, names, background)
    head = next(file.batches(names, _HEAD_ROWS), None)
    if head is None:
        raise OptionError("rows must have at least one row, got none.", argument="rows")
    if background is not None:
        background = labelled(background, columns, "initialization_examples")
    explainer = row_explainer(explained, labelled(head, columns, "rows"), background)
    total = None if file.is_csv else file.count_rows()
    n_done = 0
    with _writer(target) as write:
        for rows in file.batches(names, explainer.batch_rows):
            batch = labelled(rows, columns, "rows")
            with suppress_warnings(), fit_hooks.unrecorded():
                table = explainer.table(batch, n_done)
            write(table)
            n_done += len(rows)
            report(n_done, total)
    return FileExplained(n_done, tuple(name for name in file.names if name not in set(names)))


def _typed(
    file: RowFile, record: Explanation, names: list[str], background: pd.DataFrame | None = None
) -> RowFile:
    """The file, with the types of the training rows, which a CSV file does not have.

    Args:
        file: The file.
        record: The explanation, which mostly holds rows.
        names: The names of the model's columns in the file.
        background: Rows of another file, for an explanation without rows.
    """
    stored = record.background
    rows = None if stored is None else stored.rows
    rows = (record.raw or record).evaluation_rows if rows is None else rows
    rows = background if rows is None or rows.shape[1] != len(names) else rows
    if rows is None:
        return file
    are_texts = stored is not None and stored.container in {"series", "texts"}
    return file.with_types_of(rows, names, are_texts=are_texts)


@contextmanager
def _writer(target: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write tables of equal columns into a file, which replaces the target at the end."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with _csv_writer(temporary) if is_csv(target) else _parquet_writer(temporary) as write:
            yield write
        temporary.replace(target)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


@contextmanager
def _csv_writer(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    with path.open("w", encoding="utf-8", newline="") as file:
        yield lambda table: table.to_csv(file, index=False, header=file.tell() == 0)


@contextmanager
def _parquet_writer(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writers: list[Any] = []  # made for the schema of the first table

    def write(table: pd.DataFrame) -> None:
        schema = writers[0].schema if writers else None
        arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
        if not writers:
            writers.append(pq.ParquetWriter(path, arrow.schema))
        writers[0].write_table(arrow)

    try:
        yield write
    finally:
        for writer in writers:
            writer.close()
