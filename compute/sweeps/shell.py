"""The sweep command of the shell: its axes as text, its progress, what it writes."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from compute.experiment import Experiment
from compute.parameters import Number, ParameterError, parse_number
from compute.sweeps.axes import SPACINGS, Axis, declared
from compute.sweeps.handle import Sweep, SweepError, finish, start
from compute.sweeps.plan import SweepPlan
from compute.sweeps.result import SweepResult

FORM = "NAME[:LOW:HIGH[:N[:linear|log]]] for a number or NAME[:OPTION:OPTION…] for a choice"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes besides a lab, a view, values and files."""
    parser.add_argument("--x", metavar="AXIS", required=True, help=FORM)
    parser.add_argument("--y", metavar="AXIS", help="likewise; a curve where it is not given")
    parser.add_argument("--metric", metavar="LABEL", required=True, help="a label of the headline")
    parser.add_argument("--seeds", metavar="N", type=int, default=1, help="repeats over seeds; 1 if not given")
    parser.add_argument("--workers", metavar="N", type=int, help="local processes; one for each core if not given")


def run(experiment: Experiment[Any], fixed: dict[str, Any], options: argparse.Namespace) -> SweepResult:
    """Sweep and wait; progress on standard error where a person watches."""
    x = parse_axis(experiment, options.x)
    y = None if options.y is None else parse_axis(experiment, options.y)
    if options.workers is not None and options.workers < 1:
        raise ParameterError("--workers", f"takes an integer from 1, not {options.workers}.")
    handle = start(SweepPlan(experiment, x, y, options.metric, fixed, options.seeds), workers=options.workers)
    watched = sys.stderr.isatty()
    try:
        return finish(handle, _show if watched else None)
    except KeyboardInterrupt:
        raise SweepError(
            f"Stopped at {handle.fraction:.0%}; what is done is kept, and the same command goes on from there."
        ) from None
    finally:
        if watched:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _show(handle: Sweep) -> None:
    left = "" if handle.remaining is None else f", {handle.remaining:.0f} s left"
    text = "workers are starting" if handle.starting else f"{handle.fraction:4.0%}{left}"
    print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def parse_axis(experiment: Experiment[Any], text: str) -> Axis:
    """Read an axis: ``load``, ``load:0.1:1.2``, ``load:0.1:1.2:32:log``, ``family:beta:normal``."""
    name, *rest = (part.strip() for part in text.split(":"))
    parameter = declared(experiment, name)
    if not isinstance(parameter, Number):
        return Axis.over(experiment, name, options=[parameter.parse(name, one) for one in rest] or None)
    spacing = rest.pop() if len(rest) == 4 and rest[-1] in SPACINGS else None
    if len(rest) not in (0, 2, 3):
        raise ParameterError(name, f"takes {FORM} as an axis, not {text!r}.")
    low, high = (parameter.parse(name, end) for end in rest[:2]) if rest else (None, None)
    return Axis.over(experiment, name, low, high, _count(name, rest[2]) if len(rest) == 3 else 32, spacing)


def _count(name: str, text: str) -> int:
    try:
        value = parse_number(text)
    except ValueError:
        raise ParameterError(name, f"takes a number of values on an axis, not {text!r}.") from None
    return int(value) if value == int(value) else 0
