r"""What one stray atom costs, in closed form: mu = delta_0 against nu = (1 - e) delta_0 + e delta_D.

All the mass that moves moves by D: e Phi(D/k) = 1, so that W_Phi = D/Phi^{-1}(1/e). W_p = e^{1/p} D forgets a rare atom, while
D/log(1 + 1/e) hardly does. Read backwards: mass beyond r is at most 1/Phi(r/W_Phi).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.orlicz import EXPONENTIAL, GAUSSIAN, Young, on_the_line, power
from compute.parameters import LogReal, Real

Array = NDArray[np.float64]
MASS = np.geomspace(1e-8, 1, 65)
RATIO = np.linspace(1.0, 12.0, 67)

StrayMass = Annotated[float, LogReal("mass of the stray atom", r"\varepsilon", low=1e-8, high=1.0)]
StrayDistance = Annotated[float, LogReal("its distance", "D", low=0.5, high=100.0)]
ShownPower = Annotated[float, Real("power", "p", low=1.0, high=8.0)]


@dataclass(frozen=True)
class Stray(Result):
    """Distances against the stray mass, and the most mass that may lie beyond a radius."""

    mass: Array  # (n,)
    distance: dict[str, Array]  # (n,) by Phi
    checked_mass: Array  # (n_checked,)
    checked: dict[str, Array]  # (n_checked,) by the algorithm
    ratio: Array  # (m,) radius over distance
    beyond: dict[str, Array]  # (m,) most mass
    here: dict[str, float]
    at: float

    def table(self) -> pl.DataFrame:
        distances = pl.DataFrame({"stray_mass": self.mass} | {f"W {name}": w for name, w in self.distance.items()})
        checked = pl.DataFrame({"stray_mass": self.checked_mass} | {f"computed W {name}": w for name, w in self.checked.items()})
        tails = pl.DataFrame({"radius_over_distance": self.ratio} | {f"most mass, {name}": b for name, b in self.beyond.items()})
        return pl.concat([distances, checked, tails], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        gap = max(
            float(np.max(np.abs(np.log(self.checked[name] / np.interp(np.log(self.checked_mass), np.log(self.mass), w)))))
            for name, w in self.distance.items()
        )
        found: dict[str, float | str] = {f"W, {name}": value for name, value in self.here.items()}
        return found | {"algorithm against formula, largest log ratio": gap}


@experiment
def stray_atom(*, stray_mass: StrayMass = 1e-3, stray_distance: StrayDistance = 10.0, shown_power: ShownPower = 2.0) -> Stray:
    """Closed forms, and the same from the general algorithm on the line."""
    phis: list[Young] = [power(1.0), power(shown_power), EXPONENTIAL, GAUSSIAN]
    if shown_power == 1.0:
        del phis[1]
    checked_mass = MASS[4::8]
    points = np.array([0.0, stray_distance])
    checked = {
        phi.name: np.array([on_the_line(np.zeros(1), np.ones(1), points, np.array([1 - e, e]), phi) for e in checked_mass])
        for phi in phis
    }
    return Stray(
        MASS,
        {phi.name: stray_distance / phi.inverse(1 / MASS) for phi in phis},
        checked_mass,
        checked,
        RATIO,
        {phi.name: np.minimum(1.0, 1 / phi.value(RATIO)) for phi in phis},
        {phi.name: float(stray_distance / phi.inverse(np.array(1 / stray_mass))) for phi in phis},
        stray_mass,
    )
