"""The numbers of a sweep: in memory while it runs, on disk under its key."""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from compute.sweeps.cells import Blank, Headline, is_number

MISSING, COMPUTED, BLANK, LOST = range(4)
KEPT_BYTES = 500_000_000  # of all sweeps on disk
NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?[kMBGTm]?(?!\w)")


class Store:
    """All headline values of all calls, a row a cell, a column a repeat.

    Attributes
    ----------
    state : array of uint8, shape (cells, repeats)
        Missing, computed, blank, or lost: blank for a reason that another try may not meet.
    which : array of int32, shape (cells, repeats)
        Index into ``layouts`` where computed, into ``sentences`` where blank or lost.
    values : array, shape (cells, repeats, labels)
        Headline values in the order of the call's layout; NaN where they are words.
    words : array of int32, shape (cells, repeats, labels)
        Index into ``sentences`` where a value is words, −1 where it is a number.
    layouts : list of tuple of str
        The lists of labels that headlines have; more than one where labels depend on parameters.
    sentences : list of str
        Everything said in words.
    """

    def __init__(self, cells: int, repeats: int) -> None:
        self.state = np.zeros((cells, repeats), np.uint8)
        self.which = np.zeros((cells, repeats), np.int32)
        self.values = np.full((cells, repeats, 0), np.nan)
        self.words = np.full((cells, repeats, 0), -1, np.int32)
        self.layouts: list[tuple[str, ...]] = []
        self.sentences: list[str] = []
        self._index: dict[str | tuple[str, ...], int] = {}

    def put(self, job: tuple[int, int], outcome: Headline | Blank, state: int = BLANK) -> None:
        """Keep what came of a call."""
        if isinstance(outcome, Blank):
            self.state[job], self.which[job] = state, self._sentence(outcome.reason)
            return
        layout = tuple(outcome)
        if layout not in self._index:
            self._index[layout] = len(self.layouts)
            self.layouts.append(layout)
            self._widen(len(layout))
        self.state[job], self.which[job] = COMPUTED, self._index[layout]
        for k, value in enumerate(outcome.values()):
            if isinstance(value, str):
                self.words[(*job, k)] = self._sentence(value)
            else:
                self.values[(*job, k)] = value

    def _sentence(self, text: str) -> int:
        if text not in self._index:
            self._index[text] = len(self.sentences)
            self.sentences.append(text)
        return self._index[text]

    def _widen(self, labels: int) -> None:
        more = labels - self.values.shape[2]
        if more > 0:
            self.values = np.pad(self.values, ((0, 0), (0, 0), (0, more)), constant_values=np.nan)
            self.words = np.pad(self.words, ((0, 0), (0, 0), (0, more)), constant_values=-1)

    def labels(self) -> list[str]:
        """Labels that have a number in some cell, once for labels that differ in a number only."""
        found: dict[str, str] = {}
        for k, layout in enumerate(self.layouts):
            mine = (self.state == COMPUTED) & (self.which == k)
            has_number = np.isfinite(self.values[mine]).any(axis=0)
            for label, has in zip(layout, has_number, strict=False):
                if has:
                    alike = sum(without_numbers(label) == without_numbers(other) for other in layout)
                    found.setdefault(label if alike > 1 else without_numbers(label), label)
        return list(found.values())

    def copy(self) -> Store:
        """As it is now, for another thread to write."""
        other = Store(*self.state.shape)
        other.state, other.which = self.state.copy(), self.which.copy()
        other.values, other.words = self.values.copy(), self.words.copy()
        other.layouts, other.sentences = list(self.layouts), list(self.sentences)
        return other

    def save(self, path: Path) -> None:
        """Write a file, whole or not at all. What was lost is not kept."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"layouts": self.layouts, "sentences": self.sentences})
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            try:
                np.savez_compressed(
                    file,
                    state=np.where(self.state == LOST, MISSING, self.state).astype(np.uint8),
                    which=self.which,
                    values=self.values,
                    words=self.words,
                    text=np.frombuffer(text.encode(), np.uint8),
                )
                file.close()
                os.replace(file.name, path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        prune(path.parent)

    @classmethod
    def load(cls, path: Path, cells: int, repeats: int) -> Store:
        """Read a file; an empty store where there is none that can be read."""
        store = cls(cells, repeats)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("state", "which", "values", "words")}
                text = json.loads(file["text"].tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return store
        if arrays["state"].shape != (cells, repeats):
            return store
        with suppress(OSError):
            os.utime(path)  # it was of use: pruning takes what was not
        store.state, store.which, store.values, store.words = arrays.values()
        store.layouts, store.sentences = [tuple(layout) for layout in text["layouts"]], text["sentences"]
        store._index = {layout: k for k, layout in enumerate(store.layouts)}
        store._index |= {sentence: k for k, sentence in enumerate(store.sentences)}
        return store


def prune(folder: Path, keep_bytes: int = KEPT_BYTES) -> None:
    """Delete the sweeps longest out of use until the others fit."""
    with suppress(OSError):  # another process may be at it too
        files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime, reverse=True)
        total = 0
        for k, file in enumerate(files):
            total += file.stat().st_size
            if k and total > keep_bytes:
                file.unlink(missing_ok=True)


def file_of(key: str) -> Path:
    """Where a sweep's numbers are kept: in ``REGIMES_CACHE``, or in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regimes"
    return Path(os.environ.get("REGIMES_CACHE") or default) / "sweeps" / f"{key}.npz"


def numeric(headline: Headline) -> list[str]:
    """The labels of a headline that have a number."""
    return [label for label, value in headline.items() if is_number(value)]


def position(layout: tuple[str, ...], label: str) -> int:
    """Where a label stands in a headline; −1 where it does not.

    A label that tells a parameter's value ("coverage at k = 100") is the same label where that value differs,
    unless several in the headline would be.
    """
    if label in layout:
        return layout.index(label)
    alike = [k for k, other in enumerate(layout) if without_numbers(other) == without_numbers(label)]
    return alike[0] if len(alike) == 1 else -1


def without_numbers(label: str) -> str:
    """A label with "…" in place of each number."""
    return NUMBER.sub("…", label)
