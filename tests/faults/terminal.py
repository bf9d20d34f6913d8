"""Labels, texts and names with control characters and formulas: nothing that is printed drives a terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from eelbert_tf.saving.checksum import with_checksum
from tests.faults.bench import Bench, Command, Tally, must
from tests.small_models import saved

_NASTY = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m\x90q\x7f\x85",
    "\u202eok\u2066\u2028",
    "=cmd|' /C calc'!A0",
    "\r\n@SUM(1)",
]


def terminal(bench: Bench) -> list[Tally]:
    """What predict, evaluate, finetune and convert print of them."""
    model = Path(shutil.copytree(saved("small"), bench.place / "model"))
    fields = json.loads((model / "config.json").read_text("utf-8"))
    labels = _NASTY[:3]
    (model / "config.json").write_text(json.dumps(with_checksum({**fields, "labels": labels})), "utf-8")
    folder = bench.folder("files")
    rows = "".join(f'"{text}","{label}"\n' for text in _NASTY for label in labels)
    (folder / "good.csv").write_text("text,label\n" + rows, "utf-8")
    (folder / "bad.csv").write_text("text,label\n" + rows + 'a,"\x9b31m\x1b[2J"\n', "utf-8")
    (folder / "header.csv").write_text("\x9b31m\x1b[2J,label\na,b\n", "utf-8")
    tflite = folder / "model.tflite"
    must(bench, "convert", "--model", model, "--output", tflite)
    odd = folder / "\x1b[2J\x9b31m\u202e"
    commands: list[list[object]] = [
        ["predict", "--model", model, "--input", folder / "good.csv"],
        ["predict", "--model", tflite, "--input", folder / "good.csv"],
        ["convert", "--model", model, "--output", folder / "again.tflite"],
        ["evaluate", "--model", tflite, "--test", folder / "good.csv"],
        ["evaluate", "--model", tflite, "--test", folder / "bad.csv"],
        ["predict", "--model", tflite, "--input", folder / "header.csv"],
        ["finetune", "--train", folder / "header.csv", "--output", folder / "out"],
        ["finetune", "--train", folder / "good.csv", "--dev", folder / "bad.csv", "--output", folder / "out"],
        ["predict", "--model", odd, "--text", "a"],
        ["predict", "--model", tflite, "--input", odd],
    ]
    tally = Tally("control characters and formulas in labels, texts, headers and names")
    for arguments in bench.bar(commands, "terminal"):
        command = Command(arguments, bench.place / "terminal.log")
        status = command.end()
        printed = command.out.read_text("utf-8") + command.complaint()
        driving = {c for c in printed if c != "\n" and not c.isprintable()}
        if driving or status not in (0, 2):
            tally.fail("reaches the terminal", f"{arguments[0]}, status {status}: {printed!r}")
        else:
            tally.add("escaped")
        if status == 0 and arguments[0] == "predict":
            scores = [json.loads(line)["scores"] for line in command.out.read_text("utf-8").split("\n") if line]
            if any(set(row) != set(labels) for row in scores):
                tally.fail("changed when parsed", str(scores[0]))
    return [tally]
