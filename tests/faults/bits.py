"""One flipped bit, anywhere in a file that a command reads: told, or without effect."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from eelbert_tf.config import EelbertConfig, HashConfig
from eelbert_tf.errors import InputError
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.stored import read_stored
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.pretrain.checkpoint import read_checkpoint, write_checkpoint
from eelbert_tf.training.pretrain.folder import lock
from eelbert_tf.training.pretrain.log import RunLog
from eelbert_tf.training.pretrain.settings import Settings, identity
from eelbert_tf.training.tokens.tables import embedding_table
from tests.configs import TINY
from tests.faults.bench import Bench, Tally
from tests.faults.work import TEXTS
from tests.small_corpora import build, topical_text
from tests.small_models import converted, saved
from tests.test_wordpiece import bert

Read = Callable[[Path], str]  # the folder to what a user gets of it


def bits(bench: Bench) -> list[Tally]:
    """Models, TFLite files, corpora, their caches, and all of a pretraining run's folder."""
    model = Path(shutil.copytree(saved("small"), bench.place / "model"))
    found = [_flip(bench, f"model: {p.name}", p, lambda _: _classify(model)) for p in sorted(model.iterdir())]
    pieces = bench.place / "bert"
    bert().save_to_preset(pieces)
    found.append(_flip(bench, "model: vocab.txt", pieces / "vocab.txt", lambda _: repr(read_stored(pieces).vocabulary)))
    for target, quantize in (("mobile", "none"), ("mobile", "dynamic"), ("micro", "none")):
        source, _ = converted("small", target=target, quantize=quantize)
        path = Path(shutil.copy(source, bench.place / f"{target}-{quantize}.tflite"))
        found.append(_flip(bench, f"TFLite file: {target}, {quantize}", path, _run))
    corpus = build(bench.place / "text", topical_text(200))
    folder = corpus.directory
    found += [_flip(bench, f"corpus: {p.name}", p, lambda _: _read_corpus(folder)) for p in sorted(folder.iterdir())]
    embedding_table(corpus, HashConfig((6, 5, 5)))
    for path in (folder / "cache").iterdir():
        found.append(_flip(bench, "corpus: cache of embeddings", path, lambda _: _table(corpus)))
    return found + _run_folder(bench, TINY, corpus)


def _run_folder(bench: Bench, config: EelbertConfig, corpus: Corpus) -> list[Tally]:
    folder = bench.folder("run")
    run = identity(config, Settings(), corpus)
    arrays = {"weight": corpus.counts.astype("float32"), "step": corpus.counts[:1]}
    with lock(folder, run, True):
        write_checkpoint(folder / "checkpoints", 7, arrays, {"seconds": 1.5, "backend": "tensorflow"})
    log = RunLog(folder, ["accuracy"], 7)
    for step in range(1, 8):
        log.add({"step": step, "tokens": 100 * step, "seconds": step, "loss": 1 / step, "accuracy": 0.5})

    def resume(_: Path) -> str:
        with lock(folder, run, True):
            found = read_checkpoint(folder / "checkpoints", lambda text: None)
        assert found is not None
        state = [found[1][name] for name in ("step", "seconds", "backend")]
        return repr((state, sorted((name, array.tobytes()) for name, array in found[0].items())))

    def figures(_: Path) -> str:
        RunLog(folder, ["accuracy"], 7, writes=False)
        return "read"

    last = folder / "checkpoints" / "step-00000007"
    tallies = [_flip(bench, f"checkpoint: {p.name}", p, resume) for p in sorted(last.iterdir())]
    tallies.append(_flip(bench, "run: run.json", folder / "run.json", resume))
    tallies.append(_flip(bench, "run: log.csv, whose figures have no checksum", folder / "log.csv", figures))
    return tallies


def _flip(bench: Bench, name: str, path: Path, read: Read) -> Tally:
    """Flips bits of one file, one at a time."""
    data, expected = path.read_bytes(), read(path)
    tally = Tally(f"a flipped bit in {name}")
    count = min(bench.sizes["bits"], 8 * len(data))
    for place in bench.bar(bench.random.sample(range(8 * len(data)), count), tally.name):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            same = read(path) == expected
        except InputError as error:
            tally.add("told")
            if re.search(r"[\n\r]", str(error)):
                tally.fail("told in several lines", str(error))
        except Exception as error:  # noqa: BLE001  whatever it is, it must not be
            tally.fail("crash", f"bit {place}: {error!r}")
        else:
            if same:
                tally.add("without effect")
            else:
                tally.fail("a silent wrong answer", f"bit {place}")
    path.write_bytes(data)
    return tally


def _classify(model: Path) -> str:
    classifier = EelbertClassifier.from_preset(model)
    return json.dumps([classifier.predict(TEXTS, verbose=0).tolist(), classifier.labels])


def _run(path: Path) -> str:
    runtime = EelbertRuntime(path)
    return json.dumps([runtime.predict(TEXTS).tolist(), runtime.metadata.labels])


def _read_corpus(folder: Path) -> str:
    corpus = Corpus(folder)
    words = [word.hex() for word in corpus.words[:]]
    tokens = [shard.tolist() for shard in corpus.shards]
    ends = [corpus.counts.tolist(), corpus.documents.tolist(), corpus.vocabulary_size(2)]
    return json.dumps([words, tokens, ends])


def _table(corpus: Corpus) -> str:
    return embedding_table(corpus, HashConfig((6, 5, 5))).tobytes().hex()
