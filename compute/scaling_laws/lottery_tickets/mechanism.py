r"""The mechanism: a spline's error and the average of noisy tickets.

N neurons carry n = max(1, round(rho N)) tickets. Each is a noisy, unbiased copy of the best piecewise linear function of N
equal pieces, its noise of variance v at every x; the network is their mean. For y = x^2 on [-1, 1]

    MSE(N) = a N^-4 + v/n,    a = 16/180,

since on a piece of length h = 2/N the best line leaves -(h^2/6) P_2, of mean square h^4/180, and these pieces join. With
n = rho N the local exponent is (4 a N^-4 + v/(rho N))/MSE: 4 where approximation rules, 1 where averaging does, 5/2 at the
crossover N = (a rho/v)^{1/3}.

References
----------
Liu and Tegmark, "A Neural Scaling Law from Lottery Ticket Ensembling" (2023), paper 188 of the catalogue: N^-1 from averaging,
section 3, against N^-4 from approximation, section 2. The sum of both as one curve, and a, are derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.parameters import LogInteger, LogReal, Real, Seed

Array = NDArray[np.float64]

SPLINE = 16 / 180  # a: best spline of N pieces; interpolation at the knots has 16/30
WIDTHS = 2 ** np.arange(1, 9)
N_NETWORKS = 20  # drawn at each width

Width = Annotated[int, LogInteger("width", "N", low=2, high=256, help="Hidden neurons.")]
TicketNoise = Annotated[float, LogReal("variance of a ticket", "v", low=1e-8, high=1.0)]
TicketsPerNeuron = Annotated[float, Real("tickets per neuron", r"\rho", low=0.1, high=1.0)]


def mechanism_error(width: Array, ticket_noise: Array | float, tickets_per_neuron: float) -> tuple[Array, Array]:
    """(approximation, averaging) parts of the mean squared error."""
    width = np.asarray(width, dtype=float)
    return SPLINE * width**-4, np.asarray(ticket_noise) / (tickets_per_neuron * width)


def local_exponent(approximation: Array, averaging: Array) -> Array:
    """-d log MSE / d log N."""
    return (4 * approximation + averaging) / (approximation + averaging)


def crossover(ticket_noise: Array | float, tickets_per_neuron: float) -> Array:
    """The width at which both parts are equal."""
    return (SPLINE * tickets_per_neuron / np.asarray(ticket_noise, dtype=float)) ** (1 / 3)


@dataclass(frozen=True)
class ExponentMap(Result):
    """Local exponent over (N, v)."""

    width: Array  # (n_width,)
    ticket_noise: Array  # (n_noise,)
    exponent: Array  # (n_noise, n_width)
    tickets_per_neuron: float
    at: tuple[float, float]

    def table(self) -> pl.DataFrame:
        width, noise = np.meshgrid(self.width, self.ticket_noise)
        return pl.DataFrame({"width": width.ravel(), "ticket_noise": noise.ravel(), "local_exponent": self.exponent.ravel()})

    def headline(self) -> dict[str, float | str]:
        parts = mechanism_error(np.array(self.at[0]), self.at[1], self.tickets_per_neuron)
        return {
            "local exponent": float(local_exponent(*parts)),
            "share of averaging in the error": float(parts[1] / (parts[0] + parts[1])),
            "crossover width": float(crossover(self.at[1], self.tickets_per_neuron)),
            "error": float(parts[0] + parts[1]),
        }


@experiment
def exponent_map(*, width: Width = 32, ticket_noise: TicketNoise = 1e-4, tickets_per_neuron: TicketsPerNeuron = 0.5) -> ExponentMap:
    """Where approximation and where averaging sets the exponent, exact for the mechanism."""
    widths, noises = np.geomspace(2, 256, 90), np.geomspace(1e-8, 1, 81)
    exponent = local_exponent(*mechanism_error(widths, noises[:, None], tickets_per_neuron))
    return ExponentMap(widths, noises, exponent, tickets_per_neuron, (float(width), ticket_noise))


@dataclass(frozen=True)
class MechanismCurve(Result):
    """Error against width: the two parts, their sum, and averaged tickets drawn at random."""

    curve_width: Array  # (n_curve,)
    approximation: Array  # (n_curve,)
    averaging: Array  # (n_curve,)
    width: Array  # (n_width,)
    theory: Array  # (n_width,) with a whole number of tickets
    simulated: Array  # (n_width,) mean over networks
    standard_error: Array  # (n_width,)
    crossover: float

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame(
            {
                "width": self.curve_width,
                "approximation": self.approximation,
                "averaging": self.averaging,
                "sum": self.approximation + self.averaging,
            }
        )
        points = pl.DataFrame(
            {"width": self.width, "theory": self.theory, "simulated": self.simulated, "standard_error": self.standard_error}
        )
        return pl.concat([curve, points], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        slope = np.polyfit(np.log(self.width), np.log(self.simulated), 1)[0]
        gap = np.abs(self.simulated - self.theory) / self.standard_error
        return {
            "exponent of one line through all widths": float(-slope),
            "crossover width": self.crossover,
            "largest gap, theory to simulation (SE)": float(gap.max()),
        }


def nodes(n_pieces: int) -> tuple[Array, Array]:
    """Gauss points of [-1, 1], three to a piece or to a part of one, and weights that add up to 1."""
    cells = n_pieces * -(-24 // n_pieces)
    t, weight = np.polynomial.legendre.leggauss(3)
    middle = (np.arange(cells) + 0.5) * 2 / cells - 1
    return (middle[:, None] + t / cells).ravel(), np.tile(weight / (2 * cells), cells)


def averaged_tickets(width: int, n_tickets: int, ticket_noise: float, rng: np.random.Generator) -> float:
    """Mean squared error over [-1, 1] of one network of tickets.

    A ticket is the best spline of N pieces plus sqrt(2 v) cos(omega x + phase): of mean 0 and variance v at every x.
    """
    x, weight = nodes(width)
    omega = rng.uniform(np.pi, 4 * np.pi, n_tickets)
    phase = rng.uniform(0, 2 * np.pi, n_tickets)
    noise = np.sqrt(2 * ticket_noise) * np.cos(np.outer(x, omega) + phase).mean(axis=1)
    return float(weight @ (spline_error(x, width) + noise) ** 2)


def spline_error(x: Array, n_pieces: int) -> Array:
    """Best continuous piecewise linear function of so many equal pieces of [-1, 1], minus x^2."""
    h = 2 / n_pieces
    place = np.minimum(np.floor((x + 1) / h), n_pieces - 1)
    t = 2 * ((x + 1) / h - place) - 1  # from -1 to 1 on the piece
    return -(h**2) / 6 * (1.5 * t**2 - 0.5)


@experiment
def mechanism_curve(
    *, ticket_noise: TicketNoise = 1e-4, tickets_per_neuron: TicketsPerNeuron = 0.5, seed: Seed = 0
) -> MechanismCurve:
    """Error of averaged tickets against width, beside the theory."""
    rng = np.random.default_rng([seed, 1])
    n_tickets = np.maximum(1, np.rint(tickets_per_neuron * WIDTHS)).astype(int)
    found = np.array(
        [
            [averaged_tickets(int(n), int(k), ticket_noise, rng) for _ in range(N_NETWORKS)]
            for n, k in zip(WIDTHS, n_tickets, strict=True)
        ]
    )
    curve = np.geomspace(2, 256, 120)
    return MechanismCurve(
        curve,
        *mechanism_error(curve, ticket_noise, tickets_per_neuron),
        WIDTHS.astype(float),
        SPLINE * WIDTHS.astype(float) ** -4 + ticket_noise / n_tickets,
        found.mean(axis=1),
        found.std(axis=1, ddof=1) / np.sqrt(N_NETWORKS),
        float(crossover(ticket_noise, tickets_per_neuron)),
    )
