r"""How weights, their start and their rates scale with width n: abc-parametrizations, and a linear network solved exactly.

An abc-parametrization of a network of L hidden layers (paper 318, definition 3.1) is W^l = n^{-a_l} w^l with w^l ~ N(0, n^{-2 b_l})
trained at rate eta n^{-c}. Training W^l itself, its start has standard deviation n^{-(a_l + b_l)} and its rate is
eta n^{-(c + 2 a_l)}, so only these combinations count (the same function results from a + t, b - t, c - 2t):

    w = a_{L+1} + b_{L+1}    (start of the readout),          o = c + 2 a_{L+1}    (rate of the readout),
    h_l = c + 2 a_l + 1(l = 1),    h = min_l h_l              (rate of the layers below),

where a_1 + b_1 = 0 and a_l + b_l = 1/2 keep the hidden features of order one at the start. Then (theorems 3.3, 3.4 and 3.8)

    features move by n^{-r},    r = min(w, o) + h - 1;        stable iff w >= 1/2, o >= 1, r >= 0, w + r >= 1;
    nontrivial iff o = 1 or w + r = 1;                        then: features are learned iff r = 0, a kernel rules iff r > 0.

**The linear network of one hidden layer.** With rows u_k ~ N(0, I_d) and readout z_k/n, z_k ~ N(0, n^{2 - 2w}), the network
is x -> f.x with f = (1/n) sum_k z_k u_k. For the loss (1/2)(f - t)' Sigma (f - t), gradient g = Sigma (f - t), one step is

    u_k <- u_k - alpha z_k g,    z_k <- z_k - beta u_k.g,    alpha = eta n^{-h},    beta = eta n^{1 - o}:

the same linear map T = [[1, -alpha g], [-beta g', 1]] of every neuron. The Gram matrix G = (1/n) sum_k [u_k, z_k][u_k, z_k]'
follows G <- T G T' and holds f, its off-diagonal block: d^2 operations a step at any width, only the start knows n.

References
----------
Yang and Hu, "Feature Learning in Infinite-Width Neural Networks" (2021), paper 318 of the catalogue. The recursion is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernel import kernel

Array = NDArray[np.float64]

CLOSE = 1e-9  # exponents this near are equal
DIVERGED = 1e8  # loss, in units of the target's power
DRAW_NEURONS_UP_TO = 128  # beyond, the Gram matrix is drawn from its own law
UNSTABLE, TRIVIAL, KERNEL, FEATURES = "unstable", "trivial", "kernel", "features"


@dataclass(frozen=True)
class Exponents:
    """What of an abc-parametrization does not depend on how it is written.

    Parameters
    ----------
    output_init : float
        w: the readout starts with standard deviation n^-w.
    hidden_rates : tuple of float
        h_l of each hidden layer: its weights learn at rate eta n^{1(l = 1) - h_l}.
    output_rate : float
        o: the readout learns at rate eta n^-o.
    """

    output_init: float
    hidden_rates: tuple[float, ...]
    output_rate: float

    @property
    def hidden_rate(self) -> float:
        """h, of the layer that learns fastest."""
        return min(self.hidden_rates)

    @property
    def feature(self) -> float:
        """r: features move by n^-r."""
        return min(self.output_init, self.output_rate) + self.hidden_rate - 1

    @property
    def output_change(self) -> float:
        """The output moves by n^-(this)."""
        return min(self.output_rate, self.output_init + self.feature) - 1

    @property
    def regime(self) -> str:
        """``UNSTABLE``, ``TRIVIAL``, ``KERNEL`` or ``FEATURES``."""
        w, o, r = self.output_init, self.output_rate, self.feature
        if w < 0.5 - CLOSE or o < 1 - CLOSE or r < -CLOSE or w + r < 1 - CLOSE:
            return UNSTABLE
        if abs(o - 1) > CLOSE and abs(w + r - 1) > CLOSE:
            return TRIVIAL
        return FEATURES if abs(r) <= CLOSE else KERNEL


@dataclass(frozen=True)
class Abc:
    """An abc-parametrization: a and b of the layers 1 to L + 1, and c."""

    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float

    @property
    def exponents(self) -> Exponents:
        """Of these scalings.

        Raises
        ------
        ValueError
            Where hidden features are not of order one at the start.
        """
        start = [a + b for a, b in zip(self.a, self.b, strict=True)]
        if abs(start[0]) > CLOSE or any(abs(s - 0.5) > CLOSE for s in start[1:-1]):
            raise ValueError("hidden features must start at order one: a_1 + b_1 = 0, a_l + b_l = 1/2")
        rates = tuple(self.c + 2 * a + (k == 0) for k, a in enumerate(self.a[:-1]))
        return Exponents(start[-1], rates, self.c + 2 * self.a[-1])

    def shifted(self, theta: float) -> Abc:
        """The same training written otherwise: a + theta, b - theta, c - 2 theta."""
        return Abc(tuple(a + theta for a in self.a), tuple(b - theta for b in self.b), self.c - 2 * theta)


def named(name: str, depth: int) -> Abc:
    """A named parametrization of ``depth`` hidden layers (paper 318, table 1).

    Parameters
    ----------
    name : str
        ``"SP"`` (standard), ``"SP, c = 1"`` (with rate 1/n), ``"NTP"`` (neural tangent), ``"MFP"`` (mean field, of one
        hidden layer) or ``"muP"`` (maximal update).
    """
    between = depth - 1
    if name in ("SP", "SP, c = 1"):
        return Abc((0.0,) * (depth + 1), (0.0, *(0.5,) * depth), 0.0 if name == "SP" else 1.0)
    if name == "NTP":
        return Abc((0.0, *(0.5,) * depth), (0.0,) * (depth + 1), 0.0)
    if name == "MFP" and depth == 1:
        return Abc((0.0, 1.0), (0.0, 0.0), -1.0)
    if name == "muP":
        return Abc((-0.5, *(0.0,) * between, 0.5), (0.5,) * (depth + 1), 0.0)
    raise ValueError(f"no parametrization {name!r} of {depth} hidden layers")


def written(output_init: float, hidden_rate: float, output_rate: float, depth: int) -> Abc:
    """One way to write (w, h, o) as an abc-parametrization, with c = 0 and every hidden layer at h."""
    first, later, last = (hidden_rate - 1) / 2, hidden_rate / 2, output_rate / 2
    between = depth - 1
    return Abc((first, *(later,) * between, last), (-first, *(0.5 - later,) * between, output_init - last), 0.0)


def lowest_stable_rate(output_init: ArrayLike, output_rate: float) -> Array:
    """The h below which training is unstable, for w >= 1/2 and o >= 1: 2 - 2w up to w = 1, then 1 - min(w, o)."""
    w = np.asarray(output_init, dtype=float)
    return np.where(w < 1, 2 - 2 * w, 1 - np.minimum(w, output_rate))


# --- the linear network ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinearTask:
    """Linear regression on inputs of covariance diag(eigenvalues), the loss of f = 0 being 1.

    Parameters
    ----------
    eigenvalues : (d,) array
        They sum to 1.
    target : (d,) array
        t, with sum_j eigenvalues_j t_j^2 = 1.
    """

    eigenvalues: Array
    target: Array

    def loss(self, f: Array) -> Array:
        """Mean squared error of (..., d) effective weights."""
        return np.asarray((f - self.target) ** 2 @ self.eigenvalues)


def power_law_task(n_inputs: int, spectrum_exponent: float) -> LinearTask:
    """Eigenvalues j^-exponent and a target of equal weights."""
    eigenvalues = np.arange(1.0, n_inputs + 1) ** -spectrum_exponent
    return LinearTask(eigenvalues / eigenvalues.sum(), np.ones(n_inputs))


def standard_neurons(width: int, n_inputs: int, rng: np.random.Generator) -> Array:
    """(d + 1, n) standard normal inputs weights and, in the last row, readouts."""
    return rng.standard_normal((n_inputs + 1, width))


def standard_gram(width: int, n_inputs: int, rng: np.random.Generator) -> Array:
    """(d + 1, d + 1) Gram matrix of n standard neurons, beyond ``DRAW_NEURONS_UP_TO`` by ``wishart_gram``."""
    if width <= DRAW_NEURONS_UP_TO:
        neurons = standard_neurons(width, n_inputs, rng)
        return neurons @ neurons.T / width
    return wishart_gram(width, n_inputs, rng)


def wishart_gram(width: int, n_inputs: int, rng: np.random.Generator) -> Array:
    """The same in law, Wishart over n, by Bartlett's factor; for n > d.

    From generators of equal state it gives alike matrices at all widths: their deviations from 1 differ by the root of n.
    """
    size = n_inputs + 1
    factor = np.tril(rng.standard_normal((size, size)), -1)
    factor[np.diag_indices(size)] = np.sqrt(rng.chisquare(float(width) - np.arange(size)))
    return factor @ factor.T / width


def start(gram: Array, width: ArrayLike, output_init: ArrayLike) -> Array:
    """Standard Gram matrices (..., d + 1, d + 1) with the readouts scaled to n^{1 - w}."""
    scale = np.asarray(width, dtype=float) ** (1 - np.asarray(output_init, dtype=float))
    scaled = np.array(np.broadcast_to(gram, (*scale.shape, *gram.shape[-2:])))
    scaled[..., -1, :] *= scale[..., None]
    scaled[..., :, -1] *= scale[..., None]
    return scaled


def rates(width: ArrayLike, hidden_rate: ArrayLike, output_rate: ArrayLike, learning_rate: ArrayLike) -> Array:
    """(..., 2): alpha = eta n^-h of the inputs' weights and beta = eta n^{1 - o} of the readouts z."""
    n = np.asarray(width, dtype=float)
    alpha, beta = learning_rate * n ** -np.asarray(hidden_rate, float), learning_rate * n ** (1 - np.asarray(output_rate, float))
    return np.stack(np.broadcast_arrays(alpha, beta), axis=-1)


