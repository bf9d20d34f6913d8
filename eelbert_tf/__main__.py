"""The front door: `eelbert COMMAND`. Each command prints one JSON object as its last line on stdout."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from eelbert_tf.disk.refusals import system_error
from eelbert_tf.disk.terminal import (
    complain,
    escape,
    flush_output,
    print_json,
    silence,
    standard_streams,
    start_quietly,
)

from . import __version__
from .errors import InputError, InputWarning
from .interrupts import Terminated, interruptible

# Command, module with `add_arguments` and `run`, one line of help. Modules are named, not imported: a command loads
# only what it needs, and nothing here depends on the folders above.
COMMANDS = {
    "demo": ("eelbert_tf.demo", "fine-tune, convert and run on embedded sample data"),
    "finetune": ("eelbert_tf.training.commands.finetune", "train a classifier on a CSV or TSV file"),
    "evaluate": ("eelbert_tf.tflite.commands.evaluate", "measure a model on labelled texts"),
    "predict": ("eelbert_tf.tflite.commands.predict", "classify texts"),
    "embed": ("eelbert_tf.tflite.commands.embed", "write the embeddings of texts"),
    "index": ("eelbert_tf.tflite.commands.index", "write texts and their embeddings in one file, to be searched"),
    "search": ("eelbert_tf.tflite.commands.search", "find the texts that are nearest to others"),
    "convert": ("eelbert_tf.tflite.commands.convert", "write a TFLite or ONNX file that takes the bytes of a text"),
    "corpus": ("eelbert_tf.training.commands.corpus", "turn plain text into training shards"),
    "pretrain": ("eelbert_tf.training.commands.pretrain", "train an encoder on a corpus"),
    "quantize": ("eelbert_tf.training.commands.quantize", "store a lexicon in a few bytes for each row"),
    "distill": ("eelbert_tf.training.commands.distill", "teach a small model what a larger one says"),
    "glue": ("eelbert_tf.training.commands.glue", "score models and baselines on GLUE"),
    "presets": ("eelbert_tf.preset_table", "list the models that come with the package"),
    "benchmark": ("eelbert_tf.tflite.commands.benchmark", "measure speed and size beside baselines in the same run"),
}


# What training and conversion need, and a distribution that only runs TFLite files lacks.
LEFT_OUT = ("eelbert_tf", "keras", "safetensors", "scipy", "sklearn", "tensorflow")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default where there is one that says something, and the text does not say it already."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        if action.default in (None, False) or text.endswith(")"):
            return text
        return super()._get_help_string(action)


@contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    """Shows warnings about the user's input as errors are shown: one line, without a place in the program."""
    before = warnings.showwarning

    def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, InputWarning):
            print(f"eelbert {command}: warning: {escape(' '.join(str(message).split()))}", file=sys.stderr)
        else:
            before(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("once", InputWarning)
        warnings.showwarning = show
        yield


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the options of the commands in `names`."""
    parser = argparse.ArgumentParser(
        prog="eelbert", description="BERT-like text classifiers of about 1 MB, from raw bytes to a class."
    )
    parser.add_argument("--version", action="version", version=f"eelbert {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, line) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=line,
            description=line[0].upper() + line[1:] + ".",
            formatter_class=_HelpFormatter,
        )
        if name in names:
            importlib.import_module(module).add_arguments(command)
    return parser


def _as_input_error(error: Exception, output: str) -> InputError | None:
    """What to tell the user of an error; `None` for one that is the program's own."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, MemoryError):
        return InputError("not enough memory for this input; give a smaller one, or a machine with more")
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in LEFT_OUT:
        return InputError(f"needs {error.name}, which is not installed: pip install eelbert-tf")
    return system_error(error, output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0, 2 for bad input, 130 after an interrupt, or 143 after SIGTERM."""
    start_quietly()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = next((a for a in arguments if not a.startswith("-")), "")
    output = "output"
    try:
        with standard_streams(), interruptible(), _plain_warnings(command):
            args = _parser([command]).parse_args(arguments)
            args.command_line = shlex.join(["eelbert", *arguments])
            output = getattr(args, "output", None) or output
            result = importlib.import_module(COMMANDS[args.command][0]).run(args)
            if result is not None:
                print_json(result)
                flush_output()
    except KeyboardInterrupt as interrupt:
        complain(f"eelbert {command}: interrupted")
        return 143 if isinstance(interrupt, Terminated) else 130
    except BrokenPipeError:  # the reader, `head` for example, has gone
        silence(sys.stdout)
        return 0
    except Exception as error:
        known = _as_input_error(error, output)
        if known is None:
            raise
        complain(f"eelbert {command}: {known}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
