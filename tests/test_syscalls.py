"""System calls that fail, the short form of `python -m tests.faults syscalls`; and what it found."""

from __future__ import annotations

import builtins
import contextlib
import csv
import errno
import io
import json
import os
import random
import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf.config import HashConfig
from eelbert_tf.disk import workspaces
from eelbert_tf.disk.files import only_process
from eelbert_tf.disk.refusals import about, system_error
from eelbert_tf.disk.texts import open_text
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.saving.checksum import with_checksum
from eelbert_tf.saving.folders import DRAFT, MODEL_FOLDER, find_model
from eelbert_tf.saving.info import CONFIG_FILE, read_info
from eelbert_tf.training.corpus.parts import part_path, read_arrays, read_part, read_part_words
from eelbert_tf.training.corpus.reader import INDEX, Corpus
from eelbert_tf.training.pretrain.checkpoint import read_checkpoint, write_checkpoint
from eelbert_tf.training.pretrain.folder import save_encoder
from eelbert_tf.training.pretrain.log import RunLog
from eelbert_tf.training.tokens.tables import embedding_table
from tests.configs import TINY
from tests.faults import together
from tests.faults.bench import Bench, Tally
from tests.faults.inject import Injection, Trial, inject
from tests.faults.seccomp import can_inject
from tests.faults.syscalls import make_inputs, trials
from tests.small_corpora import build, topical_text

needs_seccomp = pytest.mark.skipif(not can_inject(), reason="needs Linux on x86-64 with seccomp")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    return make_inputs(tmp_path_factory.mktemp("syscalls"))


def embed(inputs: Path) -> Trial:
    """`eelbert embed`, which reads a model and texts and replaces an array."""
    return next(trial for trial in trials(inputs) if trial.arguments[0] == "embed")


@needs_seccomp
def test_a_command(tmp_path: Path, inputs: Path) -> None:
    """Every error is told in one line, or has no effect."""
    tally = inject(Bench(tmp_path, {}, random.Random(0)), embed(inputs), 16)
    assert tally.failures == []
    assert set(tally.outcomes) == {"told in one line", "without effect"}
    assert tally.notes["calls of a run"] > 80


def writes_in_place() -> None:
    """The older output is open to every error."""
    from eelbert_tf.tflite.commands import embed

    embed.replace_file = lambda path: contextlib.nullcontext(Path(path))  # type: ignore[assignment, return-value]


def knows_no_errors() -> None:
    """Errors of the system are the program's own."""
    from eelbert_tf import __main__ as front

    front._as_input_error = lambda *_: None


def leaves_all() -> None:
    """Temporary folders stay."""
    workspaces.clear = lambda *_: None


@needs_seccomp
@pytest.mark.parametrize(
    ("prepare", "call", "outcome"),
    [
        (writes_in_place, "write", "neither the older output nor the new one"),
        (knows_no_errors, "write", "status 1"),
        (leaves_all, "fsync", "left behind"),
    ],
)
def test_the_campaign_sees_what_is_wrong(
    tmp_path: Path, inputs: Path, prepare: Callable[[], None], call: str, outcome: str
) -> None:
    """A command that is careless on purpose."""
    injection = Injection(Bench(tmp_path, {}, random.Random(0)), embed(inputs), prepare)
    names = [(one.name, Path(one.paths[0]).name) for one in injection.calls]
    tally = Tally("careless")
    injection.attempt(tally, names.index((call, "out.npy")), errno.EIO)
    assert tally.outcomes == {f"**{outcome}**": 1}


class Refusing:
    """Stands for a function of `os` that refuses some paths."""

    def __init__(self, real: Callable[..., Any], name: str, code: int) -> None:
        self._real, self._name, self._code = real, name, code

    def __call__(self, path: Any, *arguments: Any, **more: Any) -> Any:
        if isinstance(path, (str, os.PathLike)) and os.fspath(path).endswith(self._name):
            raise OSError(self._code, os.strerror(self._code), os.fspath(path))
        return self._real(path, *arguments, **more)


def broken(*_: object, **__: object) -> None:
    """A call on a descriptor: the system does not say what it is about."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Has the system refuse to open files whose names end in a text."""

    def begin(name: str, code: int = errno.EMFILE) -> None:
        for module in (builtins, io):
            monkeypatch.setattr(module, "open", Refusing(module.open, name, code))

    return begin


def test_what_cannot_be_read_is_not_something_else(tmp_path: Path, refuse: Any) -> None:
    """A model that is to be replaced, whose configuration the system refuses to open for once."""
    together._write(tmp_path / "model", 1)
    refuse("model/config.json")
    with pytest.raises(InputError, match=r"config.json: cannot be read: too many files are open"):
        MODEL_FOLDER.is_ours(tmp_path / "model")
    with pytest.raises(InputError, match=r"config.json: cannot be read: too many files are open"):
        together._write(tmp_path / "model", 2)


def test_what_was_computed_is_not_missing(tmp_path: Path, refuse: Any) -> None:
    """Hours of a teacher's work would be done again, and checkpoints be passed over, for one refusal."""
    np.savez(tmp_path / "kept.npz", done=7)
    for step in (1, 2):
        write_checkpoint(tmp_path / "checkpoints", step, {"a": np.zeros(3)}, {})
    assert read_arrays(tmp_path / "missing.npz") is None
    refuse("kept.npz")
    with pytest.raises(InputError, match=r"kept.npz: cannot be read: too many files are open"):
        read_arrays(tmp_path / "kept.npz")
    refuse("step-00000002/state.json")
    with pytest.raises(InputError, match=r"step-00000002: cannot be read: too many files are open"):
        read_checkpoint(tmp_path / "checkpoints", pytest.fail)


