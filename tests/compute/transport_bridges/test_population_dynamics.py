"""Population dynamics: bridges against precision matrices and POT, actions against continuity, chaos against Lyapunov."""

import numpy as np
import ot
import polars as pl
import pytest
from scipy.integrate import trapezoid
from scipy.linalg import solve_continuous_lyapunov

from compute.methods.optimal_transport import sinkhorn
from compute.parameters import ParameterError
from compute.transport_bridges.population_dynamics import (
    action_errors,
    action_field,
    chaos_error,
    gain_map,
    inferred_paths,
    own_paths,
    refined_theta,
    subdivision,
)
from compute.transport_bridges.population_dynamics.action import (
    VARIANTS,
    Action,
    Basis,
    MovingMixture,
    basis_of,
    error_grid,
    exact_action,
    fit_action,
    law_moments,
    path_of,
    relative_error,
    sample_moments,
)
from compute.transport_bridges.population_dynamics.chaos import particle_variance, stationary_particles
from compute.transport_bridges.population_dynamics.own_snapshots import TEMPLATE
from compute.transport_bridges.population_dynamics.populations import (
    COUNTS,
    STEP,
    TIMES,
    WEIGHTS,
    WITHIN,
    embed,
    learned_errors,
    plain_map,
    plain_residual,
    predicted_gain,
)
from compute.transport_bridges.population_dynamics.reference import SUBSTEPS, DriftClass, Snapshots, refine, refit, transition
from compute.transport_bridges.population_dynamics.refinement import (
    bridge_covariance,
    ou_variances,
    path_divergence,
    projected_w1,
    refit_exactly,
)
from compute.transport_bridges.population_dynamics.systems import simulate, snapshots_of

SIX = np.linspace(0, 2, 6)


