"""Kinds of parameter: one declaration draws a control, validates a call, reads a permalink, spans a sweep."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import polars as pl


class ParameterError(ValueError):
    """A value, or a combination of values, that an experiment cannot compute.

    Parameters
    ----------
    name : str
        The parameter to blame: where the page shows the sentence.
    reason : str
        A sentence that says what is allowed.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


SUFFIXES = {"k": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "m": 1e-3}
NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([kMBGTm]?)")


def parse_number(text: str) -> float:
    """Read a number as people type it: ``0.3``, ``1e-3``, ``2.4M``."""
    match = NUMBER.fullmatch(text.strip().replace(",", "").replace("−", "-"))
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    return float(match[1]) * SUFFIXES.get(match[2], 1.0)


def format_number(value: float, digits: int = 3) -> str:
    """Write a number shortly: ``0.3``, ``1e-3``, ``2.4M``; ``parse_number`` reads it back."""
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    magnitude = abs(value)
    if magnitude < 1e4 and float(value).is_integer():
        return str(int(value))
    if 1e-2 <= magnitude < 1e3:
        return f"{value:.{digits}g}"
    for suffix, scale in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if scale <= magnitude < 1e3 * scale and float(f"{magnitude / scale:.{digits}g}") < 1e3:
            return f"{value / scale:.{digits}g}{suffix}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


