"""A Streamlit server for a benchmark: of any folder, its output kept in a file, gone at the end."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.browser.conftest import free_port

START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    process: psutil.Process
    log: Path

    def resident_mb(self) -> float:
        """Resident memory of the process, in MB."""
        return self.process.memory_info().rss / 1e6

    def tracebacks(self) -> int:
        """How many exceptions its log tells of."""
        return self.log.read_text(errors="replace").count("Traceback (most recent call last)")


@contextmanager
def serving(folder: Path, script: str = "app.py") -> Iterator[Server]:
    """Run a folder's script, with that folder's ``.streamlit``; yields once it answers."""
    # The output goes to a file and not to a pipe: nobody reads it while the server runs, and a full pipe stops it.
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        port = free_port()
        command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port), "--server.headless", "true"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        server = Server(f"http://localhost:{port}", psutil.Process(process.pid), Path(log.name))
        try:
            _wait(process, server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=1)
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {server.log.read_text(errors='replace')[-2000:]}")