def iterates(theta: float, g: float, first: float, times: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    variances = ou_variances(theta, g, first, times)
    found = [0.0]
    for _ in range(rounds):
        found.append(refit_exactly(found[-1], g, times, variances))
    return np.array(found), np.array([path_divergence(w, g, times, variances) for w in found])


# --- refinement


def test_recursion_of_ou():
    found, divergence = iterates(1.2, 0.4, 2.0, SIX, 4)
    assert np.allclose(found[1:], [1.15619, 1.19685, 1.19977, 1.19998], atol=5e-6)
    assert np.all(np.diff(divergence) < 0)
    variances = ou_variances(1.2, 0.4, 2.0, SIX)
    assert refit_exactly(1.2, 0.4, SIX, variances) == pytest.approx(1.2, abs=1e-12)
    assert path_divergence(1.2, 0.4, SIX, variances) == pytest.approx(0.0, abs=1e-14)


def test_divergence_never_grows():
    rng = np.random.default_rng(0)
    for _ in range(40):
        times = np.sort(np.append(rng.uniform(0, 3, rng.integers(2, 6)), [0.0, 3.0]))
        # Variances that no OU process has.
        variances, g, w = rng.uniform(0.1, 3, times.size), rng.uniform(0.05, 1), rng.uniform(-1, 2)
        after = refit_exactly(w, g, times, variances)
        old, new = (path_divergence(v, g, times, variances) for v in (w, after))
        assert new <= old * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("theta", [-0.7, 0.0, 1e-9, 1.3])
def test_bridge_keeps_the_references_coupling(theta):
    g, duration, start, end = 0.4, 0.8, 1.5, 0.6
    c = float(bridge_covariance(theta, g, np.array(duration), np.array(start), np.array(end)))
    precision = np.linalg.inv([[start, c], [c, end]])
    # A bridge differs from its reference by factors of x and of y alone: the cross term of the exponent is the reference's.
    added = g * duration if abs(theta) < 1e-6 else g * (1 - np.exp(-2 * theta * duration)) / (2 * theta)
    assert precision[0, 1] == pytest.approx(-np.exp(-theta * duration) / added, rel=1e-7)


def test_linearized_transitions_are_exact_for_ou_and_near_simulation_for_lotka_volterra():
    drift = DriftClass("OU", 1)
    move = transition(drift, np.array([1.2]), np.array([[0.7], [-1.0]]), np.array([0.4, 1.0]), 0.4)
    for k, t in enumerate((0.4, 1.0)):
        # Substeps of second order: a relative error of (theta t)(theta h)^2/6.
        bound = 1.2 * (1.2 * t) * (1.2 * t / SUBSTEPS) ** 2 / 6
        assert move.mean[-1, k, 0] == pytest.approx((0.7, -1.0)[k] * np.exp(-1.2 * t), rel=bound)
        assert move.covariance[-1, k, 0, 0] == pytest.approx(0.4 * (1 - np.exp(-2.4 * t)) / 2.4, rel=5e-3)
    predator = DriftClass("Lotka-Volterra", 2)
    g, n = 0.02, 20_000
    move = transition(predator, np.ones(4), np.array([[0.9, 0.1]]), np.array([1.0]), g)
    rng, x = np.random.default_rng(1), np.tile([0.9, 0.1], (n, 1))
    for _ in range(400):
        u, v = x.T
        x = x + 0.0025 * np.stack([1 - np.exp(v), np.exp(u) - 1], axis=1) + np.sqrt(0.0025 * g) * rng.standard_normal((n, 2))
    spread = np.sqrt(np.diag(np.cov(x.T)))
    # First order in g: the mean's error is a small part of the deviation.
    assert np.all(np.abs(x.mean(axis=0) - move.mean[-1, 0]) < 0.12 * spread)
    assert np.allclose(np.cov(x.T), move.covariance[-1, 0], atol=0.12 * spread.max() ** 2)


def test_pinned_paths_are_brownian_bridges_without_drift():
    move = transition(DriftClass("Brownian", 2), np.zeros(0), np.zeros((1, 2)), np.array([2.0]), 0.5)
    end = np.array([1.0, -2.0])
    paths = move.pinned(np.random.default_rng(0), np.zeros(20_000, dtype=int), np.tile(end, (20_000, 1)))
    assert np.all(paths[-1] == end) and np.all(paths[0] == 0)
    t = np.linspace(0, 2, len(paths))[:, None]
    exact = 0.5 * t * (2 - t) / 2
    assert np.max(np.abs(paths.mean(axis=1) - t / 2 * end)) < 4 * np.sqrt(0.25 / 20_000)
    assert np.allclose(paths.var(axis=1), exact, atol=4 * 0.25 * np.sqrt(2 / 20_000))


def test_plans_against_pot():
    rng = np.random.default_rng(3)
    starts, ends = rng.standard_normal((40, 2)), 0.5 * rng.standard_normal((50, 2)) + 0.3
    move = transition(DriftClass("linear", 2), np.array([0.1, -0.8, 0.2, 0, -0.2, -0.5]), starts, np.full(40, 0.7), 0.4)
    cost = move.cost(slice(0, 40), ends)
    ours = sinkhorn(np.full(40, 1 / 40), np.full(50, 1 / 50), cost, 1.0, tolerance=1e-10).plan
    theirs = ot.sinkhorn(
        np.full(40, 1 / 40), np.full(50, 1 / 50), cost, 1.0, method="sinkhorn_log", stopThr=1e-11, numItermax=20_000
    )
    assert np.allclose(ours, theirs, atol=1e-9)


def test_refit_finds_coefficients_from_whole_paths():
    rng = np.random.default_rng(2)
    times = np.linspace(0, 5, 241)
    paths = simulate(rng, "Lotka-Volterra", 1.0, 0.05, times, 400)
    # Pieces of twelve steps, as bridges have them.
    seen = Snapshots(times[::12], list(paths[::12]))
    pieces = np.concatenate([paths[i : i + 13] for i in range(0, 240, 12)], axis=1)
    assert np.allclose(refit(DriftClass("Lotka-Volterra", 2), pieces, seen, 0.05), 1.0, atol=0.03)


def test_particles_find_what_the_recursion_finds():
    fits = []
    for seed in range(24):
        rng = np.random.default_rng([9, seed])
        seen = Snapshots(SIX, snapshots_of(rng, "OU", 1.2, 0.4, SIX, 150))
        fits.append([b.coefficients[0] for b in refine(rng, DriftClass("OU", 1), seen, 0.4, 2)])
    fits = np.array(fits)
    exact, _ = iterates(1.2, 0.4, 2.0, SIX, 2)
    error = fits.std(axis=0, ddof=1) / np.sqrt(len(fits))
    assert error[2] < 0.03
    assert np.all(np.abs(fits[:, 1:].mean(axis=0) - exact[1:]) < 3 * error[1:])
    view = refined_theta(theta=1.2, diffusion=0.4, iterations=4, snapshots=6)
    assert np.allclose(view.theta[1:], [1.15619, 1.19685, 1.19977, 1.19998], atol=5e-6)


def test_right_class_beats_brownian_between_snapshots():
    gaps = []
    for seed in range(3):
        right = inferred_paths(snapshots=4, particles=100, seed=seed)
        wrong = inferred_paths(snapshots=4, particles=100, seed=seed, reference="wrong class")
        gaps.append([right.error[0].mean(), wrong.error[-1].mean(), right.error[-1].mean(), right.floor.mean()])
        assert np.abs(right.coefficients[-1] - 1).max() < 0.25
    brownian, wrong, right, floor = np.mean(gaps, axis=0)
    assert right < 0.6 * brownian and right < wrong and right > 0.7 * floor
    # Paths pass through particles that were seen.
    seen = right_path = inferred_paths(snapshots=4)
    start = right_path.paths[-1][:, 0]
    first = seen.dots[seen.dots[:, 0] == 0][:, 1:]
    assert np.all(np.min(np.linalg.norm(start[:, None] - first, axis=2), axis=1) < 1e-6)


def test_projected_distance_of_shifted_samples():
    x = np.random.default_rng(0).standard_normal((3, 50, 2))
    angle = np.pi * (np.arange(16) + 0.5) / 16
    assert np.allclose(projected_w1(x, x + np.array([0.3, 0.0])), 0.3 * np.abs(np.cos(angle)).mean())


# --- action matching


def test_exact_actions_satisfy_their_equations():
    x = np.linspace(-3.2, 3.2, 1281)
    h, dt = x[1] - x[0], 1e-4
    for name in ("splitting", "moving", "growing"):
        path = path_of(name)
        for variant in VARIANTS:
            t = np.array([0.3, 0.7])
            gradient, growth = exact_action(path, variant, 0.3, t, x)
            q = path.density(t, x)
            rate = (path.density(t + dt, x) - path.density(t - dt, x)) / (2 * dt)
            flux = np.gradient(q * gradient, h, axis=1)
            diffusion = 0.15 * np.gradient(np.gradient(q, h, axis=1), h, axis=1)
            right = -flux + (diffusion if variant == "entropic" else 0) + (q * growth if variant == "unbalanced" else 0)
            assert np.max(np.abs(rate - right)[:, 8:-8]) < 3e-3 * max(1, np.abs(rate).max()), (name, variant)


def test_gaussian_path_and_the_gap_of_the_objective():
    def at(t):
        one = np.ones((t.size, 1))
        return one, (0.8 * t - 0.2)[:, None], (0.6 - 0.2 * t)[:, None]

    path = MovingMixture(at)
    t, x = np.linspace(0, 1, 401), np.linspace(-5, 5, 1601)
    mean, deviation = (0.8 * t - 0.2)[:, None], (0.6 - 0.2 * t)[:, None]
    velocity = 0.8 - 0.2 / deviation * (x - mean)
    inner = np.abs(x - mean) < 3 * deviation
    assert np.allclose(path.velocity(t, x)[inner], velocity[inner], atol=1e-9)
    q = path.density(t, x)
    energy = trapezoid(trapezoid(q * velocity**2 / 2, x), t)
    assert energy == pytest.approx((0.8**2 + 0.2**2) / 2, rel=1e-6)

    def objective(s, slope):
        rate = np.gradient(s, t, axis=0, edge_order=2)
        inside = trapezoid(trapezoid(q * (slope**2 / 2 + rate), x), t)
        return trapezoid(q[0] * s[0] - q[-1] * s[-1], x) + inside

    best = 0.8 * x - 0.1 / deviation * (x - mean) ** 2
    basis = Basis(np.linspace(-2, 2, 6), 0.8, 2)
    action = Action(basis, np.random.default_rng(0).standard_normal((6, 3)))
    s, slope = action.at(t, x)
    gap = objective(s, slope) - objective(best, velocity)
    assert gap == pytest.approx(trapezoid(trapezoid(q * (slope - velocity) ** 2 / 2, x), t), rel=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_normal_equations_by_brute_force(variant):
    rng = np.random.default_rng(4)
    times, g = np.array([0.0, 0.4, 1.0]), 0.3
    samples = rng.standard_normal((3, 30))
    basis = Basis(np.linspace(-2, 2, 4), 0.9, 2)
    fitted = fit_action(basis, times, sample_moments(basis, samples), variant, g, 1e-8)
    # All features at all particles on a fine time grid, particles weighed by their snapshots' hats.
    fine = np.linspace(0, 1, 4001)
    hats = np.array([np.interp(fine, times, row) for row in np.eye(3)])
    value, slope, bend = basis.bumps(samples)
    tau, rate = basis.clocks(fine)
    gram, moment = np.zeros((12, 12)), np.zeros(12)
    step = np.full(fine.size, fine[1])
    step[[0, -1]] /= 2
    for k in range(3):
        square = slope[:, k] @ slope[:, k].T / 30 + (value[:, k] @ value[:, k].T / 30 if variant == "unbalanced" else 0)
        gram += np.kron(square, (tau * hats[k] * step) @ tau.T)
        moment -= np.kron(value[:, k].mean(axis=1), rate @ (hats[k] * step))
        if variant == "entropic":
            moment -= np.kron(g / 2 * bend[:, k].mean(axis=1), tau @ (hats[k] * step))
    moment += np.kron(value[:, -1].mean(axis=1), tau[:, -1]) - np.kron(value[:, 0].mean(axis=1), tau[:, 0])
    gram += 1e-8 * np.trace(gram) / 12 * np.eye(12)
    assert np.allclose(gram @ fitted.coefficients.ravel(), moment, atol=1e-5)


def test_laws_themselves_give_the_action():
    for name, variant, bound in (("moving", "plain", 1e-3), ("moving", "entropic", 1e-3), ("splitting", "plain", 3e-3)):
        path, basis, times = path_of(name), basis_of(160), np.linspace(0, 1, 60)
        action = fit_action(basis, times, law_moments(basis, path, times), variant, 0.3, 1e-6)
        exact = exact_action(path, variant, 0.3, *error_grid())
        assert relative_error(action, path, variant, 0.3, exact) < bound
    zero = Action(basis, np.zeros((basis.centers.size, basis.degree + 1)))
    assert relative_error(zero, path, "plain", 0.3, exact_action(path, "plain", 0.3, *error_grid())) == 1.0


def test_samples_limit_the_action_and_growth_is_cheaper():
    few, many = (action_errors(path="moving", samples=n) for n in (50, 2000))
    assert np.all(np.diff(many.infinite) < 0)
    assert many.median[-1] < 0.25 * few.median[-1]
    assert few.median[-1] > 5 * few.infinite[-1]
    plain, unbalanced = (action_field(path="growing", variant=v) for v in ("plain", "unbalanced"))
    # Mass that grows where it is needs not be carried.
    assert unbalanced.exact_energy < 0.1 * plain.exact_energy


def test_moving_mixture_samples_its_density():
    path = path_of("growing")
    samples = path.sample(np.random.default_rng(0), np.array([0.0, 1.0]), 20_000)
    assert np.allclose((samples > 0).mean(axis=1), [0.5, 0.9], atol=0.015)
    assert samples[1].var() == pytest.approx(0.16 + 1.1**2 * (1 - 0.8**2), rel=0.05)


# --- chaos


@pytest.mark.parametrize(("theta", "kappa", "g", "n"), [(0.3, 1.5, 1.0, 7), (1.0, -0.6, 0.2, 12), (0.8, 0.0, 0.5, 5)])
def test_stationary_variance_against_lyapunov(theta, kappa, g, n):
    drift = -(theta + kappa) * np.eye(n) + kappa / n
    covariance = solve_continuous_lyapunov(drift, -g * np.eye(n))
    assert particle_variance(theta, kappa, g, np.array(n)) == pytest.approx(covariance[0, 0], rel=1e-12)
    draws = stationary_particles(np.random.default_rng(0), theta, kappa, g, n, 40_000)
    assert np.allclose(np.cov(draws.T), covariance, atol=5 * covariance[0, 0] * np.sqrt(2 / 40_000))
    if kappa == 0:
        assert np.allclose(covariance, covariance[0, 0] * np.eye(n))


def test_chaos_constants_and_slopes():
    result = chaos_error(theta=0.3, kappa=1.5, diffusion=1.0)
    at = int(np.flatnonzero(result.count == 100)[0])
    assert result.kl[at] * 100**2 == pytest.approx(6.05, abs=0.01)
    assert result.leading == pytest.approx(6.25)
    slopes = [np.log(v[-1] / v[-3]) / np.log(result.count[-1] / result.count[-3]) for v in (result.w2, result.kl)]
    assert slopes == pytest.approx([-1, -2], abs=0.02)
    seen = np.isfinite(result.w2_drawn)
    assert seen.sum() >= 5
    assert np.max(np.abs(result.w2_drawn - result.w2)[seen] / result.w2_error[seen]) < 4
    assert np.all(chaos_error(kappa=0.0).kl == 0)
    with pytest.raises(ParameterError, match="fly apart"):
        chaos_error(kappa=-1.5)


def test_subdivision_costs_less_and_clumps_when_late():
    whole = [subdivision(subdivisions=0, seed=s) for s in range(4)]
    early = [subdivision(subdivisions=3, last_split=1.5, seed=s) for s in range(4)]
    late = [subdivision(subdivisions=5, last_split=0.05, seed=s) for s in range(4)]
    assert whole[0].share == 1.0
    assert all(len(r.position[-1]) == 512 for r in (*whole, *early, *late))
    # Particles and time: N/8 until the first split, and so on, over 60 steps.
    assert late[0].share < 0.4 < early[0].share < 1
    floor, spread = np.mean([r.floor for r in whole]), np.mean([r.floor_spread for r in whole])
    assert np.mean([r.distance for r in whole]) < floor + 3 * spread / 2
    assert np.mean([r.distance for r in late]) > 2 * floor


# --- populations


def test_plain_field_constants():
    assert plain_residual(0.3, 1.5, 1.0) == pytest.approx(0.24017, abs=1e-5)
    # The best field of x alone carries the pooled law: its factor is the root of the ratio of pooled variances.
    pooled = np.sqrt((np.exp(-0.6) + 0.5 * np.exp(-3.6)) / 1.5)
    assert plain_map(0.3, 1.5, 1.0) == pytest.approx(pooled, abs=1e-9)
    assert pooled == pytest.approx(0.61236, abs=1e-5)
    assert plain_residual(0.7, 0.0, 1.3) == 0


def test_embedding_knows_no_order_and_extra_moments_tell_nothing():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 60))
    assert np.array_equal(embed(x, 6), embed(rng.permuted(x, axis=1), 6))
    mean = rng.standard_normal(20_000)
    e = embed(mean[:, None] + np.sqrt(WITHIN) * rng.standard_normal((20_000, 60)), 4)
    correlation = np.corrcoef(np.column_stack([mean, e]).T)
    assert np.abs(correlation[0, 2:]).max() < 0.03 and correlation[0, 1] == pytest.approx(1 / np.sqrt(1 + WITHIN / 60), abs=1e-3)
    assert np.allclose(e[:, 1:].var(axis=0), 1, atol=0.1)


