"""The probability-flow ODE on Gaussian data: every integrator as an affine map."""

from collections.abc import Iterator

import numpy as np

from compute.diffusion_samplers.error_propagation import flow
from compute.diffusion_samplers.error_propagation.setting import INTEGRATORS, MEAN, process_of, shape
from compute.models.geometric_spectrum import geometric_spectrum
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    process, horizon, steps = process_of("VP constant"), np.geomspace(0.5, 20.0, 33), 200
    eigenvalue, _ = geometric_spectrum(10, 4.0)
    bias, gain = 0.1, 0.2

    def plain(integrator: str) -> Array:
        t = horizon[:, None] * np.linspace(1.0, 0.0, steps + 1)
        h, psi = horizon[:, None, None] / steps, shape("uniform", t, horizon[:, None])
        alpha = process.alpha(t)[:, None]
        slope = -(1 + gain * psi)[:, None] / (alpha**2 * eigenvalue[:, None] + process.variance(t)[:, None])
        shift = -slope * alpha * MEAN - bias * psi[:, None]
        if integrator == "exponential":
            growth, weight = (f(t[:, :-1], t[:, 1:])[:, None] for f in (process.growth, process.score_weight))
            return compose(growth + weight * slope[..., :-1], weight * shift[..., :-1])
        half_rate = 0.5 * process.rate(t)[:, None]
        slope, shift = h * (process.pull(t)[:, None] + half_rate * slope), h * half_rate * shift
        one, two = slope[..., :-1], shift[..., :-1]
        if integrator == "Heun":
            ahead = slope[..., 1:]
            one, two = 0.5 * (one + ahead * (1 + one)), 0.5 * (two + ahead * two + shift[..., 1:])
        return compose(1 + one, two)

    for integrator in INTEGRATORS:
        yield Case(
            f"affine maps of {steps} steps ({integrator}), {horizon.size} horizons, {eigenvalue.size} eigenvalues",
            lambda integrator=integrator: np.stack(
                flow.affine_maps(process, horizon, steps, integrator, eigenvalue, bias, gain, "uniform")
            ),
            "NumPy, all steps at once",
            lambda integrator=integrator: plain(integrator),
            (flow._affine,),
        )


def compose(one: Array, two: Array) -> Array:
    """A and B of the maps x -> one x + two, the first step first: each shift is multiplied by all later slopes."""
    later = np.ones_like(one)
    later[..., :-1] = np.cumprod(one[..., :0:-1], axis=-1)[..., ::-1]
    return np.stack([later[..., 0] * one[..., 0], np.vecdot(two, later)])
