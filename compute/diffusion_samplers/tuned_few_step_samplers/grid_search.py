r"""Evolutionary search of noise levels, as for the time steps of a given model.

A candidate is a set of K - 1 of 200 levels even in log sigma, between the top and the last step to 0. Each generation keeps its best
quarter (elitism: the best never gets worse), crosses two of them by drawing from the union of their levels, and moves a level by a
few places. The first generation holds the EDM grid and the one even in log sigma, not the equal angles that theory suggests. Fitness is the endpoint error on fixed starts.

References
----------
Paper 178 of the catalogue (time steps by evolutionary search; fitness there is FID).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.tuned_few_step_samplers.setting import (
    GRIDS,
    SIGMA_MAX,
    Anisotropy,
    Data,
    Generations,
    Population,
    Problem,
    Separation,
    SolverName,
    Steps,
    grid_of,
    problem_of,
    run_base,
    sample_of,
)
from compute.experiment import Result, experiment
from compute.parameters import Seed

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

N_LEVELS = 200
N_FITNESS = 64
SEEDED = ("EDM", "even in log σ")
LEVELS = np.geomspace(SIGMA_MAX, 0.02, N_LEVELS + 1)[1:]


def nearest(levels: Array) -> Indices:
    """The set of candidate levels nearest to the inner levels of a grid, all different."""
    k = levels.size - 2
    found = np.searchsorted(-np.log(LEVELS), -np.log(np.maximum(levels[1:-1], LEVELS[-1])))
    found = np.clip(found, 0, N_LEVELS - 1)
    for i in range(1, k):  # crowded levels move down one place
        found[i] = max(found[i], found[i - 1] + 1)
    return found - max(0, int(found[-1]) - (N_LEVELS - 1)) if k else found


def whole(chosen: Indices) -> Array:
    """(n_steps + 1,) levels of a run."""
    return np.concatenate([[SIGMA_MAX], LEVELS[chosen], [0.0]])


def cross(rng: np.random.Generator, one: Indices, other: Indices) -> Indices:
    """As many levels, drawn from the union."""
    union = np.array(sorted({*one.tolist(), *other.tolist()}))  # of a few numbers: np.union1d takes ten times as long
    return np.sort(rng.choice(union, one.size, replace=False))


def mutate(rng: np.random.Generator, chosen: Indices) -> Indices:
    """One level moved by about eight places, if the place is free."""
    moved = chosen.copy()
    j = int(rng.integers(chosen.size))
    place = min(max(int(chosen[j]) + round(8 * rng.standard_normal()), 0), N_LEVELS - 1)
    if place not in chosen:
        moved[j] = place
    return np.sort(moved)


def evolve(
    fitness: Callable[[Indices], float], seeds: list[Indices], population: int, generations: int, rng: np.random.Generator
) -> Iterator[tuple[Indices, float]]:
    """The best candidate and its fitness, of the first generation and after each."""
    known: dict[tuple[int, ...], float] = {}

    def value(chosen: Indices) -> float:
        key = tuple(chosen.tolist())
        if key not in known:
            known[key] = fitness(chosen)
        return known[key]

    pool = list(seeds)
    while len(pool) < population:
        pool.append(np.sort(rng.choice(N_LEVELS, seeds[0].size, replace=False)))
    pool.sort(key=value)
    yield pool[0], value(pool[0])
    for _ in range(generations):
        elite = pool[: max(2, population // 4)]
        children: list[Indices] = []
        while len(elite) + len(children) < population:
            i, j = rng.integers(len(elite), size=2)
            children.append(mutate(rng, cross(rng, elite[i], elite[j]) if i != j else elite[i]))
        pool = sorted([*elite, *children], key=value)
        yield pool[0], value(pool[0])


@dataclass(frozen=True)
class FoundGrid(Result):
    """The best grid of each generation beside the usual ones."""

    grids: dict[str, Array]  # by name, (n_steps,) levels that steps start at
    errors: dict[str, float]  # by name, on fresh noise
    found: Array  # (n_generations + 1, n_steps)
    fitness: Array  # (n_generations + 1,)
    seeded: float  # fitness of the better grid that the search starts from
    fresh: float  # error of the last found grid on fresh noise
    angle_gap: float  # largest distance of a found level from equal angles, in units of their spacing

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"generation": np.arange(self.fitness.size, dtype=float), "best_fitness": self.fitness}),
            pl.DataFrame({"grid": ["searched"] * self.found.shape[1], "noise_level": self.found[-1]}),
        ]
        parts += [pl.DataFrame({"grid": [name] * levels.size, "noise_level": levels}) for name, levels in self.grids.items()]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "error of EDM, fresh noise": self.errors["EDM"],
            "error of equal angles": self.errors["equal angles"],
            "error of the searched grid": self.fresh,
            "gain over EDM": self.errors["EDM"] / self.fresh,
            "largest gap to equal angles (steps)": self.angle_gap,
        }


def _seconds(*, steps: int, solver: str, generations: int, population: int, data: str, **_: object) -> float:
    evaluations = steps * (1 if solver == "Euler (DDIM)" else 2)
    return 0.02 + 0.45 * population * (generations + 1) * (8e-6 + evaluations * (1.5e-5 if data == "ring" else 9e-6))


@experiment(seconds=_seconds)
def found_grid(
    *,
    data: Data = "ring",
    steps: Steps = 5,
    solver: SolverName = "Heun",
    generations: Generations = 30,
    population: Population = 40,
    separation: Separation = 3.0,
    anisotropy: Anisotropy = 4.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, FoundGrid]]:
    """Search the noise levels of a few-step sampler; the fitness is its endpoint error on 64 fixed starts."""
    problem: Problem = problem_of(data, separation, anisotropy)
    start, exact = sample_of(problem, seed, N_FITNESS)
    fresh, fresh_exact = sample_of(problem, seed + 1000, 400)

    def error_of(levels: Array) -> float:
        return problem.error(run_base(problem, solver, start, levels), exact)

    grids = {name: grid_of(name, steps, problem.scale) for name in GRIDS}
    errors = {name: problem.error(run_base(problem, solver, fresh, levels), fresh_exact) for name, levels in grids.items()}
    seeds = [nearest(grids[name]) for name in SEEDED]
    search = evolve(lambda c: error_of(whole(c)), seeds, population, generations, np.random.default_rng([seed, 5]))
    seeded = min(error_of(whole(c)) for c in seeds)
    found: list[Array] = []
    fitness: list[float] = []
    angle = np.arctan(grids["equal angles"] / problem.scale)
    result = FoundGrid({n: g[:-1] for n, g in grids.items()}, errors, np.empty((0, steps)), np.empty(0), seeded, 0.0, 0.0)
    for k, (best, value) in enumerate(search):
        found.append(whole(best)[:-1])
        fitness.append(value)
        if k == generations or k % 10 == 0:
            gap = np.abs(np.arctan(found[-1] / problem.scale) - angle[:-1]).max() / (angle[0] - angle[1])
            end = problem.error(run_base(problem, solver, fresh, whole(best)), fresh_exact)
            now = replace(result, found=np.array(found), fitness=np.array(fitness), fresh=end, angle_gap=float(gap))
            yield (k + 1) / (generations + 1), now
