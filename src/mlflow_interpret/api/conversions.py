"""Explanations as tables, as objects of shap, and as output of a notebook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlflow_interpret.core.errors import CannotExplainError, OptionError
from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.group_views import by_group, local_values_by_group
from mlflow_interpret.core.importance_tables import ranked_features
from mlflow_interpret.core.interactions import COLUMNS
from mlflow_interpret.core.option_checks import option_error
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.runtime.optional_import import import_optional


class Conversions:
    """Methods that convert an explanation; they read the record that it was made of."""

    __slots__ = ()  # the layout of a class that is replaced by a subclass must stay
    _mlflow_interpret_record: Explanation

    def to_frame(self, *, groups: bool = False) -> pd.DataFrame:
        """Return the features by falling importance, or the contributions of a local explanation.

        Args:
            groups: Return the groups of ``feature_groups`` and the features in no group instead.
                The index is then ``group``; of a local explanation, the columns are groups.

        Returns:
            A table with the index ``feature`` and the columns ``importance``, ``share`` (of the
            total, from 0 to 1), ``rank`` (from 1), ``standard_error`` of the importance (NaN where
            it is unknown) and ``direction`` (empty where it is unknown). Of a local explanation,
            ``(R, F)`` contributions; ``(R, C * F)`` with two levels of columns for several outputs.

        Raises:
            CannotExplainError: ``groups`` is True and the explanation has no groups.

        Example:
            >>> from sklearn.linear_model import LinearRegression
            >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]]
            >>> model = LinearRegression().fit(X, [0.0, 2.0, 4.0, 6.0])
            >>> import numpy as np
            >>> explanation = mlflow_interpret.explain(model, np.asarray(X), silent=True)
            >>> explanation.to_frame()["rank"].to_dict()
            {'x0': 1, 'x1': 2}
        """
        record = self._mlflow_interpret_record
        is_global = hasattr(self, "get_feature_importance_dict")
        if not groups:
            return importance_table(record) if is_global else contribution_table(record)
        view = _by_known_group(record)
        if is_global:
            return importance_table(view).rename_axis("group")
        local_values, rows = local_values_by_group(record), record.evaluation_rows
        view = replace(view, local_values=local_values, evaluation_rows=rows)
        return contribution_table(view).rename_axis(columns={"feature": "group"})

    def get_group_importance_dict(self) -> dict[str, float]:
        """Return the importances of the groups and of the features in no group, in falling order.

        The importance of a group is the mean over the rows of the absolute sum of its features'
        contributions. Contributions of opposite signs cancel out, so it is at most the sum of the
        features' importances.

        Raises:
            CannotExplainError: The explanation has no groups.

        Example:
            >>> import numpy as np
            >>> from sklearn.linear_model import LinearRegression
            >>> X = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [2.0, 2.0, 0.0], [3.0, 1.0, 0.0]])
            >>> model = LinearRegression().fit(X, [1.0, 2.0, 3.0, 4.0])
            >>> explanation = mlflow_interpret.explain(
            ...     model, X, feature_groups={"first two": ["x0", "x1"]}, silent=True
            ... )
            >>> sorted(explanation.get_group_importance_dict())
            ['first two', 'x2']
        """
        return dict(_by_known_group(self._mlflow_interpret_record).ranked())

    def get_interactions(self) -> pd.DataFrame:
        """Return the pairs of leading features by falling interaction.

        An interaction is the part of the output that depends on both features jointly. It has the
        unit of the output and is half of the Shapley interaction index, as a cell of
        ``shap_interaction_values``. The table has its mean absolute value over the rows.

        Returns:
            A table with the columns ``feature_1``, ``feature_2``, ``interaction``, ``share`` (of
            all pairs, from 0 to 1) and ``standard_error`` (NaN where it is unknown).

        Raises:
            CannotExplainError: The explanation has no interactions.

        Example:
            >>> import numpy as np
            >>> from sklearn.ensemble import RandomForestRegressor
            >>> X = np.random.default_rng(0).normal(size=(200, 3))
            >>> model = RandomForestRegressor(20, random_state=0).fit(X, X[:, 0] * X[:, 1])
            >>> explanation = mlflow_interpret.explain(model, X, interactions=True, silent=True)
            >>> pair = explanation.get_interactions().iloc[0]
            >>> sorted([pair.feature_1, pair.feature_2])
            ['x0', 'x1']
        """
        interactions = self._mlflow_interpret_record.interactions
        if interactions is None:
            raise CannotExplainError(
                "The explanation has no interactions; pass interactions=True to explain, "
                "TabularExplainer or autolog. If you did, a note in its status record has the "
                "reason."
            )
        table = pd.DataFrame([vars(pair) for pair in interactions.ranked()], columns=list(COLUMNS))
        return table.astype({"standard_error": float})

    def to_shap(self, output: Any = None) -> Any:
        """Return the contributions as a ``shap.Explanation``, for the plots of shap.

        Args:
            output: A class or target. Default: all of them; of two classes, the second.

        Returns:
            A ``shap.Explanation`` with ``values`` and ``data`` of shape ``(R, F)`` and
            ``base_values`` of shape ``(R,)``, or ``(R, F, C)`` and ``(R, C)`` for all of several
            outputs. ``data`` holds numbers; ``display_data`` holds the values as they are.

        Raises:
            CannotExplainError: There are no contributions of single rows, or shap cannot be
                imported.
            OptionError: There is no such output.

        Example:
            >>> shap.plots.waterfall(explanation.to_shap()[0])  # doctest: +SKIP
        """
        return shap_explanation(self._mlflow_interpret_record, output)

    def _repr_html_(self) -> str:
        from mlflow_interpret.report.summary import render_summary

        return render_summary(self._mlflow_interpret_record)


def _by_known_group(record: Explanation) -> Explanation:
    """The explanation by group of a record."""
    if record.groups is None:
        raise CannotExplainError(
            "The explanation has no groups; pass feature_groups to explain, log_explanation or "
            "autolog."
        )
    return by_group(record)


def with_conversions(explanation: Any) -> Any:
    """Add the conversions to an explanation of interpret-community."""
    # Its classes are made for each object, so a further one breaks nothing, such as pickling.
    cls = type(explanation)
    members = {"__module__": cls.__module__, "__slots__": ()}
    explanation.__class__ = type(cls.__name__, (cls, Conversions), members)
    return explanation


def importance_table(record: Explanation) -> pd.DataFrame:
    """The features of a record by falling importance; see `Conversions.to_frame`."""
    features = ranked_features(record)
    return pd.DataFrame(
        {
            "importance": [feature.importance for feature in features],
            "share": [feature.share for feature in features],
            "rank": [feature.rank for feature in features],
            "standard_error": np.array([feature.standard_error for feature in features], float),
            "direction": [feature.direction for feature in features],
        },
        index=pd.Index([feature.name for feature in features], name="feature", dtype=object),
    )


def contribution_table(record: Explanation) -> pd.DataFrame:
    """The contributions of a record by row; see `Conversions.to_frame`."""
    values, rows = np.asarray(record.local_values), record.evaluation_rows
    index = None if rows is None else rows.index
    columns = pd.Index(record.features, name="feature", dtype=object)
    if values.ndim == 2:
        return pd.DataFrame(values, index=index, columns=columns)
    tables = [pd.DataFrame(block, index=index, columns=columns) for block in values]
    return pd.concat(tables, axis=1, keys=record.output_names, names=[record.output_kind])


def shap_explanation(record: Explanation, output: Any = None) -> Any:
    """The ``shap.Explanation`` of a record; see `Conversions.to_shap`."""
    if record.local_values is None:
        raise CannotExplainError(
            "The explanation holds no contributions of single rows, which shap's plots need; "
            "they are logged with log_data=True."
        )
    try:
        shap = import_optional("shap")
    except ImportError as error:
        raise CannotExplainError(f"{error}. Install it with: pip install shap") from None
    values, base_values = np.asarray(record.local_values), np.asarray(record.expected_values)
    names = record.output_names
    if values.ndim == 3:
        values, base_values = np.moveaxis(values, 0, -1), np.atleast_1d(base_values)
        place = _place(record, output)
        if place is not None:
            values, base_values, names = values[..., place], base_values[place], None
    else:
        _place(record, output)
        base_values, names = base_values.reshape(-1)[0], None
    rows = record.evaluation_rows
    return shap.Explanation(
        values=values,
        base_values=np.broadcast_to(base_values, (len(values), *values.shape[2:])).copy(),
        data=None if rows is None else _numbers(rows),
        display_data=None if rows is None else rows.to_numpy(dtype=object),
        feature_names=list(record.features),
        output_names=None if names is None else [str(name) for name in names],
    )


def _place(record: Explanation, output: Any) -> int | None:
    """The position of an output, None for all."""
    names = list(record.output_names or ())
    if output is None:
        return 1 if record.has_two_classes else None
    places = [place for place, name in enumerate(names) if name == output or str(name) == output]
    if not places:
        known = ", ".join(map(repr, names[:20])) or "None: the model has a single output"
        error: OptionError = option_error("output", f"one of {known}", output)
        raise error
    return places[0]


def _numbers(rows: pd.DataFrame) -> FloatArray:
    """``(R, F)`` values as numbers; a category is its code, a missing value is NaN."""
    columns = []
    for i in range(rows.shape[1]):
        column = rows.iloc[:, i]
        if isinstance(column.dtype, pd.SparseDtype):
            column = column.sparse.to_dense()
        if column.dtype.kind in "biuf":
            columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan))
        else:
            is_missing = column.isna().to_numpy()
            names = np.array([str(cell) for cell in column], dtype=object)
            codes = np.full(len(column), np.nan)
            codes[~is_missing] = pd.factorize(names[~is_missing], sort=True)[0]
            columns.append(codes)
    return np.column_stack(columns)
