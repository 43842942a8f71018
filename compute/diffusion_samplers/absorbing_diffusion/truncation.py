r"""Categorical draws with coarse uniform numbers, and what they do to masked sampling (155).

The Gumbel-max draw takes the largest log p_k - log(-log u_k), which is the first of the exponential clocks -log(u_k)/p_k.
A uniform number of m bits never exceeds 1 - 2^-m, so that no Gumbel number exceeds about m log 2 and no clock rings before
d/p_k, d = -log(1 - 2^-m). Past that the clocks are memoryless. With p falling, P_j = p_1 + ... + p_j and t_j = d/p_j, the
first j clocks run between t_j and t_{j + 1}, and

    P(k wins) = p_k sum_{j >= k} [exp(-(P_j t_j - j d)) - exp(-(P_j t_{j+1} - j d))]/P_j.

A masked sampler with R steps left keeps a letter hidden with probability 1 - 1/R and draws token k with p_k/R, all in one
such draw over V + 1 outcomes. Where p_k/R is below 2^-m the clock of k starts late: rare tokens lose, and so does uncovering.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.absorbing_diffusion.setting import Steps, Zipf
from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.parameters import Integer, LogInteger

Array = NDArray[np.float64]

Vocabulary = Annotated[int, LogInteger("vocabulary", r"V", low=2, high=50_000)]
Bits = Annotated[
    int, Integer("mantissa bits", r"m", low=8, high=53, help="Of the uniform numbers: 24 in 32-bit arithmetic, 53 in 64-bit.")
]

MAX_STEPS = 1_000_000
MAP_STEPS = np.unique(np.rint(np.geomspace(1, MAX_STEPS, 37)).astype(np.int64))
MAP_BITS = np.concatenate([np.arange(8, 38, 2), np.arange(38, 54, 3)])
CURVE_STEPS = np.unique(np.rint(np.geomspace(1, MAX_STEPS, 49)).astype(np.int64))
SINGLE, DOUBLE = 24, 53
TEMPERATURES = np.concatenate([np.geomspace(0.02, 0.3, 12), np.linspace(0.3, 1.0, 36)[1:]])


@kernel
def _winners(p, delta, out):  # type: ignore[no-untyped-def]
    """P(k wins) for p falling, of which zeros stand last; into out."""
    n = p.size
    while n > 0 and p[n - 1] <= 0.0:
        n -= 1
        out[n] = 0.0
    # P_j t - j d at t_j and t_{j+1}, summed so that nothing cancels: S_j = sum_{i <= j} (p_i t_j - d), all terms >= 0.
    mass = 0.0
    survived = 0.0  # log of 1/P(no clock has rung by t_j)
    for j in range(n):
        mass += p[j]
        if j + 1 < n:
            rise = mass * delta * (1 / p[j + 1] - 1 / p[j])
            out[j] = np.exp(-survived) * -np.expm1(-rise) / mass
            survived += rise
        else:
            out[j] = np.exp(-survived) / mass
    tail = 0.0
    for j in range(n - 1, -1, -1):
        tail += out[j]
        out[j] = p[j] * tail
    return out


def first_time(bits: int) -> float:
    """d = -log(1 - 2^-m), the earliest time of a clock of rate 1."""
    return -np.log1p(-(2.0**-bits))


def truncated_categorical(p: Array, bits: int) -> Array:
    """Law of a Gumbel-max draw from the (n,) law p with uniform numbers below 1 - 2^-bits."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(-p, kind="stable")
    out = np.empty(p.size)
    out[order] = _winners(p[order], first_time(bits), np.empty(p.size))
    return out


def zipf_law(vocabulary: int, exponent: float) -> Array:
    """(V,) falling."""
    weights = np.arange(1.0, vocabulary + 1) ** -exponent
    return weights / weights.sum()


def unmasking(p: Array, bits: int, steps_left: NDArray[np.int64]) -> tuple[Array, Array]:
    """One step of the sampler with R steps left.

    Parameters
    ----------
    p : (V,) array
        Falling.
    bits : int
    steps_left : (n,) array of int
        R, at least 1.

    Returns
    -------
    uncovered : (n,) array
        Probability that the letter appears; 1/R if draws were exact.
    law : (n, V) array
        Of the token, given that it appears.
    """
    delta = first_time(bits)
    uncovered, law = np.empty(len(steps_left)), np.empty((len(steps_left), p.size))
    for i, left in enumerate(steps_left):
        stay = 1 - 1 / left
        # Staying hidden is likelier than any token but in the last steps.
        place = int(np.searchsorted(-p / left, -stay))
        wins = _winners(np.insert(p / left, place, stay), delta, np.empty(p.size + 1))
        law[i] = np.delete(wins, place)
        uncovered[i] = law[i].sum()
        if uncovered[i] > 1e-290:
            law[i] /= uncovered[i]
        else:  # too late for anything but the likeliest token, and for that nearly so
            law[i] = np.eye(1, p.size)[0]
    return uncovered, law