def test_sums_make_the_same_fields_as_rows_and_errors_hold_on_new_populations():
    theta, tau, g, n, q, kappa = 0.5, 1.2, 0.1, 40, 3, 1.5
    plain, meta = learned_errors(np.random.default_rng(5), theta, tau, g, n, q, np.array([kappa]))
    rng = np.random.default_rng(5)
    most = COUNTS[-1]
    mean = tau * rng.standard_normal(most)
    apart = np.sqrt(WITHIN) * rng.standard_normal((most, n))
    e = embed(mean[:, None] + apart, q)
    fresh = np.random.default_rng(6)
    m = tau * fresh.standard_normal(20_000)
    x_new = m[:, None] + np.sqrt(WITHIN) * fresh.standard_normal((20_000, n))
    e_new = embed(x_new, q)
    member = np.sqrt(WITHIN) * fresh.standard_normal(20_000)
    for place in (6, len(COUNTS) - 1):
        p = COUNTS[place]
        totals = np.zeros(2)
        again = np.random.default_rng(5)
        again.standard_normal(most), again.standard_normal((most, n))
        for t, weight in zip(TIMES, WEIGHTS, strict=True):
            kicks = np.sqrt(g / STEP) * again.standard_normal((most, n))
            shrink, decay = np.exp(-(theta + kappa) * t), np.exp(-theta * t)
            x = (mean * decay)[:, None] + shrink * apart
            target = (kappa * mean * decay)[:, None] + kicks
            rows = np.concatenate([x[:p, :, None], np.broadcast_to(e[:p, None], (p, n, q))], axis=2).reshape(-1, q + 1)
            full = np.linalg.lstsq(rows, target[:p].ravel(), rcond=None)[0]
            alone = np.linalg.lstsq(rows[:, :1], target[:p].ravel(), rcond=None)[0]
            x_t = m * decay + shrink * member
            totals += weight * np.array(
                [
                    np.mean((kappa * m * decay - x_t * alone[0]) ** 2),
                    np.mean((kappa * m * decay - np.column_stack([x_t, e_new]) @ full) ** 2),
                ]
            )
        assert totals == pytest.approx([plain[place, 0], meta[place, 0]], rel=0.06)


