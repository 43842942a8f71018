"""The shell: ``python -m compute list | describe LAB | run LAB --view NAME --set name=value … | sweep LAB --x … --y …``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from compute.experiment import Experiment, Result
from compute.parameters import Dataset, ParameterError, format_number, read_table
from compute.registry import experiments, labs
from compute.sweeps import SweepError, shell


class Refused(Exception):
    """What was asked cannot be done; the message is one sentence that says what can."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message[0].upper()}{message[1:]}; see python -m compute --help.")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 if it was done, 2 with one sentence on standard error if it was not."""
    try:
        options = _parser().parse_args(arguments)
        options.command(options)
    except ParameterError as error:
        print(f"{error.name} {error.reason}", file=sys.stderr)
        return 2
    except (Refused, LookupError, SweepError) as error:
        print(error.args[0], file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m compute", description="Regimes' experiments, from the shell.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    listing = commands.add_parser("list", help="every lab and its views")
    listing.set_defaults(command=_list)
    describing = commands.add_parser("describe", help="a lab's views and parameters")
    describing.add_argument("lab", metavar="TOPIC/LAB")
    describing.set_defaults(command=_describe)
    running = commands.add_parser("run", help="compute a view; print its headline")
    _add_call(running)
    running.set_defaults(command=_run)
    sweeping = commands.add_parser("sweep", help="a headline number over one or two parameters; print its extremes")
    _add_call(sweeping)
    shell.add_arguments(sweeping)
    sweeping.set_defaults(command=_sweep)
    return parser


def _add_call(parser: argparse.ArgumentParser) -> None:
    """What is called, with which values, and the files that its table goes to."""
    parser.add_argument("lab", metavar="TOPIC/LAB")
    parser.add_argument("--view", metavar="NAME", help="which experiment; the lab's first if not given")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], dest="settings")
    parser.add_argument(
        "--data", metavar="NAME=FILE.csv", action="append", default=[], help="a table, for a parameter that takes one"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--parquet", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")


def _known(lab: str) -> dict[str, Experiment[Any]]:
    known = labs()
    if lab not in known:
        raise Refused(f"There is no lab {lab!r}; the labs are {', '.join(known)}.")
    return experiments(lab)


def _list(_: argparse.Namespace) -> None:
    for lab in labs():
        print(f"{lab}: {', '.join(experiments(lab))}")


def _describe(options: argparse.Namespace) -> None:
    for experiment in _known(options.lab).values():
        summary = experiment.doc.splitlines()[0] if experiment.doc else ""
        print(f"{experiment.name}{' (long)' if experiment.is_long else ''}: {summary}")
        for name, parameter in experiment.parameters.items():
            default = experiment.defaults[name]
            shown = "none" if default is None else parameter.format(default)
            said = [f"    {name} = {shown}  ({parameter.label}; {parameter.allowed})", parameter.help]
            if parameter.when:
                said.append(f"Only where {parameter.when[0]} is {' or '.join(map(str, parameter.when[1]))}.")
            print(" ".join(filter(None, said)))


def _pairs(texts: list[str], flag: str) -> list[tuple[str, str]]:
    for text in texts:
        if "=" not in text:
            raise Refused(f"{flag} takes NAME=VALUE, not {text!r}.")
    return [(name.strip(), value) for name, _, value in (text.partition("=") for text in texts)]


def _run(options: argparse.Namespace) -> None:
    experiment, values = _call(options)
    *_, result = _steps(experiment, values)
    _write(options, experiment, result)


def _sweep(options: argparse.Namespace) -> None:
    experiment, values = _call(options)
    _write(options, experiment, shell.run(experiment, values, options))


def _call(options: argparse.Namespace) -> tuple[Experiment[Any], dict[str, Any]]:
    """The experiment asked for and the values given; refuses files that cannot be written before anything is computed."""
    known = _known(options.lab)
    name = options.view or next(iter(known))
    if name not in known:
        raise Refused(f"{options.lab} has no view {name!r}; its views are {', '.join(known)}.")
    experiment = known[name]
    values: dict[str, Any] = {}
    for parameter, text in _pairs(options.settings, "--set"):
        values[parameter] = _declared(experiment, parameter).parse(parameter, text)
    for parameter, path in _pairs(options.data, "--data"):
        values[parameter] = _table(experiment, parameter, Path(path))
    for target in (options.csv, options.parquet, options.json):
        if target and not target.parent.is_dir():
            raise Refused(f"There is no folder {target.parent} to write {target.name} to.")
    return experiment, values


def _write(options: argparse.Namespace, experiment: Experiment[Any], result: Result) -> None:
    for label, value in result.headline().items():
        print(f"{label}: {value if isinstance(value, str) else format_number(value, 6)}")
    table = result.table()
    if options.csv:
        table.write_csv(options.csv)
    if options.parquet:
        table.write_parquet(options.parquet)
    if options.json:
        content = {
            "lab": options.lab,
            "view": experiment.name,
            "headline": result.headline(),
            "table": table.to_dict(as_series=False),
        }
        options.json.write_text(json.dumps(content))


def _declared(experiment: Experiment[Any], name: str) -> Any:
    if name not in experiment.parameters:
        raise Refused(f"{name!r} is not a parameter of {experiment.name}; those are {', '.join(experiment.parameters)}.")
    return experiment.parameters[name]


def _table(experiment: Experiment[Any], name: str, path: Path) -> Any:
    dataset = _declared(experiment, name)
    if not isinstance(dataset, Dataset):
        raise Refused(f"{name} takes {dataset.allowed}, not a table; give it with --set.")
    if not path.is_file():
        raise Refused(f"There is no file {path}.")
    table, problems = read_table(name, path.read_bytes(), dataset)
    for problem in problems:
        print(problem, file=sys.stderr)
    return table


def _steps(experiment: Experiment[Any], values: dict[str, Any]) -> Any:
    """The results of a run as they come; progress on standard error where a person watches."""
    for fraction, result in experiment.stream(**values):
        if experiment.is_long and sys.stderr.isatty():
            print(f"\r{fraction:4.0%}", end="" if fraction < 1 else "\n", file=sys.stderr, flush=True)
        yield result


if __name__ == "__main__":
    sys.exit(main())