def run_laws(p: Array, bits: int, steps: NDArray[np.int64]) -> Array:
    r"""Law of a token at the end of a whole run.

    With R steps left the letter stays hidden with probability (1 - 1/R)^s(R); s = 1 for exact draws. s and the token's law
    vary slowly in R: they are computed at the asked numbers of steps alone and averaged over what lies between two of them,
    where prod (1 - 1/R) telescopes.

    Parameters
    ----------
    p : (V,) array
        Falling.
    bits : int
    steps : (n,) array of int
        Rising from 1, dense on a logarithmic scale.

    Returns
    -------
    (n, V) array
    """
    uncovered, law = unmasking(p, bits, steps)
    ideal = np.log(steps[:-1] / steps[1:])
    slow = np.log1p(-uncovered[1:]) / np.log1p(-1 / steps[1:])
    adjacent = np.diff(steps) == 1  # nothing in between: only the draw with R = steps[i + 1] stands between the two
    below = np.where(adjacent, slow, np.concatenate([slow[:1], slow[:-1]]))
    between = np.where(adjacent[:, None], law[1:], 0.5 * (law[1:] + law[:-1]))
    # log of the share still hidden with steps[k] to go is reach[i] - reach[k], if all was hidden with steps[i] to go.
    reach = np.concatenate([[0.0], np.cumsum(0.5 * (slow + below) * ideal)])
    share = np.tril(np.exp(np.minimum(reach[:, None] - reach, 0.0)))
    out = share[:, :1] * law[0]
    if steps.size > 1:
        weight = np.tril(share[:, 1:] - share[:, :-1], k=-1)
        out = out + weight @ between
    return out


def entropy(laws: Array) -> Array:
    """Of the last axis, in nats."""
    return -np.sum(laws * np.log(np.maximum(laws, 1e-300)), axis=-1) + 0.0


def effective_temperature(p: Array, entropies: Array) -> Array:
    """The temperature T at which p^(1/T), normalized, has each entropy."""
    log_p = np.log(p / p.max())
    tempered = np.exp(log_p / TEMPERATURES[:, None])
    known = entropy(tempered / tempered.sum(axis=1, keepdims=True))
    return np.interp(entropies, np.concatenate([[0.0], known]), np.concatenate([[0.0], TEMPERATURES]))


@dataclass(frozen=True)
class Trap(Result):
    """What a masked sampler's tokens look like after n steps, by the bits of its uniform numbers."""

    n: NDArray[np.int64]  # (n_points,)
    entropy: dict[int, Array]  # by bits: (n_points,) of a token after the whole run, nats
    first: Array  # (n_points,) of a token uncovered in the first step, at the chosen bits
    perplexity: dict[int, Array]  # by bits: (n_points,) exp of the mean -log p of the tokens
    slowed: Array  # (n_points,) first step's probability of uncovering over 1/n, at the chosen bits
    exact: float  # entropy of the data
    bits: int
    steps: int
    here: tuple[float, float, float]  # at the chosen steps: entropy, perplexity, effective temperature

    def table(self) -> pl.DataFrame:
        frames = [
            pl.DataFrame(
                {"bits": bits, "steps": self.n, "entropy_nats": self.entropy[bits], "perplexity": self.perplexity[bits]}
            ).with_columns(
                first_step_entropy_nats=pl.Series(self.first if bits == self.bits else [None] * self.n.size, dtype=pl.Float64),
                first_step_rate=pl.Series(self.slowed if bits == self.bits else [None] * self.n.size, dtype=pl.Float64),
            )
            for bits in self.entropy
        ]
        return pl.concat(frames)

    def headline(self) -> dict[str, float | str]:
        entropy_here, perplexity, temperature = self.here
        return {
            f"entropy lost at {self.steps} steps, nats": self.exact - entropy_here,
            "perplexity, true": float(np.exp(self.exact)),
            "perplexity, as measured": perplexity,
            "effective temperature": temperature,
            "largest Gumbel number": -float(np.log(first_time(self.bits))),
        }


