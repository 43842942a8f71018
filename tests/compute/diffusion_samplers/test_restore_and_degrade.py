"""The lab on restoration and degradation: exact recursions, other libraries, closed forms, and circuits written out."""

import itertools

import numpy as np
import pytest
from scipy import ndimage, optimize, stats
from scipy.linalg import expm, orthogonal_procrustes
from scipy.spatial.transform import Rotation

from compute.diffusion_samplers import restore_and_degrade as lab
from compute.diffusion_samplers.restore_and_degrade import cold, forwards, setting, unitary
from compute.diffusion_samplers.restore_and_degrade.forwards import HORIZON, forward_of
from compute.methods.distance_to_target import Target

# --- forward processes ---------------------------------------------------------------------------------------


def test_skew_law_against_matrix_exponential():
    process = forward_of("skew", 3.0, 0.5)
    a = -(np.eye(2) + forwards.TURN * forwards.QUARTER)
    law = process.law(0.7)
    assert np.allclose(law.means, process.data.means @ expm(0.7 * a).T, atol=1e-12)
    # d cov/dt = A cov + cov A' + 2 I has the stationary covariance I, from which the rest decays.
    covariance = np.eye(2) - 0.75 * expm(0.7 * a) @ expm(0.7 * a).T
    assert np.allclose(law.width**2 * np.eye(2), covariance, atol=1e-12)
    assert np.allclose(process.drift(np.array([[1.0, 2.0]])), a @ [1.0, 2.0])


def test_gridded_densities_against_a_linear_drift():
    exact = forward_of("OU", 3.0, 0.5)
    gridded = forwards.Gridded(exact.data, lambda x: -x, 6.0)
    x = np.linspace(-2.5, 2.5, 101)[:, None]
    for t in (0.05, 0.4, 1.5):
        assert np.abs(gridded.score(x, t) - exact.score(x, t)).max() < 0.05
        assert np.abs(gridded.marginal(x[:, 0], t) - exact.law(t).pdf(x[:, 0])).max() < 0.003


def test_double_well_against_particles():
    process = forward_of("double well", 3.0, 0.5)
    rng = np.random.default_rng(1)
    x = process.data.sample(rng, 20_000)[:, 0]
    steps = 500
    for _ in range(steps):
        x = x + HORIZON / steps * forwards.double_well(x) + np.sqrt(2 * HORIZON / steps) * rng.standard_normal(x.size)
    p = (np.arange(999) + 1) / 1000
    assert stats.ks_1samp(x, lambda at: np.interp(at, process.quantile(p, HORIZON), p)).pvalue > 1e-3


@pytest.mark.parametrize("name", forwards.FORWARDS)
def test_exact_flow_turns_the_start_into_the_data(name):
    process = forward_of(name, 3.0, 0.5)
    n = 400
    ends = setting.exact_flow(process, process.start(n), 150)[-1]
    floor = Target(process.data, n).noise_floor(np.random.default_rng(0), 5)[0]
    assert Target(process.data, n).w1(ends) < (0.4 if name == "skew" else 0.06) * floor  # the plane is filled evenly, not exactly
    assert setting.distance(process, ends) < 1e-9


# --- the two moves ---------------------------------------------------------------------------------------------


def test_ou_step_is_the_plans_factor():
    rng = np.random.default_rng(0)
    for h, ratio in zip(rng.uniform(0.01, 0.2, 5), rng.uniform(1, 8, 5), strict=True):
        length = h * ratio
        x = np.array([[1.0]])
        restored = setting.restore(x, -x, -x, length)
        after = setting.degrade(x, restored, -restored, length, h)[0, 0]
        assert after == pytest.approx(
            (1 - length) * (1 - length + h) + np.sqrt(1 - h / length) * (2 * length - length**2), rel=1e-12
        )
    # 30 steps of 0.05 with lookbacks of 10 and 100 steps: what comes back of unit variance.
    for ratio, scale in ((10, 0.665), (100, 0.018)):
        length = 0.05 * ratio
        factor = (1 - length) * (1 - length + 0.05) + np.sqrt(1 - 1 / ratio) * (2 * length - length**2)
        assert factor**30 == pytest.approx(scale, abs=5e-4)


