r"""Two datasets, the loss of a model on each, and the runs that pair them.

Each dataset has a law of the loss in parameters N and tokens D. With a the allocation exponent, g the exponent in compute,
alpha = g/a and beta = g/(1-a),

    additive   L = E + A N^-alpha + B D^-beta                            (Hoffmann et al. 2022, equation 2)
    coupled    L = E + (A N^{-alpha/beta} + B/D)^beta                    (the form of paper 134)

Both are scaled so that at C = 1e20 FLOP the best allocation is 20 tokens per parameter and leaves a reducible loss h. Trained at
its own optimum under C = 6 N D, each is then exactly L = E + h (C/1e20)^-g.

References
----------
Brandfonbrener et al., "Loss-to-Loss Prediction: Scaling Laws for All Datasets" (2024), paper 134 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from compute.methods.shared_parameters import gathered
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN
from compute.parameters import Choice, Column, Dataset, LogInteger, LogReal, Real, Seed

Array = NDArray[np.float64]

FIT_BUDGET = 1e20  # FLOP: the largest run on dataset 1
DECADES = 3  # of compute below it
TOKENS_PER_PARAMETER = 20.0
N_RUNS = 40  # on dataset 0
RATIOS = 20.0 * np.array([1.0, 0.25, 5.0, 0.5, 2.0])  # tokens per parameter of the runs on a plane of sizes and tokens

OPTIMUM, PLANE = "own optimum", "equal N and D"

Exponent0 = Annotated[
    float, Real("exponent of dataset 0", "g_0", low=0.05, high=0.5, help="Its reducible loss falls as C^-g at its own optimum.")
]
Exponent1 = Annotated[
    float, Real("exponent of dataset 1", "g_1", low=0.05, high=0.5, help="Its reducible loss falls as C^-g at its own optimum.")
]
Offset0 = Annotated[float, Real("irreducible loss of dataset 0", "E_0", low=0.0, high=3.0, unit="nats")]
Offset1 = Annotated[float, Real("irreducible loss of dataset 1", "E_1", low=0.0, high=3.0, unit="nats")]
Reducible0 = Annotated[
    float, Real("reducible loss of dataset 0", "h_0", low=0.1, high=2.0, unit="nats", help="At 1e20 FLOP, its own optimum.")
]
Reducible1 = Annotated[
    float, Real("reducible loss of dataset 1", "h_1", low=0.1, high=2.0, unit="nats", help="At 1e20 FLOP, its own optimum.")
]
Allocation0 = Annotated[
    float,
    Real("allocation exponent of dataset 0", "a_0", low=0.3, high=0.7, help="The best size grows as C^a. Matters at equal N, D."),
]
Allocation1 = Annotated[
    float,
    Real("allocation exponent of dataset 1", "a_1", low=0.3, high=0.7, help="The best size grows as C^a. Matters at equal N, D."),
]
Pairing = Annotated[
    str, Choice("runs paired at", options=(OPTIMUM, PLANE), help="Equal compute, each at its own optimum; or one (N, D) for both.")
]
LawForm = Annotated[str, Choice("form of the law", options=("coupled", "additive"), help="Matters only at equal N and D.")]
Points = Annotated[int, LogInteger("runs on dataset 1", "n", low=3, high=40, help="Dataset 0 has 40 runs.")]
Factor = Annotated[
    float, LogReal("extrapolation factor", low=1.0, high=100.0, help="The target's compute over 1e20 FLOP, the largest run fitted.")
]
Noise = Annotated[float, Real("noise of log loss", r"\sigma", low=0.0, high=0.02, help="From run to run.")]
SharedNoise = Annotated[
    float, Real("share of the noise in common", r"\rho", low=0.0, high=1.0, help="Correlation between the two losses of a pair.")
]
Source = Annotated[
    str,
    Choice(
        "dataset 0 at the target",
        options=("trained", "extrapolated"),
        help="Whether dataset 0 already has a run at the target's budget, or its law is extrapolated too.",
    ),
]
Refits = Annotated[
    int, LogInteger("bootstrap refits", "R", low=20, high=1000, help="Behind the bands and the interval of the exponent.")
]
PAIRS = Dataset(
    "your pairs of losses",
    help="One row a pair; leave loss_1 empty where only dataset 0 was trained.",
    columns=(
        Column("loss_0", "loss on dataset 0, nats per token", low=1e-6, high=1e3),
        Column("loss_1", "loss on dataset 1, or on a test set", required=False, low=1e-6, high=1e3),
        Column("FLOP", "training compute", required=False, low=1.0, high=1e40),
        Column("N", "parameters", required=False, low=1.0, high=1e20),
        Column("D", "training tokens", required=False, low=1.0, high=1e20),
    ),
    template="FLOP,loss_0,loss_1\n1e17,4.237,2.991\n3e17,3.852,2.598\n1e18,3.496,2.256\n3e18,3.223,2.008\n1e19,2.971,1.793\n"
    "3e19,2.778,1.636\n1e20,2.6,\n3e20,2.463,\n",
)
PairTable = Annotated[pl.DataFrame | None, PAIRS]


@dataclass(frozen=True)
class DataLaw:
    """The law of one dataset."""

    offset: float  # E
    exponent: float  # g
    reducible: float  # h
    allocation: float  # a
    form: str  # "coupled" or "additive"

    def at_optimum(self, compute: ArrayLike) -> Array:
        """E + h (C/1e20)^-g."""
        return self.offset + self.reducible * (np.asarray(compute, dtype=float) / FIT_BUDGET) ** -self.exponent

    def loss(self, n_parameters: ArrayLike, n_tokens: ArrayLike) -> Array:
        """The law at N and D: at 1e20 FLOP and 20 tokens per parameter the two terms hold shares a and 1 - a of h."""
        a, g = self.allocation, self.exponent
        best = np.sqrt(FIT_BUDGET / (FLOP_PER_PARAMETER_TOKEN * TOKENS_PER_PARAMETER))
        log_n = np.log(np.asarray(n_parameters, dtype=float) / best)
        log_d = np.log(np.asarray(n_tokens, dtype=float) / (TOKENS_PER_PARAMETER * best))
        if self.form == "additive":
            inner = a * np.exp(-g / a * log_n) + (1 - a) * np.exp(-g / (1 - a) * log_d)
            return np.asarray(self.offset + self.reducible * inner)
        inner = a * np.exp(-(1 - a) / a * log_n) + (1 - a) * np.exp(-log_d)
        return np.asarray(self.offset + self.reducible * inner ** (g / (1 - a)))


@dataclass(frozen=True)
class Places:
    """Where runs are trained."""

    compute: Array  # (n,) FLOP
    n_parameters: Array  # (n,)
    n_tokens: Array  # (n,)

    def variables(self) -> Array:
        """(n, 2): N and D."""
        return np.column_stack([self.n_parameters, self.n_tokens])

    def keep(self, at: NDArray[np.int64] | slice) -> Places:
        return Places(self.compute[at], self.n_parameters[at], self.n_tokens[at])


def at_ratio(compute: ArrayLike, ratio: ArrayLike = TOKENS_PER_PARAMETER) -> Places:
    """Runs of a given compute and number of tokens per parameter."""
    compute, ratio = np.broadcast_arrays(np.atleast_1d(np.asarray(compute, dtype=float)), np.asarray(ratio, dtype=float))
    n = np.sqrt(compute / (FLOP_PER_PARAMETER_TOKEN * ratio))
    return Places(compute.copy(), n, n * ratio)


def run_places(pairing: str) -> Places:
    """The runs on dataset 0: 40 budgets, or 8 budgets with 5 numbers of tokens per parameter."""
    if pairing == OPTIMUM:
        return at_ratio(np.geomspace(FIT_BUDGET / 10**DECADES, FIT_BUDGET, N_RUNS))
    budgets = np.geomspace(FIT_BUDGET / 10**DECADES, FIT_BUDGET, N_RUNS // RATIOS.size)
    return at_ratio(np.repeat(budgets, RATIOS.size), np.tile(RATIOS, budgets.size))


def few(n_points: int, n_runs: int = N_RUNS) -> NDArray[np.int64]:
    """Which of the runs dataset 1 has too: evenly spread over them."""
    return np.rint(np.linspace(0, n_runs - 1, n_points)).astype(np.int64)


@dataclass(frozen=True)
class Setting:
    """The two datasets and how they are measured."""

    exponent_0: Exponent0 = 0.15
    exponent_1: Exponent1 = 0.2
    offset_0: Offset0 = 1.7
    offset_1: Offset1 = 1.0
    reducible_0: Reducible0 = 0.9
    reducible_1: Reducible1 = 0.5
    allocation_0: Allocation0 = 0.45
    allocation_1: Allocation1 = 0.45
    pairing: Pairing = OPTIMUM
    law: LawForm = "coupled"
    few_shot_points: Points = 6
    extrapolation_factor: Factor = 20.0
    noise: Noise = 0.003
    shared_noise: SharedNoise = 0.5
    source: Source = "trained"
    seed: Seed = 0

    @property
    def laws(self) -> tuple[DataLaw, DataLaw]:
        return (
            DataLaw(self.offset_0, self.exponent_0, self.reducible_0, self.allocation_0, self.law),
            DataLaw(self.offset_1, self.exponent_1, self.reducible_1, self.allocation_1, self.law),
        )

    def truth(self, which: int, places: Places) -> Array:
        """Noise-free loss of dataset 0 or 1."""
        law = self.laws[which]
        return law.at_optimum(places.compute) if self.pairing == OPTIMUM else law.loss(places.n_parameters, places.n_tokens)

    @property
    def target(self) -> Places:
        return at_ratio(self.extrapolation_factor * FIT_BUDGET)

    @property
    def exact_map(self) -> tuple[float, float] | None:
        """(kappa, K) of the exact map; None where the truth is no shifted power law.

        At its own optimum each loss is a power of C, which can be eliminated: kappa = g1/g0, K = h1 h0^-kappa. At equal N and D
        the coupled forms share their inner term when their allocation exponents agree, and the same holds.
        """
        if self.pairing == PLANE and not (self.law == "coupled" and self.allocation_0 == self.allocation_1):
            same = self.exponent_0 == self.exponent_1 and self.allocation_0 == self.allocation_1
            if not same:
                return None
        kappa = self.exponent_1 / self.exponent_0
        return kappa, self.reducible_1 * self.reducible_0**-kappa


with_setting = gathered(Setting, "setting")


@dataclass(frozen=True)
class Measured:
    """What the analyst sees."""

    places: Places  # of the runs on dataset 0
    loss_0: Array  # (n,)
    paired: NDArray[np.int64]  # (n_paired,) which of them dataset 1 has too
    loss_1: Array  # (n_paired,)
    target: Places
    target_0: float | None  # dataset 0 at the target, where it was trained
    form: str  # of the law the analyst fits: "compute", "coupled" or "additive"


def measure(setting: Setting, rng: np.random.Generator) -> Measured:
    """Draw the runs: each log loss has noise sigma, a share rho of it common to the pair."""
    places, target = run_places(setting.pairing), setting.target
    n = places.compute.size
    common, own_0, own_1 = rng.standard_normal((3, n + 1))
    weights = setting.noise * np.sqrt([setting.shared_noise, 1 - setting.shared_noise])
    noise_0, noise_1 = weights @ np.stack([common, own_0]), weights @ np.stack([common, own_1])
    paired = few(setting.few_shot_points)
    is_trained = setting.source == "trained"
    return Measured(
        places,
        setting.truth(0, places) * np.exp(noise_0[:n]),
        paired,
        setting.truth(1, places)[paired] * np.exp(noise_1[paired]),
        target,
        float(setting.truth(0, target)[0] * np.exp(noise_0[n])) if is_trained else None,
        "compute" if setting.pairing == OPTIMUM else setting.law,
    )
