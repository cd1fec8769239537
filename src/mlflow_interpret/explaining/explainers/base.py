"""The interface of an explainer, and the registry of explainers.

An explainer is one module in this folder. It defines a subclass of `Explainer` and registers it::

    @register(priority=55)
    class MyExplainer(Explainer):
        @classmethod
        def supports(cls, adapter):
            return isinstance(adapter.model, MyModel)

        def __init__(self, request):
            self._model = request.adapter.model
            self.info = ExplainerInfo("shap_mine", "my-package, exact", max_rows=1_000)

        def explain(self, batch, scale=None):
            ...

All modules in this folder are found by themselves; a class in another package is registered when
its module is imported.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from mlflow_interpret.core.details import AttributionCheck, Note, note_because
from mlflow_interpret.core.errors import CannotExplainError
from mlflow_interpret.core.explanation import Plan
from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining import explainers
from mlflow_interpret.explaining.attribution_check import MisattributedError, check_attributions
from mlflow_interpret.explaining.attributions import Attributions
from mlflow_interpret.explaining.batch import RowBatch
from mlflow_interpret.explaining.dataframes import Indices
from mlflow_interpret.explaining.model_adapter import ModelAdapter
from mlflow_interpret.explaining.time_budget import Budget

_logger = logging.getLogger(__name__)

SAMPLING_SHARE = 0.3
"""Share of a time budget that is left for sampling, even if an exact explainer was tried first."""


@dataclass(frozen=True)
class ExplainerInfo:
    """Properties of an explainer that is ready for a model.

    Attributes:
        method: Name of the method in interpret-community's style, such as ``shap_tree``.
        implementation: Library and algorithm that compute the values, for the status record.
        max_rows: Number of rows that are explained at most unless the user asks for more.
        rows_in_full: A table of at most this many rows is explained in full, which takes a second
            or so. Rows of a larger table are explained until the ranking has converged. Default:
            ``max_rows``.
        background_rows: Number of background rows that the method uses, or None.
        notes: Approximations, as sentences.
        is_parallel: Whether batches should be explained in parallel: a single batch keeps one core
            busy.
        is_reduced: Whether the time budget makes the explainer do less for each row.
        attribution_check: The check of the attributions of single columns, or None.
        capacity: Number of rows that take some seconds, however large; a sum of models adds up the
            costs of its members by it. Default: ``max_rows``.
    """

    method: str
    implementation: str
    max_rows: int
    rows_in_full: int = -1
    background_rows: int | None = None
    notes: tuple[str | Note, ...] = ()
    is_parallel: bool = False
    is_reduced: bool = False
    attribution_check: AttributionCheck | None = None
    capacity: int = -1

    def __post_init__(self) -> None:
        if self.rows_in_full < 0:
            object.__setattr__(self, "rows_in_full", self.max_rows)
        if self.capacity < 0:
            object.__setattr__(self, "capacity", self.max_rows)


@dataclass(frozen=True, eq=False)
class ExplainRequest:
    """A model, its background rows and the options: the input of every explainer.

    Attributes:
        adapter: The model.
        background: Rows that stand for "feature unknown".
        plan: The options.
        budget: The remaining time.
        sample: Rows like those that will be explained, on which the steps of a pipeline are tried.
            Default: the background rows.
        is_background_given: Whether the user gave the background rows: no other rows stand for
            "feature unknown".
        raw_columns: ``(n_features,)`` raw column of each column, of the last step of a pipeline
            whose background is given; else None.
    """

    adapter: ModelAdapter
    background: RowBatch
    plan: Plan = field(default_factory=Plan)
    budget: Budget = field(default_factory=lambda: Budget(None))
    sample: RowBatch | None = None
    is_background_given: bool = False
    raw_columns: npt.NDArray[np.int64] | None = None

    def for_model(
        self,
        adapter: ModelAdapter,
        background: RowBatch | None = None,
        raw_columns: npt.NDArray[np.int64] | None = None,
    ) -> ExplainRequest:
        """The same request for a part of the model, such as the last step of a pipeline."""
        return replace(
            self,
            adapter=adapter,
            background=self.background if background is None else background,
            raw_columns=self.raw_columns if raw_columns is None else raw_columns,
            sample=None,
        )


class Explainer(ABC):
    """An explainer that is ready for one model and its background rows.

    The attributions of a row depend on that row and its number only, so rows can be explained in
    any batches, in any order and in any process. An explainer can be pickled. State that is
    expensive to pickle, such as an explainer of shap, is rebuilt after unpickling.

    Attributes:
        engines: Values of the option ``engine`` for which the explainer is used.
        is_exact: Whether the attributions must add up to an output of the model. If they do not,
            the model is explained by an explainer that is not exact.
        is_checked: Whether the attributions of single columns are checked, as those that another
            package computes.
        is_interventional: Whether they are the interventional ones over the background rows of the
            request. The check then compares them with sampled ones, for which `outputs` gets some
            thousand rows.
        is_by_raw_column: Whether the attributions are those of the raw columns of the request.
        is_additive: Whether the explained output is a sum of functions of single columns.
        info: Its properties.
    """

    engines: ClassVar[frozenset[str]] = frozenset({"auto"})
    is_exact: ClassVar[bool] = True
    is_checked: bool = True
    is_interventional: bool = False
    is_by_raw_column: bool = False
    is_additive: bool = False
    info: ExplainerInfo

    @classmethod
    @abstractmethod
    def supports(cls, adapter: ModelAdapter) -> bool:
        """Whether the explainer may be able to explain the model; a cheap check."""

    @classmethod  # noqa: B027 - few explainers need it
    def import_packages(cls) -> None:
        """Import packages that take seconds; the time budget does not run meanwhile."""

    @property
    def affordable_rows(self) -> int:
        """Number of rows that can be explained in the remaining time; 0 if that is not known."""
        return 0

    @abstractmethod
    def __init__(self, request: ExplainRequest) -> None:
        """Prepare the explainer.

        Raises:
            CannotExplainError: The explainer cannot explain the model; the message completes a
                sentence that ends with "because".
        """

    @abstractmethod
    def explain(self, batch: RowBatch, scale: str | None = None) -> Attributions:
        """Compute the attributions of a batch.

        Args:
            batch: At least one row.
            scale: Name of the model output to compare with, so that all batches have the same one.
                None to find the output to which the attributions add up.

        Raises:
            CannotExplainError: The explainer cannot explain these rows.
        """

    def outputs(self, batch: RowBatch, scale: str | None) -> FloatArray:
        """The model outputs that the attributions add up to, shaped as in `Attributions`.

        Args:
            batch: At least one row.
            scale: Name of the outputs.
        """
        return self.explain(batch, scale).outputs

    def interactions(self, batch: RowBatch, columns: Indices) -> FloatArray:
        """Compute the interactions of pairs of columns, exactly.

        An interaction is half of the Shapley interaction index of Grabisch and Roubens (1999), as a
        cell of ``shap_interaction_values``: a pair has two cells.

        Args:
            batch: At least one row.
            columns: ``(k,)`` positions of columns.

        Returns:
            ``(n_outputs, n_rows, k, k)`` symmetric interactions, 0 on the diagonal.

        Raises:
            CannotExplainError: The explainer has no exact interactions.
        """
        if not self.is_additive:
            raise CannotExplainError(f"{self.info.method} has no exact interactions")
        n_outputs = len(np.atleast_1d(self.explain(batch.subset(slice(1))).expected_values))
        return np.zeros((n_outputs, len(batch), len(columns), len(columns)))


def refuse_given_background(request: ExplainRequest) -> None:
    """Refuse a request with a background, for an explainer of path-dependent attributions.

    Raises:
        CannotExplainError: The user gave background rows.
    """
    if request.is_background_given:
        raise CannotExplainError(
            "initialization_examples are given, and the contributions of "
            f"{request.adapter.name}'s own trees are path-dependent"
        )


def weight_notes(background: RowBatch, *, of_trees: bool = False) -> tuple[str, ...]:
    """Notes on the weights of the training rows.

    Args:
        background: The background rows, with weights or without.
        of_trees: The attributions are path-dependent.
    """
    if background.weights is None:
        return ()
    note = (
        "The background rows are weighted by the sample_weight of fit; the explained rows have "
        "equal weights."
    )
    if of_trees:
        note = (
            "The trees count the training rows that reach a node, in some libraries with the "
            "sample_weight of fit; it has no other effect on the values."
        )
    return (note,)


_Class = TypeVar("_Class", bound=type[Explainer])
_registry: dict[type[Explainer], int] = {}


def register(priority: int) -> Callable[[_Class], _Class]:
    """Register an explainer; of those that support a model, the highest priority is used."""

    def add(explainer_class: _Class) -> _Class:
        _registry[explainer_class] = priority
        return explainer_class

    return add


def unregister(explainer_class: type[Explainer]) -> None:
    """Remove an explainer from the registry."""
    _registry.pop(explainer_class, None)


def registered_explainers(engine: str, *, exact: bool) -> Iterator[type[Explainer]]:
    """The registered explainers, the highest priority first.

    Args:
        engine: Value of the option ``engine``.
        exact: Whether their attributions must add up to an output of the model.
    """
    for module in iter_modules(explainers.__path__, f"{explainers.__name__}."):
        import_module(module.name)
    for explainer_class in sorted(_registry, key=lambda known: -_registry[known]):
        if engine in explainer_class.engines and explainer_class.is_exact is exact:
            yield explainer_class


def exact_explainer(request: ExplainRequest, *, with_check: bool = True) -> Explainer:
    """Prepare the first exact explainer that supports the model.

    Args:
        request: The model.
        with_check: Whether the attributions of single columns are checked, if the explainer says
            so; a model with many parts is checked as a whole.

    Raises:
        CannotExplainError: There is none; the message completes a sentence that ends with
            "because".
    """
    failure: CannotExplainError | None = None
    adapter = request.adapter
    for explainer_class in registered_explainers(request.plan.engine, exact=True):
        if not explainer_class.supports(adapter):
            continue
        with request.budget.paused():
            explainer_class.import_packages()
        try:
            explainer = explainer_class(request)
            if explainer.is_checked and with_check and request.plan.is_checked:
                check = check_attributions(explainer, request)
                explainer.info = replace(explainer.info, attribution_check=check)
        except CannotExplainError as error:
            _logger.debug("Not %s for %s: %s", explainer_class.__name__, adapter.name, error)
            failure = failure or error
            continue
        if isinstance(failure, MisattributedError):
            note = note_because("The contributions of another package were refused", failure)
            explainer.info = replace(explainer.info, notes=(*explainer.info.notes, note))
        return explainer
    if failure is not None:
        raise failure
    raise CannotExplainError(f"no exact method is known for {adapter.name}")