@kernel
def _train(grams, rate, eigenvalues, target, losses, changes):  # type: ignore[no-untyped-def]
    """Train in place; fills losses (m, n_steps + 1) and, where given, changes (m, n_steps + 1, d + 1, d + 1).

    A change is the product of the T so far minus 1, kept as such: features may move by less than rounding beside 1.
    """
    m, n_steps, d = grams.shape[0], losses.shape[1] - 1, eigenvalues.size
    keep = changes.shape[1] > 0
    g, a_g, v = np.empty(d), np.empty(d), np.empty(d)
    for i in range(m):
        gram = grams[i]
        alpha, beta = rate[i, 0], rate[i, 1]
        for step in range(n_steps + 1):
            loss = 0.0
            for j in range(d):
                miss = gram[j, d] - target[j]
                g[j] = eigenvalues[j] * miss
                loss += g[j] * miss
            losses[i, step] = loss
            if not loss < DIVERGED:
                losses[i, step:] = np.inf
                if keep:
                    changes[i, step + 1 :] = np.nan
                break
            if step == n_steps:
                break
            q, c_g, g_a_g = gram[d, d], 0.0, 0.0
            a_g[:] = 0.0
            for j in range(d):
                c_g += gram[j, d] * g[j]
                v[j] = alpha * (gram[j, d] - 0.5 * alpha * q * g[j])
                for k in range(d):  # the block is symmetric; by rows this loop needs no sum
                    a_g[k] += g[j] * gram[j, k]
            for j in range(d):
                g_a_g += a_g[j] * g[j]
                for k in range(d):
                    gram[j, k] -= g[j] * v[k] + v[j] * g[k]
                gram[j, d] += alpha * (beta * c_g - q) * g[j] - beta * a_g[j]
                gram[d, j] = gram[j, d]
            gram[d, d] = q - 2 * beta * c_g + beta * beta * g_a_g
            if keep:
                old, new = changes[i, step], changes[i, step + 1]
                for k in range(d + 1):
                    s, readout = (0.0, 1.0 + old[d, k]) if k == d else (g[k], old[d, k])
                    for j in range(d):
                        s += g[j] * old[j, k]
                        new[j, k] = old[j, k] - alpha * g[j] * readout
                    new[d, k] = old[d, k] - beta * s


