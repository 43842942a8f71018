"""What a routed model is worth in dense parameters: over (N, E), against E and N, and collapsed on that worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table, integers
from compute.parameters import Real, Seed
from compute.scaling_laws.routed_models import law as routed_law
from compute.scaling_laws.routed_models.law import PUBLISHED, QUOTED_CUTOFF, RoutedLaw
from compute.scaling_laws.routed_models.setting import NAMES, ROUTERS, Array, Experts, Routed, Size, with_router

SIZES = np.geomspace(1e6, 1e13, 113)
EXPERTS = np.geomspace(1, 2048, 89)
SHOWN_SIZES = (1.5e7, 1.3e9, 1e11)
SHOWN_EXPERTS = (1, 8, 64, 512)
RUN_SIZES = np.array([1.5e7, 2.5e7, 5.5e7, 1.3e8, 3.7e8, 8.7e8, 1.3e9])
RUN_EXPERTS = 2.0 ** np.arange(10)

Noise = Annotated[float, Real("noise of log loss", r"\sigma", low=0.0, high=0.02, help="Of synthetic runs.")]


def worth(law: RoutedLaw, size: float, experts: float) -> dict[str, float | str]:
    """The headline that most views share."""
    equivalent = float(routed_law.effective_parameters(law, size, experts))
    cut = float(routed_law.cutoff(law))
    return {
        "effective parameters": equivalent,
        "worth over its size": equivalent / size,
        "loss": float(routed_law.loss(law, size, experts)),
        "loss of the dense model": float(routed_law.loss(law, size, 1)),
        "cut-off size": cut if np.isfinite(cut) else "none: c = 0",
    }


@dataclass(frozen=True)
class WorthMap(Result):
    """Nbar/N over (N, E)."""

    size: Array  # (n_sizes,)
    experts: Array  # (n_experts,)
    log_worth: Array  # (n_experts, n_sizes) log10 of Nbar/N
    loss: Array  # (n_experts, n_sizes)
    cutoff: float  # NaN where there is none
    rounding: tuple[float, float] | None  # the cut-offs of constants that round to the printed ones
    quoted: float | None  # the paper's, from constants before rounding
    router: str
    headlines: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return grid_table("N", self.size, "E", self.experts, log10_worth=self.log_worth, loss=self.loss)

    def headline(self) -> dict[str, float | str]:
        return self.headlines


@experiment
@with_router
def worth_map(*, dense_size: Size = 1e8, experts: Experts = 64, routed: Routed) -> WorthMap:
    """The dense parameters that a routed model is worth, over its own, for every size and number of experts."""
    law = routed.law
    known = routed.router != "custom"
    low, high = routed_law.cutoff_within_rounding(law) if known else (0.0, 0.0)
    return WorthMap(
        SIZES,
        EXPERTS,
        np.log10(routed_law.cost_ratio(law, SIZES[None, :], EXPERTS[:, None])),
        routed_law.loss(law, SIZES[None, :], EXPERTS[:, None]),
        float(routed_law.cutoff(law)),
        (low, high) if known else None,
        QUOTED_CUTOFF.get(routed.router),
        routed.name,
        worth(law, dense_size, experts),
    )


@dataclass(frozen=True)
class LossCurves(Result):
    """Loss against E for several N, and against N for several E."""

    experts: Array  # (n_experts,)
    sizes: Array  # (4,) the last the reader's
    against_experts: Array  # (4, n_experts)
    unsaturated: Array  # (n_experts,) at the reader's size, were there no largest Eh
    size: Array  # (n_sizes,)
    numbers: Array  # (4,) experts
    against_size: Array  # (4, n_sizes)
    top: float
    cutoff: float
    headlines: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"kind": "against E", "N": n, "E": self.experts, "loss": v})
            for n, v in zip(self.sizes, self.against_experts, strict=True)
        ]
        parts.append(pl.DataFrame({"kind": "no saturation", "N": self.sizes[-1], "E": self.experts, "loss": self.unsaturated}))
        parts += [
            pl.DataFrame({"kind": "against N", "N": self.size, "E": e, "loss": v})
            for e, v in zip(self.numbers, self.against_size, strict=True)
        ]
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        return self.headlines


@experiment
@with_router
def loss_curves(*, dense_size: Size = 1e8, experts: Experts = 64, routed: Routed) -> LossCurves:
    """Loss against the number of experts at several sizes, and against size at several numbers of experts."""
    law = routed.law
    numbers = integers(2048, 60)
    sizes = np.array([*SHOWN_SIZES, dense_size])
    shown = np.array(SHOWN_EXPERTS, dtype=float)
    headlines = worth(law, dense_size, experts)
    headlines |= {"saturated experts": float(routed_law.saturated(law, experts))}
    return LossCurves(
        numbers,
        sizes,
        routed_law.loss(law, sizes[:, None], numbers[None, :]),
        routed_law.loss(law._replace(top=1e12), dense_size, numbers),
        SIZES,
        shown,
        routed_law.loss(law, SIZES[None, :], shown[:, None]),
        float(law.top),
        float(routed_law.cutoff(law)),
        headlines,
    )


@dataclass(frozen=True)
class Routers(Result):
    """Nbar/N of the three published routers, and of the custom one where chosen."""

    experts: Array  # (n_experts,)
    against_experts: dict[str, Array]
    size: Array  # (n_sizes,)
    against_size: dict[str, Array]
    cutoffs: dict[str, float]  # of the printed constants
    quoted: dict[str, float]
    dense_size: float
    number: int

    def table(self) -> pl.DataFrame:
        first = [
            pl.DataFrame({"router": k, "N": self.dense_size, "E": self.experts, "worth": v})
            for k, v in self.against_experts.items()
        ]
        second = [
            pl.DataFrame({"router": k, "N": self.size, "E": float(self.number), "worth": v}) for k, v in self.against_size.items()
        ]
        return pl.concat([*first, *second])

    def headline(self) -> dict[str, float | str]:
        out: dict[str, float | str] = {}
        for name in self.against_experts:
            value = np.interp(np.log(self.dense_size), np.log(self.size), np.log(self.against_size[name]))
            out[f"{name}: worth over its size"] = float(np.exp(value))
        return out | {f"{k}: cut-off, quoted": v for k, v in self.quoted.items()}


@experiment
@with_router
def routers(*, dense_size: Size = 1e8, experts: Experts = 64, routed: Routed) -> Routers:
    """The worth of a routed model for the three published routers, against experts and against size."""
    laws = {NAMES[k]: PUBLISHED[k] for k in ROUTERS}
    if routed.router == "custom":
        laws["custom"] = routed.law
    numbers = integers(2048, 60)
    return Routers(
        numbers,
        {k: routed_law.cost_ratio(v, dense_size, numbers) for k, v in laws.items()},
        SIZES,
        {k: routed_law.cost_ratio(v, SIZES, experts) for k, v in laws.items()},
        {k: float(c) for k, v in laws.items() if np.isfinite(c := routed_law.cutoff(v))},
        {NAMES[k]: v for k, v in QUOTED_CUTOFF.items()},
        dense_size,
        experts,
    )


# --- collapse ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Collapse(Result):
    """Synthetic runs of a grid of sizes and experts, against N and against Nbar."""

    size: Array  # (n_runs,)
    experts: Array
    loss: Array
    effective: Array
    line_size: Array  # (n,)
    line_loss: Array  # (n,) the dense law
    standard_error: float  # of a loss, relative
    spread: tuple[float, float]  # rms distance of log10 L from the dense law, against N and against Nbar
    headlines: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame(
            {"kind": "run", "N": self.size, "E": self.experts, "loss": self.loss, "effective_parameters": self.effective}
        )
        dense = pl.DataFrame({"kind": "dense law", "N": self.line_size, "loss": self.line_loss})
        return pl.concat([runs, dense], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "spread of log loss about the dense law, against N": float(self.spread[0] * np.log(10)),
            "against effective parameters": float(self.spread[1] * np.log(10)),
            **self.headlines,
        }


@experiment
@with_router
def collapse(
    *, dense_size: Size = 1e8, experts: Experts = 64, synthetic_noise: Noise = 0.004, seed: Seed = 0, routed: Routed
) -> Collapse:
    """Runs of seven sizes and ten numbers of experts, drawn from the law: one curve once size is counted as dense worth."""
    law = routed.law
    size, number = (v.ravel() for v in np.meshgrid(RUN_SIZES, RUN_EXPERTS))
    noise = synthetic_noise * np.random.default_rng([seed, 3]).standard_normal(size.size)
    measured = routed_law.loss(law, size, number) * np.exp(noise)
    effective = routed_law.effective_parameters(law, size, number)
    spread = [float(np.sqrt(np.mean((np.log10(measured) - routed_law.log_loss(law, x, 1)) ** 2))) for x in (size, effective)]
    line = np.geomspace(1e7, 2e10, 60)
    return Collapse(
        size,
        number,
        measured,
        effective,
        line,
        routed_law.loss(law, line, 1),
        synthetic_noise,
        (spread[0], spread[1]),
        worth(law, dense_size, experts),
    )
