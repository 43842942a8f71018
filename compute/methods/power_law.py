r"""Fit a sum of power laws to losses by the log-Huber objective, and refit it for the bootstrap.

The model of row i is log f_i = s log sum_k exp(theta_k - sum_m gamma_km log x_im): an irreducible loss is a term
without exponents, and the outer power s is 1 but for Kaplan's form. The objective is the *sum* over rows of
w_i Huber_delta(log f_i - log y_i), as in Hoffmann et al. 2022 (their equation 3). Log variables are centered:
raw, theta_k and gamma_km are almost collinear and quasi-Newton methods crawl.

References
----------
Hoffmann et al., "Training Compute-Optimal Large Language Models" (2022), appendix D.3;
Besiroglu et al., "Chinchilla Scaling: A replication attempt" (2024), paper 405 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from compute.kernel import kernel
from compute.methods.log_sum_exp import log_sum_exp

Array = NDArray[np.float64]

MAX_ITERATIONS = 300
TOLERANCE = 1e-10  # relative decrease of the objective in a step


@dataclass(frozen=True)
class PowerLawForm:
    """Which exponents a sum of power laws has.

    Parameters
    ----------
    groups : tuple of tuple of int, (n_terms, n_variables)
        0: the term does not hold the variable; g >= 1: its exponent is the g-th free one (shared by
        whoever names the same g); -1: its exponent is fixed at 1.
    free_power : bool
        Whether the sum is raised to a free power.
    """

    groups: tuple[tuple[int, ...], ...]
    free_power: bool = False

    @property
    def n_terms(self) -> int:
        return len(self.groups)

    @property
    def n_exponents(self) -> int:
        return max(max(row) for row in self.groups)

    @property
    def n_parameters(self) -> int:
        """Log coefficients, then exponents, then the power."""
        return self.n_terms + self.n_exponents + self.free_power

    def array(self) -> NDArray[np.int64]:
        return np.array(self.groups, dtype=np.int64)


@dataclass(frozen=True)
class PowerLawFit:
    """A fitted sum of power laws.

    Parameters
    ----------
    parameters : (n_parameters,) array
        Log coefficients theta, exponents gamma, and the power where it is free.
    objective : float
        Sum over rows of weight times Huber loss.
    iterations : int
        Gauss-Newton steps of the best start.
    converged : bool
        Whether the best start stopped because it no longer moved.
    """

    form: PowerLawForm
    parameters: Array
    objective: float
    iterations: int
    converged: bool

    @property
    def log_coefficients(self) -> Array:
        return self.parameters[: self.form.n_terms]

    @property
    def exponents(self) -> Array:
        return self.parameters[self.form.n_terms : self.form.n_terms + self.form.n_exponents]

    @property
    def power(self) -> float:
        return float(self.parameters[-1]) if self.form.free_power else 1.0

    def log_prediction(self, variables: ArrayLike) -> Array:
        """Log of the fitted law at (n, n_variables) positive variables."""
        x = np.log(np.atleast_2d(np.asarray(variables, dtype=float)))
        return self.power * log_sum_exp(self.log_coefficients - x @ self._exponent_matrix().T)

    def _exponent_matrix(self) -> Array:
        by_group = np.concatenate([[0.0], self.exponents, [1.0]])  # index -1 is the exponent fixed at 1
        return by_group[self.form.array()]


@kernel
def _solve(matrix, right, step):  # type: ignore[no-untyped-def]
    """Cholesky solution of matrix step = right, in place; False where the matrix is not positive definite."""
    n = right.size
    for a in range(n):
        for b in range(a + 1):
            value = matrix[a, b]
            for c in range(b):
                value -= matrix[a, c] * matrix[b, c]
            if a == b:
                if not value > 0.0:
                    return False
                matrix[a, a] = np.sqrt(value)
            else:
                matrix[a, b] = value / matrix[b, b]
    for a in range(n):
        value = right[a]
        for c in range(a):
            value -= matrix[a, c] * step[c]
        step[a] = value / matrix[a, a]
    for a in range(n - 1, -1, -1):
        value = step[a]
        for c in range(a + 1, n):
            value -= matrix[c, a] * step[c]
        step[a] = value / matrix[a, a]
    return True


@kernel
def _objective(p, x, y, weight, groups, free_power, delta, share, log_sum):  # type: ignore[no-untyped-def]
    """Objective; fills each row's shares of the terms in the sum, and the logarithm of the sum."""
    n, (n_terms, n_variables) = x.shape[0], groups.shape
    power = p[-1] if free_power else 1.0
    total = 0.0
    u = np.empty(n_terms)
    for i in range(n):
        if weight[i] == 0.0:
            continue
        top = -np.inf
        for k in range(n_terms):
            u[k] = p[k]
            for m in range(n_variables):
                g = groups[k, m]
                if g != 0:
                    u[k] -= (p[n_terms + g - 1] if g > 0 else 1.0) * x[i, m]
            top = max(top, u[k])
        z = 0.0
        for k in range(n_terms):
            u[k] = 1.0 if u[k] == top else np.exp(u[k] - top)
            z += u[k]
        for k in range(n_terms):
            share[i, k] = u[k] / z
        log_sum[i] = top + np.log(z)
        size = abs(power * log_sum[i] - y[i])
        total += weight[i] * (0.5 * size * size if size <= delta else delta * (size - 0.5 * delta))
    return total


