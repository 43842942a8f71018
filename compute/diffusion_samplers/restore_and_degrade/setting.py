"""What the views on noise share: their parameters, and runs of the samplers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.diffusion_samplers.restore_and_degrade.forwards import FORWARDS, HORIZON, Forward, forward_of
from compute.methods.distance_to_target import Target, directions
from compute.parameters import Choice, LogReal, Real

Array = NDArray[np.float64]

ForwardName = Annotated[
    str,
    Choice(
        "forward process",
        options=FORWARDS,
        help="Drift before unit noise √2 dW: −x, none, x − x³/4, or −x with a turn in the plane.",
    ),
]
StepSize = Annotated[
    float, LogReal("step size", "h", low=0.004, high=0.2, help=f"Rounded so that steps fill the horizon {HORIZON:g}.")
]
LookbackRatio = Annotated[
    float,
    LogReal(
        "lookback", r"\ell/h", low=1.0, high=100.0, help="How far back each restoration reaches, in steps; never behind time 0."
    ),
]
ScoreError = Annotated[
    float,
    Real(
        "score error", r"\varepsilon", low=0.0, high=0.5, help="Root mean square size of a smooth wrong field added to the score."
    ),
]
Separation = Annotated[float, Real("separation", r"\Delta", low=0.0, high=8.0, help="Distance between the two modes of the data.")]
Width = Annotated[
    float, Real("mode width", "s", low=0.2, high=1.0, help="Standard deviation of each mode: narrow modes are less smooth.")
]

N_KEPT = 100
FLOW = np.inf  # the ratio l/h of the Euler step of the probability flow


@dataclass(frozen=True)
class Noise:
    """The forward process and its data, chosen by the reader."""

    forward: ForwardName = "OU"
    separation: Separation = 3.0
    width: Width = 0.5

    @property
    def process(self) -> Forward:
        return forward_of(self.forward, self.separation, self.width)


def n_steps_of(step_size: float) -> int:
    return max(1, round(HORIZON / step_size))


def wrong_field(x: Array) -> Array:
    """A smooth field of root mean square size about 1 in all."""
    return np.sqrt(2 / x.shape[1]) * np.cos(2 * x + 1)


def restore(x: Array, drift: Array, score: Array, lookback: Array) -> Array:
    """x^ = x - l f(x) + l g^2 grad log q_t(x): the likeliest state a time l ago, to first order; g^2 = 2."""
    return x + lookback * (2 * score - drift)


def degrade(x: Array, restored: Array, drift: Array, lookback: Array, h: Array | float) -> Array:
    """Forward from x^ over l - h, with the noise that would have led on to x; ``drift`` is f(x^)."""
    noise = (x - restored - lookback * drift) / np.sqrt(2 * lookback)
    return restored + (lookback - h) * drift + np.sqrt(2 * (lookback - h)) * noise


def within(x: Array, reach: float) -> Array:
    """x itself, cut at plus and minus ``reach``; of so many small arrays np.clip would take half the time."""
    np.maximum(x, -reach, out=x)
    return np.asarray(np.minimum(x, reach, out=x))


Watch = Callable[[int, Array, Array, Array], None]


def sample(
    process: Forward,
    x: Array,
    n_steps: int,
    ratio: Array | float,
    score_error: Array | float = 0.0,
    watch: Watch | None = None,
) -> Array:
    """(n, d) states at time 0 of a deterministic sampler that starts from x at the horizon.

    Parameters
    ----------
    process : Forward
    x : (n, d) array
    n_steps : int
        Equal steps.
    ratio : (n, 1) array or float
        Lookback in steps, at least 1; infinite for the Euler step of the probability flow.
    score_error : (n, 1) array or float
        Size of the wrong field.
    watch : callable, optional
        Told the step, the state before, the restored state and the state after.
    """
    h = HORIZON / n_steps
    ratio = np.atleast_2d(np.asarray(ratio, dtype=float))
    is_flow = np.isinf(ratio)
    has_flow, has_error = bool(is_flow.any()), bool(np.any(score_error))
    reach = 2 * np.abs(x).max() + 10.0  # a wall far out: diverging runs stay finite
    for k in range(n_steps):
        t = HORIZON - k * h
        score = process.score(x, t)
        if has_error:
            score = score + score_error * wrong_field(x)
        drift = process.drift(x)
        # The past of time 0 is no state of the process: no restoration reaches behind it.
        lookback = np.maximum(np.minimum(ratio * h, t), h)
        restored = within(restore(x, drift, score, lookback), reach)
        after = degrade(x, restored, process.drift(restored), lookback, h)
        if has_flow:
            after = np.where(is_flow, x + h * (score - drift), after)
        after = within(after, reach)
        if watch is not None:
            watch(k, x, restored, after)
        x = after
    return x


def reverse_sde(process: Forward, x: Array, n_steps: int, rng: np.random.Generator) -> Array:
    """(n, d) states at time 0 of Euler and Maruyama's steps of the reverse SDE."""
    h = HORIZON / n_steps
    reach = 2 * np.abs(x).max() + 10.0
    for k in range(n_steps):
        move = h * (2 * process.score(x, HORIZON - k * h) - process.drift(x))
        x = within(x + move + np.sqrt(2 * h) * rng.standard_normal(x.shape), reach)
    return x


