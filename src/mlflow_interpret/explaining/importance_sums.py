"""Sums over rows from which importances and their errors follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_interpret.core.statistics import FloatArray
from mlflow_interpret.explaining.convergence import standard_errors_of_means


@dataclass(frozen=True, eq=False)
class ImportanceSums:
    """Sums over explained rows, of features or of groups of features.

    Attributes:
        n: Number of rows.
        absolute: ``(K, F)`` sums of absolute attributions.
        squares: ``(F,)`` sums of squared importances of single rows.
        output_squares: ``(K, F)`` sums of squared attributions.
        noise: ``(F,)`` sums of the variances from sampling coalitions; zeros without sampling.
    """

    n: int
    absolute: FloatArray
    squares: FloatArray
    output_squares: FloatArray
    noise: FloatArray

    @classmethod
    def of(cls, local: FloatArray, sampling_error: FloatArray | None) -> ImportanceSums:
        """Sum up a batch.

        Args:
            local: ``(K, n, F)`` attributions.
            sampling_error: Their standard errors in the same shape, or None.
        """
        absolute = np.abs(local)
        noise: FloatArray = np.zeros(local.shape[-1])
        if sampling_error is not None:
            noise = (sampling_error**2).mean(axis=0).sum(axis=0)
        return cls(
            n=local.shape[1],
            absolute=absolute.sum(axis=1),
            squares=(absolute.mean(axis=0) ** 2).sum(axis=0),
            output_squares=(local**2).sum(axis=1),
            noise=noise,
        )

    def importances(self) -> FloatArray:
        """``(K, F)`` mean absolute attributions."""
        return self.absolute / self.n

    def standard_errors(self, n_available: float) -> FloatArray | None:
        """``(F,)`` standard errors of the global importances over ``n_available`` rows."""
        mean = self.absolute.mean(axis=0) / self.n
        variance = _variance(mean, self.squares, self.n)
        return standard_errors_of_means(variance, self.n, n_available, self.noise / self.n)

    def output_errors(self) -> FloatArray | None:
        """``(K, F)`` standard errors of the importances by output, None for a single row."""
        if self.n < 2:
            return None
        return np.sqrt(_variance(self.importances(), self.output_squares, self.n) / self.n)

    def merge(self, other: ImportanceSums) -> ImportanceSums:
        """The sums over the rows of both."""
        return ImportanceSums(
            n=self.n + other.n,
            absolute=self.absolute + other.absolute,
            squares=self.squares + other.squares,
            output_squares=self.output_squares + other.output_squares,
            noise=self.noise + other.noise,
        )


def _variance(mean: FloatArray, squares: FloatArray, n: int) -> FloatArray:
    """Unbiased variance of ``n`` numbers from their mean and the sum of their squares."""
    variance: FloatArray = np.maximum(squares / n - mean**2, 0.0) * n / max(n - 1, 1)
    return variance
