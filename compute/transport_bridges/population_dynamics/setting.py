"""What the views share: parameters and the systems whose snapshots are taken."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Array = NDArray[np.float64]

SYSTEMS = ("Lotka-Volterra", "OU")
REFERENCES = ("right class", "wrong class", "Brownian")

System = Annotated[
    str, Choice("system", options=SYSTEMS, help="Lotka-Volterra in logarithms of prey and predators; OU on the line.")
]
ReferenceName = Annotated[
    str,
    Choice(
        "reference",
        options=REFERENCES,
        help="Wrong class: a linear drift for Lotka-Volterra, a constant one for OU. Brownian: no drift, no refit.",
    ),
]
NSnapshots = Annotated[
    int, LogInteger("snapshots", "T", low=3, high=100, help="Times at which a population is seen, ends included.")
]
Particles = Annotated[int, LogInteger("particles", "n", low=20, high=500, help="Seen in each snapshot, never the same twice.")]
Diffusion = Annotated[
    float, LogReal("diffusion", "g", low=0.01, high=1.0, help="Variance of the noise in a unit of time; given, not fitted.")
]
Theta = Annotated[float, Real("rate", r"\theta", low=0.1, high=3.0, help="Pull to zero; of Lotka-Volterra the speed of its cycle.")]
Kappa = Annotated[
    float, Real("interaction", r"\kappa", low=-2.0, high=5.0, help="Pull to the population's mean; negative pushes away.")
]
Iterations = Annotated[
    int, Integer("iterations", "k", low=0, high=15, help="Bridge, then refit the reference; at 0 the reference is Brownian.")
]
