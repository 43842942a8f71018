r"""The probability-flow map of a mixture on the line, exactly and without a differential equation.

The flow keeps the order of points on a line, hence their quantiles: with F_t the distribution function of x + t z,

    G(x, t, s) = F_s^{-1}(F_t(x)).

A point's *label* v = Phi^{-1}(F_t(x)) is the same at every level. At level s each component alone has its quantile at
mu_k + v sqrt(width^2 + s^2), so that the mixture's lies between the least and the greatest of these: a safe bracket for
Newton's iteration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from compute.kernel import kernel
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

MAX_KNOWN = 1000  # levels a table keeps
REACH = 6.5  # labels of tables go this far
N_LABELS = 193  # evenly spaced, and as many more where the data's quantile function is steep


@kernel
def _quantiles(labels, weights, means, std, out):  # type: ignore[no-untyped-def]
    """The points of labels sorted upward, at one level, into out."""
    root2 = math.sqrt(2.0)
    least, greatest = means.min(), means.max()
    y = least + std * labels[0]
    for i in range(labels.size):
        v = labels[i]
        sign = 1.0 if v < 0 else -1.0  # work in the tail where the probability is small, so that it keeps its digits
        goal = 0.5 * math.erfc(-sign * v / root2)
        low, high = least + std * v, greatest + std * v
        y = min(max(y, low), high)
        for _ in range(100):
            tail = 0.0
            density = 0.0
            for k in range(means.size):
                z = (y - means[k]) / std
                tail += weights[k] * 0.5 * math.erfc(-sign * z / root2)
                density += weights[k] * math.exp(-0.5 * z * z)
            density /= std * math.sqrt(2 * math.pi)
            if (tail - goal) * sign < 0:
                low = y
            else:
                high = y
            # Newton in the logarithm of the tail, which is nearly linear far out.
            new = y
            if density > 0 and tail > 0:
                new = y - sign * math.log(tail / goal) * tail / density
            if not (low <= new <= high) or density == 0 or tail == 0:
                new = 0.5 * (low + high)
            moved = abs(new - y)
            y = new
            if moved < 1e-12 * (std + abs(y)):
                break
        out[i] = y
    return out


def quantiles(mixture: GaussianMixture, labels: Array, sigma: float) -> Array:
    """The points at level sigma whose labels Phi^{-1}(F_sigma(x)) are given, of any shape."""
    flat = np.ravel(np.asarray(labels, dtype=float))
    order = np.argsort(flat)
    out = np.empty_like(flat)
    std = float(np.hypot(mixture.width, sigma))
    out[order] = _quantiles(flat[order], mixture.weights, mixture.means[:, 0], std, np.empty_like(flat))
    return out.reshape(np.shape(labels))


def labels_of(mixture: GaussianMixture, x: Array, sigma: float) -> Array:
    """Phi^{-1}(F_sigma(x)), for x of any shape; both tails keep their digits."""
    z = (np.asarray(x, dtype=float)[..., None] - mixture.means[:, 0]) / np.hypot(mixture.width, sigma)
    below, above = ndtr(z) @ mixture.weights, ndtr(-z) @ mixture.weights
    return np.where(below < above, ndtri(below), -ndtri(above))


def jump(mixture: GaussianMixture, x: Array, t: float, s: float) -> Array:
    """G(x, t, s): where the probability flow takes x from noise level t to s, for x of any shape."""
    return quantiles(mixture, labels_of(mixture, x, t), s)


@dataclass(frozen=True, eq=False)
class FlowTable:
    """The flow map on a fixed set of labels, for many points: jumps by linear interpolation.

    Labels are dense both where they are likely and where the data's quantile function is steep, so that between nodes
    neither the label nor the point moves far; farther out the map is continued by its asymptote, slope std_s/std_t.

    Parameters
    ----------
    mixture : GaussianMixture
        On the line.
    """

    mixture: GaussianMixture
    labels: Array = field(init=False)
    _known: dict[float, Array] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        means, width = self.mixture.means[:, 0], self.mixture.width
        grid = np.linspace(means.min() - REACH * width, means.max() + REACH * width, N_LABELS)
        steep = labels_of(self.mixture, grid, 0.0)
        labels = np.concatenate([np.linspace(-REACH, REACH, N_LABELS), steep[np.abs(steep) < REACH]])
        object.__setattr__(self, "labels", np.unique(np.round(labels, 12)))

    def at(self, sigma: float) -> Array:
        """(n_labels,) the points with the table's labels at a level; kept."""
        sigma = round(float(sigma), 12)  # the grids of n and 2n steps share levels up to rounding
        if sigma not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[sigma] = quantiles(self.mixture, self.labels, sigma)
        return self._known[sigma]

    def jump(self, x: Array, t: float, s: float) -> Array:
        """G(x, t, s) for x of any shape."""
        here, there = self.at(t), self.at(s)
        beyond = x - np.clip(x, here[0], here[-1])
        slope = np.hypot(self.mixture.width, s) / np.hypot(self.mixture.width, t)
        return np.interp(x, here, there) + slope * beyond
