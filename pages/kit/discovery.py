"""Find the topics and labs that the tree holds: adding a lab's files is all it takes."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pages
from pages.kit.lab import Lab
from pages.kit.topic import SECTIONS, Topic


@dataclass(frozen=True)
class Card:
    """What home, the navigation and the atlas show of a lab."""

    title: str
    question: str
    views: tuple[str, ...]
    kinds: tuple[str, ...]
    papers: dict[str, str]


@dataclass(frozen=True, eq=False)
class Entry:
    """A lab and where it stands."""

    topic_name: str
    name: str
    topic: Topic
    card: Card

    @property
    def path(self) -> str:
        """``topic/lab``: what the shell and the thumbnails call it."""
        return f"{self.topic_name}/{self.name}"

    @property
    def url(self) -> str:
        """The page's own URL, below the app's."""
        return self.name

    @cached_property
    def lab(self) -> Lab:
        """The lab itself, imported with its model when it is first opened."""
        lab: Lab = importlib.import_module(f"pages.{self.topic_name}.{self.name}").LAB
        return lab


def read_card(source: str) -> Card:
    """The literals of ``LAB = Lab(…)``, without importing the lab.

    A lab brings its model, and a model SciPy and kernels: tens of milliseconds each, which hundreds of labs would
    cost the first visitor. The source below ``LAB =`` is read in one.

    Raises
    ------
    ValueError
        Where a title, a question, a view's title or kind, or the papers are not written out there.
    """
    start = source.rfind("\nLAB = Lab(")
    if start < 0:
        raise ValueError("there is no LAB = Lab(…) in it")
    call = ast.parse(source[start:]).body[0].value  # type: ignore[attr-defined]
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    views = [_arguments(view, ("title", "kind")) for view in given["views"].elts]
    return Card(
        title=ast.literal_eval(given["title"]),
        question=ast.literal_eval(given["question"]),
        views=tuple(view["title"] for view in views),
        kinds=tuple(dict.fromkeys(view["kind"] for view in views)),
        papers=ast.literal_eval(given["papers"]),
    )


def _arguments(call: Any, names: tuple[str, ...]) -> dict[str, str]:
    given = dict(zip(names, call.args, strict=False)) | {keyword.arg: keyword.value for keyword in call.keywords}
    return {name: ast.literal_eval(given[name]) for name in names}


@cache
def topics() -> dict[str, Topic]:
    """Every topic by its name, in the order of the navigation's sections."""
    found = {}
    for module in pkgutil.iter_modules(pages.__path__):
        if module.ispkg and module.name != "kit":
            found[module.name] = importlib.import_module(f"pages.{module.name}").TOPIC
    return dict(sorted(found.items(), key=lambda item: (SECTIONS.index(item[1].section), item[1].title)))


@cache
def entries() -> tuple[Entry, ...]:
    """Every lab, topic by topic, each topic in its own order."""
    found = []
    for topic_name, topic in topics().items():
        files = {file.stem: file for file in (Path(pages.__path__[0]) / topic_name).glob("*.py") if file.stem != "__init__"}
        rank = {name: k for k, name in enumerate(topic.order)}
        for name in sorted(files, key=lambda name: (rank.get(name, len(rank)), name)):
            try:
                found.append(Entry(topic_name, name, topic, read_card(files[name].read_text())))
            except Exception as error:
                error.add_note(f"while reading {files[name]}")
                raise
    return tuple(found)


@cache
def papers() -> dict[str, tuple[Entry, str]]:
    """Of each paper that a lab shows: the lab, and whether it is the paper's own object."""
    return {paper: (entry, standing) for entry in entries() for paper, standing in entry.card.papers.items()}
