"""Kinds of parameter: what they take, what they refuse and how they write it."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.experiment import Result, experiment
from compute.parameters import (
    Annotated,
    Choice,
    Column,
    Dataset,
    Flag,
    Integer,
    LogInteger,
    LogReal,
    ParameterError,
    Real,
    format_number,
    parse_number,
    read_table,
)

NUMBERS = [
    Real("x", low=-2.0, high=3.0),
    LogReal("x", low=1e-8, high=1e12),
    Integer("x", low=-5, high=50),
    LogInteger("x", low=1, high=10**12),
]


@pytest.mark.parametrize(
    "text,value",
    [
        ("1e-3", 1e-3),
        ("2.4M", 2.4e6),
        ("70B", 7e10),
        ("1.5T", 1.5e12),
        (" 0.3 ", 0.3),
        ("1,000", 1000),
        ("−2", -2),
        (".5", 0.5),
        ("10k", 1e4),
    ],
)
def test_numbers_are_read_as_people_type_them(text, value):
    assert parse_number(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("text", ["", "wide", "1e", "1..2", "nan", "inf", "0x10", "2.4 Q", "1 2", "<b>"])
def test_what_is_not_a_number_is_refused(text):
    with pytest.raises(ValueError):
        parse_number(text)


@pytest.mark.parametrize(
    "value,text", [(1e-3, "1e-3"), (2.4e6, "2.4M"), (0.25, "0.25"), (7, "7"), (0, "0"), (1e20, "1e20"), (123456, "123k")]
)
def test_numbers_are_written_shortly(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize("parameter", NUMBERS)
@given(u=st.floats(0, 1))
def test_every_allowed_value_survives_text(parameter, u):
    low, high = parameter.extremes()
    value = parameter.clamp(low * (high / low) ** u if parameter.is_log else low + u * (high - low))
    assert parameter.parse("x", parameter.format(value)) == value


@pytest.mark.parametrize("parameter", NUMBERS)
def test_bounds_are_allowed_and_what_is_beyond_is_named(parameter):
    low, high = parameter.extremes()
    assert parameter.validate("x", low) == low and parameter.validate("x", high) == high
    for bad in (high * 2 + 1, -1e300, math.inf, math.nan, "3", None, True, [1]):
        with pytest.raises(ParameterError, match=r"takes an? (number|integer) from"):
            parameter.validate("x", bad)
    assert low <= parameter.draw(np.random.default_rng(0)) <= high
    grid = parameter.grid(40)
    assert grid[0] == low and grid[-1] == high and np.all(np.diff(grid) > 0)


def test_integers_take_whole_numbers_only():
    assert Integer("n", low=1, high=9).validate("n", 3.0) == 3
    with pytest.raises(ParameterError):
        Integer("n", low=1, high=9).validate("n", 3.5)


def test_choices_and_flags():
    choice, flag = Choice("c", options=("euler", "heun")), Flag("f")
    assert choice.parse("c", "heun") == "heun" and flag.parse("f", "Yes") is True and flag.format(False) == "false"
    for parameter, text in ((choice, "rk4"), (flag, "maybe")):
        with pytest.raises(ParameterError):
            parameter.parse("x", text)


RUNS = Dataset(
    "runs",
    columns=(Column("N", low=1), Column("loss", low=0), Column("note", required=False, is_text=True), Column("D", required=False)),
    template="N,loss\n1,2\n",
)


def test_bad_rows_are_named_and_left_out():
    data = "n,LOSS,note,other\n1e6,3.1,a,x\n,3,b,x\n2M,oops,c,x\n-5,2,d,x\n3M,2.5,,x\n"
    table, problems = read_table("runs", data.encode(), RUNS)
    assert table.columns == ["N", "loss", "note"]
    assert table["N"].to_list() == [1e6, 3e6] and table["note"].to_list() == ["a", None]
    assert [p.split(" is ")[0] for p in problems] == ["Row 2", "Row 3", "Row 4"]
    assert "N is empty" in problems[0] and "'oops'" in problems[1]


@pytest.mark.parametrize(
    "data,says",
    [
        (b"", "empty file"),
        (b"a,b\n1,2\n", "lacks the column N, loss"),
        (b"N,loss\n", "no usable row"),
        (b"N,loss\nx,y\n", "Row 1 is left out"),
        (b"\xff\xfe\x00\x01", "lacks the column|cannot|can be read"),
        (b"PK\x03\x04" + bytes(range(256)) * 4, "lacks the column|can be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data, says):
    with pytest.raises(ParameterError, match=says):
        read_table("runs", data, RUNS)


def test_ragged_and_quoted_rows_are_read():
    table, problems = read_table("runs", b'N,loss\n"1,000",2\n5,3,7,7\n9\n', RUNS)
    assert table["N"].to_list() == [1000, 5] and len(problems) == 1
    assert isinstance(table, pl.DataFrame)


class Number(Result):
    def __init__(self, value):
        self.value = value


X = Annotated[float, Real("x", low=0.0, high=1.0)]


def test_an_experiment_checks_its_declaration_and_its_call():
    @experiment
    def double(*, x: X = 0.5) -> Number:
        """Twice."""
        return Number(2 * x)

    assert double(x=0.25).value == 0.5 and double().value == 1.0 and double.defaults == {"x": 0.5}
    with pytest.raises(ParameterError, match="from 0 to 1"):
        double(x=2)
    with pytest.raises(ParameterError, match="not a parameter of double"):
        double(y=2)
    with pytest.raises(ParameterError):

        @experiment
        def out_of_bounds(*, x: X = 7.0) -> Number: ...

    with pytest.raises(TypeError):

        @experiment
        def positional(x: X = 0.5) -> Number: ...

    with pytest.raises(TypeError):

        @experiment(seconds=lambda **_: 3)
        def not_a_generator(*, x: X = 0.5) -> Number: ...


def test_a_long_experiment_streams_and_returns_its_last():
    @experiment(seconds=lambda *, x: 10 * x)
    def slow(*, x: X = 0.5):
        """Slowly."""
        for k in range(1, 5):
            yield k / 4, Number(k * x)

    assert slow.is_long and slow.seconds({"x": 0.2}) == 2 and slow.seconds({}) == 5
    assert [fraction for fraction, _ in slow.stream(x=1.0)] == [0.25, 0.5, 0.75, 1.0]
    assert slow(x=1.0).value == 4
