r"""The energy-guided dual: a potential learned against samples of its own model, exactly or by Langevin chains.

Entropic transport between p and q on the line is also

    max_f  E_p[ -eps log int exp((f(y) - |x - y|^2/2)/eps) dy ] + E_q f(y),

with f on features phi. The gradient is E_q phi - E_p E_{mu_x} phi, mu_x(y) prop. exp((f(y) - |x - y|^2/2)/eps): an energy-based
model for every start x. mu_x is summed on a grid, or sampled by a few Langevin steps y <- y - (h/2) grad U + sqrt(h) z,
U = (|x - y|^2/2 - f(y))/eps, h a share of eps, from fresh starts or from where the chains were.

References
----------
Mokrov, Korotin et al., "Energy-guided Entropic Neural Optimal Transport" (2024), paper 201 of the catalogue; equations 12 and 15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.methods.optimal_transport import sinkhorn
from compute.parameters import LogInteger, Seed
from compute.transport_bridges.schrodinger_bridge.setting import Epsilon, Gap, LinePair, ScaleRatio, line_laws

Array = NDArray[np.float64]

LangevinSteps = Annotated[
    int, LogInteger("Langevin steps", "L", low=1, high=200, help="Of every chain between two updates of the potential.")
]
Features = Annotated[int, LogInteger("features", "J", low=5, high=120, help="Gaussian bumps that the potential is made of.")]

UPDATES = 200
N_CHAINS = 200
STEP = 0.15  # Langevin step over eps
RATE = 0.1  # of Adam, times eps + 0.3: the potential's own scale
INNERS = ("exact", "fresh chains", "persistent chains")


@dataclass(frozen=True, eq=False)
class Dual:
    """The dual problem on a grid.

    Parameters
    ----------
    x, p, q : (n,) arrays
    epsilon : float
    bumps : (n, J) array
        Features on the grid.
    """

    x: Array
    p: Array
    q: Array
    epsilon: float
    bumps: Array

    @cached_property
    def cost(self) -> Array:
        return np.asarray(0.5 * (self.x[:, None] - self.x) ** 2)

    @cached_property
    def tilt(self) -> Array:
        """-cost/eps, to which every update adds its potential."""
        return -self.cost / self.epsilon

    def value_and_model(self, f: Array) -> tuple[float, Array]:
        """Dual value of a potential (n,) on the grid, and the end's law (n,) that it models."""
        each = self.tilt + f / self.epsilon
        highest = each.max(axis=1, keepdims=True)
        each -= highest
        np.exp(each, out=each)
        total = each.sum(axis=1)
        value = -self.epsilon * float(self.p @ (highest[:, 0] + np.log(total))) + float(self.q @ f)
        return value, np.asarray((self.p / total) @ each)

    def best(self) -> tuple[float, Array]:
        """The dual's maximum and a potential that attains it, by Sinkhorn; the sum over y replaces the integral."""
        seen = self.q > 1e-250
        found = sinkhorn(
            self.p, np.where(seen, self.q, 0.0) / self.q[seen].sum(), self.cost, self.epsilon, tolerance=1e-11, max_sweeps=6000
        )
        log_q = np.log(np.maximum(self.q, 1e-250))
        return found.value + self.epsilon * float(self.q[seen] @ log_q[seen]), found.second + self.epsilon * log_q


def features(x: Array, n: int) -> Array:
    """(len(x), n + 2) bumps over the grid, and a line and a parabola that carry the tails."""
    centers = np.linspace(x[0], x[-1], n)
    width = 1.2 * (centers[1] - centers[0])
    z = (x - x.mean()) / (x[-1] - x.mean())
    bumps = np.exp(-0.5 * ((x[:, None] - centers) / width) ** 2)
    return np.column_stack([bumps, 3 * z, 9 * z**2])


@kernel
def _langevin(
    rng: np.random.Generator,
    chains: Array,
    starts: Array,
    slope: Array,
    low: float,
    spacing: float,
    epsilon: float,
    step: float,
    n_steps: int,
) -> Array:
    """Ends (n,) of Langevin chains under a potential whose slope (n_grid,) is linear between an even grid's points."""
    y = chains.copy()
    noise = np.sqrt(step)
    last = slope.size - 1
    for _ in range(n_steps):
        for i in range(y.size):
            at = min(max((y[i] - low) / spacing, 0.0), float(last))
            k = min(int(at), last - 1)
            push = slope[k] + (at - k) * (slope[k + 1] - slope[k])
            y[i] += 0.5 * step * (push + starts[i] - y[i]) / epsilon + noise * rng.standard_normal()
    return y


