"""The command line on a real store."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from logged_explanations import log
from mlflow_interpret.cli import main
from mlflow_interpret.core.details import Details
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.feature_groups import GroupImportances
from mlflow_interpret.stores import mlflow as mlflow_store
from mlflow_interpret.stores import spool


def explanation(**more):
    values = {
        "method": "shap_tree",
        "task": "regression",
        "model_class": "sklearn.Model",
        "features": ("age", "bmi", "bad\nname " + "x" * 100, "zero"),
        "global_values": np.array([1.0, 4.0, 2.0, 0.0]),
        "details": Details.from_json(
            {
                "rows": {"explained": 20, "available": 442, "source": "training rows"},
                "output_scale": "prediction",
            }
        ),
    }
    return Explanation(**{**values, **more})


def classification():
    per_class = np.array([[1.0, 0.0], [0.0, 3.0]])
    return explanation(
        task="classification",
        features=("left", "right"),
        classes=(10, 20),
        per_class_values=per_class,
        global_values=per_class.mean(axis=0),
    )


def logged(record, uri):
    with mlflow.start_run() as run:
        pass
    log(record, run.info.run_id, uri, top_k=20, figures=False)
    return run.info.run_id


def call(*arguments):
    return CliRunner().invoke(main, arguments)


def lines_of(result):
    return [line.split() for line in result.output.splitlines()[1:]]


class TestShow:
    def test_features_are_ranked_with_bars(self, store):
        run_id = logged(explanation(), store)
        result = call("show", run_id)
        assert result.exit_code == 0, result.output
        head = result.output.splitlines()[0]
        for part in (run_id, "sklearn.Model", "shap_tree", "20 of 442 rows", "scale: prediction"):
            assert part in head
        rows = lines_of(result)
        assert [row[1] for row in rows] == ["bmi", "bad", "age", "zero"]
        assert rows[0][:3] == ["1", "bmi", "4.000"]
        bars = [line.count("█") for line in result.output.splitlines()[1:]]
        assert bars[0] == 2 * bars[1] > bars[2] > bars[3] == 0

    def test_groups_are_shown(self, store):
        groups = GroupImportances(
            {"body": ("age", "bmi")}, ("body", "zero"), np.array([4.5, 0.0]), np.array([0.1, 0.0])
        )
        run_id = logged(explanation(groups=groups), store)
        rows = lines_of(call("show", run_id, "--groups"))
        assert [row[1:3] for row in rows] == [["body", "4.500"], ["zero", "0"]]
        assert rows[0][3:5] == ["±", "0.20"]
        result = call("show", logged(explanation(), store), "--groups")
        assert result.exit_code == 1
        assert "the explanation has no groups" in result.output

    def test_intervals_and_thousands_are_shown(self, store):
        known = explanation(
            global_values=np.array([1.0, 12345.678, 2.0, 0.0]),
            global_errors=np.array([0.5, 1000.0, 0.1, 0.0]),
            details=Details.from_json(
                {"rows": {"explained": 2000, "available": 44200, "source": "rows"}}
            ),
        )
        result = call("show", logged(known, store))
        assert "2,000 of 44,200 rows" in result.output
        rows = lines_of(result)
        assert rows[0][1:5] == ["bmi", "12,346", "±", "1,960"]
        assert "±" not in rows[-1]

    def test_columns_are_aligned_and_lines_short(self, store):
        result = call("show", logged(explanation(), store))
        lines = result.output.splitlines()[1:]
        assert len(lines) == 4
        assert max(map(len, lines)) < 120
        assert "…" in lines[1]

    def test_top_limits_the_features_and_counts_the_others(self, store):
        run_id = logged(explanation(), store)
        result = call("show", run_id, "--top", "1")
        assert lines_of(result)[0][1] == "bmi"
        assert "and 3 more; --top 4 shows all" in result.output
        assert "more" not in call("show", run_id, "--top", "4").output

    @pytest.mark.parametrize("top", ["0", "-3", "many"])
    def test_invalid_top_is_rejected(self, store, top):
        result = call("show", "0123", "--top", top)
        assert result.exit_code == 2
        assert "--top" in result.output
        assert isinstance(result.exception, SystemExit)

    def test_one_class(self, store):
        run_id = logged(classification(), store)
        assert lines_of(call("show", run_id, "--class", "10"))[0][1] == "left"
        assert lines_of(call("show", run_id, "--class", "20"))[0][1] == "right"

    def test_engineered_columns(self, store):
        engineered = explanation(
            features=("age", "bmi_0", "bmi_1"), global_values=np.ones(3), is_engineered=True
        )
        run_id = logged(explanation(engineered=engineered), store)
        result = call("show", run_id, "--engineered")
        assert {line[1] for line in lines_of(result)} == {"age", "bmi_0", "bmi_1"}
        result = call("show", logged(explanation(), store), "--engineered")
        assert result.exit_code == 1
        assert "no engineered view" in result.output

    def test_one_target(self, store):
        values = np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 5.0, 0.0]])
        run_id = logged(explanation(targets=("up", "down"), per_class_values=values), store)
        assert lines_of(call("show", run_id, "--class", "up"))[0][1] == "bmi"

    def test_unknown_class_lists_the_classes(self, store):
        result = call("show", logged(classification(), store), "--class", "30")
        assert result.exit_code == 1
        assert (
            "Error: --class must be one of the model's classes (10, 20), got '30'." in result.output
        )

    def test_class_of_a_regression_is_rejected(self, store):
        result = call("show", logged(explanation(), store), "--class", "1")
        assert result.exit_code == 1
        assert "the model has no classes" in result.output

    @pytest.mark.parametrize(
        "values", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [np.nan, np.nan]], ids=str
    )
    def test_any_values_are_shown(self, store, values):
        record = explanation(features=("a", "b"), global_values=np.array(values))
        result = call("show", logged(record, store))
        assert result.exit_code == 0, result.output
        assert sorted(row[1] for row in lines_of(result)) == ["a", "b"]

    def test_tracking_uri_option(self, store):
        run_id = logged(explanation(), store)
        mlflow.set_tracking_uri("sqlite:////nowhere/mlflow.db")
        result = call("show", run_id, "--tracking-uri", store)
        assert result.exit_code == 0, result.output
        assert "bmi" in result.output

    def test_unknown_run_is_an_error_on_one_line(self, store):
        result = call("show", "0" * 32)
        assert result.exit_code == 1
        assert result.output.startswith("Error: Run ")
        assert "does not exist" in result.output

    def test_run_without_an_explanation_is_an_error(self, store):
        with mlflow.start_run() as run:
            pass
        result = call("show", run.info.run_id)
        assert result.exit_code == 1
        assert "holds no explanation" in result.output


class TestFlush:
    def entry(self, uri, run_id=None):
        return spool.Entry(uri, run_id, {"comment": "kept", "top_k": 2, "log_figures": False})

    def test_empty_spool_is_reported_with_its_folder(self, store):
        result = call("flush")
        assert result.exit_code == 0
        assert result.output == f"Nothing is kept in {spool.directory()}.\n"

    def test_stored_explanation_is_logged_to_its_run_and_deleted(self, store):
        with mlflow.start_run() as run:
            pass
        kept = explanation()
        spool.keep(kept, self.entry(store, run.info.run_id))
        result = call("flush")
        assert result.exit_code == 0, result.output
        assert result.output == f"{kept.id}  logged to run {run.info.run_id}\n"
        assert mlflow_store.load(run.info.run_id, None, store).id == kept.id
        metrics = mlflow.get_run(run.info.run_id).data.metrics
        assert len(metrics) == 4  # importances and shares of two features
        status = mlflow_store.status_of(run.info.run_id, store)
        assert status["comment"] == "kept"
        assert spool.folders() == []
        assert "Nothing is kept" in call("flush").output

    def test_new_run_is_created_and_closed_for_a_fit_without_a_run(self, store):
        spool.keep(explanation(), self.entry(store))
        assert call("flush").exit_code == 0
        (run,) = mlflow.search_runs(output_format="list", search_all_experiments=True)
        assert run.info.status == "FINISHED"
        assert run.data.metrics
        assert mlflow.active_run() is None

    def test_list_logs_nothing(self, store):
        kept = explanation()
        spool.keep(kept, self.entry(store))
        result = call("flush", "--list")
        assert result.output == f"{kept.id}  run (new)  {store}\n"
        assert len(spool.folders()) == 1

    def test_failure_keeps_the_explanation_and_continues_with_the_others(self, store):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            silent = f"http://127.0.0.1:{taken.getsockname()[1]}"
            fails, works = explanation(), replace(explanation(), id="works")
            spool.keep(fails, self.entry(silent))
            spool.keep(works, self.entry(store))
            result = call("flush")
        assert result.exit_code == 1
        assert f"{fails.id}  kept: No MLflow server answers at {silent}" in result.output
        assert "works  logged to run " in result.output
        assert "1 of 2 could not be logged" in result.output
        assert [path.name for path in spool.folders()] == [fails.id]

    def test_other_store_by_tracking_uri_option(self, store):
        spool.keep(explanation(), self.entry("http://127.0.0.1:9"))
        result = call("flush", "--tracking-uri", store)
        assert result.exit_code == 0, result.output
        assert spool.folders() == []


@pytest.mark.parametrize("arguments", [("-h",), ("--help",), ("show", "-h"), ("flush", "--help")])
def test_help_of_commands(arguments):
    result = call(*arguments)
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize("command", ["show", "compare"])
def test_letters_that_the_encoding_lacks_are_escaped(store, command):
    record = explanation(features=("年齢", "größe", "c", "d"))
    ids = [logged(record, store) for _ in range(1 if command == "show" else 2)]
    result = CliRunner(charset="cp1252").invoke(main, [command, *ids])
    assert result.exit_code == 0, result.output
    assert r"\u5e74\u9f62" in result.output
    assert "größe" in result.output
    lines = CliRunner().invoke(main, [command, *ids]).output.splitlines()
    lines = [line.rstrip("█ ").rstrip("0123456789.%") for line in lines if line.strip()]
    wide, plain = (next(line for line in lines if name in line) for name in ("年齢", "größe"))
    assert len(wide) == len(plain) - 2  # each letter of the first name takes two columns


def test_help_names_every_command():
    text = call("--help").output
    assert all(f"  {name}" in text for name in main.commands)


def test_version_is_that_of_the_package():
    import mlflow_interpret

    assert mlflow_interpret.__version__ in call("--version").output


def test_unknown_command_is_rejected():
    assert call("shwo").exit_code == 2


class TestCompare:
    def test_runs_are_compared_in_the_terminal_and_on_a_page(self, store, tmp_path):
        first = logged(explanation(), store)
        turned = np.array([4.0, 1.0, 2.0, 0.0])
        second = logged(explanation(global_values=turned), store)
        page = tmp_path / "page.html"
        result = call("compare", first, second, "--html", str(page), "--top", "3")
        assert result.exit_code == 0, result.output
        rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines() if line}
        assert rows["bmi"] == ["1", "57%", "3", "▼2", "14%"]
        assert rows["1"][2:7] == ["Model", "shap_tree", "prediction", "20", "no"]
        assert "... and 1 more feature\n" in result.output
        assert "<h1>2 runs compared</h1>" in page.read_text("utf-8")

    def test_runs_are_compared_by_groups_of_columns(self, store):
        groups = GroupImportances(
            {"body": ("age", "bmi")}, ("body", "zero"), np.array([4.5, 0.0]), np.array([0.1, 0.0])
        )
        names = ("age", "bmi", "zero")
        record = explanation(features=names, global_values=np.array([1.0, 4.0, 0.0]), groups=groups)
        first, second = logged(record, store), logged(record, store)
        result = call("compare", first, second, "--group", "body=age,bmi")
        assert result.exit_code == 0, result.output
        rows = {line.split()[0]: line.split()[1:] for line in result.output.splitlines() if line}
        assert rows["body"] == ["1", "100%", "1", "100%"]
        assert "bmi" not in rows
        for wrong, problem in (("age,bmi", "NAME=COLUMN"), ("body=weight", "'weight', which none")):
            result = call("compare", first, second, "--group", wrong)
            assert result.exit_code != 0
            assert "--group must be " in result.output
            assert problem in result.output

    def test_default_runs_are_those_of_the_experiment_from_the_oldest_on(self, store):
        first, second = logged(explanation(), store), logged(explanation(), store)
        for arguments in ([], ["--experiment", "test"], ["--tracking-uri", store]):
            result = call("compare", *arguments)
            assert result.exit_code == 0, result.output
            assert result.output.index(first) < result.output.index(second)

    def test_skipped_run_is_reported_once(self, store):
        ids = [logged(explanation(), store) for _ in range(2)]
        with mlflow.start_run() as run:
            pass
        result = call("compare", *ids, run.info.run_id)
        assert result.exit_code == 0
        line = f"Not compared: run {run.info.run_id}: it holds no explanation"
        assert result.output.count(line) == 1
        assert "WARNING" not in result.output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nowhere"], "does not exist"),
            (["--experiment", "none"], "--experiment must be"),
            (["--filter", "x"], "--filter must be as for"),
            (["a", "b", "--order-by", "metrics.auc"], "--order-by must be None where runs are"),
            ([], "found 0 in 0 runs of the active experiment"),
        ],
    )
    def test_invalid_arguments_are_errors_on_one_line(self, store, arguments, message):
        result = call("compare", *arguments)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert message in result.output
        assert "Traceback" not in result.output

    def test_unwritable_page_is_an_error_on_one_line(self, store, tmp_path):
        ids = [logged(explanation(), store) for _ in range(2)]
        result = call("compare", *ids, "--html", str(tmp_path / "none" / "page.html"))
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit)
        (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
        assert "--html must be a file that can be written, got" in line
        assert line.endswith("page.html': No such file or directory.")

    def test_errors_of_mlflow_are_on_one_line(self, store, monkeypatch):
        def refuse(*_, **__):
            raise MlflowException("Permission \x1b[2Jdenied", error_code=PERMISSION_DENIED)

        monkeypatch.setattr(mlflow.MlflowClient, "get_run", refuse)
        result = call("compare", "a", "b")
        assert result.exit_code == 1
        message = "Error: MLflow: Permission \ufffd[2Jdenied\n"
        assert result.output == message

    def test_usage_shows_that_runs_are_optional(self):
        assert "compare [OPTIONS] [RUN]..." in call("compare", "--help").output

    def test_skipped_run_is_reported_once_in_a_terminal(self, store, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        ids = [logged(explanation(), store) for _ in range(2)]
        with mlflow.start_run() as run:
            pass
        before = logging.getLogger("mlflow_interpret").level
        result = call("compare", *ids, run.info.run_id)
        assert result.output.count("it holds no explanation") == 1
        assert logging.getLogger("mlflow_interpret").level == before


def test_push_of_an_unknown_run_is_an_error(store):
    result = call("push", "nope")
    assert result.exit_code == 1
    assert "Run 'nope' does not exist" in result.output
    run_id = logged(explanation(), store)
    assert f"Run {run_id} is not an Azure ML run" in call("push", run_id).output
