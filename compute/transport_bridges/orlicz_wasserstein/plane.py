"""A fitted mixing measure in the plane, its optimal plan to the truth, and what Sinkhorn's regularization does to the distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.optimal_transport import squared_distance
from compute.methods.orlicz import by_entropic_cost, by_linear_programs, orlicz_norm, power, without_dust
from compute.methods.shared_parameters import gathered
from compute.parameters import LogReal, Seed
from compute.transport_bridges.orlicz_wasserstein.setting import Mixture, Phi, Power, Radius, Samples, fit_seconds, phi_of

Array = NDArray[np.float64]
SWEEPS = 40
N_SHOWN = 200

SinkhornEpsilon = Annotated[
    float, LogReal("smallest regularization", r"\epsilon", low=1e-3, high=0.3, help="In units of the cost.")
]


@lru_cache(maxsize=32)  # the same fit under every Phi and power
def fitted(mixture: Mixture, n: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Data, true atoms, fitted means and weights: the last draw of the posterior, or the likeliest measure."""
    rng = np.random.default_rng([seed, 21])
    atoms = mixture.in_the_plane()
    x = mixture.sample(atoms, n, rng)
    *_, (means, weights) = mixture.draws(x, SWEEPS, rng)
    found = (x, atoms, *without_dust(means, weights))
    for array in found:
        array.setflags(write=False)
    return found


def _distances(x: Array, y: Array) -> Array:
    return np.asarray(np.sqrt(squared_distance(x, y)))


