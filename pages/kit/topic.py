"""What a topic's package declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SECTIONS = ("Scaling", "Learning", "Sampling", "Inference", "Dynamics", "Mathematics")


@dataclass(frozen=True)
class Topic:
    """A group of labs.

    Parameters
    ----------
    title : str
        Its name.
    section : str
        One of ``SECTIONS``: where it stands in the navigation.
    icon : str
        A Material symbol, ``":material/…:"``.
    promise : str
        One line: what a reader finds here.
    order : sequence of str
        Names of labs, first ones first; labs that are not named follow by name.
    """

    title: str
    section: str
    icon: str
    promise: str
    order: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.section not in SECTIONS:
            raise ValueError(f"{self.title}: section {self.section!r} is not one of {SECTIONS}")
