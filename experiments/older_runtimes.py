"""Files of each format in older TensorFlow Lite runtimes: refused, or the answers of LiteRT.

    python3.11 -m venv old && old/bin/pip install "numpy<2" tflite-runtime==2.14.0
    python3.11 -m venv old215 && old215/bin/pip install "numpy<2" tensorflow-cpu==2.15.1
    python experiments/older_runtimes.py --model uno_en_sst2_v1 --test SST-2/dev.tsv --text-columns sentence \
        --python old/bin/python old215/bin/python --output experiments/older_runtimes.json

Each file is converted with and without `--compatible tflite-2.14` and run on the labelled texts in LiteRT of this
environment and in each of the others, which need NumPy and one of the two packages. A runtime that takes a file must
give LiteRT's classes for all texts but those whose best two logits are as good as equal; the exit status is 1 where one
does not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.files import replace_file
from eelbert_tf.disk.tables import read_table
from eelbert_tf.errors import InputError
from eelbert_tf.scores import label_names
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.flatbuffer.metadata import QUANTIZE
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime

COMPATIBLE = "tflite-2.14"
AGREEMENT = 0.995  # of two runtimes that read a file alike: their kernels round differently
# Runs in the older environment: arguments are the file, the rows and where the logits go.
PROGRAM = """
import sys, numpy as np
try:
    import tflite_runtime
    from tflite_runtime.interpreter import Interpreter
    name = "tflite-runtime " + tflite_runtime.__version__
except ImportError:
    import tensorflow as tf
    Interpreter, name = tf.lite.Interpreter, "tensorflow " + tf.__version__
print(name)
try:
    interpreter = Interpreter(model_path=sys.argv[1])
    interpreter.allocate_tensors()
except (ValueError, RuntimeError) as error:
    sys.exit(" ".join(str(error).split()))
source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
logits = []
for row in np.load(sys.argv[2]):
    interpreter.set_tensor(source, row[None])
    interpreter.invoke()
    logits.append(interpreter.get_tensor(result)[0])
np.save(sys.argv[3], np.stack(logits))
"""


def run_elsewhere(python: str, path: Path, rows: np.ndarray, folder: Path) -> tuple[str, np.ndarray | str]:
    """The name of another environment's runtime, and the logits that it computes, or why it refuses the file."""
    np.save(folder / "rows.npy", rows)
    command = [python, "-c", PROGRAM, str(path), str(folder / "rows.npy"), str(folder / "logits.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    name = done.stdout.strip()
    if done.returncode:
        return name, done.stderr.strip().splitlines()[-1][:200]
    return name, np.load(folder / "logits.npy")


def measure(model: str, test: Any, pythons: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each format: bytes, the runtime that it names, and accuracies."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for quantize in QUANTIZE:
            for compatible in (None, COMPATIBLE):
                path = folder / f"{quantize}-{compatible}.tflite"
                report = convert(model, path, quantize=quantize, compatible=compatible)
                runtime = EelbertRuntime(path)
                names = label_names(runtime.metadata.labels, runtime.metadata.num_classes)
                truth = np.array([names.index(str(label)) for label in test.labels])
                data = encode_texts(test.texts, runtime.metadata.max_bytes)
                here = runtime.predict_bytes(data)
                row: dict[str, Any] = {
                    "quantize": quantize,
                    "compatible": compatible,
                    "bytes": report["bytes"],
                    "min_runtime": report["min_runtime"],
                    "litert_accuracy": round(float((here.argmax(axis=1) == truth).mean()), 4),
                    "elsewhere": {},
                }
                for python in pythons:
                    runtime_name, logits = run_elsewhere(python, path, data, folder)
                    if isinstance(logits, str):
                        row["elsewhere"][runtime_name] = {"refused": logits}
                        continue
                    row["elsewhere"][runtime_name] = {
                        "accuracy": round(float((logits.argmax(axis=1) == truth).mean()), 4),
                        "same_class": round(float((logits.argmax(axis=1) == here.argmax(axis=1)).mean()), 4),
                        "max_abs_diff": round(float(np.abs(logits - here).max()), 5),
                    }
                rows.append(row)
                sys.stderr.write(json.dumps(row) + "\n")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints one JSON object, and says by the exit status whether no file is misread."""
    parser = argparse.ArgumentParser(prog="python experiments/older_runtimes.py")
    parser.add_argument("--model", required=True, metavar="DIR", help="classifier: a directory or a preset")
    parser.add_argument("--test", required=True, metavar="F", help="labelled texts (CSV, TSV)")
    parser.add_argument("--text-columns", nargs="+", metavar="NAME", help="column of the texts (text)")
    parser.add_argument("--label-column", default="label", metavar="NAME", help="column of the labels")
    parser.add_argument("--python", nargs="+", required=True, metavar="F", help="Python of each older environment")
    parser.add_argument("--output", metavar="F.json", help="file that also gets the result")
    args = parser.parse_args(arguments)
    try:
        test = read_table(args.test, args.text_columns, args.label_column)
        result = {"model": args.model, "texts": len(test), "rows": measure(args.model, test, args.python)}
    except InputError as error:
        sys.stderr.write(f"older_runtimes: {error}\n")
        return 2
    if args.output:
        with replace_file(args.output) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    sys.stdout.write(json.dumps(result) + "\n")
    results = [one for row in result["rows"] for one in row["elsewhere"].values()]
    for_old = [one for row in result["rows"] if row["compatible"] for one in row["elsewhere"].values()]
    right = all("refused" in one or one["same_class"] >= AGREEMENT for one in results)
    return 0 if right and not any("refused" in one for one in for_old) else 1


if __name__ == "__main__":
    sys.exit(main())
