"""A local worker process: it reads tasks from its input, performs them, and writes what came of them.

It is a plain subprocess and not a ``multiprocessing`` one: those run the parent's main script again,
which under Streamlit is the app itself.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from typing import Any

import numba  # noqa: F401  what takes long to import is imported while the worker is announced as starting

from compute.sweeps.cells import Done, OtherCode, Task, perform

# One thread each: the workers share the cores between them.
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
COMMAND = [sys.executable, "-P", "-c", "from compute.sweeps.worker import main; main()"]


class Lost(Exception):
    """The worker process ended."""


def main() -> None:
    """Serve until the input ends: when the parent closes it, or ends itself."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what an experiment prints must not reach the channel
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which decides
    if hasattr(os, "nice"):
        os.nice(5)  # whoever looks at a page goes first
    try:
        _send(channel, "ready")
        while True:
            try:
                task = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            _send(channel, _reply(task))
    except BrokenPipeError:
        os._exit(0)


def _reply(task: Task) -> Done | OtherCode | str:
    try:
        return perform(task)
    except OtherCode as error:
        return error
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _send(channel: Any, message: Any) -> None:
    pickle.dump(message, channel, protocol=5)
    channel.flush()


class Worker:
    """A worker process as its parent sees it.

    Raises
    ------
    Lost
        Where it does not come up.
    """

    def __init__(self) -> None:
        variables = {f"{name}_NUM_THREADS": "1" for name in THREADS} | {"POLARS_MAX_THREADS": "1"}
        variables["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | variables, bufsize=-1
        )
        self._receive()

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, task: Task) -> Done | OtherCode | str:
        """Have a task performed; what came of it, or a sentence where it could not be begun."""
        try:
            _send(self._process.stdin, task)
        except OSError:
            raise Lost from None
        return self._receive()

    def end(self) -> None:
        """End the process, in the midst of a task if need be."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:
                pass  # what was left unsent

    def kill(self) -> None:
        """End the process from another thread than the one that calls it."""
        self._process.kill()

    def _receive(self) -> Any:
        try:
            return pickle.load(self._process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError):
            raise Lost from None
