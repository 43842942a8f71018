"""Forward processes in their own time: closed forms against numerical integrals of f and g."""

import numpy as np
import pytest
from scipy.integrate import quad

from compute.models.forward_process import PROCESSES


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_closed_forms_are_the_integrals_of_drift_and_diffusion(process):
    t, earlier = 1.7, 0.6

    def decay(a, b):
        return np.exp(-quad(lambda u: float(process.pull(u)), a, b)[0])

    assert process.alpha(t) == pytest.approx(decay(0, t), rel=1e-9)
    noise = quad(lambda u: decay(u, t) ** 2 * float(process.rate(u)), 0, t)[0]
    assert process.variance(t) == pytest.approx(noise, rel=1e-9)
    assert process.level(t) == pytest.approx(np.sqrt(noise) / decay(0, t), rel=1e-9)
    assert process.growth(t, earlier) == pytest.approx(1 / decay(earlier, t), rel=1e-9)
    between = quad(lambda u: decay(u, t) ** 2 * float(process.rate(u)), earlier, t)[0]
    assert process.noise_between(t, earlier) == pytest.approx(between, rel=1e-9)
    weight = quad(lambda u: 0.5 * float(process.rate(u)) / decay(earlier, u), earlier, t)[0]
    assert process.score_weight(t, earlier) == pytest.approx(weight, rel=1e-9)
