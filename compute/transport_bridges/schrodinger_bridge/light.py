r"""The light bridge: a Schrodinger bridge whose potential is a sum of K Gaussians, so that all of it is in closed form.

With the adjusted potential v(y) = sum_k a_k N(y; r_k, eps S_k), S_k diagonal, the plan of the end given the start is

    pi(y | x) prop. exp(<x, y>/eps) v(y) = sum_k w_k(x) N(y; r_k + S_k x, eps S_k),
    w_k(x) c(x) = a_k exp((x' S_k x + 2 r_k' x)/(2 eps)),      c(x) = sum_k of these,

and KL from the true bridge is, up to a constant, E log c(x_0) - E log v(x_1) over samples of both ends: no simulation.

References
----------
Korotin, Gushchin & Burnaev, "Light Schrodinger Bridge" (2024), paper 054 of the catalogue; equations 8 to 11.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from compute.methods.log_sum_exp import softmax

Array = NDArray[np.float64]

LEAST_LOG_SCALE, MOST_LOG_SCALE = -12.0, 8.0


@dataclass(frozen=True, eq=False)
class LightBridge:
    """A fitted potential.

    Parameters
    ----------
    log_weight : (K,) array
        log a_k.
    center : (K, d) array
        r_k.
    scale : (K, d) array
        The diagonal of S_k.
    epsilon : float
    objective : float
        E log c - E log v on the samples it was fitted to.
    """

    log_weight: Array
    center: Array
    scale: Array
    epsilon: float
    objective: float

    def logits(self, x: Array) -> Array:
        """(n, K) log of w_k(x) c(x) at starts (n, d)."""
        return np.asarray(self.log_weight + (x**2 @ self.scale.T + 2 * x @ self.center.T) / (2 * self.epsilon))

    def sample_end(self, rng: np.random.Generator, x: Array) -> tuple[Array, NDArray[np.int64]]:
        """Ends (n, d) given starts (n, d), and the component that each came from."""
        weight = np.cumsum(softmax(self.logits(x)), axis=1)
        chosen = np.minimum((rng.random((x.shape[0], 1)) > weight).sum(axis=1), self.log_weight.size - 1)
        scale = self.scale[chosen]
        return self.center[chosen] + scale * x + np.sqrt(self.epsilon * scale) * rng.standard_normal(x.shape), chosen

    def drift(self, x: Array, t: float) -> Array:
        """(n, d) drift of the bridge at time t < 1: (E[x_1 | x_t = x] - x)/(1 - t).

        Given x_t, the end has density prop. v(y) exp(-(t |y|^2/2 - <x, y>)/(eps (1 - t))) (up to factors free of y).
        """
        precision = (t / (1 - t) + 1 / self.scale) / self.epsilon
        push = x[:, None, :] / (self.epsilon * (1 - t)) + self.center / (self.scale * self.epsilon)
        fixed = self.log_weight - 0.5 * np.sum(
            np.log(self.scale * precision) + self.center**2 / (self.epsilon * self.scale), axis=1
        )
        weight = softmax(fixed + 0.5 * np.sum(push**2 / precision, axis=2))
        end = np.sum(weight[:, :, None] * push / precision, axis=1)
        return np.asarray((end - x) / (1 - t))


def spread_out(rng: np.random.Generator, points: Array, k: int) -> Array:
    """(k, d) of the points, each next one drawn by its squared distance to those chosen (k-means++)."""
    chosen = [points[rng.integers(points.shape[0])]]
    square = np.sum((points - chosen[0]) ** 2, axis=1)
    for _ in range(k - 1):
        total = square.sum()
        at = rng.choice(points.shape[0], p=square / total) if total > 0 else rng.integers(points.shape[0])
        chosen.append(points[at])
        square = np.minimum(square, np.sum((points - points[at]) ** 2, axis=1))
    return np.array(chosen)


def _normalized(logits: Array) -> tuple[Array, Array]:
    """log of the sum of each row's exponentials (n,), and their shares (n, K)."""
    top = logits.max(axis=1)
    share = np.exp(logits - top[:, None])
    total = share.sum(axis=1)
    share /= total[:, None]
    return top + np.log(total), share


def fit_light(
    rng: np.random.Generator, starts: Array, ends: Array, epsilon: float, components: int, steps: int = 80
) -> LightBridge:
    """Fit a light bridge to samples of both ends by quasi-Newton steps on all of them.

    Parameters
    ----------
    rng : Generator
        Places the first centers on ends.
    starts, ends : (n, d), (m, d) arrays
    epsilon : float
    components : int
    steps : int
        At most.

    Returns
    -------
    LightBridge
    """
    k, d = components, starts.shape[1]
    spread = float(ends.var(axis=0).mean())
    # A plan y | x of variance eps S, a share of the spread; centers where r + S x covers the ends at a typical x.
    scale = min(spread / (epsilon * k ** (2 / d) + float(starts.var(axis=0).mean()) + 1e-12), 1.0)
    centers = spread_out(rng, ends, k) - scale * starts.mean(axis=0)
    first = np.concatenate([np.zeros(k), centers.ravel(), np.full(k * d, np.log(scale))])
    bounds = [(-200.0, 200.0)] * k + [(None, None)] * (k * d) + [(LEAST_LOG_SCALE, MOST_LOG_SCALE)] * (k * d)
    start_square, end_square = starts**2, ends**2
    ones_start, ones_end = np.full(starts.shape[0], 1 / starts.shape[0]), np.full(ends.shape[0], 1 / ends.shape[0])

    def objective(theta: Array) -> tuple[float, Array]:
        log_a, r, log_s = theta[:k], theta[k : k + k * d].reshape(k, d), theta[k + k * d :].reshape(k, d)
        s = np.exp(log_s)
        top = log_a + (start_square @ s.T + 2 * starts @ r.T) / (2 * epsilon)
        log_c, w = _normalized(top)
        w *= ones_start[:, None]
        quadratic = end_square @ (1 / s).T - 2 * ends @ (r / s).T + np.sum(r**2 / s, axis=1)
        each = log_a - 0.5 * (quadratic / epsilon + np.sum(log_s, axis=1) + d * np.log(2 * np.pi * epsilon))
        log_v, g = _normalized(each)
        g *= ones_end[:, None]
        mass, first_moment, second_moment = g.sum(axis=0)[:, None], g.T @ ends, g.T @ end_square
        d_a = w.sum(axis=0) - g.sum(axis=0)
        d_r = w.T @ starts / epsilon - (first_moment - mass * r) / (s * epsilon)
        about = second_moment - 2 * r * first_moment + mass * r**2
        d_s = s * (w.T @ start_square) / (2 * epsilon) - 0.5 * (about / (s * epsilon) - mass)
        return float(log_c @ ones_start - log_v @ ones_end), np.concatenate([d_a, d_r.ravel(), d_s.ravel()])

    found = minimize(objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps, "maxcor": 20})
    theta = found.x
    return LightBridge(
        theta[:k], theta[k : k + k * d].reshape(k, d), np.exp(theta[k + k * d :].reshape(k, d)), epsilon, float(found.fun)
    )


def brownian_bridges(rng: np.random.Generator, starts: Array, ends: Array, epsilon: float, times: Array) -> Array:
    """(n_times, n, d) paths pinned at both ends: what any bridge does between them."""
    steps = np.diff(times, prepend=0.0)
    walk = np.cumsum(np.sqrt(epsilon * steps)[:, None, None] * rng.standard_normal((times.size, *starts.shape)), axis=0)
    t = (times / times[-1])[:, None, None]
    return np.asarray((1 - t) * starts + t * ends + walk - t * walk[-1])
