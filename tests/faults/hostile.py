"""Models, corpora and files that mean harm: nothing executes, and nothing outside their folder is read or written."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy

from eelbert_tf.__main__ import main
from eelbert_tf.saving.checksum import with_checksum
from tests.faults.bench import Bench, Tally
from tests.small_corpora import build, topical_text
from tests.small_models import saved

Case = tuple[str, Callable[[Path], list[object]]]
_SECRET = "the secret"
_MEMORY_MB = 1000


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def hostile(bench: Bench) -> list[Tally]:
    """Each case in a fresh folder, beside one that nobody may touch."""
    tally = Tally("hostile models and corpora")
    outside = bench.folder("outside")
    (outside / "secret").write_text(_SECRET)
    for name, make in bench.bar([*_cases(outside)], "hostile"):
        folder = bench.folder("case")
        shutil.copytree(saved("small"), folder / "model")
        arguments = make(folder)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        status, printed = _call(arguments)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        if [path.name for path in outside.iterdir()] != ["secret"] or (outside / "secret").read_text() != _SECRET:
            tally.fail("touched what is outside", name)
            (outside / "secret").write_text(_SECRET)
        elif _SECRET in printed or grown > _MEMORY_MB:
            tally.fail("showed what is outside, or took much memory", f"{name}: {grown:.0f} MB {printed}")
        elif status == 2:
            tally.add("refused in one line")
        elif status == 0 and name.startswith("harmless"):
            tally.add("taken as mere data")
        else:
            tally.fail("neither refused nor harmless", f"{name}: status {status}: {printed}")
    return [tally]


def _call(arguments: list[object]) -> tuple[int, str]:
    """Status and output of a command, in this process, where memory can be watched."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            status = main([str(argument) for argument in arguments])
        except Exception as error:  # noqa: BLE001  the user would see a traceback
            return 1, repr(error)
    return status, printed.getvalue()