def train(grams: Array, rate: Array, task: LinearTask, n_steps: int) -> tuple[Array, Array]:
    """Loss at every step by the exact recursion.

    Parameters
    ----------
    grams : (m, d + 1, d + 1) array
        Where each of m networks starts; left alone.
    rate : (m, 2) array
        alpha and beta of each.

    Returns
    -------
    losses : (m, n_steps + 1) array
        Infinite from where a network passed ``DIVERGED``.
    grams : (m, d + 1, d + 1) array
        At the end; of a network that diverged, where it was left.
    """
    moved = np.array(grams, order="C")
    losses = np.empty((len(grams), n_steps + 1))
    _train(moved, np.ascontiguousarray(rate), task.eigenvalues, task.target, losses, np.empty((0, 0, 0, 0)))
    return losses, moved


def train_neurons(grams: Array, rate: Array, task: LinearTask, n_steps: int) -> tuple[Array, Array]:
    """As ``train``, with the change of the neurons from the start to every step.

    Returns
    -------
    losses : (m, n_steps + 1) array
    changes : (m, n_steps + 1, d + 1, d + 1) array
        A neuron [u, z] has moved by this matrix times its start; NaN after the network diverged.
    """
    moved, losses = np.array(grams, order="C"), np.empty((len(grams), n_steps + 1))
    changes = np.empty((len(grams), n_steps + 1, *grams.shape[1:]))
    changes[:, 0] = 0
    _train(moved, np.ascontiguousarray(rate), task.eigenvalues, task.target, losses, changes)
    return losses, changes