@experiment
def trap(*, bits: Bits = 24, steps: Steps = 8, vocabulary: Vocabulary = 1000, zipf: Zipf = 1.0) -> Trap:
    r"""Entropy and perplexity of tokens against the steps of a masked sampler with coarse uniform numbers.

    Closed forms of the truncated draw (``truncated_categorical``) composed over the run: a letter stays hidden, or takes a
    token, with the probabilities that the truncation leaves. Letters are independent, so that a grid itself costs nothing.
    """
    p = zipf_law(vocabulary, zipf)
    n = np.unique(np.append(CURVE_STEPS, steps))
    entropies, perplexities = {}, {}
    surprise = -np.log(p)
    for m in dict.fromkeys((bits, SINGLE, DOUBLE)):
        laws = run_laws(p, m, n)
        entropies[m], perplexities[m] = entropy(laws), np.exp(laws @ surprise)
    uncovered, law = unmasking(p, bits, n)
    at = int(np.searchsorted(n, steps))
    here = entropies[bits][at]
    temperature = float(effective_temperature(p, np.array([here]))[0])
    return Trap(
        n=n,
        entropy=entropies,
        first=entropy(law),
        perplexity=perplexities,
        slowed=uncovered * n,
        exact=float(entropy(p)),
        bits=bits,
        steps=steps,
        here=(float(here), float(perplexities[bits][at]), temperature),
    )


@dataclass(frozen=True)
class PrecisionMap(Result):
    """Effective temperature of a masked sampler's tokens over bits and steps."""

    n: NDArray[np.int64]  # (n_steps,)
    bits: NDArray[np.int64]  # (n_bits,)
    temperature: Array  # (n_bits, n_steps)
    likeliest: Array  # (n_steps,) bits below which even the likeliest token's clock starts late, log2(n/p_max)
    rarest: Array  # (n_steps,) the same of the rarest token
    here: tuple[int, int, float]  # bits, steps and temperature nearest to the reader's point

    def table(self) -> pl.DataFrame:
        n, bits = np.meshgrid(self.n, self.bits)
        lines = {
            "bits_for_likeliest": np.tile(self.likeliest, self.bits.size),
            "bits_for_rarest": np.tile(self.rarest, self.bits.size),
        }
        return pl.DataFrame({"bits": bits.ravel(), "steps": n.ravel(), "effective_temperature": self.temperature.ravel(), **lines})

    def headline(self) -> dict[str, float | str]:
        bits, steps, temperature = self.here
        safe = self.n[self.temperature[int(np.flatnonzero(self.bits == SINGLE)[0])] > 0.99]
        return {
            f"effective temperature, {bits} bits, {steps} steps": temperature,
            "coldest": float(self.temperature.min()),
            "24 bits: temperature above 0.99 up to": f"{int(safe[-1]):,} steps" if safe.size else "no number of steps",
        }


def _map_seconds(*, vocabulary: int, **_: float) -> float:
    return 0.01 + 3.6e-5 * vocabulary


@experiment(seconds=_map_seconds)
def precision_map(*, bits: Bits = 24, steps: Steps = 8, vocabulary: Vocabulary = 1000, zipf: Zipf = 1.0):  # type: ignore[no-untyped-def]
    r"""Effective temperature of a masked sampler's tokens over the bits of its uniform numbers and its steps.

    The temperature is that of p^(1/T) with the entropy of the tokens sampled. It begins to fall where the rarest token's clock
    starts late, p_min/n = 2^-m, and has fallen far where even the likeliest one's does, p_max/n = 2^-m.
    """
    p = zipf_law(vocabulary, zipf)
    entropies = np.empty((MAP_BITS.size, MAP_STEPS.size))
    for row, m in enumerate(MAP_BITS):
        entropies[row] = entropy(run_laws(p, int(m), MAP_STEPS))
    temperature = np.minimum(effective_temperature(p, entropies.ravel()), 1.0).reshape(entropies.shape)
    i, j = int(np.argmin(np.abs(MAP_BITS - bits))), int(np.argmin(np.abs(np.log(MAP_STEPS / steps))))
    yield (
        1.0,
        PrecisionMap(
            n=MAP_STEPS,
            bits=MAP_BITS,
            temperature=temperature,
            likeliest=np.log2(MAP_STEPS / p[0]),
            rarest=np.log2(MAP_STEPS / p[-1]),
            here=(int(MAP_BITS[i]), int(MAP_STEPS[j]), float(temperature[i, j])),
        ),
    )
