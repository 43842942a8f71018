"""Run benchmarks: ``python -m tests.benchmarks [views|repaint|kernels|sweeps|home|load …] [--labs topic/lab …] [--csv FILE]``.

Without a name all but ``load`` are run. Times are of this machine as it is now: run it on a quiet one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pages.kit.discovery import entries
from tests.benchmarks import home, kernels, load, repaint, sweeps, views
from tests.benchmarks.report import Row, save

NAMES = ("views", "repaint", "kernels", "sweeps", "home", "load")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}; all but load if none is given")
    parser.add_argument("--labs", nargs="+", metavar="topic/lab", help="for views, repaint and load: these labs only")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long load lasts")
    parser.add_argument("--csv", type=Path, help="save every row")
    arguments = parser.parse_args()
    labs = {entry.path: entry for entry in entries()}
    for kind, given, known in (("benchmark", arguments.names, NAMES), ("lab", arguments.labs or [], labs)):
        for name in given:
            if name not in known:
                parser.error(f"there is no {kind} {name!r}; there are {', '.join(known)}")
    chosen = [labs[path] for path in arguments.labs or labs]
    programs = {
        "views": lambda: views.main(chosen),
        "repaint": lambda: repaint.main(chosen),
        "kernels": kernels.main,
        "sweeps": sweeps.main,
        "home": home.main,
        "load": lambda: load.main(chosen, arguments.seconds),
    }
    found: dict[str, list[Row]] = {}
    for name in arguments.names or NAMES[:-1]:
        found[name] = programs[name]()
        if arguments.csv:
            save(found, arguments.csv)  # after each: a later one that fails must not cost these


if __name__ == "__main__":
    main()
