"""The tiles at the top of the report: facts in plain words, with an explanation of each term."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_interpret.core.explanation import Explanation
from mlflow_interpret.core.text import format_number
from mlflow_interpret.report.description import METHODS
from mlflow_interpret.report.facts import words

_SHAP = (
    "SHAP values divide the difference between an output of the model and the base value among the "
    "features."
)
_METHODS = {
    "shap_tree": f"{_SHAP} Tree SHAP reads them from the splits of the trees.",
    "shap_linear": f"{_SHAP} Those of a linear model follow from its coefficients.",
    "shap_permutation": f"{_SHAP} They are estimated: features are replaced by those of background "
    "rows, in random orders, and the model predicts each mixture.",
    "shap_kernel": f"{_SHAP} They are estimated by a regression over mixtures of the row and "
    "background rows.",
    "shap_sum": f"{_SHAP} The model adds up the outputs of its members, so their SHAP values are "
    "added up, too.",
    "ebm": "The model is a sum of one term for each feature: these are the contributions.",
}
_SCALES = {
    "probability": "Contributions are changes of the probability of a class, from 0 to 1.",
    "log-odds": "Contributions are changes of the score that the model converts into a "
    "probability: the larger the score, the more probable is the class.",
    "decision function": "Contributions are changes of the score with which the model decides: the "
    "larger the score, the closer is the class.",
    "prediction": "Contributions are in the unit of the predicted value.",
}


@dataclass(frozen=True)
class Tile:
    """A fact.

    Attributes:
        name: The name of the fact.
        value: The value.
        remark: A remark beside the value.
        explanation: Sentences about the value for readers without knowledge of SHAP.
    """

    name: str
    value: str
    remark: str = ""
    explanation: str = ""


def tiles(explanation: Explanation) -> list[Tile]:
    """The method, the rows, the features and outputs, the scale, and the check of the sums."""
    details = explanation.details
    rows, method = details.rows, explanation.method
    result = [Tile("Method", METHODS.get(method, method), explanation=_METHODS.get(method, ""))]
    if rows:
        source = words(rows.source or "rows", lower=True)
        remark = f"of {format_number(rows.available)} {source}"
        result.append(Tile("Explained rows", format_number(rows.explained), remark))
    columns = "engineered columns" if explanation.is_engineered else "raw columns"
    kind = columns if explanation.is_engineered or explanation.is_raw else ""
    result.append(Tile("Features", format_number(len(explanation.features)), kind))
    if explanation.output_names is not None:
        name = explanation.output_kind_plural.capitalize()
        result.append(Tile(name, format_number(len(explanation.output_names))))
    if details.output_scale:
        scale = details.output_scale
        result.append(Tile("Scale", scale, explanation=_SCALES.get(scale, "")))
    return [*result, *_check(explanation)]


def _check(explanation: Explanation) -> list[Tile]:
    error = explanation.details.additivity_error
    if error is None:
        return []
    output = explanation.details.output_scale or "output"
    has_breach = explanation.details.additivity_breach is not None
    sign, verb = ("\N{BALLOT X}", "do not add up") if has_breach else ("\N{CHECK MARK}", "add up")
    text = (
        "The base value and the contributions of each explained row were added up and compared "
        f"with the {output} of the model. The largest difference is "
        f"{format_number(float(error), 2)}."
    )
    return [Tile("Check", f"{sign} contributions {verb} to the {output}", explanation=text)]