def _cases(outside: Path) -> Iterator[Case]:
    """Names, and functions that prepare a folder and give the command."""
    boom = pickle.dumps(_Bomb(outside / "exploded"))

    def predict(folder: Path, model: str = "model") -> list[object]:
        return ["predict", "--model", folder / model, "--text", "a"]

    def with_weights(data: bytes) -> Callable[[Path], list[object]]:
        def make(folder: Path) -> list[object]:
            (folder / "model" / "weights.safetensors").write_bytes(data)
            _edit(folder, lambda f: f.update(weights_sha256=hashlib.sha256(data).hexdigest()))
            return predict(folder)

        return make

    def with_fields(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], list[object]]:
        def make(folder: Path) -> list[object]:
            _edit(folder, change)
            return predict(folder)

        return make

    def enlarge(field: str) -> Callable[[dict[str, Any]], object]:
        return lambda fields: fields["config"].update({field: 10**12})

    def with_link(name: str, target: Path | str) -> Callable[[Path], list[object]]:
        def make(folder: Path) -> list[object]:
            (folder / "model" / name).unlink()
            (folder / "model" / name).symlink_to(target)
            return predict(folder)

        return make

    arrays = safetensors.numpy.load_file(saved("small") / "weights.safetensors")
    huge = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    yield "a pickle for weights", with_weights(boom)
    yield "a header of petabytes", with_weights((2**60).to_bytes(8, "little") + b"{}")
    yield "a weight of terabytes", with_weights(len(huge).to_bytes(8, "little") + huge)
    traversal = {**arrays, "../../outside/planted": np.zeros(1, np.float32)}
    yield "harmless: a weight called ../..", with_weights(safetensors.numpy.save(traversal))
    for field in ("hidden_size", "intermediate_size", "num_hidden_layers", "max_position_embeddings", "max_bytes"):
        yield f"{field} of 10^12", with_fields(enlarge(field))
    yield "10^12 classes", with_fields(lambda f: f.update(num_classes=10**12, labels=None))
    names = ["../../outside/planted", "/etc/passwd", "$(touch planted)"]
    yield "harmless: labels that are paths", with_fields(lambda f: f.update(labels=names))
    yield "a hash that is code", with_fields(lambda f: f["config"].update(hash="__import__('os').system('true')"))
    yield "weights that are a link to a file outside", with_link("weights.safetensors", outside / "secret")
    yield "a configuration that is one", with_link("config.json", outside / "secret")
    yield "weights that never end", with_link("weights.safetensors", "/dev/zero")
    yield "a configuration that never ends", with_link("config.json", "/dev/zero")

    def sparse(folder: Path) -> list[object]:
        os.truncate(folder / "model" / "weights.safetensors", 10**12)
        return predict(folder)

    def kit(folder: Path) -> list[object]:
        code = '"}; int planted = system("touch planted"); /* ??/'
        _edit(folder, lambda f: f.update(labels=[code, "b", "c"]))
        output = ["--output", folder / "out.tflite", "--kit", folder / "kit"]
        return ["convert", "--model", folder / "model", "--target", "micro", *output]

    def output_with_links(folder: Path) -> list[object]:
        for name in ("config.json", "weights.safetensors"):
            (folder / "model" / "kept").mkdir(exist_ok=True)
            (folder / "model" / name).rename(folder / "model" / "kept" / name)
            (folder / "model" / name).symlink_to(f"kept/{name}")
        (folder / "train.csv").write_text("text,label\na,x\nb,y\n")
        return ["finetune", "--train", folder / "train.csv", "--epochs", 1, "--output", folder / "model"]

    def link_for_output(folder: Path) -> list[object]:
        (folder / "link").symlink_to(outside)
        (folder / "train.csv").write_text("text,label\na,x\nb,y\n")
        return ["finetune", "--train", folder / "train.csv", "--epochs", 1, "--output", folder / "link"]

    def archive(folder: Path) -> list[object]:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x)])
        model.save(folder / "model.keras")
        with zipfile.ZipFile(folder / "model.keras", "a") as file:
            file.writestr("../../outside/planted", b"planted")
        return predict(folder, "model.keras")

    def archive_inside(folder: Path) -> list[object]:
        archive(folder)
        (folder / "model" / "weights.safetensors").unlink()
        (folder / "model.keras").rename(folder / "model" / "model.keras")
        return predict(folder)

    def pytorch(folder: Path) -> list[object]:
        bert = folder / "bert"
        bert.mkdir()
        fields = json.loads((folder / "model" / "config.json").read_text())["config"]
        (bert / "config.json").write_text(json.dumps({"model_type": "bert", **fields}))
        (bert / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
        for name in ("pytorch_model.bin", "model.safetensors"):
            (bert / name).write_bytes(boom)
        (folder / "train.csv").write_text("text,label\na,x\nb,y\n")
        return ["finetune", "--train", folder / "train.csv", "--preset", bert, "--output", folder / "out"]

    def corpus_names(folder: Path) -> list[object]:
        corpus = build(folder, topical_text(20)).directory
        index = json.loads((corpus / "index.json").read_text())
        index["files"][0]["file"] = "../../outside/secret"
        (corpus / "index.json").write_text(json.dumps(with_checksum(index)))
        return ["pretrain", "--corpus", corpus, "--output", folder / "run"]

    def corpus_pickle(folder: Path) -> list[object]:
        build(folder, topical_text(20))
        (folder / "corpus" / "words.txt").write_bytes(boom)
        return ["pretrain", "--corpus", folder / "corpus", "--output", folder / "run"]

    yield "weights of a terabyte of nothing", sparse
    yield "harmless: labels that are C", kit
    yield "an output whose files are links", output_with_links
    yield "an output that is a link to a folder with something else", link_for_output
    yield "a Keras archive with a Lambda layer and a path in it", archive
    yield "one inside of a model directory", archive_inside
    yield "PyTorch pickles", pytorch
    yield "a corpus that names a file outside", corpus_names
    yield "a corpus that is a pickle", corpus_pickle


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model" / "config.json"
    fields = json.loads(path.read_text("utf-8"))
    change(fields)
    path.write_text(json.dumps(with_checksum(fields)), "utf-8")
