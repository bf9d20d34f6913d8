"""`eelbert corpus`: documents, sources, shards, interrupts and damage."""

import gzip
import json
import lzma
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest

from eelbert_tf.disk import system
from eelbert_tf.errors import InputError
from eelbert_tf.saving.checksum import with_checksum
from eelbert_tf.training.corpus import parts as corpus_parts
from eelbert_tf.training.corpus.counting import PASSAGE_WORDS
from eelbert_tf.training.corpus.reader import Corpus
from eelbert_tf.training.corpus.sources import Source, find_sources
from eelbert_tf.training.corpus.writer import build_corpus
from tests.small_corpora import PART_BYTES, build, documents_of, numbered, numbered_text


@pytest.fixture(name="tagged")
def numbered_corpus() -> Corpus:
    """Many documents in many shards."""
    return numbered()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# Documents


def test_blank_lines_end_documents(tmp_path):
    corpus = build(tmp_path, b"\n\n One.\nTwo \n \t\r\n\n\nThree\r\n\r\nFour\n\n")
    assert documents_of(corpus) == [b"one . two", b"three", b"four"]


def test_the_end_of_a_file_ends_a_document(tmp_path):
    corpus = build(tmp_path, {"a.txt": b"\xef\xbb\xbfone", "b.txt": b"two", "empty.txt": b""})
    assert documents_of(corpus) == [b"one", b"two"]


def test_lines_are_documents(tmp_path):
    assert documents_of(build(tmp_path, b"one two\n\nthree\n", "lines")) == [b"one two", b"three"]


def test_paragraphs_are_joined(tmp_path):
    paragraph = b"one two three four\n\n"
    corpus = build(tmp_path, paragraph * 3000, "paragraphs")
    lengths = np.diff(corpus.documents)
    assert lengths.sum() == 12_000
    assert lengths.min() >= PASSAGE_WORDS
    short = build(tmp_path, paragraph * 3, "paragraphs", overwrite=True)
    assert documents_of(short) == [b"one two three four" + b" one two three four" * 2]


@pytest.mark.parametrize("part_bytes", [700, PART_BYTES])
def test_documents_stay_whole_over_shards(tmp_path, part_bytes):
    text = b"\n\n".join(b"document %d has these words" % n for n in range(2000))
    corpus = build(tmp_path, text, part_bytes=part_bytes)
    assert documents_of(corpus) == text.split(b"\n\n")
    assert len(corpus.shards) > 2


def test_a_document_longer_than_a_shard_is_cut_between_words(tmp_path):
    corpus = build(tmp_path, b"antelope " * 1000, part_bytes=1000)
    assert list(corpus.words) == [b"antelope"]
    assert corpus.num_documents == len(corpus.shards) == 10


# Sources


def test_compressed_files_and_folders_give_the_same_corpus(tmp_path):
    text = numbered_text(50)
    plain = build(tmp_path, text)
    two_streams = lzma.compress(text[:999]) + lzma.compress(text[999:])
    for name, packed in (("t.txt.gz", gzip.compress(text)), ("t.txt.xz", two_streams)):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(packed)
        build_corpus(find_sources({"documents": [str(folder)]}), tmp_path / f"{name}-corpus", 1)
        assert documents_of(Corpus(tmp_path / f"{name}-corpus")) == documents_of(plain)


def fake_datasets(features: dict[str, str], examples: list[dict[str, bytes]]) -> types.SimpleNamespace:
    """Stands for tensorflow_datasets, whose import alone takes longer than all tests here."""
    kinds = {key: type(kind, (), {})() for key, kind in features.items()}

    def as_dataset(split, shuffle_files, read_config):
        assert (split, shuffle_files, read_config) == ("test", False, 1)
        return examples

    builder = types.SimpleNamespace(
        download_and_prepare=lambda: None, info=types.SimpleNamespace(features=kinds), as_dataset=as_dataset
    )
    return types.SimpleNamespace(
        builder=lambda name: builder, ReadConfig=lambda interleave_cycle_length: interleave_cycle_length, as_numpy=iter
    )