@kernel
def _slopes(p, x, y, weight, groups, free_power, delta, share, log_sum, gradient, majorizer, curvature):  # type: ignore[no-untyped-def]
    """Fill the gradient and the lower halves of two Gauss-Newton matrices from what ``_objective`` left at the same ``p``.

    ``majorizer`` weighs each row by min(1, delta/|r|), a quadratic above the Huber loss; ``curvature``
    keeps only the rows within delta, the second derivative of the Huber loss.
    """
    n, (n_terms, n_variables) = x.shape[0], groups.shape
    n_p = p.size
    power = p[-1] if free_power else 1.0
    gradient[:] = 0.0
    majorizer[:] = 0.0
    curvature[:] = 0.0
    row = np.empty(n_p)
    for i in range(n):
        if weight[i] == 0.0:
            continue
        for a in range(n_p):
            row[a] = 0.0
        for k in range(n_terms):
            part = power * share[i, k]
            row[k] = part
            for m in range(n_variables):
                if groups[k, m] > 0:
                    row[n_terms + groups[k, m] - 1] -= part * x[i, m]
        if free_power:
            row[n_p - 1] = log_sum[i]
        residual = power * log_sum[i] - y[i]
        size = abs(residual)
        # A row within delta weighs the same in both matrices: it is added to one here, and that to the other below.
        pull, matrix = (weight[i], curvature) if size <= delta else (weight[i] * delta / size, majorizer)
        for a in range(n_p):
            scaled = pull * row[a]
            gradient[a] += scaled * residual
            for b in range(a + 1):
                matrix[a, b] += scaled * row[b]
    majorizer += curvature


@kernel
def _descend(p, x, y, weight, groups, free_power, delta, max_iterations, tolerance):  # type: ignore[no-untyped-def]
    """Damped Gauss-Newton from ``p``, in place; returns the objective and the steps (negative: not converged).

    Each iteration tries a step of the true Huber curvature, and where that does not descend falls back to the
    majorizer, which with enough damping always does. Far rows have no curvature of their own, so the
    damping is scaled by the majorizer in both.
    """
    n_p = p.size
    gradient, majorizer, curvature = np.empty(n_p), np.empty((n_p, n_p)), np.empty((n_p, n_p))
    share, log_sum = np.empty((y.size, groups.shape[0])), np.empty(y.size)
    damping = np.array([1e-3, 1e-2])  # of the majorizer's step, of the curvature's
    value = _objective(p, x, y, weight, groups, free_power, delta, share, log_sum)
    trial, step, matrix = np.empty(n_p), np.empty(n_p), np.empty((n_p, n_p))
    still = 0
    for iteration in range(max_iterations):
        _slopes(p, x, y, weight, groups, free_power, delta, share, log_sum, gradient, majorizer, curvature)
        accepted = False
        new_value = value
        for kind in (1, 0):
            for _ in range(1 if kind == 1 else 12):
                for a in range(n_p):
                    for b in range(a + 1):
                        matrix[a, b] = curvature[a, b] if kind == 1 else majorizer[a, b]
                    matrix[a, a] += damping[kind] * majorizer[a, a] + 1e-14
                if _solve(matrix, gradient, step):
                    for a in range(n_p):
                        trial[a] = p[a] - step[a]
                    new_value = _objective(trial, x, y, weight, groups, free_power, delta, share, log_sum)
                    accepted = new_value < value
                if accepted:
                    damping[kind] = max(damping[kind] * 0.2, 1e-9)
                    break
                damping[kind] = min(damping[kind] * 5.0, 1e8)
            if accepted:
                break
        if not accepted:
            return value, iteration + 1
        still = still + 1 if value - new_value <= tolerance * value else 0
        for a in range(n_p):
            p[a] = trial[a]
        if still >= 3 or new_value <= 1e-26:
            return new_value, iteration + 1
        value = new_value
    return value, -max_iterations


