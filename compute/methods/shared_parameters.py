"""Declare a dataclass of parameters once, for the several experiments that take them together."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints


def gathered(cls: type, argument: str, build: Callable[[Any], Any] | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Declare every field of a dataclass as a parameter of an experiment, which takes them as one argument.

    Parameters
    ----------
    cls : dataclass
        Its fields are annotated ``Annotated[type, Parameter]`` and have defaults.
    argument : str
        The name under which the experiment takes them.
    build : callable, optional
        From an instance of ``cls`` to what the experiment takes; the instance itself if not given.

    Returns
    -------
    callable
        A decorator, to stand under ``@experiment``; the fields stand where the argument stood; generators stay generators.
    """
    names = [f.name for f in fields(cls)]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def gather(values: dict[str, Any]) -> dict[str, Any]:
            together = cls(**{name: values.pop(name) for name in names})
            return values | {argument: build(together) if build else together}

        if inspect.isgeneratorfunction(function):

            @wraps(function)
            def spread(**values: Any) -> Any:
                yield from function(**gather(values))
        else:

            @wraps(function)
            def spread(**values: Any) -> Any:
                return function(**gather(values))

        own = inspect.signature(function)
        shared = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type) for f in fields(cls)
        ]
        parameters = [q for name, p in own.parameters.items() for q in (shared if name == argument else [p])]
        spread.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        declared = {k: v for k, v in function.__annotations__.items() if k != argument}
        # Resolved where each was written: the wrapper's own module may not know their names.
        module = inspect.getmodule(function)
        hints = get_type_hints(type("Hints", (), {"__annotations__": declared}), vars(module), include_extras=True)
        spread.__annotations__ = {**hints, **get_type_hints(cls, include_extras=True)}
        return spread

    return decorate
