"""Sigmoids of capability, fitted to the task of many simulated observatories."""

from collections.abc import Iterator

import numpy as np
from scipy.optimize import leastsq
from scipy.special import expit, logit

from compute.scaling_laws.observational import fits
from compute.scaling_laws.observational.observatory import Setting, simulate
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    setting, studies = Setting(), []
    for seed in range(100):
        observatory = simulate(setting, np.random.default_rng(seed))
        first = fits.capability(observatory.scores, setting.components_used).scores
        train, _ = fits.split(observatory, first[:, 0], setting.cutoff_percentile)
        studies.append((first[train], observatory.target[train]))

    def fast() -> Array:
        return np.concatenate([fits.fit_sigmoid(x, y).predict(x) for x, y in studies])

    yield Case(
        f"{len(studies)} fits of a sigmoid to {len(studies[0][1])} models",
        fast,
        "SciPy leastsq, NumPy inside",
        lambda: np.concatenate([fit(x, y) for x, y in studies]),
        (fits._residual, fits._jacobian),
    )


def fit(x: Array, y: Array) -> Array:
    """Predictions at the fitted models, from the same start and by the same steps."""
    z = (x - x.mean(axis=0)) @ (np.linalg.pinv(np.linalg.qr(x - x.mean(axis=0), mode="r")) * np.sqrt(len(x)))
    design = np.column_stack([np.ones(len(z)), z])
    level = logit(np.clip(y / max(0.95, float(y.max())), 0.02, 0.98))
    start = np.concatenate([[logit(0.9)], np.linalg.lstsq(design, level, rcond=None)[0]])

    def value(p: Array) -> Array:
        return expit(p[0]) * expit(design @ p[1:])

    def jacobian(p: Array) -> Array:
        height, share = expit(p[0]), expit(design @ p[1:])
        slope = height * share * (1 - share)
        return np.column_stack([height * (1 - height) * share, design * slope[:, None]])

    found = leastsq(lambda p: value(p) - y, start, Dfun=jacobian, maxfev=150, xtol=1e-9, ftol=1e-9, full_output=True)[0]
    return value(found)
