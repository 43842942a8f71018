"""Computing what a view shows: cached, announced while kernels compile, in the background where it is long."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import streamlit as st
from numba.core import event
from streamlit.runtime.scriptrunner import add_script_run_ctx

from compute.experiment import Experiment
from compute.parameters import ParameterError

LIVE_SECONDS = 2.0  # beyond this estimate a view waits for its Run button…
DEFAULT_SECONDS = 0.3  # … and beyond this one at its defaults a view always does: it would never feel live
DRAG_SECONDS = 0.25  # beyond this measured time a figure waits for a slider's release


_warm: set[tuple[str, str]] = set()


@st.cache_data(max_size="100MB", show_spinner=False)
def cached(lab: str, name: str, values: dict[str, Any], _experiment: Experiment[Any]) -> tuple[Any, float]:
    """An experiment's result and how many seconds it took; 0 for the first run, which loads its kernels."""
    start = time.perf_counter()
    result = _experiment(**values)
    seconds = time.perf_counter() - start if (lab, name) in _warm else 0.0
    _warm.add((lab, name))
    return result, seconds


def is_live(experiment: Experiment[Any], values: Mapping[str, Any]) -> bool:
    """Whether a page computes this as soon as it is asked for, and not behind a Run button."""
    return experiment.seconds(values) <= LIVE_SECONDS and experiment.seconds({}) <= DEFAULT_SECONDS


def compute(experiment: Experiment[Any], values: dict[str, Any]) -> tuple[Any, float]:
    """The result of a live experiment, from the cache of all sessions where it is known.

    Raises
    ------
    ParameterError
        Where the experiment says so.
    """
    return cached(experiment.lab, experiment.name, values, experiment)


@contextmanager
def announcing_compilation(say: Callable[[], Any], unsay: Callable[[], Any]) -> Iterator[None]:
    """Call ``say`` once if numba compiles in this thread, and at the end ``unsay``.

    With the disk cache that is a machine's first run only.
    """
    thread = threading.get_ident()

    class Announcer(event.Listener):
        said = False

        def on_start(self, _: Any) -> None:
            if threading.get_ident() == thread and not self.said:
                self.said = True
                # In a thread of its own: Streamlit records what a cached function draws, to draw it again on each hit.
                messenger = threading.Thread(target=say)
                add_script_run_ctx(messenger)
                messenger.start()
                messenger.join()

        def on_end(self, _: Any) -> None: ...

    announcer = Announcer()
    try:
        with event.install_listener("numba:compile", announcer):
            yield
    finally:
        if announcer.said:
            unsay()


class Job:
    """A long experiment in a thread of its own: its progress, its latest partial result, a way to stop it."""

    def __init__(self, experiment: Experiment[Any], values: dict[str, Any]) -> None:
        self.experiment, self.values = experiment, values
        self.fraction = 0.0
        self.result: Any = None
        self.error: Exception | None = None
        self.started, self.seconds = time.perf_counter(), 0.0
        self.running, self.stopped = True, False
        self._stop = threading.Event()
        threading.Thread(target=self._work, name=f"job {experiment.name}", daemon=True).start()

    def _work(self) -> None:
        try:
            for fraction, result in self.experiment.stream(**self.values):
                self.fraction, self.result = fraction, result
                if self._stop.is_set():
                    self.stopped = fraction < 1
                    break
        except ParameterError as error:
            self.error = error
        except Exception as error:
            traceback.print_exc()
            self.error = error
        finally:
            self.seconds = time.perf_counter() - self.started
            self.running = False

    def stop(self) -> None:
        """Ask it to end after the present step; what is done is kept."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self.running and self._stop.is_set()

    @property
    def remaining(self) -> float | None:
        """Seconds left at the present pace; ``None`` before there is one."""
        elapsed = time.perf_counter() - self.started
        return elapsed * (1 - self.fraction) / self.fraction if self.fraction > 0.02 else None
