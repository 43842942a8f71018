"""A figure as the browser reads it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import numpy as np
import plotly.graph_objects as go

INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32)  # that JavaScript has arrays of, the shortest first

# Plotly's own writer copies the figure and then asks of every list in it whether it is a data frame: tens of milliseconds
# for a movie, at every step of a slider.


def written(figure: go.Figure) -> str:
    """A figure in Plotly's JSON, its arrays in base64.

    Parameters
    ----------
    figure : go.Figure
        Read, not copied.
    """
    whole = {"data": figure._data, "layout": figure._layout, "frames": [frame._props for frame in figure.frames]}
    try:
        return json.dumps(whole, default=_plain, allow_nan=False, separators=(",", ":"))
    except ValueError:  # a NaN in a list, which JSON has no word for
        return str(figure.to_json())


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} has no place in a figure")
    if value.dtype.kind in "iu" and value.size:
        low, high = int(value.min()), int(value.max())
        fits = [t for t in INTEGERS if np.iinfo(t).min <= low and high <= np.iinfo(t).max]
        value = value.astype(fits[0]) if fits else value.tolist()
    elif value.dtype.kind != "f" or value.dtype.itemsize > 8:
        value = value.tolist()
    if isinstance(value, list):
        return value
    found = {"dtype": value.dtype.str[1:], "bdata": b64encode(np.ascontiguousarray(value).data).decode()}
    return found | ({"shape": ", ".join(map(str, value.shape))} if value.ndim > 1 else {})