def test_parts_of_a_corpus(tmp_path: Path, refuse: Any) -> None:
    """Readers of zip files say of every refusal that the file is no zip file."""
    np.savez(part_path(tmp_path, 0), words=np.zeros(0, np.uint8))
    refuse("part-00000.npz", errno.EIO)
    for read in (read_part, read_part_words):
        with pytest.raises(
            InputError, match=r"part-00000.npz: cannot be read: the disk reported an input/output error"
        ):
            read(tmp_path, 0)


def test_a_first_version_that_is_not_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is told, also where there is no older version to go back to; the new one is whole, or absent."""
    failed = 0
    for number in range(12):
        calls: list[int] = []

        def refuse(descriptor: int, n: int = number, calls: list[int] = calls) -> None:
            calls.append(descriptor)
            if len(calls) == n + 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        path = tmp_path / f"{number}" / "model"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            try:
                together._write(path, 1)
            except InputError as error:
                assert str(error) == f"{path}: cannot write: the disk reported an input/output error"
                failed += 1
        if path.exists():
            together._work("read", path, 1)
        assert os.listdir(path.parent) == ["model"] if path.exists() else not path.parent.exists()
    assert failed > 4


def test_weights_keep_their_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's model is two files: where the second cannot be renamed that is told, and a reader finishes it."""
    model = types.SimpleNamespace(backbone=EelbertBackbone(TINY))
    save_encoder(model, TINY, tmp_path, {"number": 1})
    model.backbone = EelbertBackbone(TINY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", Refusing(os.replace, CONFIG_FILE, errno.EIO))
        with pytest.raises(InputError, match="cannot write: the disk reported an input/output error"):
            save_encoder(model, TINY, tmp_path, {"number": 2})
    assert read_info(find_model(tmp_path))[0].notes == {"number": 2}
    with monkeypatch.context() as patch:  # `shutil.rmtree(..., ignore_errors=True)` raises it
        patch.setattr(shutil, "rmtree", Refusing(shutil.rmtree, DRAFT, errno.EACCES))
        save_encoder(model, TINY, tmp_path, {"number": 2})
    weights = [np.asarray(weight) for weight in EelbertBackbone.from_preset(tmp_path).weights]
    assert all(np.array_equal(one, other) for one, other in zip(weights, model.backbone.weights, strict=True))


def test_who_cannot_look_has_no_rival(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether another process has replaced a file is not known where the system refuses to say."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(os.path, "samestat", broken)
    with pytest.raises(InputError, match="file: cannot be read: the disk"), only_process(tmp_path / "file", "busy"):
        pytest.fail("must not run")
    monkeypatch.undo()
    answers = iter([broken])  # the first alone
    samestat = os.path.samestat
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "samestat", lambda *both: next(answers, samestat)(*both))
        with pytest.raises(InputError, match="model: cannot write: the disk reported"):
            together._write(tmp_path / "model", 1)
    assert os.listdir(tmp_path) == ["file"]


def test_a_corpus_that_names_no_possible_file(tmp_path: Path) -> None:
    """The index is whole, and a name in it longer than the system takes."""
    folder = build(tmp_path, topical_text(5)).directory
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0]["file"] = "x" * 300
    (folder / INDEX).write_text(json.dumps(with_checksum(index)))
    with pytest.raises(InputError, match="cannot be read: the name is too long"):
        Corpus(folder)


def test_the_log_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal to write a row comes without the file's name."""
    log = RunLog(tmp_path, [], 0)
    monkeypatch.setattr(csv.DictWriter, "writerow", broken)
    with pytest.raises(InputError, match=r"log.csv: cannot write: the disk reported an input/output error"):
        log.add({"step": 1})


def test_refusals_to_close_name_the_file(tmp_path: Path) -> None:
    """The system says no more than the number of a descriptor."""
    path = tmp_path / "texts.txt"
    path.write_text("text\n")
    file = open_text(path)
    os.close(file._owned.fileno())
    with pytest.raises(InputError, match=r"texts.txt: cannot be read: Bad file descriptor|it is not open"):
        file.close()


def test_errors_of_descriptors_get_a_name() -> None:
    """Those of the system, and those that Python makes of them, which have no number."""
    for error, reason in (
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (io.UnsupportedOperation("File or stream is not seekable."), "File or stream is not seekable."),
    ):
        with pytest.raises(OSError, match="a/corpus") as caught, about("a/corpus"):
            raise error
        assert str(system_error(caught.value, "out")) == f"a/corpus: the system refuses: {reason}"
    told = system_error(OSError(errno.ENOSPC, "No space left on device", "a/corpus"), "out")
    assert str(told).startswith("a/corpus: cannot write: the disk is full")


def test_locks_and_caches_have_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that cannot be let go, and a table that cannot be mapped."""
    corpus = build(tmp_path, topical_text(5))
    patch = pytest.MonkeyPatch()
    with pytest.raises(OSError, match="corpus") as caught, only_process(corpus.directory, "busy"):
        patch.setattr(os, "close", broken)
    patch.undo()
    assert caught.value.filename == str(corpus.directory)
    monkeypatch.setattr(np, "memmap", broken)
    with pytest.raises(InputError, match=r"cache/embeddings-.*: cannot write: the disk reported"):
        embedding_table(corpus, HashConfig((6, 5, 5)))
