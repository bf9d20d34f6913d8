"""LiteRT's interpreter, set up for what this library asks of it."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from eelbert_tf.errors import InputError

from .stderr import without_notes


class LiteRT:
    """A TFLite file ready to run on this machine.

    Args:
        data: the file.
        threads: threads for one run.
        keep_tensors: whether every tensor can be read after a run. It is slower: no kernel is replaced by a faster one.

    Raises:
        ValueError: LiteRT does not take the file.
        RuntimeError: LiteRT cannot prepare it.
        InputError: LiteRT is not installed.

    Example:

    >>> run = LiteRT(Path("model.tflite").read_bytes())
    >>> logits = run(encode_texts(["turn on the lights"], 64))
    """

    def __init__(self, data: bytes, threads: int = 1, keep_tensors: bool = False) -> None:
        self._data = data  # the interpreter reads it in place
        self._interpreter = _interpreter(data, threads, keep_tensors)
        self._inputs = [entry["index"] for entry in self._interpreter.get_input_details()]
        self._scales = {d["index"]: d["quantization"] for d in self._interpreter.get_tensor_details()}
        self.outputs = [entry["index"] for entry in self._interpreter.get_output_details()]

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        """Runs the file once.

        Args:
            *inputs: of the types and shapes that the file says; most files have one.

        Returns:
            Its first output.
        """
        for number, values in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(number, values)
        self._interpreter.invoke()
        return self.tensor(self.outputs[0])

    def tensor(self, number: int) -> np.ndarray:
        """A copy of a tensor after a run: one of `outputs`, or any other one with `keep_tensors`."""
        return np.asarray(self._interpreter.get_tensor(number))

    def scale(self, number: int) -> tuple[float, int]:
        """What the integers of a tensor stand for: its scale and its zero point."""
        scale, zero_point = self._scales[number]
        return float(scale), int(zero_point)


class Signatures:
    """A TFLite file of several graphs, each with a signature, ready to run on this machine.

    Args:
        data: the file.
        threads: threads for one run.

    Raises:
        InputError: LiteRT is not installed.
        ValueError: LiteRT does not take the file.
        RuntimeError: LiteRT cannot prepare it.
    """

    def __init__(self, data: bytes, threads: int = 1) -> None:
        self._data = data  # the interpreter reads it in place
        interpreter = _interpreter(data, threads)
        self._runners = {name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()}

    def __call__(self, name: str, row: np.ndarray) -> dict[str, np.ndarray]:
        """Runs one graph; the first run of each takes memory for it.

        Args:
            name: of its signature.
            row: its input.

        Returns:
            Its outputs, by name.
        """
        outputs: dict[str, np.ndarray] = self._runners[name](bytes=row)
        return outputs


def _interpreter(data: bytes, threads: int, keep_tensors: bool = False) -> Any:
    runtime = _installed()
    options: dict[str, Any] = {}
    if keep_tensors:
        options["experimental_op_resolver_type"] = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        options["experimental_preserve_all_tensors"] = True
    with without_notes():  # "Created TensorFlow Lite XNNPACK delegate for CPU."
        interpreter = runtime.Interpreter(model_content=data, num_threads=threads, **options)
        interpreter.allocate_tensors()
    return interpreter


def _installed() -> Any:
    """The module with `Interpreter`: LiteRT's, or that of its predecessor, which alone has wheels for 32-bit ARM.

    Raises:
        InputError: neither is installed.
        ModuleNotFoundError: one is, and lacks something itself.
    """
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            return importlib.import_module(f"{package}.interpreter")
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
    raise InputError("LiteRT is not installed: pip install ai-edge-litert")
