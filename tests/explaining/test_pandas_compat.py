"""Tables in the class of the user's DataFrame."""

from __future__ import annotations

import pandas as pd

from mlflow_interpret.explaining.pandas_compat import as_subclass


class Named(pd.DataFrame):
    """A DataFrame with an attribute."""

    _metadata = ("title",)

    @property
    def _constructor(self):
        return Named


def test_class_and_attributes_are_those_of_the_template():
    template = Named({"a": [1]})
    template.title = "prices"
    frame = as_subclass(pd.DataFrame({"a": [2, 3]}), template)
    assert type(frame) is Named
    assert frame.title == "prices"
    assert frame["a"].tolist() == [2, 3]
    assert type(as_subclass(template, pd.DataFrame())) is pd.DataFrame
