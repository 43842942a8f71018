"""The shell: same parameters, same validation, same numbers as a call; one sentence and exit code 2 for what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from compute.__main__ import main
from compute.registry import experiments, labs

ROOT = Path(__file__).parents[2]
KDE = "statistical_physics/kernel_density_large_dimension"


def test_list_and_describe_name_everything(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    for lab in labs():
        assert lab in listed
        assert main(["describe", lab]) == 0
        described = capsys.readouterr().out
        for name, experiment in experiments(lab).items():
            assert name in listed and name in described
            assert all(parameter in described for parameter in experiment.parameters)


def test_run_writes_the_numbers_of_a_call(tmp_path, capsys):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "parquet", "json")}
    options = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    assert main(["run", KDE, "--view", "log_density", "--set", "load=0.3", "--set", "bandwidth=5e-1", *options]) == 0
    result = experiments(KDE)["log_density"](load=0.3, bandwidth=0.5)
    assert pl.read_parquet(files["parquet"]).equals(result.table())
    assert (
        pl.read_csv(files["csv"])["exact_finite_d"].drop_nulls().to_list()
        == result.table()["exact_finite_d"].drop_nulls().to_list()
    )
    written = json.loads(files["json"].read_text())
    assert written["headline"] == result.headline()
    assert "regime: extreme value" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments,says",
    [
        (["run", "nowhere/nothing"], "There is no lab 'nowhere/nothing'"),
        (["run", KDE, "--view", "nothing"], "its views are phase_plane"),
        (["run", KDE, "--set", "load=9"], "load takes a number from 0.05 to 1.5"),
        (["run", KDE, "--set", "load=much"], "not 'much'"),
        (["run", KDE, "--set", "nothing=1"], "'nothing' is not a parameter"),
        (["run", KDE, "--set", "load"], "--set takes NAME=VALUE"),
        (["run", KDE, "--view", "fluctuations", "--set", "load=1.5"], "load gives n"),
        (["run", KDE, "--data", "load=x.csv"], "load takes a number"),
        (["run", KDE, "--csv", "/nowhere/out.csv"], "There is no folder"),
        (["run", "scaling_laws/chinchilla", "--data", "runs=missing.csv"], "There is no file missing.csv"),
        (["dance"], "Argument COMMAND"),
        ([], "required"),
    ],
)
def test_what_is_wrong_gets_one_sentence_and_exit_code_2(arguments, says, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and "Traceback" not in said.err


def test_module_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "compute", "run", KDE, "--set", "load=9"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("load takes") and not done.stdout
