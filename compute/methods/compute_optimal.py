"""From runs to a compute-optimal allocation: three ways to read it, each with its bootstrap.

parametric : a law is fitted by the log-Huber objective and its optimum taken (Hoffmann et al. 2022, approach 3)
isoflop : a parabola in log N at each budget, a line through the vertices (approach 2)
hull : the lower convex hull of (log C, log loss), a line through its sizes (approach 1 and paper 408)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from compute.methods.power_law import (
    PowerLawFit,
    PowerLawForm,
    fit_log_huber,
    fit_quasi_newton,
    grid_starts,
    refit_log_huber,
)
from compute.models.scaling_form import (
    FLOP_PER_PARAMETER_TOKEN,
    Law,
    ShapeLaw,
    allocation_exponent,
    has_optimum,
    loss,
    optimum,
    shape_loss,
    shape_optimum,
    shape_parameters,
)
from compute.models.scaling_runs import Runs

Array = NDArray[np.float64]

FORMS = {
    "chinchilla": PowerLawForm(((0, 0), (1, 0), (0, 2))),
    "equal_exponents": PowerLawForm(((0, 0), (1, 0), (0, 1))),
    "no_offset": PowerLawForm(((1, 0), (0, 2))),
    "kaplan": PowerLawForm(((1, 0), (0, -1)), free_power=True),
    "width_depth": PowerLawForm(((0, 0, 0, 0), (1, 0, 0, 0), (0, 2, 0, 0), (0, 0, 3, 0), (0, 0, 0, 4))),
}
METHODS = ("parametric", "isoflop", "hull", "mean_loss_default_tolerance")
VERTEX_FORM = PowerLawForm(((0,), (1,)))  # loss at the vertices, against compute
LARGEST_LOG = 200.0  # a size or a loss beyond e^200 says only that the fit has left the data
MIN_SIZES = 4  # runs in a budget for a parabola


class NoAllocation(ValueError):
    """The runs hold no compute-optimal allocation that this method can read; says why."""


def law_from_parameters(form_name: str, parameters: Array) -> Law:
    """Rows of fitted parameters, (..., n_parameters), as a ``Law`` whose fields keep the leading shape."""
    p = np.moveaxis(np.asarray(parameters, dtype=float), -1, 0)
    if form_name == "equal_exponents":
        return Law(p[0], p[1], p[2], p[3], p[3])
    if form_name == "no_offset":
        return Law(np.full_like(p[0], -np.inf), p[0], p[1], p[2], p[3])
    if form_name == "kaplan":
        return Law(np.full_like(p[0], -np.inf), p[0], p[1], p[2], np.ones_like(p[0]), p[3])
    return Law(p[0], p[1], p[2], p[3], p[4])


def shape_law_from_parameters(parameters: Array) -> ShapeLaw:
    """Rows of fitted parameters of the width-depth form, (..., 9), as a ``ShapeLaw``."""
    return ShapeLaw(*np.moveaxis(np.asarray(parameters, dtype=float), -1, 0))


def variables(runs: Runs, form_name: str) -> Array:
    """What a form is fitted to: (N, D), or (width, depth, N, D)."""
    if form_name == "width_depth":
        if not runs.has_shapes:
            raise NoAllocation("this form needs the width and the depth of every run")
        return np.column_stack([runs.width, runs.depth, runs.n_parameters, runs.n_tokens])
    return np.column_stack([runs.n_parameters, runs.n_tokens])


@dataclass(frozen=True)
class Study:
    """Runs, and how they are read.

    Parameters
    ----------
    runs : Runs
    form_name : str
        One of ``FORMS``; the parametric methods use it.
    method : str
        One of ``METHODS``.
    huber_delta : float
    """

    runs: Runs
    form_name: str = "chinchilla"
    method: str = "parametric"
    huber_delta: float = 1e-3

    @property
    def is_parametric(self) -> bool:
        return self.method in ("parametric", "mean_loss_default_tolerance")

    def fit(self, starts: Array | None = None) -> Estimate:
        """Read the runs.

        Raises
        ------
        NoAllocation
            Where they hold no compute-optimal allocation.
        """
        everything = np.ones((1, self.runs.n))
        if not self.is_parametric:
            return Estimate(self, None, self._read(everything))
        x, form = variables(self.runs, self.form_name), FORMS[self.form_name]
        if self.runs.n < form.n_parameters:
            raise NoAllocation(f"{form.n_parameters} constants cannot be fitted to {self.runs.n} runs")
        if self.method == "parametric":
            fitted = fit_log_huber(form, x, self.runs.loss, huber_delta=self.huber_delta, starts=starts)
        else:
            fitted = fit_quasi_newton(form, x, self.runs.loss, start=early_start(form), mean=True, huber_delta=self.huber_delta)
        return Estimate(self, fitted, fitted.parameters[None])

    def fit_from_grid(self) -> Estimate:
        """The parametric fit as the best of a grid of starts, as Hoffmann et al. choose it."""
        form, x = FORMS[self.form_name], variables(self.runs, self.form_name)
        exponents, offsets = (0.1, 0.4, 1.0), (0.3, 0.8)
        starts = grid_starts(form, x, self.runs.loss, exponents=exponents, offsets=offsets, separate=form.n_exponents <= 2)
        return self.fit(starts)

    def fit_from_poor_start(self) -> Estimate:
        """The parametric fit of the summed loss by BFGS at its default tolerance from ``early_start`` alone."""
        form, x = FORMS[self.form_name], variables(self.runs, self.form_name)
        fitted = fit_quasi_newton(form, x, self.runs.loss, start=early_start(form), mean=False, huber_delta=self.huber_delta)
        return Estimate(self, fitted, fitted.parameters[None])

    def refit(self, fitted: PowerLawFit | None, counts: Array) -> Array:
        """Estimates under (n_refits, n) row counts: parameters of the form, or (log N*, log L*) at ``nodes``."""
        if not self.is_parametric or fitted is None:
            return self._read(counts)
        x, y = variables(self.runs, self.form_name), self.runs.loss
        if self.method == "parametric":
            return refit_log_huber(fitted, x, y, counts, huber_delta=self.huber_delta)
        start = early_start(fitted.form)
        return np.stack(
            [
                fit_quasi_newton(
                    fitted.form, x[c > 0], y[c > 0], start=start, mean=True, weights=c[c > 0], huber_delta=self.huber_delta
                ).parameters
                for c in counts
            ]
        )

    def _read(self, counts: Array) -> Array:
        """(n_refits, 5): log N* = c + a log C, and log(L_inf), log k, g of L* = L_inf + k C^-g, from vertices or hull."""
        vertices = isoflop_vertices(self.runs, counts) if self.method == "isoflop" else hull_vertices(self.runs, counts)
        out = np.full((len(counts), 5), np.nan)
        for r, (log_c, log_n, level) in enumerate(vertices):
            if log_c.size < 2 or log_c.min() == log_c.max():
                continue
            slope, constant = _line(log_c, log_n)
            out[r, :2] = constant, slope
            if log_c.size >= 4:
                x = np.exp(log_c)
                start = grid_starts(VERTEX_FORM, x, level, exponents=[0.15], offsets=[0.7])
                top = fit_log_huber(VERTEX_FORM, x, level, huber_delta=1e-2, starts=start)
                out[r, 2:] = top.parameters
            else:
                fall, height = _line(log_c, np.log(level))
                out[r, 2:] = -np.inf, height, -fall
        if len(counts) == 1 and not np.isfinite(out[0, 0]):
            raise NoAllocation(
                f"a parabola needs {MIN_SIZES} sizes at each of two budgets or more"
                if self.method == "isoflop"
                else "the hull holds fewer than two runs"
            )
        return out

    def frontier(self, parameters: Array, compute: Array) -> tuple[Array, Array]:
        """Compute-optimal size and its loss.

        Parameters
        ----------
        parameters : (n_refits, n_parameters) array
        compute : (n_compute,) array

        Returns
        -------
        n_parameters, loss : (n_refits, n_compute) arrays
            NaN for refits that have no optimum.
        """
        compute = np.asarray(compute, dtype=float)
        n_star = np.full((len(parameters), compute.size), np.nan)
        level = n_star.copy()
        sound = self.has_optimum(parameters)
        p = parameters[sound]
        if not sound.any():
            return n_star, level
        if not self.is_parametric:
            log_c = np.log(compute)
            n_star[sound] = np.exp(np.clip(p[:, :1] + p[:, 1:2] * log_c, -LARGEST_LOG, LARGEST_LOG))
            level[sound] = np.exp(np.minimum(np.logaddexp(p[:, 2:3], p[:, 3:4] - p[:, 4:5] * log_c), LARGEST_LOG))
        elif self.form_name == "width_depth":
            shape_law = shape_law_from_parameters(p[:, None, :])
            width, depth = shape_optimum(shape_law, compute)
            n_star[sound] = shape_parameters(width, depth)
            level[sound] = shape_loss(shape_law, width, depth, compute / FLOP_PER_PARAMETER_TOKEN / n_star[sound])
        else:
            form = law_from_parameters(self.form_name, p[:, None, :])
            n_star[sound], tokens = optimum(form, compute)
            level[sound] = loss(form, n_star[sound], tokens)
        bound = np.exp(LARGEST_LOG)
        return np.clip(n_star, 1 / bound, bound), np.minimum(level, bound)

    def has_optimum(self, parameters: Array) -> NDArray[np.bool_]:
        """(n_refits,) whether an estimate has a compute-optimal size that can be told."""
        finite = np.all(np.isfinite(parameters[:, :2]), axis=1)
        if not self.is_parametric:
            return finite
        if self.form_name == "width_depth":
            # Whatever the exponent of p, the sum grows in every direction; below 0.01 an exponent has left the data.
            return np.all(parameters[:, [5, 6, 8]] > 0.01, axis=1)
        form = law_from_parameters(self.form_name, parameters)
        return np.asarray(has_optimum(form)) & (np.asarray(form.alpha) > 0.01) & (np.asarray(form.beta) > 0.01)

    def exponent(self, parameters: Array, compute: float) -> Array:
        """(n_refits,) a = d log N*/d log C at a compute; NaN without an optimum."""
        if not self.is_parametric:
            return np.where(self.has_optimum(parameters), parameters[:, 1], np.nan)
        if self.form_name == "width_depth":
            n_star, _ = self.frontier(parameters, compute * np.array([1 / 1.01, 1.01]))
            return np.log(n_star[:, 1] / n_star[:, 0]) / (2 * np.log(1.01))
        form = law_from_parameters(self.form_name, parameters)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.has_optimum(parameters), allocation_exponent(form), np.nan)


@dataclass(frozen=True)
class Estimate:
    """What a study says of its runs."""

    study: Study
    fitted: PowerLawFit | None  # the parametric fit, if it is one
    parameters: Array  # (1, n_parameters)

    def refit(self, counts: Array) -> Array:
        return self.study.refit(self.fitted, counts)


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and constant of the least-squares line, without what ``np.polyfit`` spends on a general degree."""
    center = x.mean()
    slope = float((x - center) @ y / ((x - center) @ (x - center)))
    return slope, float(y.mean() - slope * center)