def learn(dual: Dual, inner: str, langevin_steps: int, rng: np.random.Generator, updates: int = UPDATES) -> tuple[Array, Array]:
    """Adam on the features' weights: dual value at each update (updates,), and the last potential (n,)."""
    x, epsilon, phi = dual.x, dual.epsilon, dual.bumps
    theta = np.zeros(phi.shape[1])
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    wanted = dual.q @ phi
    starts = rng.choice(x, N_CHAINS, p=dual.p)
    chains = starts + np.sqrt(epsilon) * rng.standard_normal(N_CHAINS)
    step = STEP * epsilon
    spacing = x[1] - x[0]
    values = np.empty(updates)
    f = phi @ theta
    for k in range(updates):
        value, model = dual.value_and_model(f)
        values[k] = value
        if inner == "exact":
            gradient = wanted - model @ phi
        else:
            if inner == "fresh chains":
                starts = rng.choice(x, N_CHAINS, p=dual.p)
                chains = starts + np.sqrt(epsilon) * rng.standard_normal(N_CHAINS)
            chains = _langevin(rng, chains, starts, np.gradient(f, spacing), x[0], spacing, epsilon, step, langevin_steps)
            chains = np.clip(chains, x[0], x[-1])
            at = np.clip(np.rint((chains - x[0]) / spacing).astype(int), 0, x.size - 1)
            gradient = wanted - phi[at].mean(axis=0)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        size = RATE * (epsilon + 0.3) * min(1.0, 3 * (1 - k / updates))
        theta = theta + size * (mean / (1 - 0.9 ** (k + 1))) / (np.sqrt(square / (1 - 0.99 ** (k + 1))) + 1e-8)
        f = phi @ theta
    return values, f


@dataclass(frozen=True)
class EnergyDual(Result):
    """How close the learned duals come to the optimum, and the laws that they model."""

    update: Array  # (n_updates,)
    gap: dict[str, Array]  # each (n_updates,) optimum minus dual value
    x: Array  # (n_grid,)
    end: Array  # (n_grid,) the end's law, per unit length
    modeled: dict[str, Array]  # each (n_grid,)
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        curves = [pl.DataFrame({"inner": name, "update": self.update, "dual_gap": gap}) for name, gap in self.gap.items()]
        laws = [pl.DataFrame({"inner": name, "x": self.x, "density": law}) for name, law in self.modeled.items()]
        return pl.concat([*curves, *laws, pl.DataFrame({"inner": "target", "x": self.x, "density": self.end})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(seconds=lambda langevin_steps, **_: 0.03 + 2 * UPDATES * (6e-5 + 4.5e-6 * langevin_steps))
def energy_dual(
    *,
    pair: LinePair = "Gaussians",
    epsilon: Epsilon = 1.0,
    scale_ratio: ScaleRatio = 2.0,
    gap: Gap = 1.0,
    langevin_steps: LangevinSteps = 20,
    feature_count: Features = 30,
    seed: Seed = 0,
) -> Iterator[tuple[float, EnergyDual]]:
    """Learn the dual potential with an exact inner law, with fresh Langevin chains and with persistent ones."""
    x, p, q = line_laws(pair, scale_ratio, gap)
    dual = Dual(x, p, q, epsilon, features(x, feature_count))
    best, _ = dual.best()
    gaps, modeled = {}, {}
    spacing = x[1] - x[0]
    summary: dict[str, float | str] = {"dual optimum (Sinkhorn)": best}
    for k, inner in enumerate(INNERS):
        values, f = learn(dual, inner, langevin_steps, np.random.default_rng([seed, k]))
        model = dual.value_and_model(f)[1]
        gaps[inner] = np.maximum(best - values, 1e-9)
        modeled[inner] = model / spacing
        summary[f"dual gap, {inner}"] = float(gaps[inner][-1])
        summary[f"total variation of the end, {inner}"] = 0.5 * float(np.abs(model - q).sum())
        yield (
            (k + 1) / len(INNERS),
            EnergyDual(np.arange(1.0, UPDATES + 1), dict(gaps), x, q / spacing, dict(modeled), dict(summary)),
        )
