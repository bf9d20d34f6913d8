"""The public interface says what it takes: ruff checks the sections of a docstring, this that none is missing."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import eelbert_tf
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime, Runtime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime

PUBLIC = {
    **{name: getattr(eelbert_tf, name) for name in eelbert_tf.__all__ if name != "__version__"},
    **{thing.__name__: thing for thing in (convert, EelbertRuntime, Runtime, TflmRuntime)},
}
# What Keras calls and describes; the class says the rest, under "Call arguments".
OF_KERAS = {
    *(
        "build",
        "call",
        "compile_from_config",
        "compute_output_spec",
        "compute_output_shape",
        "from_config",
        "get_config",
    ),
}


def callables() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Every public class, function and method of the public names, with the docstring that describes its arguments."""
    for name, thing in PUBLIC.items():
        yield name, thing, inspect.getdoc(thing) or ""
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
                if inspect.isfunction(function) and not method.startswith("_") and method not in OF_KERAS:
                    yield f"{name}.{method}", function, inspect.getdoc(function) or ""


def arguments(thing: Callable[..., Any]) -> set[str]:
    """The names that it can be given; of a class with arguments for its base class, without the name for these."""
    if dataclasses.is_dataclass(thing):
        return {field.name for field in dataclasses.fields(thing)}
    if inspect.isclass(thing) and thing.__init__ in (Exception.__init__, ValueError.__init__):
        return set()
    parameters = list(inspect.signature(thing.__init__ if inspect.isclass(thing) else thing).parameters.values())
    variable = inspect.Parameter.VAR_KEYWORD
    parameters = [p for p in parameters if not (inspect.isclass(thing) and p.kind == variable)]
    return {p.name for p in parameters} - {"self", "cls"}


def described(docstring: str) -> set[str]:
    """The names under "Args:"."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    names = re.findall(r"^    (\*{0,2}\w+): ", section[1], re.MULTILINE) if section else []
    return {name.lstrip("*") for name in names}


@pytest.mark.parametrize(("name", "thing", "docstring"), [pytest.param(*c, id=c[0]) for c in callables()])
def test_arguments_are_described(name: str, thing: Callable[..., Any], docstring: str) -> None:
    """Each by its name, and no other; a class may say what it has for its base class."""
    assert docstring, f"{name}: what is it?"
    names = described(docstring)
    assert (names - {"kwargs"} if inspect.isclass(thing) else names) == arguments(thing)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", [name for name, thing in PUBLIC.items() if ">>>" in (thing.__doc__ or "")])
def test_examples_run(name: str) -> None:
    """As they stand, with the public names at hand."""
    tf = pytest.importorskip("tensorflow")
    import keras

    names = {**PUBLIC, "tf": tf, "keras": keras}
    test = doctest.DocTestParser().get_doctest(PUBLIC[name].__doc__, names, name, None, 0)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    out: list[str] = []
    failed = doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, out=out.append).failed
    assert not failed, "".join(out)