def test_each_text_of_a_data_set_is_a_document(tmp_path, monkeypatch):
    examples = [{"title": b"x", "text": b"One\n\n\x0ctwo"}, {"title": b"x", "text": b"Three"}]
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_datasets({"title": "Text", "text": "Text"}, examples))
    build_corpus([Source("tfds:some/config:test")], tmp_path / "corpus", 1)
    assert documents_of(Corpus(tmp_path / "corpus")) == [b"one two", b"three"]
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_datasets({"a": "Text", "b": "Text"}, []))
    with pytest.raises(InputError, match="found a, b"):
        build_corpus([Source("tfds:some:test")], tmp_path / "other", 1)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match=r"eelbert-tf\[datasets\]"):
        build_corpus([Source("tfds:some:test")], tmp_path / "other", 1)


@pytest.mark.skipif("EELBERT_SLOW_TESTS" not in os.environ, reason="imports tensorflow_datasets: 20 s")
def test_tensorflow_datasets(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    with tfds.testing.mock_data(num_examples=20):
        build_corpus([Source("tfds:imdb_reviews:test")], tmp_path / "corpus", 1)
    assert 1 < Corpus(tmp_path / "corpus").num_documents <= 20


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone.txt", None, "no such file"),
        ("cut.gz", gzip.compress(numbered_text(300))[:-100], "cut off"),
        ("cut.xz", lzma.compress(numbered_text(300))[:-100], "cut off"),
        ("bad.gz", b"not gzip", "not a whole .gz file"),
        ("bad.xz", b"not xz", "not a whole .xz file"),
        ("wide.txt", "text".encode("utf-16"), "UTF-16"),
        ("empty.txt", b"", "not one word"),
        ("blank.txt", b" \n\n\x0c\xc2\xa0", "not one word"),
    ],
)
def test_bad_input_is_named(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        build_corpus(find_sources({"documents": [str(tmp_path / name)]}), tmp_path / "corpus", 1)
    assert name in str(caught.value)
    with pytest.raises(InputError):
        Corpus(tmp_path / "corpus")


# The folder


def test_the_number_of_processes_changes_nothing(tmp_path, tagged):
    (tmp_path / "x").mkdir()
    source = tagged.directory.parent / "text.txt"
    result = build_corpus([Source(str(source))], tmp_path / "corpus", 2, part_bytes=PART_BYTES)
    assert contents(tmp_path / "corpus") == contents(tagged.directory)
    assert result["shards"] == len(tagged.shards) > 4
    assert result["words"] == tagged.num_tokens
    assert not (tmp_path / "corpus" / "parts").exists()


def test_a_finished_corpus_is_left_and_another_not_overwritten_unasked(tmp_path):
    corpus = build(tmp_path, b"one two")
    before = contents(corpus.directory)
    assert build_corpus([Source(str(tmp_path / "text.txt"))], corpus.directory, 1)["reused_shards"] == 1
    assert contents(corpus.directory) == before
    (tmp_path / "other.txt").write_bytes(b"three")
    with pytest.raises(InputError, match="--overwrite"):
        build_corpus([Source(str(tmp_path / "other.txt"))], corpus.directory, 1)
    build_corpus([Source(str(tmp_path / "other.txt"))], corpus.directory, 1, overwrite=True)
    assert list(Corpus(corpus.directory).words) == [b"three"]


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "text").write_text("words")
    with pytest.raises(InputError, match="holds something else"):
        build_corpus([Source(str(tmp_path / "text"))], tmp_path, 1)


FOREIGN = (
    "README.md",
    "shard-mine.txt",
    "shard-00000.u32.bak",
    "words.csv",
    ".hidden",
    "parts/holiday.jpg",
    "cache/notes.txt",
    "folder/shard-00000.u32",
)