@dataclass(frozen=True)
class Coupling(Result):
    """Two mixing measures with their plan."""

    data: NDArray[np.float32]  # (n_shown, 2)
    atoms: Array  # (m, 2)
    means: Array  # (K, 2)
    weights: Array  # (K,)
    is_outlier: NDArray[np.bool_]  # (K,)
    radius: float
    pair: NDArray[np.intp]  # (n_pairs, 2): place of the true atom, of the fitted one
    pair_mass: Array  # (n_pairs,)
    pair_distance: Array
    budget: dict[str, Array]  # (n_pairs,) share of E Phi(d/k) = 1, by distance, each on its own plan's pairs
    budget_distance: dict[str, Array]
    distance: dict[str, float]
    n_plans: int
    reach: float  # half the width of a window that shows all

    def table(self) -> pl.DataFrame:
        K = self.weights.size
        fit = {"x": self.means[:, 0], "y": self.means[:, 1], "weight": self.weights, "is_outlier": self.is_outlier}
        frames = [
            pl.DataFrame({"what": ["data"] * len(self.data), "x": self.data[:, 0], "y": self.data[:, 1]}),
            pl.DataFrame({"what": ["true atom"] * len(self.atoms), "x": self.atoms[:, 0], "y": self.atoms[:, 1]}),
            pl.DataFrame({"what": ["fitted atom"] * K} | fit),
            pl.DataFrame(
                {
                    "what": ["pair of the plan"] * len(self.pair),
                    "true_atom": self.pair[:, 0],
                    "fitted_atom": self.pair[:, 1],
                    "weight": self.pair_mass,
                    "distance": self.pair_distance,
                }
            ),
        ]
        frames += [
            pl.DataFrame({"what": [f"budget, {name}"] * share.size, "distance": self.budget_distance[name], "share": share})
            for name, share in self.budget.items()
        ]
        return pl.concat(frames, how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {name: value for name, value in self.distance.items()}
        return found | {
            "outlying mass": float(self.weights[self.is_outlier].sum()),
            "outlying atoms": float(self.is_outlier.sum()),
            "linear programs solved": float(self.n_plans),
        }


def _plane_seconds(*, n_samples: int, truncation: int, estimator: str, **_: object) -> float:
    return 0.012 + 0.0006 * truncation + fit_seconds(n_samples, truncation, estimator, SWEEPS)


@experiment(seconds=_plane_seconds)
@gathered(Mixture, "mixture")
def plane_coupling(
    *,
    phi: Phi = "exp(x)-1",
    power_p: Power = 2.0,
    outlier_radius: Radius = 2.0,
    n_samples: Samples = 500,
    mixture: Mixture,
    seed: Seed = 0,
) -> Iterator[tuple[float, Coupling]]:
    """Fit an overfitted mixture to points in the plane; couple it to the truth under Phi, and under the distance itself."""
    x, atoms, means, weights = fitted(mixture, n_samples, seed)
    truth = np.full(len(atoms), 1 / len(atoms))
    gap = _distances(atoms, means)
    young = phi_of(phi, power_p)
    best = by_linear_programs(truth, weights, gap, young)
    plain = by_linear_programs(truth, weights, gap, power(1.0))
    square = by_linear_programs(truth, weights, gap, power(2.0))
    name = f"W, {young.name}"
    pairs = np.argwhere(best.plan > 1e-12)
    mass = best.plan[tuple(pairs.T)]
    length = gap[tuple(pairs.T)]
    budget, budget_distance = {}, {}
    for label, plan, function in (("W, x", plain, power(1.0)), (name, best, young)):
        kept = plan.plan > 1e-12
        budget[label] = plan.plan[kept] * function.value(gap[kept] / plan.distance)
        budget_distance[label] = gap[kept]
    reach = max(float(np.abs(atoms).max()) + 4, 1.05 * float(np.abs(means).max()))
    yield (
        1.0,
        Coupling(
            x[:N_SHOWN].astype(np.float32),
            atoms,
            means,
            weights,
            gap.min(axis=0) > outlier_radius,
            outlier_radius,
            pairs,
            mass,
            length,
            budget,
            budget_distance,
            {"W₁": plain.distance, "W₂": square.distance} | {name: best.distance},
            best.n_plans,
            reach,
        ),
    )


# --- Sinkhorn -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regularized(Result):
    """W_Phi from entropic costs against the regularization."""

    epsilon: Array  # (n,)
    debiased: Array  # (n,)
    plain: Array  # (n,)
    exact: float
    independent: float  # k of the independent plan: the limit of the plain one from above

    def table(self) -> pl.DataFrame:
        columns = {"epsilon": self.epsilon, "debiased": self.debiased, "plain": self.plain}
        return pl.DataFrame(columns).with_columns(exact=pl.lit(self.exact), independent_plan=pl.lit(self.independent))

    def headline(self) -> dict[str, float | str]:
        return {
            "exact, by linear programs": self.exact,
            f"debiased at ε = {self.epsilon[0]:.3g}, off by": float(self.debiased[0] / self.exact - 1),
            f"plain at ε = {self.epsilon[0]:.3g}, off by": float(self.plain[0] / self.exact - 1),
            "independent plan": self.independent,
        }


def _epsilons(smallest: float) -> Array:
    return np.asarray(np.geomspace(smallest, 3.0, 4))


def _sinkhorn_seconds(*, n_samples: int, truncation: int, estimator: str, sinkhorn_epsilon: float, **_: object) -> float:
    fit = fit_seconds(n_samples, truncation, estimator, SWEEPS)
    levels = float(np.sum(4 + np.log(1 / _epsilons(sinkhorn_epsilon))))
    return 0.015 + fit + levels * (0.0008 + 2e-5 * truncation)


@experiment(seconds=_sinkhorn_seconds)
@gathered(Mixture, "mixture")
def price_of_sinkhorn(
    *,
    sinkhorn_epsilon: SinkhornEpsilon = 0.05,
    phi: Phi = "exp(x)-1",
    power_p: Power = 2.0,
    n_samples: Samples = 500,
    mixture: Mixture,
    seed: Seed = 0,
) -> Iterator[tuple[float, Regularized]]:
    """The distance of the same two measures by Sinkhorn's iteration, at regularizations up to 3."""
    _, atoms, means, weights = fitted(mixture, n_samples, seed)
    truth, young = np.full(len(atoms), 1 / len(atoms)), phi_of(phi, power_p)
    gap = _distances(atoms, means)
    within = (_distances(atoms, atoms), _distances(means, means))
    exact = by_linear_programs(truth, weights, gap, young).distance
    independent = orlicz_norm(gap.ravel(), np.outer(truth, weights).ravel(), young)
    debiased: list[float] = []
    plain: list[float] = []
    grid = _epsilons(sinkhorn_epsilon)
    for k, epsilon in enumerate(grid[::-1]):  # from large to small: the quick ones first
        for row, is_debiased in ((debiased, True), (plain, False)):
            found = by_entropic_cost(
                truth, weights, gap, within, young, float(epsilon), is_debiased=is_debiased, exact_distance=exact
            )
            row.insert(0, found)
        shown = grid[grid.size - 1 - k :]
        yield (k + 1) / grid.size, Regularized(shown, np.array(debiased), np.array(plain), exact, independent)