def test_first_order_drive():
    process = forward_of("double well", 3.0, 0.5)
    x = np.linspace(-2, 2, 9)[:, None]
    score, drift = process.score(x, 0.8), process.drift(x)
    for ratio in (1.0, 2.0, 7.0):
        gaps = []
        for h in (1e-3, 1e-4):
            restored = setting.restore(x, drift, score, ratio * h)
            after = setting.degrade(x, restored, process.drift(restored), ratio * h, h)
            gaps.append(np.abs((after - x) / h + drift - 2 * setting.drive(ratio) * score).max())
        assert gaps[1] < 0.12 * gaps[0] or gaps[1] < 1e-9  # of order h
    assert setting.drive(2.0) == pytest.approx(0.5858, abs=1e-4)
    assert setting.drive(1e4) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 4.0])
def test_small_steps_of_ve_keep_the_predicted_scale(ratio):
    process = forward_of("VE", 0.0, 0.6)
    x = np.array([[1.0]])
    expected = (0.36 / (0.36 + 2 * HORIZON)) ** setting.drive(ratio)
    gaps = [setting.sample(process, x, n, ratio)[0, 0] - expected for n in (1000, 2000)]
    assert abs(2 * gaps[1] - gaps[0]) < 1e-3 * expected  # first order taken out
    assert abs(gaps[1]) < 0.6 * abs(gaps[0]) + 1e-6


def test_longest_lookback_of_ve_is_ddim():
    process = forward_of("VE", 3.0, 0.5)
    x = np.linspace(-3, 3, 7)[:, None]
    found = setting.sample(process, x, 5, 100.0)
    for k in range(5):
        t = HORIZON * (1 - k / 5)
        keep = np.sqrt(max(t - HORIZON / 5, 0.0) / t)
        x = keep * x + (1 - keep) * process.data.denoise(x, np.sqrt(2 * t))
    assert np.allclose(found, x, atol=1e-10)


def test_reverse_sde_variance():
    process = forward_of("OU", 0.0, 0.6)
    rng, steps = np.random.default_rng(3), 12
    h, variance, n = HORIZON / steps, process.law(HORIZON).width ** 2, 40_000
    x = np.sqrt(variance) * rng.standard_normal((n, 1))
    for k in range(steps):
        variance = (1 + h - 2 * h / process.law(HORIZON - k * h).width ** 2) ** 2 * variance + 2 * h
    found = setting.reverse_sde(process, x, steps, rng).var()
    assert abs(found - variance) < 4 * variance * np.sqrt(2 / n)


def test_orders():
    curve = lab.step_curve(forward="OU")
    assert curve.order("flow, Euler") == pytest.approx(1, abs=0.05)
    assert curve.order("l = √(h/2)") == pytest.approx(0.5, abs=0.06)
    assert curve.errors["l = h"][-1] == pytest.approx(curve.plateaus["l = h"], rel=0.05)
    # No drift: the longest lookback is the best, and a fixed ratio is far from it.
    ve = lab.lookback_map(forward="VE")
    assert ve.best[0] == ve.ratio[-1]
    ou = lab.lookback_map(forward="OU", separation=0.0, width=1.0)
    assert np.abs(np.log(ou.best[:5] / ou.rule[:5])).max() < 0.5  # within a cell and a half of the map


def test_total_variation_of_shifted_normals():
    process = forward_of("VE", 0.0, 1.0)
    p = (np.arange(4000) + 0.5) / 4000
    for shift in (0.0, 0.5, 2.0):
        found = setting.total_variation(stats.norm.ppf(p) + shift, process)
        assert found == pytest.approx(2 * stats.norm.cdf(shift / 2) - 1, abs=0.012)


def test_score_error_rules_where_steps_are_small():
    result = lab.error_map()
    assert result.tv[-1, 0] == pytest.approx(result.alone[-1], abs=0.05)
    assert np.all(np.diff(result.alone) > 0)


# --- cold ------------------------------------------------------------------------------------------------------


def test_rule_2_is_exact_for_a_drift_in_the_step_and_any_restorer():
    rng = np.random.default_rng(2)
    truth, drift = rng.standard_normal((2, 6))
    x = truth + 9 * drift
    for s in range(9, 0, -1):
        guess = rng.standard_normal(6)
        x = cold.update(2, x, guess + s * drift, guess + (s - 1) * drift)
        assert np.allclose(x, truth + (s - 1) * drift, atol=1e-12)