@kernel
def _descend_all(starts, counts, x, y, groups, free_power, delta, max_iterations, tolerance):  # type: ignore[no-untyped-def]
    """One descent for each row of ``starts`` and of row weights ``counts``."""
    n = starts.shape[0]
    found, value, steps = starts.copy(), np.empty(n), np.empty(n, np.int64)
    for r in range(n):
        value[r], steps[r] = _descend(found[r], x, y, counts[r], groups, free_power, delta, max_iterations, tolerance)
    return found, value, steps


@kernel
def _descend_each(starts, x, y, groups, free_power, delta, max_iterations, tolerance):  # type: ignore[no-untyped-def]
    """One descent in place for each row of ``starts`` on data of its own."""
    weight = np.ones(y.shape[1])
    for r in range(starts.shape[0]):
        _descend(starts[r], x[r], y[r], weight, groups, free_power, delta, max_iterations, tolerance)


def fit_log_huber(
    form: PowerLawForm,
    variables: ArrayLike,
    values: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    huber_delta: float = 1e-3,
    starts: ArrayLike | None = None,
) -> PowerLawFit:
    """Fit a sum of power laws by the summed Huber loss of log residuals.

    Parameters
    ----------
    form : PowerLawForm
    variables : (n, n_variables) array
        Positive.
    values : (n,) array
        Positive: losses.
    weights : (n,) array, optional
        Weight of each row, 0 or more; 1 if not given.
    huber_delta : float
        Where the Huber loss turns from square to absolute, in log loss.
    starts : (n_starts, n_parameters) array, optional
        Parameters to start from; ``grid_starts`` at a few moderate places if not given.

    Returns
    -------
    PowerLawFit
        The best of the descents.

    Raises
    ------
    ValueError
        Where there are fewer rows than parameters, or a value is not positive and finite.
    """
    x, y = _logs(variables, values)
    if y.size < form.n_parameters:
        raise ValueError(f"{form.n_parameters} parameters cannot be fitted to {y.size} rows")
    weight = np.ones(y.size) if weights is None else np.asarray(weights, dtype=float)
    begin = grid_starts(form, variables, values) if starts is None else np.atleast_2d(np.asarray(starts, dtype=float))
    center = x.mean(axis=0)
    begin = _shift(form, begin, -center)
    counts = np.broadcast_to(weight, (len(begin), y.size))
    found, objective, steps = _descend_all(
        begin, counts, x - center, y, form.array(), form.free_power, huber_delta, MAX_ITERATIONS, TOLERANCE
    )
    best = int(np.nanargmin(objective))
    parameters = _shift(form, found[best : best + 1], center)[0]
    return PowerLawFit(form, parameters, float(objective[best]), abs(int(steps[best])), bool(steps[best] > 0))


def refit_log_huber(
    fit: PowerLawFit, variables: ArrayLike, values: ArrayLike, weights: ArrayLike, *, huber_delta: float = 1e-3
) -> Array:
    """Refit from a fit's optimum under other row weights: what a bootstrap does.

    Parameters
    ----------
    fit : PowerLawFit
        Where every refit starts.
    variables, values : arrays
        As in ``fit_log_huber``.
    weights : (n_refits, n) array
        Row weights of each refit, such as how often a row was drawn.

    Returns
    -------
    (n_refits, n_parameters) array
    """
    x, y = _logs(variables, values)
    center = x.mean(axis=0)
    counts = np.ascontiguousarray(weights, dtype=float)
    begin = np.repeat(_shift(fit.form, fit.parameters[None], -center), len(counts), axis=0)
    found, _, _ = _descend_all(
        begin, counts, x - center, y, fit.form.array(), fit.form.free_power, huber_delta, MAX_ITERATIONS, TOLERANCE
    )
    return _shift(fit.form, found, center)


def fit_each_log_huber(fit: PowerLawFit, variables: ArrayLike, values: ArrayLike, *, huber_delta: float = 1e-3) -> Array:
    """Fit many redrawn data sets, each from a fit's optimum: ``fit_log_huber`` without its Python in between.

    Parameters
    ----------
    fit : PowerLawFit
        Where every fit starts.
    variables : (n_refits, n, n_variables) array
        Or without the first axis where all data sets share them.
    values : (n_refits, n) array

    Returns
    -------
    (n_refits, n_parameters) array
    """
    each, y = _logs(variables, values)
    x = np.broadcast_to(each, (len(y), *each.shape[-2:]))
    center = x.mean(axis=1)
    found = _shift(fit.form, np.repeat(fit.parameters[None], len(y), axis=0), -center.T)
    args = (fit.form.array(), fit.form.free_power, huber_delta, MAX_ITERATIONS, TOLERANCE)
    _descend_each(found, x - center[:, None], y, *args)
    return _shift(fit.form, found, center.T)


