r"""Second moments of a quadratic under stochastic gradients whose noise grows with the loss.

In the eigenbasis of the Hessian the expected energies s_j of the modes obey

    s_j(r + 1) = a_j s_j(r) + h_j (S(r) + c),      S = sum_j s_j,      0 <= a_j < 1,  h_j > 0:

every mode decays by itself and is fed by the whole loss S + c, of which c cannot be trained away. This is the
Volterra equation P(r) = F(r) + sum_{s<r} K(r - 1 - s) P(s) of the loss P = S + c with F(r) = c + sum_j s_j(0) a_j^r
and K(r) = sum_j h_j a_j^r. It is linear with a rank-one coupling, so its exact solution at any step count r needs
the roots of one secular equation and no loop over steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel

Array = NDArray[np.float64]


def feedback(decay: Array, injection: Array) -> float:
    """Kernel norm k = sum_j h_j / (1 - a_j): what a unit of loss feeds back in all; the loss diverges iff k >= 1.

    Parameters
    ----------
    decay : (n_modes,) array
        1 - a_j, in (0, 1].
    injection : (n_modes,) array
        h_j, positive.
    """
    return float(np.sum(injection / decay))


def fixed_point(decay: Array, injection: Array, floor: float) -> float:
    """The loss after infinitely many steps, S + c = c / (1 - k), for k < 1.

    Raises
    ------
    ValueError
        If the kernel norm k is 1 or more: there is no fixed point.
    """
    k = feedback(decay, injection)
    if k >= 1:
        raise ValueError(f"the kernel norm is {k:.3g}, and only below 1 is there a fixed point")
    return floor / (1 - k)


def rank_one_curve(decay: Array, injection: Array, start: Array, floor: float, steps: Array) -> Array:
    r"""The loss S(r) + c at any step counts, exactly.

    The generating function of the loss has poles at Λ_k = 1 - ν_k, the roots of the secular equation
    sum_j h_j/(μ_j - ν) = 1 with μ_j = 1 - a_j; they interlace the μ_j. With
    A_k = sum_j s_j(0)/(μ_j - ν_k) and N_k = sum_j h_j/(μ_j - ν_k)^2,

        S(r) = sum_k [A_k Λ_k^r + c (1 - Λ_k^r)/ν_k] / N_k.

    Each root is found relative to its nearest pole, so that modes many decades slower than the rest keep their
    relative accuracy; O(n_modes^2).

    Parameters
    ----------
    decay : (n_modes,) array
        1 - a_j, in (0, 1]; passed as such because a_j itself loses slow modes to rounding.
    injection : (n_modes,) array
        h_j, positive.
    start : (n_modes,) array
        s_j(0), not negative.
    floor : float
        c, not negative.
    steps : (n_steps,) array
        Step counts r, not negative; they need not be integers.

    Returns
    -------
    (n_steps,) array
        S(r) + c; it grows without bound where the kernel norm is 1 or more.

    Raises
    ------
    ValueError
        If a decay lies outside (0, 1] or an injection is not positive.
    """
    if np.any(decay <= 0) or np.any(decay > 1) or np.any(injection <= 0):
        raise ValueError("decays lie in (0, 1] and injections are positive")
    # Modes of equal decay act as one.
    rate, group = np.unique(decay, return_inverse=True)
    fed = np.bincount(group, weights=injection).astype(np.float64)
    begun = np.bincount(group, weights=start).astype(np.float64)
    return floor + _solve(rate, fed, begun, float(floor), np.asarray(steps, dtype=np.float64))


@kernel
def _solve(mu, h, s, c, steps):  # type: ignore[no-untyped-def]
    """S(r) of ``rank_one_curve`` for sorted, distinct decays mu."""
    n = mu.size
    nu, amplitude, fed = np.empty(n), np.empty(n), np.empty(n)
    total = h.sum()
    for k in range(n):
        left = mu[k - 1] if k > 0 else mu[0] - total
        width = mu[k] - left
        # Which end of the interval lies nearer to the root is told by the sign at its middle.
        middle = -1.0
        for j in range(n):
            middle += h[j] / (mu[j] - left - 0.5 * width)
        at_right = middle < 0 or k == 0
        origin = mu[k] if at_right else left
        low, high = (-width, 0.0) if k == 0 else ((-0.5 * width, 0.0) if at_right else (0.0, 0.5 * width))
        # delta = nu - origin; the two poles of the interval stand at pole_left and pole_right.
        pole_left, pole_right = left - origin, mu[k] - origin
        delta = 0.5 * (low + high)
        for _ in range(100):
            below, below_slope, above, above_slope = 0.0, 0.0, 0.0, 0.0
            for j in range(k):
                inverse = 1.0 / (mu[j] - origin - delta)
                below += h[j] * inverse
                below_slope += h[j] * inverse * inverse
            for j in range(k, n):
                inverse = 1.0 / (mu[j] - origin - delta)
                above += h[j] * inverse
                above_slope += h[j] * inverse * inverse
            value = below + above - 1.0
            if value > 0:
                high = delta
            else:
                low = delta
            # Each half is matched in value and slope by constant + weight/(pole - delta): a quadratic for the step.
            to_left, to_right = pole_left - delta, pole_right - delta
            constant = value - below_slope * to_left - above_slope * to_right
            weight_left = below_slope * to_left * to_left
            weight_right = above_slope * to_right * to_right
            b = constant * (to_left + to_right) + weight_left + weight_right
            product = constant * to_left * to_right + weight_left * to_right + weight_right * to_left
            root = np.sqrt(max(b * b - 4.0 * constant * product, 0.0))
            step = 2.0 * product / (b + root) if b > 0 else (b - root) / (2.0 * constant) if constant != 0 else 0.0
            new = delta + step
            if not low < new < high:
                # Bisect in the logarithm of the distance to the origin, down to where it no longer counts.
                near, far = (abs(high), abs(low)) if at_right else (abs(low), abs(high))
                near = max(near, 1e-300)
                new = -np.sqrt(near * far) if at_right else np.sqrt(near * far)
            done = abs(new - delta) <= 4e-16 * abs(new)
            delta = new
            if done:
                break
        value, norm = 0.0, 0.0
        for j in range(n):
            inverse = 1.0 / (mu[j] - origin - delta)
            value += s[j] * inverse
            norm += h[j] * inverse * inverse
        nu[k] = origin + delta
        amplitude[k] = value / norm
        fed[k] = c / norm
    loss = np.zeros(steps.size)
    for i in range(steps.size):
        for k in range(n):
            power = steps[i] * np.log1p(-nu[k]) if nu[k] < 1 else -np.inf * steps[i] if steps[i] > 0 else 0.0
            grown = steps[i] if nu[k] == 0 else -np.expm1(power) / nu[k]
            loss[i] += amplitude[k] * np.exp(power) + fed[k] * grown
    return loss