@dataclass(frozen=True)
class Parameter:
    """What every kind of parameter has.

    Parameters
    ----------
    label : str
        Standard name, in words.
    symbol : str
        TeX, without dollars.
    unit : str
        Unit, if any.
    help : str
        One line for the tooltip and for ``python -m compute describe``.
    when : (str, tuple), optional
        Another parameter and the values of it under which this one matters; a page shows its control only there.
    """

    label: str
    symbol: str = ""
    unit: str = field(default="", kw_only=True)
    help: str = field(default="", kw_only=True)
    when: tuple[str, tuple[Any, ...]] | None = field(default=None, kw_only=True)

    def matters(self, values: Mapping[str, Any]) -> bool:
        """Whether it does anything among these values of all parameters."""
        return self.when is None or values.get(self.when[0]) in self.when[1]

    @property
    def allowed(self) -> str:
        """What values are allowed, in words."""
        raise NotImplementedError

    def validate(self, name: str, value: Any) -> Any:
        """Return the value in its own type, or raise ``ParameterError``."""
        raise NotImplementedError

    def parse(self, name: str, text: str) -> Any:
        """Read a value from text (the shell, a permalink, a typed value)."""
        return self.validate(name, text)

    def format(self, value: Any) -> str:
        """Write a value as text that ``parse`` reads back."""
        return str(value)

    def clamp(self, value: Any) -> Any:
        """The nearest allowed value to one of the right type."""
        return value

    def extremes(self) -> tuple[Any, ...]:
        """The values at the ends of what is allowed: what tests and corners visit."""
        return ()

    def draw(self, rng: np.random.Generator) -> Any:
        """An allowed value at random."""
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Parameter):
    """A number between two bounds, both allowed."""

    low: float = field(kw_only=True)
    high: float = field(kw_only=True)

    is_log = False
    is_integer = False

    @property
    def allowed(self) -> str:
        what = "an integer" if self.is_integer else "a number"
        return f"{what} from {format_number(self.low)} to {format_number(self.high)}"

    def validate(self, name: str, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise ParameterError(name, f"takes {self.allowed}, not {value!r}.")
        if not self.low <= value <= self.high:
            raise ParameterError(name, f"takes {self.allowed}, not {format_number(float(value))}.")
        if self.is_integer and value != int(value):
            raise ParameterError(name, f"takes {self.allowed}, not {value!r}.")
        return int(value) if self.is_integer else float(value)

    def parse(self, name: str, text: str) -> Any:
        try:
            value = parse_number(text)
        except ValueError:
            raise ParameterError(name, f"takes {self.allowed}, not {text!r}.") from None
        # Text such as 0.3k is read as 299.99…; a count must not fail for that.
        if self.is_integer and math.isfinite(value) and abs(value - round(value)) < 1e-9 * abs(value):
            value = round(value)
        return self.validate(name, value)

    def format(self, value: Any) -> str:
        short = format_number(value)
        return short if parse_number(short) == value else repr(value)

    def clamp(self, value: Any) -> Any:
        clamped = min(max(value, self.low), self.high)
        return round(clamped) if self.is_integer else float(clamped)

    def extremes(self) -> tuple[Any, ...]:
        return (self.clamp(self.low), self.clamp(self.high))

    def grid(self, n: int) -> np.ndarray:
        """At most ``n`` values over the bounds, evenly spaced on the parameter's own scale."""
        values = np.geomspace(self.low, self.high, n) if self.is_log else np.linspace(self.low, self.high, n)
        values[0], values[-1] = self.low, self.high
        return np.unique(np.rint(values).astype(np.int64)) if self.is_integer else values

    def draw(self, rng: np.random.Generator) -> Any:
        u = rng.random()
        value = self.low * (self.high / self.low) ** u if self.is_log else self.low + u * (self.high - self.low)
        return self.clamp(value)


@dataclass(frozen=True)
class Real(Number):
    """A real number."""


@dataclass(frozen=True)
class LogReal(Number):
    """A positive real number that moves in decades."""

    is_log = True


@dataclass(frozen=True)
class Integer(Number):
    """An integer."""

    is_integer = True


@dataclass(frozen=True)
class LogInteger(Number):
    """A positive integer that moves in decades."""

    is_log = True
    is_integer = True


@dataclass(frozen=True)
class SeedParameter(Integer):
    """The seed of every random number in an experiment."""


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few named options."""

    options: Sequence[str] = field(kw_only=True)

    @property
    def allowed(self) -> str:
        return "one of " + ", ".join(self.options)

    def validate(self, name: str, value: Any) -> str:
        if value not in self.options:
            raise ParameterError(name, f"takes {self.allowed}, not {value!r}.")
        return str(value)

    def clamp(self, value: Any) -> Any:
        return value if value in self.options else self.options[0]

    def extremes(self) -> tuple[Any, ...]:
        return tuple(self.options)

    def draw(self, rng: np.random.Generator) -> Any:
        return self.options[int(rng.integers(len(self.options)))]


@dataclass(frozen=True)
class Flag(Parameter):
    """Yes or no."""

    allowed = "true or false"  # type: ignore[assignment]

    def validate(self, name: str, value: Any) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise ParameterError(name, f"takes {self.allowed}, not {value!r}.")
        return bool(value)

    def parse(self, name: str, text: str) -> bool:
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.strip().lower() not in words:
            raise ParameterError(name, f"takes {self.allowed}, not {text!r}.")
        return words[text.strip().lower()]

    def format(self, value: Any) -> str:
        return "true" if value else "false"

    def extremes(self) -> tuple[Any, ...]:
        return (False, True)

    def draw(self, rng: np.random.Generator) -> Any:
        return bool(rng.integers(2))


@dataclass(frozen=True)
class Column:
    """A column of a table that a user brings.

    Parameters
    ----------
    name : str
        The header, matched without regard to case.
    help : str
        What it holds, with its unit.
    required : bool
        Whether a table without it is refused.
    low, high : float
        Bounds, both allowed; a row outside them is left out and named.
    is_text : bool
        Whether it holds labels and not numbers.
    """

    name: str
    help: str = ""
    required: bool = True
    low: float = -math.inf
    high: float = math.inf
    is_text: bool = False


@dataclass(frozen=True)
class Dataset(Parameter):
    """A table with named columns that a user brings; ``None`` where none is brought.

    Parameters
    ----------
    columns : sequence of Column
        What the table may hold.
    template : str
        A small CSV that shows the form and is offered for download.
    one_of : sequence of str, optional
        Of these columns every row needs at least one; each of them is optional by itself.
    """

    columns: Sequence[Column] = field(kw_only=True)
    template: str = field(kw_only=True)
    one_of: Sequence[str] = field(default=(), kw_only=True)

    @property
    def allowed(self) -> str:
        return "a table with the columns " + ", ".join(c.name if c.required else f"{c.name} (optional)" for c in self.columns)

    def validate(self, name: str, value: Any) -> pl.DataFrame | None:
        if value is None:
            return None
        if not isinstance(value, pl.DataFrame):
            raise ParameterError(name, f"takes {self.allowed}, as a polars.DataFrame.")
        return self.clean(name, value)[0]

    def clean(self, name: str, raw: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
        """Keep the known columns and the sound rows.

        Parameters
        ----------
        name : str
            The parameter, to name in an error.
        raw : polars.DataFrame
            The table as it was read, numbers or text.

        Returns
        -------
        frame : polars.DataFrame
            Known columns, in declared order; numbers as floats.
        problems : list of str
            One sentence for each row left out; row 1 is the first below the header.

        Raises
        ------
        ParameterError
            Where a required column is missing or no row is sound.
        """
        headers = {header.strip().lower(): header for header in raw.columns}
        missing = [c.name for c in self.columns if c.required and c.name.lower() not in headers]
        if missing:
            found = ", ".join(raw.columns) or "none"
            raise ParameterError(name, f"lacks the column {', '.join(missing)} (found: {found}); it takes {self.allowed}.")
        if self.one_of and not any(one.lower() in headers for one in self.one_of):
            raise ParameterError(name, f"needs a column {' or '.join(self.one_of)}.")
        kept: dict[str, list[Any]] = {c.name: [] for c in self.columns if c.name.lower() in headers}
        present = [c for c in self.columns if c.name in kept]
        problems: list[str] = []
        columns = {c.name: raw[headers[c.name.lower()]].to_list() for c in present}
        for row in range(raw.height):
            values: dict[str, Any] = {}
            for column in present:
                try:
                    values[column.name] = _cell(column, columns[column.name][row])
                except ValueError as error:
                    problems.append(f"Row {row + 1} is left out: {error}.")
                    break
            else:
                if self.one_of and all(values.get(one) is None for one in self.one_of):
                    problems.append(f"Row {row + 1} is left out: it has neither {' nor '.join(self.one_of)}.")
                    continue
                for key, value in values.items():
                    kept[key].append(value)
        if not any(len(v) for v in kept.values()):
            raise ParameterError(name, f"has no usable row. {problems[0] if problems else 'The table is empty.'}")
        schema = {c.name: pl.String if c.is_text else pl.Float64 for c in present}
        return pl.DataFrame(kept, schema=schema), problems

    def format(self, value: Any) -> str:
        return "" if value is None else f"{value.height} rows"

    def extremes(self) -> tuple[Any, ...]:
        return (None,)

    def draw(self, rng: np.random.Generator) -> Any:
        return None


def _cell(column: Column, cell: Any) -> Any:
    empty = cell is None or (isinstance(cell, str) and not cell.strip())
    if empty and not column.required:
        return None
    if empty:
        raise ValueError(f"{column.name} is empty")
    if column.is_text:
        return str(cell).strip()
    value = parse_number(cell) if isinstance(cell, str) else float(cell)
    if not math.isfinite(value) or not column.low <= value <= column.high:
        raise ValueError(f"{column.name} = {cell} is not within [{column.low:g}, {column.high:g}]")
    return value


def read_table(name: str, data: bytes, dataset: Dataset) -> tuple[pl.DataFrame, list[str]]:
    """Read a CSV that a user brings; see ``Dataset.clean`` for what is returned and raised."""
    if not data.strip():
        raise ParameterError(name, f"is an empty file; it takes {dataset.allowed}.")
    try:
        raw = pl.read_csv(data, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
    except pl.exceptions.PolarsError as error:
        raise ParameterError(name, f"is not a CSV that can be read ({str(error).splitlines()[0]}).") from None
    return dataset.clean(name, raw)


Seed = Annotated[
    int,
    SeedParameter("seed", low=0, high=2**31 - 1, help="Same parameters, same seed: the same numbers."),
]

Values = Mapping[str, Any]
