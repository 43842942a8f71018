"""The wrong field: bounded, smooth, where it is said to be."""

import numpy as np
import pytest

from compute.models import gaussian_mixture as gm
from compute.models.imperfect_score import PROFILES, field, perturbed


@pytest.mark.parametrize("d", [1, 2, 50])
def test_field_is_bounded_and_smooth(d):
    y = 5 * np.random.default_rng(0).standard_normal((500, d))
    assert np.max(np.abs(field(y))) <= 1 and np.std(field(y)) > 0.5
    e = 1e-6 * np.ones(d)
    assert np.max(np.abs(field(y + e) - field(y))) < 2.1e-6


def test_error_lives_where_its_profile_says():
    mixture = gm.ring_2d(2.0)
    y = np.random.default_rng(1).standard_normal((30, 2))
    assert perturbed(mixture.denoise, 0.0)(y, 1.0) is not None and perturbed(mixture.denoise, 0.0) == mixture.denoise
    for profile, zero_at, present_at in (("early", 0.5, 3.0), ("late", 3.0, 0.3)):
        wrong = perturbed(mixture.denoise, 0.7, profile)
        assert np.array_equal(wrong(y, zero_at), mixture.denoise(y, zero_at))
        gap = wrong(y, present_at) - mixture.denoise(y, present_at)
        assert gap == pytest.approx(0.7 * PROFILES[profile](present_at) * field(y), abs=1e-12)
    assert PROFILES["uniform"](1.0) == 0.5