def grid_starts(
    form: PowerLawForm,
    variables: ArrayLike,
    values: ArrayLike,
    *,
    exponents: ArrayLike = (0.2, 0.6),
    offsets: ArrayLike = (0.3, 0.8),
    separate: bool = False,
) -> Array:
    """Starts that pass through the middle of the data: every pair of an exponent and a share of the offset.

    Parameters
    ----------
    exponents : (n_exponents,) array
        Exponents to start from; with ``separate`` every combination of them, else all of them alike.
    offsets : (n_offsets,) array
        Irreducible loss as a share of the smallest value seen.

    Returns
    -------
    (n_starts, n_parameters) array
    """
    x, y = _logs(variables, values)
    power = 0.1 if form.free_power else 1.0
    is_offset = np.array([all(g == 0 for g in row) for row in form.groups])
    choices = [np.asarray(exponents, dtype=float)] * (form.n_exponents if separate else 1)
    starts = []
    for *chosen, share in product(*choices, np.asarray(offsets, dtype=float)):
        floor = share * np.exp(y.min()) if is_offset.any() else 0.0
        rest = np.log((np.exp(y.mean()) - floor) / np.sum(~is_offset)) if power == 1 else y.mean() / power - np.log(form.n_terms)
        theta = np.where(is_offset, np.log(floor) if floor > 0 else rest, rest)
        gamma = np.broadcast_to(np.asarray(chosen) / power, form.n_exponents)
        starts.append((*theta, *gamma, *[power] * form.free_power))
    return _shift(form, np.array(sorted(set(starts))), x.mean(axis=0))


def log_huber_objective(
    form: PowerLawForm, parameters: ArrayLike, variables: ArrayLike, values: ArrayLike, *, huber_delta: float = 1e-3
) -> tuple[float, Array]:
    """The summed objective and its gradient at given parameters; for quasi-Newton methods and for tests."""
    x, y = _logs(variables, values)
    return _value_and_gradient(np.asarray(parameters, dtype=float), x, y, form.array(), form.free_power, huber_delta)


def fit_quasi_newton(
    form: PowerLawForm,
    variables: ArrayLike,
    values: ArrayLike,
    *,
    start: ArrayLike,
    mean: bool,
    weights: ArrayLike | None = None,
    huber_delta: float = 1e-3,
) -> PowerLawFit:
    """Fit as is often done: BFGS at SciPy's default tolerance from one start, variables not centered.

    With ``mean`` the objective is the mean over rows and not the sum. Its gradient is then so small that the
    default tolerance of 1e-5 stops the search early, and success is reported.
    """
    x, y = _logs(variables, values)
    weight = np.ones(y.size) if weights is None else np.asarray(weights, dtype=float)
    scale = 1 / weight.sum() if mean else 1.0

    def scaled(p: Array) -> tuple[float, Array]:
        value, gradient = _value_and_gradient(p, x, y, form.array(), form.free_power, huber_delta, weight)
        return scale * value, scale * gradient

    found = minimize(scaled, np.asarray(start, dtype=float), jac=True, method="BFGS")
    return PowerLawFit(form, found.x, float(found.fun / scale), int(found.nit), bool(found.success))


def _value_and_gradient(
    p: Array, x: Array, y: Array, groups: NDArray[np.int64], free_power: bool, delta: float, weight: Array | None = None
) -> tuple[float, Array]:
    gradient, matrices = np.empty(p.size), np.empty((2, p.size, p.size))
    share, log_sum = np.empty((y.size, len(groups))), np.empty(y.size)
    weight = np.ones(y.size) if weight is None else weight
    value = float(_objective(p, x, y, weight, groups, free_power, delta, share, log_sum))
    _slopes(p, x, y, weight, groups, free_power, delta, share, log_sum, gradient, matrices[0], matrices[1])
    return value, gradient


def _logs(variables: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(variables, dtype=float), np.asarray(values, dtype=float)
    x = x[:, None] if x.ndim == 1 else x
    if not (np.all(x > 0) and np.all(y > 0) and np.all(np.isfinite(x)) and np.all(np.isfinite(y))):
        raise ValueError("variables and values must be positive and finite")
    return np.log(x), np.log(y)


def _shift(form: PowerLawForm, parameters: Array, center: Array) -> Array:
    """The same laws with log variables measured from -center: theta_k + sum_m gamma_km center_m."""
    moved = parameters.copy()
    for k, row in enumerate(form.groups):
        for m, g in enumerate(row):
            if g:
                moved[:, k] += center[m] * (parameters[:, form.n_terms + g - 1] if g > 0 else 1.0)
    return moved
