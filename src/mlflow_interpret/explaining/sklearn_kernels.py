"""scikit-learn's models with product kernels, as weighted sums; uses its private API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    Product,
    Sum,
    WhiteKernel,
)
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM

from mlflow_interpret.core.statistics import FloatArray


@dataclass(frozen=True, eq=False)
class ProductKernel:
    """A kernel that is a product over the columns of ``exp(-rate * |x - y| ** power)``.

    Attributes:
        rates: Rate of each column, ``(n_columns,)`` or ``()`` for the same one.
        power: 2 for Gaussian kernels, 1 for Laplacian ones.
        constant: A constant factor.
    """

    rates: FloatArray
    power: int = 2
    constant: float = 1.0

    def factors(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The factors of the columns, shaped as ``x - y`` with the columns in the last axis."""
        distances = np.abs(x - y)
        factors: FloatArray = np.exp(-self.rates * distances**self.power)
        return factors

    def times(self, other: ProductKernel) -> ProductKernel:
        """The product with another Gaussian kernel."""
        return ProductKernel(self.rates + other.rates, 2, self.constant * other.constant)


@dataclass(frozen=True, eq=False)
class KernelSum:
    """The margins of a model, up to a constant: weighted sums of kernels at fixed points.

    Attributes:
        points: ``(n_points, n_columns)`` support vectors or training rows.
        weights: ``(n_margins, n_points)`` weights.
        kernels: The kernels whose sum is the model's kernel.
    """

    points: FloatArray
    weights: FloatArray
    kernels: tuple[ProductKernel, ...]


def kernel_sum(model: Any) -> KernelSum | None:
    """The sum of product kernels that a fitted model computes, None for other models."""
    if isinstance(model, (SVC, NuSVC, SVR, NuSVR, OneClassSVM)):
        return _of_support_vectors(model)
    if isinstance(model, KernelRidge):
        return _of_kernel_ridge(model)
    if isinstance(model, GaussianProcessRegressor):
        return _of_gaussian_process(model)
    return None


def _of_support_vectors(model: Any) -> KernelSum | None:
    has_one_margin = len(np.atleast_1d(model.intercept_)) == 1  # several classes vote by pairs
    if model.kernel != "rbf" or not has_one_margin or _is_sparse(model.support_vectors_):
        return None
    # The public parameter ``gamma`` may be "scale", which depends on the training rows.
    kernel = ProductKernel(np.asarray(float(model._gamma)))
    return KernelSum(model.support_vectors_, np.asarray(model.dual_coef_), (kernel,))


def _of_kernel_ridge(model: Any) -> KernelSum | None:
    powers = {"rbf": 2, "laplacian": 1}
    if model.kernel not in powers or _is_sparse(model.X_fit_):
        return None
    points = np.asarray(model.X_fit_, np.float64)
    rate = 1.0 / points.shape[1] if model.gamma is None else float(model.gamma)
    weights = np.asarray(model.dual_coef_, np.float64)
    weights = np.atleast_2d(weights.T)
    return KernelSum(points, weights, (ProductKernel(np.asarray(rate), powers[model.kernel]),))


def _of_gaussian_process(model: Any) -> KernelSum | None:
    kernels = _product_kernels(model.kernel_)
    if not kernels:
        return None
    points = np.asarray(model.X_train_, np.float64)
    weights = np.atleast_2d(np.asarray(model.alpha_, np.float64).T)
    deviations = np.atleast_1d(model._y_train_std)[:, None]  # of the targets, for normalize_y
    return KernelSum(points, weights * deviations, kernels)


def _product_kernels(kernel: Any) -> tuple[ProductKernel, ...] | None:
    """The product kernels whose sum a kernel is, None if it is no such sum.

    A kernel of noise adds nothing to a prediction; a constant one adds a constant.
    """
    if isinstance(kernel, RBF):
        return (ProductKernel(0.5 / np.asarray(kernel.length_scale, np.float64) ** 2),)
    if isinstance(kernel, ConstantKernel):
        return (ProductKernel(np.asarray(0.0), 2, float(kernel.constant_value)),)
    if isinstance(kernel, WhiteKernel):
        return ()
    if not isinstance(kernel, (Sum, Product)):
        return None
    left, right = _product_kernels(kernel.k1), _product_kernels(kernel.k2)
    if left is None or right is None:
        return None
    if isinstance(kernel, Sum):
        return left + right
    return tuple(first.times(second) for first in left for second in right)


def _is_sparse(points: Any) -> bool:
    return not isinstance(points, np.ndarray)