@pytest.mark.parametrize("degradation", cold.DEGRADATIONS)
def test_perfect_restorer(degradation):
    forth, back = cold.BASES[degradation]
    image = cold.images()[1][:3]
    truth, gain = forth(image), cold.gains(degradation, 0.8, 20)
    assert np.allclose(back(truth), image, atol=1e-12)
    assert np.sum(truth**2) == pytest.approx(np.sum(image**2), rel=1e-12)  # an orthonormal basis
    assert np.all(gain[0] == 1) and np.all(np.diff(gain, axis=0) <= 1e-15) and gain.min() >= 0
    for rule in (1, 2):
        states, _ = cold.iterates(truth, gain, "perfect", truth, lambda s: 0.0, rule)
        assert np.allclose(states, gain[::-1, None] * truth, atol=1e-12)
    # One error in all steps, and new ones.
    _, same, new = cold.theory(truth, gain, "perfect", truth, 2)
    assert np.allclose(same, 1 - gain[-1]) and np.allclose(new**2, np.sum(np.diff(gain, axis=0) ** 2, axis=0))
    _, same, new = cold.theory(truth, gain, "perfect", truth, 1)
    assert np.allclose(same, 1) and np.allclose(new, 1)


@pytest.mark.parametrize("degradation", cold.DEGRADATIONS)
@pytest.mark.parametrize("rule", [1, 2])
def test_wiener_theory_against_runs(degradation, rule):
    forth, _ = cold.BASES[degradation]
    stored, unseen = cold.images()
    memory, truth, gain = forth(stored), forth(unseen[:1]), cold.gains(degradation, 0.6, 12)
    n = 400
    rng = np.random.default_rng(5)
    for repeated in (True, False):
        fields = 0.2 * rng.standard_normal((1 if repeated else 12, n, cold.SIDE, cold.SIDE))
        last = cold.iterates(np.repeat(truth, n, axis=0), gain, "Wiener", memory, lambda s, f=fields: f[(s - 1) % len(f)], rule)[0][
            -1
        ]
        bias, same, new = cold.theory(truth, gain, "Wiener", memory, rule)
        expected = np.mean(bias**2 + 0.04 * (same if repeated else new) ** 2)
        squares = np.mean((last - truth) ** 2, axis=(1, 2))
        assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(n)


def test_wiener_factor_is_the_best():
    memory = cold.BASES["blur"][0](cold.images()[0])
    gain = cold.gains("blur", 0.5, 10)[6]
    factor = cold.shrinkage(gain, memory)[1]
    variance = memory.var(axis=0)
    for place in ((0, 0), (2, 1), (4, 4)):
        risk = lambda r, at=place: variance[at] * (1 - r * gain[at]) ** 2 + cold.FLOOR * variance.mean() * r**2  # noqa: E731
        assert factor[place] == pytest.approx(optimize.minimize_scalar(risk).x, rel=1e-5)


def test_degradations_against_other_code():
    image = cold.images()[1][4]
    forth, back = cold.BASES["pool"]
    scales = cold.gains("pool", 0.5, 4)[-1]  # two of four scales gone: blocks of four by four
    blocks = image.reshape(4, 4, 4, 4).mean(axis=(1, 3))
    assert np.allclose(back(scales * forth(image)), np.kron(blocks, np.ones((4, 4))), atol=1e-12)
    forth, back = cold.BASES["blur"]
    blurred = back(cold.gains("blur", 0.5, 4)[-1] * forth(image))  # heat for a time 3: a Gaussian of variance 6
    assert np.abs(blurred - ndimage.gaussian_filter(image, np.sqrt(6.0), mode="reflect", truncate=8)).max() < 2e-3


def test_stored_images_are_found_again():
    stored = cold.images()[0]
    assert np.allclose(cold.stored_mean(stored[:5], np.ones((16, 16)), stored), stored[:5], atol=0.05)


def test_rule_2_forgives_more():
    for degradation in ("blur", "mask"):
        one, two = lab.error_lines(degradation=degradation).at
        assert one > 1.5 * two


# --- unitary ---------------------------------------------------------------------------------------------------


def written_out(angles, entangler):
    """The circuit by Kronecker products; qubit 0 is the last factor."""
    n_qubits = angles.shape[1]
    u = np.eye(2**n_qubits)

    def on(gates):
        out = np.ones((1, 1))
        for q in reversed(range(n_qubits)):
            out = np.kron(out, gates.get(q, np.eye(2)))
        return out

    up, down = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
    target = np.diag([1.0, -1.0]) if entangler == "CZ ring" else np.array([[0.0, 1.0], [1.0, 0.0]])
    for layer in angles:
        for q, a in enumerate(layer):
            u = on({q: np.array([[np.cos(a / 2), -np.sin(a / 2)], [np.sin(a / 2), np.cos(a / 2)]])}) @ u
        for q in range(n_qubits):
            u = (on({q: up}) + on({q: down, (q + 1) % n_qubits: target})) @ u
    return u


