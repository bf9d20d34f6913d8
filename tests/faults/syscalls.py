"""Every command, with one system call after the other that fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.configs import TINY
from tests.faults import work
from tests.faults.bench import Bench, Tally
from tests.faults.inject import ABSENT, Trial, inject
from tests.faults.seccomp import can_inject
from tests.small_corpora import topical_text
from tests.small_models import converted, saved

_LABELS = ("lights_on", "lights_off")


def syscalls(bench: Bench) -> list[Tally]:
    """All commands that read or write files."""
    if not can_inject():
        tally = Tally("one failing system call")
        tally.add("skipped: needs Linux on x86-64 with seccomp")
        return [tally]
    inputs = make_inputs(bench.folder("inputs"))
    return [inject(bench, trial, bench.sizes["calls"]) for trial in trials(inputs)]


def make_inputs(folder: Path) -> Path:
    """Texts, tables, models and files of GLUE, all small."""
    (folder / "texts.txt").write_text("turn on the lights\ngrößer\n\n")
    (folder / "table.csv").write_text("text,label\n" + "".join(f"switch {i},{_LABELS[i % 2]}\n" for i in range(40)))
    (folder / "short.csv").write_text(f"text,label\nswitch,{_LABELS[0]}\nother,{_LABELS[1]}\n")
    (folder / "plain.txt").write_bytes(topical_text(60))
    (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    glue = folder / "glue" / "SST-2"
    glue.mkdir(parents=True)
    for name in ("train", "dev"):
        rows = "".join(f"turn {('off', 'on')[i % 2]} {i}\t{i % 2}\n" for i in range(40))
        (glue / f"{name}.tsv").write_text("sentence\tlabel\n" + rows)
    shutil.copytree(saved("small"), folder / "model")
    shutil.copytree(saved("encoder"), folder / "encoder")
    shutil.copy(converted("small")[0], folder / "model.tflite")
    shutil.copy(converted("encoder", task="embedding")[0], folder / "encoder.tflite")
    (folder / "mine.txt").write_text("mine")
    return folder


def trials(inputs: Path) -> list[Trial]:
    """The commands.

    Args:
        inputs: the folder that `make_inputs` filled.
    """

    def trial(command: str, output: str = "", older: str | None = None, **more: Any) -> Trial:
        words = {name: value.split() if name in ("before", "again") else value for name, value in more.items()}
        return Trial(command.split(), inputs, output=output, older=None if older is None else older.split(), **words)

    model, encoder = "--model model.tflite", "--model encoder.tflite"
    convert = "convert --model model --output out.tflite"
    corpus = "corpus --input plain.txt --output corpus --shard-bytes 10000 --workers 1"
    finetune = "finetune --train table.csv --output out --preset encoder --batch-size 20 --dev table.csv"
    distill = "distill --teacher model --train table.csv --config tiny.json --output out --epochs 1 --made-up 1"
    pretrain = "pretrain --corpus corpus --config tiny.json --output out --steps 2 --sequence-length 16 --batch-size 8"
    pretrain += " --no-jit --eval-every 2 --eval-batches 1 --log-every 1 --checkpoint-minutes 1e-9"
    teach = "distill --teacher encoder --corpus corpus --config tiny.json --output out --epochs 1 --sentences 40"
    teach += " --sequence-length 16 --batch-size 20"
    measured: dict[str, Any] = {"repeats": False, "stages": True, "look": look_at_json}  # times differ
    encoder_steps: dict[str, Any] = {"stages": True, "look": work.look_at_encoder}
    classifier: dict[str, Any] = {"stages": True, "look": work.look_at_classifier}
    beside: dict[str, Any] = {"stages": True, "makes": "out.tflite"}  # beside a user's files it is written one by one
    return [
        trial(f"predict {model} --input texts.txt"),
        trial("predict --model model --input table.csv"),
        trial(f"search {encoder} --texts table.csv --input texts.txt"),
        trial(f"evaluate {model} --test table.csv --predictions out.csv", "out.csv", "--test short.csv"),
        trial(f"evaluate {model} --test table.csv --report out.html", "out.html", "", look=look_at_page),
        trial(f"embed {encoder} --input texts.txt --output out.npy", "out.npy", "--input table.csv"),
        trial(f"index {encoder} --texts texts.txt --output out.index", "out.index", "--texts table.csv"),
        trial(convert, "out.tflite", "--max-tokens 8"),
        trial(f"{convert} --target micro --kit kit", "kit", "--max-tokens 8", look=look_at_kit, **beside),
        trial(corpus, "corpus", look=work.look_at_corpus),  # --overwrite deletes the older one first
        trial("quantize --model encoder --codes 2 --output out", "out", "--seed 1", look=work.look_at_encoder),
        trial(f"{finetune} --method convex", "out", "--seed 1", **classifier),
        trial(f"{finetune} --method full --epochs 1", "out", "--seed 1", **classifier),
        trial(distill, "out", "--seed 1", **classifier),
        trial(pretrain, "out", before=corpus, makes="corpus/cache.*", **encoder_steps),
        trial(pretrain, "out", "", before=corpus, again="--resume", makes="corpus/cache.*", **encoder_steps),
        trial(f"{finetune} --method full --epochs 1", "out", "", again="--resume", **classifier),
        trial(teach, "out", before=corpus, makes="corpus/cache.*", **encoder_steps),
        trial("glue --data glue --tasks SST-2 --model tfidf --seeds 1 --output out.json", "out.json", **measured),
        trial("benchmark --suite hash --limit 20 --rounds 1 --output out.json", "out.json", "", **measured),
    ]


def look_at_json(path: Path) -> str:
    """A file of results."""
    return json.dumps(json.loads(path.read_text())) if path.exists() else ABSENT


def look_at_page(path: Path) -> str:
    """A page, and what it shows as JSON beside it.

    Raises:
        ValueError: one of them is not whole.
    """
    if not path.exists():
        return ABSENT
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("half a page")
    return path.read_text() + look_at_json(path.with_suffix(".json"))


def look_at_kit(folder: Path) -> str:
    """All sources of a kit; those of two kits do not fit one another."""
    if not folder.exists():
        return ABSENT
    return "".join(f"{path.name} {path.read_text()}" for path in sorted(folder.rglob("*.[ch]*")) if path.is_file())
