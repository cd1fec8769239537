"""Contract test of joblib's private pool, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import joblib
from mlflow_interpret.explaining.joblib_pool import open_pool_size

assert open_pool_size() is None
joblib.Parallel(2)(joblib.delayed(abs)(number) for number in range(2))
assert open_pool_size() == 2
joblib.externals.loky.get_reusable_executor().shutdown()
"""


@pytest.mark.subprocess
@pytest.mark.subprocess
def test_the_size_of_the_open_pool_is_known():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