@pytest.mark.parametrize("entangler", unitary.ENTANGLERS)
def test_circuit(entangler):
    rng = np.random.default_rng(0)
    angles = rng.uniform(-np.pi, np.pi, (3, 4))
    u = unitary.circuit(angles, entangler)
    assert np.allclose(u, written_out(angles, entangler), atol=1e-12)
    assert np.allclose(u.T @ u, np.eye(16), atol=1e-12)
    x = rng.standard_normal(16)
    step = x
    for _ in range(7):
        step = u @ step
    assert np.allclose(step, np.linalg.matrix_power(u, 7) @ x, atol=1e-12)
    # The loss is linear in cos and sin of half an angle: shifted by pi it gives twice the slope.
    overlap = rng.standard_normal((16, 16))
    for place in ((0, 0), (1, 2), (2, 3)):

        def trace(shift, place=place):
            moved = angles.copy()
            moved[place] += shift
            return np.trace(unitary.circuit(moved, entangler) @ overlap)

        slope = (trace(1e-5) - trace(-1e-5)) / 2e-5
        assert 0.5 * trace(np.pi) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("entangler", unitary.ENTANGLERS)
def test_training(entangler):
    data = unitary.pairs(3, "shift and noise", 0.4, 1)
    angles, loss = unitary.train(np.ascontiguousarray(data.overlap), 4, np.random.default_rng(2), entangler)
    assert np.all(np.diff(loss) <= 1e-12)
    assert data.loss(unitary.circuit(angles, entangler)) == pytest.approx(loss[-1], rel=1e-9)
    best, _ = orthogonal_procrustes(data.y, data.x)
    if np.linalg.det(best) > 0:
        assert data.floor == pytest.approx(data.loss(best.T), rel=1e-9)
    else:
        assert data.floor > data.loss(best.T)
    assert data.floor <= loss[-1]
    fitted = np.linalg.lstsq(data.y, data.x, rcond=None)[0]
    assert data.loss(data.linear) == pytest.approx(data.loss(fitted.T), rel=1e-3)


def test_best_turn_against_scipy():
    rng = np.random.default_rng(4)
    for sign in (1, -1):
        y = rng.standard_normal((50, 3))
        x = y @ np.diag([1, 1, sign]) + 0.3 * rng.standard_normal((50, 3))
        found, _ = Rotation.align_vectors(x, y)
        assert unitary.best_turn(y.T @ x) == pytest.approx(np.sum(found.apply(y) * x), rel=1e-6)


def test_enough_cnot_layers_reach_the_floor_and_cz_layers_do_not():
    result = lab.circuit_loss(qubits=3)
    gap = {name: loss.min() - result.floor for name, loss in result.loss.items()}
    assert 0 <= gap["CNOT ring"] < 0.001
    assert gap["CZ ring"] > 0.15
    assert np.allclose(result.spread_unitary, 1) and result.spread_linear[-1] < 0.7


def test_doing_nothing_is_best_under_isotropic_noise():
    data = unitary.pairs(4, "noise", 0.5, 0)
    assert data.floor == pytest.approx(data.loss(np.eye(16)), abs=0.003)


@pytest.mark.parametrize("entangler,dimension", [("CZ ring", 24), ("CNOT ring", 120)])
def test_dimension_of_the_group_of_four_qubits(entangler, dimension):
    """Generators Y of each qubit, seen through any number of rings, and their commutators: as Pauli matrices."""
    pauli = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1], [1, 0]]), np.diag([1, -1])]
    names = list(itertools.product(range(4), repeat=4))
    strings = np.array([np.kron(np.kron(pauli[a], pauli[b]), np.kron(pauli[c], pauli[d])) for a, b, c, d in names], dtype=float)
    flat = strings.reshape(256, -1)

    def place(matrix):
        return int(np.argmax(np.abs(flat @ matrix.ravel())))

    ring = written_out(np.zeros((1, 4)), entangler)
    group = {names.index(tuple(2 if q == k else 0 for q in range(4))) for k in range(4)}
    todo = list(group)
    while todo:
        a = strings[todo.pop()]
        found = {place(ring @ a @ ring.T)}
        for other in list(group):
            b = strings[other]
            if np.abs(a @ b - b @ a).max() > 0.5:
                found.add(place(a @ b))
        todo += found - group
        group |= found
    assert len(group) == dimension
