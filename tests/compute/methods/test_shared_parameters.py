"""A dataclass of parameters reaches experiments short and long, with its bounds and defaults."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pytest

from compute.experiment import experiment
from compute.methods.shared_parameters import gathered
from compute.parameters import ParameterError, Real

Height = Annotated[float, Real("height", low=0.0, high=2.0)]
Depth = Annotated[float, Real("depth", low=0.0, high=9.0)]


@dataclass(frozen=True)
class Both:
    height: Height = 1.0
    depth: Depth = 3.0


@experiment
@gathered(Both, "both")
def short(*, scale: Height = 0.5, both: Both) -> float:
    """Product."""
    return scale * both.height * both.depth


@experiment(seconds=lambda **_: 0.1)
@gathered(Both, "area", lambda b: b.height * b.depth)
def long(*, area: float) -> Iterator[tuple[float, float]]:
    """Area."""
    yield 0.5, 0.0
    yield 1.0, area


def test_declared_once_and_passed_together():
    assert list(short.parameters) == ["scale", "height", "depth"]
    assert short.defaults == {"scale": 0.5, "height": 1.0, "depth": 3.0}
    assert short(height=2.0, depth=4.0) == 4.0
    assert long.is_long and not short.is_long
    assert long(depth=7.0) == 7.0
    with pytest.raises(ParameterError, match="height"):
        short(height=3.0)
