"""The files of an explanation in a run."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_interpret import artifacts, storage
from mlflow_interpret.records import Explanation

RECORD = Explanation("shap_tree", "regression", None, ("a", "b"), np.array([1.0, 2.0]))


@pytest.mark.parametrize("figures", [True, False])
def test_data_and_figures_are_written_beside_each_other(tmp_path, figures):
    artifacts.write(RECORD, tmp_path, figures=figures)
    assert storage.read(tmp_path).features == ("a", "b")
    assert (tmp_path / artifacts.FIGURE).exists() == figures