def test_gain_and_its_line():
    plane = gain_map(theta=0.3, particles=100, embedding=3, diffusion=1.0)
    still = int(np.argmin(np.abs(plane.kappa)))
    assert plane.kappa[still] == pytest.approx(0, abs=1e-12)
    # Without interaction nothing is gained, at any number of populations.
    assert np.all(plane.gain[:, still] < 3 * plane.gain_error[:, still])
    strong = int(np.argmin(np.abs(plane.kappa - 3)))
    assert plane.gain[-1, strong] > 0.8
    # Where theory sees no gain there is little either way, against what stands a unit of kappa away.
    p = int(np.flatnonzero(plane.populations == 16)[0])
    across = np.interp(plane.line[p, 1], plane.kappa, plane.gain[p])
    assert abs(across) < 0.35
    assert np.all(np.isnan(plane.line[plane.populations <= 4]))
    many = predicted_gain(0.3, np.array([1.5]), 1.0, 1e-9, 10**7, 3, np.array([1e6]))
    assert many[0, 0] == pytest.approx(plain_residual(0.3, 1.5, 1.0), rel=1e-5)


# --- a reader's own snapshots


def frame(scale: float = 1.0, shift: float = 0.0) -> pl.DataFrame:
    times = np.linspace(0, 5, 5)
    paths = simulate(np.random.default_rng(11), "Lotka-Volterra", 1.0, 0.05, times, 150)
    rows = [(3 + 2 * t, *(shift + scale * x)) for i, t in enumerate(times) for x in paths[i, 30 * i : 30 * i + 30]]
    return pl.DataFrame(rows, schema=["time", "x1", "x2"], orient="row")


def test_own_snapshots_in_any_units():
    one, two = own_paths(table=frame()), own_paths(table=frame(40.0, -7.0))
    assert np.allclose(one.fitted, two.fitted, atol=1e-6) and np.allclose(one.brownian, two.brownian, atol=1e-6)
    assert one.left_out.tolist() == [5.5, 8.0, 10.5]
    assert one.fitted.mean() < one.brownian.mean()
    line = own_paths(table=frame().drop("x2"))
    assert line.paths.shape[-1] == 1


def test_own_snapshots_that_cannot_be_used_are_named():
    sound = frame()
    for bad, word in (
        (sound.filter(pl.col("time") < 6), "different times"),
        (sound.filter((pl.col("time") != 8.0) | (pl.int_range(pl.len()) % 30 < 3)), "fewer than 5"),
        (sound.with_columns(x2=pl.lit(1.0)), "never varies"),
    ):
        with pytest.raises(ParameterError, match=word) as error:
            own_paths(table=bad)
        assert error.value.name == "table" and error.value.reason.endswith(".")
    assert own_paths(table=pl.read_csv(TEMPLATE.encode())).left_out.size == 1
