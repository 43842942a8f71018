r"""First-order theory of the two predictions: how the noise of every run moves them.

A least-squares fit of log losses with Jacobian J moves by J^+ e for noise e. Chained through dataset 0's law (which gives E0), the
map and its value at the target, the error of the prediction is w0·e0 + w1·e1, with variance
sigma^2 (|w0|^2 + |w1|^2 + 2 rho w0·w1 over the pairs). What is left without noise is the bias.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compute.scaling_laws.loss_to_loss.fits import analyze, joined, own_jacobian, response, shifted_jacobian
from compute.scaling_laws.loss_to_loss.runs import Setting, measure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """Relative errors of the predictions of dataset 1 at the target, and the error of kappa."""

    w0: Array  # (n,) of the map's prediction to the noise of the paired runs on dataset 0
    rest: float  # sum of squares of its weights on dataset 0's other runs
    w1: Array  # (n,) to the noise on dataset 1
    own: float  # norm of the own law's weights
    map_bias: float
    own_bias: float
    kappa_w0: Array
    kappa_rest: float
    kappa_w1: Array

    def by_map(self, noise: float, shared: Array | float) -> Array:
        """Root-mean-square relative error of the map's prediction."""
        return np.sqrt(self.map_bias**2 + noise**2 * _variance(self.w0, self.rest, self.w1, shared))

    def by_own(self, noise: float) -> float:
        return float(np.hypot(self.own_bias, noise * self.own))

    def kappa_error(self, noise: float, shared: float) -> float:
        return float(noise * np.sqrt(_variance(self.kappa_w0, self.kappa_rest, self.kappa_w1, shared)))


def _variance(w0: Array, rest: float, w1: Array, shared: Array | float) -> Array:
    return np.maximum(w0 @ w0 + rest + w1 @ w1 + 2 * np.asarray(shared) * (w0 @ w1), 0.0)


def sensitivity(setting: Setting) -> Sensitivity:
    """Propagate the noise of every run to the predictions, about the noise-free fits."""
    found = analyze(measure(replace(setting, noise=0.0), np.random.default_rng(0)))
    data, source, loss_map, own = found.measured, found.source, found.loss_map, found.own
    assert source is not None and own is not None and found.loss_0_target is not None
    assert found.by_map is not None and found.by_own is not None
    at, n_runs = data.paired, data.loss_0.size
    is_trained = data.target_0 is not None
    rows = joined(data.places, data.target) if is_trained else data.places
    n_rows = n_runs + is_trained
    from_noise = response(source, rows)  # (n_constants, n_rows)
    offset = source.offset * from_noise[0]  # of E0

    pair_0 = data.loss_0[at]
    left = pair_0 - source.offset
    jacobian = shifted_jacobian(loss_map.fit.parameters, np.log(left))
    slope = loss_map.kappa * jacobian[:, 1]  # d log L1/d log(L0 - E0)
    moved = np.zeros((at.size, n_rows))  # of the map's value at each pair, by dataset 0's noise
    moved[np.arange(at.size), at] = pair_0
    moved = slope[:, None] * (moved - offset) / left[:, None]
    inverse = np.linalg.pinv(jacobian, rcond=1e-13)

    left_target = found.loss_0_target - source.offset
    there = shifted_jacobian(loss_map.fit.parameters, np.log([left_target]))[0]
    at_target = np.zeros(n_rows)
    if is_trained:
        at_target[-1] = found.loss_0_target
    else:
        at_target = found.loss_0_target * (own_jacobian(source, data.target)[0] @ from_noise)
    by_0 = -there @ inverse @ moved + loss_map.kappa * there[1] * (at_target - offset) / left_target
    by_1 = there @ inverse
    kappa_0, kappa_1 = inverse[2] @ moved, -inverse[2]
    own_weights = own_jacobian(own, data.target)[0] @ response(own, data.places.keep(at))
    truth = float(setting.truth(1, data.target)[0])
    others = np.setdiff1d(np.arange(n_rows), at)
    return Sensitivity(
        by_0[at],
        float(by_0[others] @ by_0[others]),
        by_1,
        float(np.linalg.norm(own_weights)),
        float(np.log(found.by_map / truth)),
        float(np.log(found.by_own / truth)),
        kappa_0[at],
        float(kappa_0[others] @ kappa_0[others]),
        kappa_1,
    )
