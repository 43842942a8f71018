"""Find the topics and labs that the tree holds: adding a lab's files is all it takes."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from dataclasses import dataclass
from functools import cache

import pages
from pages.kit.lab import Lab
from pages.kit.topic import SECTIONS, Topic


@dataclass(frozen=True)
class Entry:
    """A lab and where it stands."""

    topic_name: str
    name: str
    topic: Topic
    lab: Lab

    @property
    def path(self) -> str:
        """``topic/lab``: what the shell and the thumbnails call it."""
        return f"{self.topic_name}/{self.name}"

    @property
    def url(self) -> str:
        """The page's own URL, below the app's."""
        return self.name


@cache
def topics() -> dict[str, Topic]:
    """Every topic by its name, in the order of the navigation's sections."""
    found = {}
    for module in pkgutil.iter_modules(pages.__path__):
        if module.ispkg and module.name != "kit":
            found[module.name] = importlib.import_module(f"pages.{module.name}").TOPIC
    return dict(sorted(found.items(), key=lambda item: (SECTIONS.index(item[1].section), item[1].title)))


_loading = threading.Lock()


@cache
def _load() -> tuple[tuple[Entry, ...], dict[str, Exception]]:
    found, broken = [], {}
    for topic_name, topic in topics().items():
        package = importlib.import_module(f"pages.{topic_name}")
        names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        rank = {name: k for k, name in enumerate(topic.order)}
        for name in sorted(names, key=lambda name: (rank.get(name, len(rank)), name)):
            try:
                module = importlib.import_module(f"pages.{topic_name}.{name}")
                found.append(Entry(topic_name, name, topic, module.LAB))
            except Exception as error:
                broken[f"{topic_name}/{name}"] = error
    return tuple(found), broken


def entries() -> tuple[Entry, ...]:
    """Every lab, topic by topic, each topic in its own order."""
    with _loading:  # the first two sessions of a server must not both import
        return _load()[0]


def broken() -> dict[str, Exception]:
    """Labs that could not be loaded, by path: one broken lab does not take the others down."""
    with _loading:
        return _load()[1]


def papers() -> dict[str, tuple[Entry, str]]:
    """Of each paper that a lab shows: the lab, and whether it is the paper's own object."""
    return {paper: (entry, standing) for entry in entries() for paper, standing in entry.lab.papers.items()}
