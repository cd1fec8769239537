"""Runs of models of texts: metrics by word, views, privacy."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import mlflow_interpret
from mlflow_interpret import OptionError

rng = np.random.default_rng(0)
TEXTS = [" ".join(rng.choice(["good", "bad", "fine"], 3)) for _ in range(60)]
y = np.array([float(text.count("good")) for text in TEXTS])


def pipeline():
    return make_pipeline(CountVectorizer(), Ridge())


def fitted_run():
    pipeline().fit(TEXTS, y)
    (run,) = mlflow.search_runs(output_format="list")
    return run


@pytest.mark.parametrize("background", [False, True])
def test_words_are_metrics_and_the_raw_view_is_loaded(store, background):
    mlflow_interpret.autolog(log_figures=False, background=background)
    pipeline().fit(TEXTS, y)
    assert mlflow_interpret.flush()
    (run,) = mlflow.search_runs(output_format="list")
    metrics = {name for name in run.data.metrics if name.startswith("importance/")}
    assert metrics == {f"importance/{word}" for word in ("good", "bad", "fine")}
    words = mlflow_interpret.load_explanation(run.info.run_id)
    assert words.is_engineered
    assert set(words.features) == {"good", "bad", "fine"}
    raw = mlflow_interpret.load_explanation(run.info.run_id, raw=True)
    assert raw.features == ["text"]
    assert raw.is_raw
    by_id = mlflow_interpret.load_explanation(run.info.run_id, explanation_id=raw.id)
    assert by_id.features == ["text"]
    local, sums = (np.asarray(part.local_importance_values) for part in (words, raw))
    np.testing.assert_allclose(local.sum(axis=1), sums[:, 0])


def test_texts_stay_out_of_runs_without_data(store):
    mlflow_interpret.autolog(log_figures=False, log_data=False)
    run = fitted_run()
    raw = mlflow_interpret.load_explanation(run.info.run_id, raw=True)
    assert raw.get_feature_importance_dict().keys() == {"text"}
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="."))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"explanation.json"} < {path.name for path in files}
    assert not any(TEXTS[0].encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("convert", [list, np.array])
def test_evaluation_examples_may_be_texts(store, convert):
    examples = convert(TEXTS[:7])
    mlflow_interpret.autolog(log_figures=False, evaluation_examples=(examples, y[:7]))
    run = fitted_run()
    explanation = mlflow_interpret.load_explanation(run.info.run_id)
    assert len(explanation.local_importance_values) == 7
    model = pipeline().fit(TEXTS, y)
    assert len(mlflow_interpret.explain(model, TEXTS, examples).local_importance_values) == 7


@pytest.mark.parametrize("wrong", [[], [1, 2], np.arange(3)])
def test_other_columns_are_no_examples(wrong):
    with pytest.raises(OptionError, match="evaluation_examples must be .* a column of texts"):
        mlflow_interpret.autolog(evaluation_examples=wrong)