def feature_movement(change: Array, gram: Array, task: LinearTask) -> Array:
    """Root mean square over neurons and inputs of the change of a feature u_k.x, from (..., d + 1, d + 1) changes and starts."""
    rows = change[..., :-1, :]
    return np.asarray(np.sqrt(np.sum((rows @ gram) * rows, axis=-1) @ task.eigenvalues))


def limit(exponents: Exponents, n_inputs: int, learning_rate: float) -> tuple[Array, Array]:
    """Gram matrix and rates (alpha, beta) of the infinitely wide network that learns features.

    Raises
    ------
    ValueError
        In another regime: no finite Gram matrix describes it.
    """
    if exponents.regime != FEATURES:
        raise ValueError("only a limit that learns features is a recursion of a finite Gram matrix")
    gram = np.eye(n_inputs + 1)
    gram[-1, -1] = abs(exponents.output_init - 1) <= CLOSE
    return gram, np.array([learning_rate, learning_rate if abs(exponents.output_rate - 1) <= CLOSE else 0.0])


def kernel_strength(exponents: Exponents) -> float:
    """How many of the two layers drive the kernel limit: f <- f - eta * (this) * g; 0 where the limit is trivial."""
    return float(abs(exponents.output_rate - 1) <= CLOSE) + float(abs(exponents.output_init + exponents.feature - 1) <= CLOSE)


def kernel_loss(start_f: Array, strength: float, learning_rate: float, task: LinearTask, n_steps: int) -> Array:
    """(..., n_steps + 1) loss of the kernel limit from (..., d) effective weights at the start."""
    shrink = (1 - learning_rate * strength * task.eigenvalues) ** np.arange(n_steps + 1)[:, None]
    return np.asarray(((start_f - task.target)[..., None, :] * shrink) ** 2 @ task.eigenvalues)


def limit_loss(exponents: Exponents, learning_rate: float, task: LinearTask, n_steps: int) -> Array | None:
    """(n_steps + 1,) loss of the infinitely wide network, its mean where the start stays random; None where unstable.

    At w = 1/2 the output of the infinitely wide network starts as a standard Gaussian f, and the mean over it is returned.
    """
    regime = exponents.regime
    if regime == UNSTABLE:
        return None
    if regime == FEATURES:
        gram, rate = limit(exponents, task.target.size, learning_rate)
        losses = train(gram[None], rate[None], task, n_steps)[0][0]
        return losses if np.isfinite(losses).all() else None
    strength = kernel_strength(exponents)
    found = kernel_loss(np.zeros_like(task.target), strength, learning_rate, task, n_steps)
    if abs(exponents.output_init - 0.5) <= CLOSE:
        shrink = (1 - learning_rate * strength * task.eigenvalues) ** (2 * np.arange(n_steps + 1)[:, None])
        found = found + shrink @ task.eigenvalues
    return found