def test_foreign_files_beside_a_corpus_stay(tmp_path):
    """They do not keep a corpus from being replaced either, and shards of the older one go."""
    corpus = build(tmp_path, numbered_text(300), part_bytes=PART_BYTES).directory
    shards = len(list(corpus.glob("shard-*")))
    for name in FOREIGN:
        (corpus / name).parent.mkdir(exist_ok=True)
        (corpus / name).write_text(f"mine: {name}")
    (tmp_path / "other.txt").write_bytes(numbered_text(100))
    (corpus / f"shard-{shards + 5:05d}.u32").write_text("mine too")
    build_corpus([Source(str(tmp_path / "other.txt"))], corpus, 1, part_bytes=PART_BYTES, overwrite=True)
    assert Corpus(corpus).num_tokens > 0
    assert [name for name in FOREIGN if (corpus / name).read_text() != f"mine: {name}"] == []
    assert (corpus / f"shard-{shards + 5:05d}.u32").read_text() == "mine too"
    assert 1 < len(list(corpus.glob("shard-?????.u32"))) < shards + 1
    for folder, name in (("texts", "shard-00000.txt"), ("lists", "words.txt"), (".", "text.txt")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text("words")
        before = sorted(os.listdir(tmp_path / folder))
        with pytest.raises(InputError, match="holds something else"):
            build_corpus([Source(str(tmp_path / "other.txt"))], tmp_path / folder, 1, overwrite=True)
        assert sorted(os.listdir(tmp_path / folder)) == before


def test_a_file_of_a_shards_name_is_not_replaced(tmp_path):
    """A user puts it there while the text is read."""
    (tmp_path / "text.txt").write_bytes(numbered_text(3))
    listener = Taker(tmp_path / "corpus" / "shard-00000.u32")
    with pytest.raises(InputError, match=r"shard-00000.u32: exists, and `eelbert corpus` did not write it"):
        build_corpus([Source(str(tmp_path / "text.txt"))], tmp_path / "corpus", 1, listener=listener)
    assert listener.path.read_text() == "mine"


class Taker:
    """Takes a name as soon as a part is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, _: object) -> None:
        self.path.write_text("mine")

    def note(self, _: str) -> None: ...


def test_two_at_once(tmp_path):
    """The second one is refused, and disturbs nothing."""
    (tmp_path / "text.txt").write_bytes(numbered_text(3))
    (tmp_path / "corpus").mkdir()
    descriptor = system.lock(tmp_path / "corpus")
    with pytest.raises(InputError, match="another process is building a corpus here"):
        build_corpus([Source(str(tmp_path / "text.txt"))], tmp_path / "corpus", 1)
    os.close(descriptor)
    build_corpus([Source(str(tmp_path / "text.txt"))], tmp_path / "corpus", 1)


def test_killed_at_any_moment_it_goes_on_to_the_same_corpus(tmp_path):
    text, whole, killed = tmp_path / "text.txt", tmp_path / "whole", tmp_path / "killed"
    text.write_bytes(numbered_text(2000))
    build_corpus([Source(str(text))], whole, 1, part_bytes=PART_BYTES)
    command = [sys.executable, "-m", "eelbert_tf", "corpus", "--input", text, "--output", killed, "--workers", "2"]
    process = subprocess.Popen([*command, "--shard-bytes", str(PART_BYTES)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(killed.glob("parts/part-*"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(InputError, match="unfinished"):
        Corpus(killed)
    time.sleep(0.3)  # the workers end by themselves
    left = sorted((killed / "parts").glob("part-*"))
    assert 3 <= len(left) < 130
    left[0].write_bytes(left[0].read_bytes()[:-50])  # as a power cut may leave it
    result = build_corpus([Source(str(text))], killed, 1, part_bytes=PART_BYTES)
    assert result["reused_shards"] == len(left) - 1
    assert contents(killed) == contents(whole)


def test_killed_before_the_parts_are_removed(tmp_path):
    """The corpus is whole; the next run removes what it no longer needs."""
    corpus = build(tmp_path, numbered_text(3))
    (corpus.directory / "parts").mkdir()
    (corpus.directory / "parts" / "part-00000.npz").touch()
    assert build_corpus([Source(str(tmp_path / "text.txt"))], corpus.directory, 1)["reused_shards"] == 1
    assert not (corpus.directory / "parts").exists()


def test_a_damaged_part_is_not_reused(tmp_path):
    """Wherever in the file a bit is flipped: it would be found only when all text is read."""
    (tmp_path / "text.txt").write_bytes(numbered_text(3))
    (part,) = corpus_parts.cut_parts([Source(str(tmp_path / "text.txt"))], PART_BYTES)
    folder = tmp_path / "parts"
    list(corpus_parts.write_parts([part], folder, 1))
    path = corpus_parts.part_path(folder, 0)
    good = path.read_bytes()
    expected = corpus_parts.read_arrays(path)
    rng = random.Random(0)
    for place in rng.sample(range(8 * len(good)), 200):
        damaged = bytearray(good)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        (done,) = corpus_parts.write_parts([part], folder, 1)
        found = corpus_parts.read_arrays(path)
        assert done.reused or path.read_bytes() == good
        assert {name: array.tolist() for name, array in found.items()} == {
            name: array.tolist() for name, array in expected.items()
        }


def test_a_full_disk_under_the_parts_and_the_shards(tmp_path, small_disk):
    """The message says so, there is no corpus, and with more room the work goes on."""
    for megabytes in (0.2, 0.5):
        (tmp_path / "text.txt").write_bytes(numbered_text(round(megabytes * 1000)))
        sources = [Source(str(tmp_path / "text.txt"))]
        with pytest.raises(InputError, match="cannot write: the disk is full"):
            build_corpus(sources, small_disk / "corpus", 1, part_bytes=PART_BYTES)
        with pytest.raises(InputError, match="unfinished"):
            Corpus(small_disk / "corpus")
    shutil.copytree(small_disk / "corpus", tmp_path / "corpus")
    assert build_corpus(sources, tmp_path / "corpus", 1, part_bytes=PART_BYTES)["reused_shards"] > 0


def test_parts_of_another_text_are_not_reused(tmp_path):
    (tmp_path / "text.txt").write_bytes(b"old words")
    parts = corpus_parts.cut_parts([Source(str(tmp_path / "text.txt"))], PART_BYTES)
    list(corpus_parts.write_parts(parts, tmp_path / "corpus" / "parts", 1))
    assert list(build(tmp_path, b"new text").words) == [b"new", b"text"]


def damage_cut(folder: Path) -> str:
    path = folder / "shard-00001.u32"
    path.write_bytes(path.read_bytes()[:-1])
    return r"shard-00001.u32: has .* bytes"


def damage_bit(folder: Path) -> str:
    path = folder / "shard-00002.u32"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    return r"shard-00002.u32: its checksum"


def damage_gone(folder: Path) -> str:
    (folder / "words.txt").unlink()
    return r"words.txt: missing"


def damage_index(folder: Path) -> str:
    (folder / "index.json").unlink()
    return r"index.json: missing"


def damage_json(folder: Path) -> str:
    (folder / "index.json").write_text("{")
    return r"index.json: not the index"


def damage_version(folder: Path) -> str:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**index, "format_version": 99}))
    return r"version 1, found 99"


def damage_figure(folder: Path) -> str:
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"unknown_words": 0', '"unknown_words": 1'))
    return r"index.json: its checksum differs"


def damage_name(folder: Path) -> str:
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"shards"', '"shardr"'))
    return r"index.json: its checksum differs"


def hostile_name(folder: Path) -> str:
    path = folder / "index.json"
    index = json.loads(path.read_text().replace("words.txt", "../words.txt"))
    path.write_text(json.dumps(with_checksum(index)))
    (folder / "words.txt").rename(folder.parent / "words.txt")
    return r"names a file outside of its folder \(../words.txt\)"


DAMAGES = [damage_cut, damage_bit, damage_gone, damage_index, damage_json, damage_version, damage_figure, damage_name]


@pytest.mark.parametrize("damage", [*DAMAGES, hostile_name])
def test_damage_is_found(tmp_path, damage):
    corpus = build(tmp_path, numbered_text(100), part_bytes=PART_BYTES)
    message = damage(corpus.directory)
    with pytest.raises(InputError, match=message):
        Corpus(corpus.directory)


def test_the_command(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"Hello, world!\n\nAgain.")
    command = [sys.executable, "-m", "eelbert_tf", "corpus", "--output", tmp_path / "corpus", "--input"]
    done = subprocess.run([*command, tmp_path / "a.txt"], capture_output=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    expected = {"documents": 2, "words": 6, "distinct_words": 6, "bytes": 21, "shards": 1, "unknown_words": 0}
    assert expected.items() <= result.items()
    assert {"seconds", "words_per_second", "workers"} <= result.keys()
    failed = subprocess.run([*command, tmp_path / "b.txt"], capture_output=True, check=False)
    assert failed.returncode == 2
    assert b"b.txt: no such file" in failed.stderr.splitlines()[-1]
