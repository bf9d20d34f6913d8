"""Mutated files with right checksums: a reader reads them, or refuses them in one line."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

from eelbert_tf.disk.tables import read_table
from eelbert_tf.errors import InputError
from eelbert_tf.saving.checksum import with_checksum
from eelbert_tf.saving.folders import WEIGHTS_FILE, read_weights
from eelbert_tf.tflite.flatbuffer.metadata import Metadata, add_checksum, read_metadata, to_json
from eelbert_tf.training.corpus.reader import INDEX, Corpus
from tests.faults.bench import Bench, Tally
from tests.small_corpora import build, topical_text
from tests.small_models import saved

_TABLES = {
    ".csv": b'text,label\n"turn on, please",on\nturn off,off\n"a ""b""\nc",on\n',
    ".tsv": "text_a\ttext_b\tlabel\ngrößer\t\u4e2d\ton\n\t\toff\n".encode(),
    ".jsonl": b'{"text": "turn on", "label": "on"}\n{"text": "\\u00e4", "label": ["off"]}\n',
}
_FRAGMENTS = [
    b'"',
    b",",
    b"\t",
    b";",
    b"\n",
    b"\r",
    b"\r\n",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3",
    b"\x1f\x8b\x08",
]
_FRAGMENTS += [
    b"sep=;\n",
    b"{",
    b"}",
    b"[" * 50,
    b"\\u",
    b"\\ud800",
    b"1e999",
    b"NaN",
    b"null",
    b"-1",
    b"9" * 30,
    b"text,",
]
_VALUES: list[Any] = [None, True, -1, 0, 1, 2**31, 2**63, 2**64, 10**30, 0.5, 1e308, float("nan"), float("inf")]
_VALUES += ["", "..", "/dev/zero", "\0", "x" * 1000, [], [[]], {}, {"": None}, [None], [-1], ["a", "a"]]


def readers(bench: Bench) -> list[Tally]:
    """Tables, corpora, weights and what a TFLite file says of itself."""
    makers = {  # a corpus takes six times as long as a table, and gets a smaller share
        "tables": (_table, 0.3),
        "corpora": (_corpus, 0.05),
        "safetensors": (_weights, 0.3),
        "settings of TFLite files": (_settings, 0.35),
    }
    count = bench.sizes["mutants"]
    return [_attack(bench, name, make(bench), round(count * share)) for name, (make, share) in makers.items()]


Attack = Callable[[random.Random], object]  # makes one file, and reads it


def _attack(bench: Bench, name: str, attack: Attack, count: int) -> Tally:
    """Many mutated files of one kind."""
    tally = Tally(f"mutated {name}, their checksums right")
    for _ in bench.bar(range(count), tally.name):
        state = bench.random.getrandbits(64)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                attack(random.Random(state))
        except InputError as error:
            if "\n" in str(error) or "\r" in str(error):
                tally.fail("refused in several lines", f"seed {state}: {error}")
            else:
                tally.add("refused")
        except Exception as error:  # noqa: BLE001  whatever it is, it must not be
            tally.fail("crash", f"seed {state}: {error!r}")
        else:
            tally.add("read")
    return tally


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes with one to four changes: bits, numbers of four bytes, fragments, copies, cuts."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(found) + 1)
        kind = rng.randrange(6)
        if kind == 0 and place < len(found):
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[place : place + 4] = struct.pack("<i", rng.choice([0, 1, -1, 2**31 - 1, rng.randrange(256)]))
        elif kind == 2:
            found[place:place] = rng.choice(_FRAGMENTS)
        elif kind == 3:
            start = rng.randrange(len(found) + 1)
            found[place:place] = found[start : start + rng.randrange(1, 20)]
        elif kind == 4:
            del found[place : place + rng.randrange(1, 20)]
        elif place < len(found):
            found[place] = rng.randrange(256)
    return bytes(found)


def mutated_json(value: Any, rng: random.Random) -> Any:
    """A JSON value with something in it replaced, removed or repeated."""
    children: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if not children or rng.random() < 0.15:
        return rng.choice(_VALUES)
    key = rng.choice(children)
    changed = value.copy()
    if rng.random() < 0.2:
        del changed[key]
    else:
        changed[key] = mutated_json(changed[key], rng)
    return changed


def _table(bench: Bench) -> Attack:
    folder = bench.folder("tables")

    def attack(rng: random.Random) -> object:
        end = rng.choice(list(_TABLES))
        path = folder / f"table{end}"
        path.write_bytes(mutated(_TABLES[end], rng))
        return read_table(path, task=rng.choice(["classification", "regression", "multilabel"]))

    return attack


def _weights(bench: Bench) -> Attack:
    folder = bench.folder("weights")
    whole = (saved("small") / WEIGHTS_FILE).read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")

    def attack(rng: random.Random) -> object:
        if rng.random() < 0.5:  # the header as JSON, its length right
            fields = json.dumps(mutated_json(json.loads(whole[8:head]), rng)).encode()
            data = len(fields).to_bytes(8, "little") + fields + whole[head:]
        else:
            data = mutated(whole[:head], rng) + whole[head:]
        (folder / WEIGHTS_FILE).write_bytes(data)
        return read_weights(folder, hashlib.sha256(data).hexdigest())

    return attack


def _settings(bench: Bench) -> Attack:
    fields = json.loads(
        to_json(Metadata(16, 64, 2, ["a", "b"], thresholds=[0.5, 0.5], config={"hash": {"normalization": 1}}))
    )

    def attack(rng: random.Random) -> object:
        own = dict(fields)
        if rng.random() < 0.5:
            others = {
                key: value
                for key, value in own.items()
                if key not in ("format", "format_version", "crc32", "file_bytes")
            }
            changed = mutated_json(others, rng)
            own = {
                **{key: own[key] for key in own if key not in others},
                **(changed if isinstance(changed, dict) else {}),
            }
            text = json.dumps(own).encode()
            text = text.replace(b'"file_bytes": 0', b'"file_bytes": ' + b"0".rjust(12))
        else:
            text = json.dumps(own).encode()
            start = text.index(b'"max_tokens"')
            text = text[:start].replace(b'"file_bytes": 0', b'"file_bytes": ' + b"0".rjust(12)) + mutated(
                text[start:], rng
            )
        return _use(read_metadata(add_checksum(b"\0\0\0\0TFL3" + text), "a.tflite"))

    return attack


def _use(metadata: Metadata) -> object:
    """What a runtime asks of it before it runs."""
    return metadata.outputs, metadata.windows, metadata.names, metadata.normalization, metadata.is_truncated("a b")


def _corpus(bench: Bench) -> Attack:
    whole = build(bench.place / "whole", topical_text(20)).directory
    files = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file() and path.name != INDEX}
    index = json.loads((whole / INDEX).read_text())
    folder = bench.folder("corpus") / "corpus"
    shutil.copytree(whole, folder)

    def attack(rng: random.Random) -> object:
        name = rng.choice([INDEX, *files])
        changed = index
        if name == INDEX:
            changed = mutated_json(index, rng)
        else:
            data = mutated(files[name], rng)
            (folder / name).write_bytes(data)
            new = {"bytes": len(data), "crc32": zlib.crc32(data)}
            changed = {
                **index,
                **{
                    kind: [{**e, **new} if e["file"] == name else e for e in index[kind]]
                    for kind in ("files", "shards")
                },
            }
        try:
            text = with_checksum(changed) if isinstance(changed, dict) else changed
            (folder / INDEX).write_text(json.dumps(text))
            return _walk(Corpus(folder))
        finally:
            if name != INDEX:
                (folder / name).write_bytes(files[name])

    return attack


def _walk(corpus: Corpus) -> object:
    """Reads all that a training reads of it."""
    sequences = corpus.sequences(16)
    batch = sequences.batch(step=0, batch_size=4)
    return corpus.words[:], corpus.vocabulary_size(2), corpus.document(0), batch