def exact_flow(process: Forward, x: Array, n_steps: int, drive: Array | float = 0.5, score_error: Array | float = 0.0) -> Array:
    """(n_steps + 1, n, d) the flow dx = (2 drive score - f) ds from x at the horizon, s = T - t, by Runge and Kutta's steps.

    Drive 1/2 is the probability flow.
    """
    h = HORIZON / n_steps
    path = [x]
    has_error = bool(np.any(score_error))

    def field(x: Array, t: float) -> Array:
        score = process.score(x, max(t, 0.0))
        if has_error:
            score = score + score_error * wrong_field(x)
        return 2 * drive * score - process.drift(x)

    for k in range(n_steps):
        t = HORIZON - k * h
        a = field(x, t)
        b = field(x + 0.5 * h * a, t - 0.5 * h)
        c = field(x + 0.5 * h * b, t - 0.5 * h)
        d = field(x + h * c, t - h)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
        path.append(x)
    return np.array(path)


@lru_cache(maxsize=64)
def start_of(process: Forward, n: int) -> Array:
    return process.start(n)


@lru_cache(maxsize=64)
def target_of(process: Forward, n: int) -> Target:
    """The data, for random samples."""
    return Target(process.data, n)


@lru_cache(maxsize=64)
def _flow_ends(process: Forward, n: int) -> tuple[Array, Array]:
    """Directions, and along each the sorted places where the exact flow takes the n points of the start."""
    axes = directions(process.data.dimension)
    return axes, np.sort(axes @ exact_flow(process, start_of(process, n), 150)[-1].T, axis=1)


def distance(process: Forward, ends: Array) -> Array:
    """(...,) W1, mean over directions, of (..., n, d) ends of the points of the start to those of the exact flow.

    The flow turns the start into the data; comparing with its ends leaves out what n points miss of any law.
    """
    axes, reference = _flow_ends(process, ends.shape[-2])
    along = np.sort(np.swapaxes(ends @ axes.T, -1, -2), axis=-1)
    return np.abs(along - reference).mean(axis=(-1, -2))


def drive(ratio: float) -> float:
    """c/h = r - sqrt(r (r - 1)) for a lookback of r steps: what multiplies g^2 score in the limit of small steps; 1/2 is right."""
    return float(ratio - np.sqrt(ratio * (ratio - 1))) if np.isfinite(ratio) else 0.5


def total_variation(x: Array, process: Forward) -> Array:
    """(...,) total variation distance to the data of the first coordinate, from (..., n) points of equal mass, n >= 100.

    Of the points in order every (n/100)-th is kept; between two kept ones the sampler has 1 percent of its mass, and half
    the sum of what the data differ is a lower bound, close for smooth maps.
    """
    skip = x.shape[-1] // N_KEPT
    kept = np.sort(x, axis=-1)[..., skip // 2 :: skip]
    law = process.data.project(np.eye(process.data.dimension)[0])
    between = np.diff(law.cdf(kept), axis=-1)
    share = 1 / kept.shape[-1]
    return 0.5 * (np.abs(between - share).sum(axis=-1) + np.abs(1 - between.sum(axis=-1) - share))