def early_start(form: PowerLawForm) -> Array:
    """log coefficients 10, offset 0, first exponent 0.5, the others 0: a start from which the mean loss stops early."""
    theta = [10.0 if any(row) else 0.0 for row in form.groups]
    return np.array(theta + [0.5] + [0.0] * (form.n_exponents - 1) + [0.1] * form.free_power)


def isoflop_vertices(runs: Runs, counts: Array) -> list[tuple[Array, Array, Array]]:
    """Of each row of counts: log C, log N and loss at the vertex of each budget's weighted parabola in log N.

    Budgets with fewer than ``MIN_SIZES`` sizes, and parabolas that do not open upward or whose vertex lies beyond the
    sizes tried by more than their span, are left out.
    """
    log_n, log_c, y = np.log(runs.n_parameters), np.log(runs.compute), np.log(runs.loss)
    found: list[list[tuple[float, float, float]]] = [[] for _ in counts]
    for k in np.unique(runs.budget[runs.budget >= 0]):
        rows = runs.budget == k
        center, spread = log_n[rows].mean(), max(log_n[rows].std(), 1e-9)
        z = (log_n[rows] - center) / spread
        w = counts[:, rows]
        design = np.column_stack([np.ones(z.size), z, z**2])
        enough = np.sum(w > 0, axis=1) >= MIN_SIZES
        gram = np.einsum("rn,ni,nj->rij", w, design, design)
        right = np.einsum("rn,ni,n->ri", w, design, y[rows])
        enough &= np.linalg.cond(gram) < 1e12
        if not enough.any():
            continue
        p = np.linalg.solve(gram[enough], right[enough][..., None])[..., 0]
        weight_c = np.sum(w[enough] * log_c[rows], axis=1) / np.sum(w[enough], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            vertex = -p[:, 1] / (2 * p[:, 2])
            height = p[:, 0] - p[:, 1] ** 2 / (4 * p[:, 2])
        good = (p[:, 2] > 0) & (vertex > z.min() - np.ptp(z)) & (vertex < z.max() + np.ptp(z))
        for r, c, v, h in zip(np.flatnonzero(enough)[good], weight_c[good], vertex[good], height[good], strict=True):
            found[r].append((c, center + spread * v, np.exp(h)))
    return [tuple(np.array(f).reshape(-1, 3).T) for f in found]  # type: ignore[misc]


def hull_vertices(runs: Runs, counts: Array) -> list[tuple[Array, Array, Array]]:
    """Of each row of counts: log C, log N and loss of the runs on the falling part of the lower convex hull."""
    log_c, log_n, y = np.log(runs.compute), np.log(runs.n_parameters), np.log(runs.loss)
    order = np.lexsort((y, log_c))
    at, height = log_c.tolist(), y.tolist()  # one number at a time: lists are faster
    out = []
    for row in counts:
        hull: list[int] = []
        for i in order[row[order] > 0].tolist():
            while len(hull) >= 2 and (at[hull[-1]] - at[hull[-2]]) * (height[i] - height[hull[-2]]) <= (
                height[hull[-1]] - height[hull[-2]]
            ) * (at[i] - at[hull[-2]]):
                hull.pop()
            # Of runs at one compute only the best is on the hull.
            if hull and at[i] - at[hull[-1]] < 1e-9 and height[i] >= height[hull[-1]]:
                continue
            hull.append(i)
        keep = [hull[0], *(b for a, b in pairwise(hull) if height[b] < height[a])] if hull else []
        out.append((log_c[keep], log_n[keep], runs.loss[keep]))
    return out
