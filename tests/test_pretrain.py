"""`eelbert pretrain` in one process: what a run leaves, exact resume, the optimizer, and bad input."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from eelbert_tf.__main__ import main
from eelbert_tf.config import HashConfig
from eelbert_tf.errors import InputError
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.optimizer import adamw
from eelbert_tf.saving.folders import WEIGHTS_FILE
from eelbert_tf.training.pretrain import checkpoint
from eelbert_tf.training.pretrain import watch as pretrain_watch
from eelbert_tf.training.pretrain.folder import lock
from eelbert_tf.training.pretrain.run import build_model, pretrain
from eelbert_tf.training.pretrain.settings import RunOptions, Settings
from tests.configs import TINY
from tests.small_corpora import build, topical

pytestmark = pytest.mark.usefixtures("undrawn")

OPTIONS = RunOptions(resume=True, log_every=2, eval_every=4, eval_batches=1, jit_compile=False, quiet=True)
FEW = Settings(steps=6, batch_size=8, sequence_length=16, learning_rate=1e-2)
# Everything that has a state: dropout and the generator draw on the device, and there are gradients to accumulate.
MUCH = dataclasses.replace(FEW, dropout=0.1, accumulate=2, objective="replaced", generator="network")


def digest(run: Path) -> str:
    return hashlib.sha256((run / WEIGHTS_FILE).read_bytes()).hexdigest()


def run(folder: Path, settings: Settings = FEW, config=TINY, corpus=None, options: RunOptions = OPTIONS):
    return pretrain(corpus or topical(), config, settings, folder, options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished run, made by the command."""
    folder = tmp_path_factory.mktemp("pretrain")
    (folder / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    arguments = ["--corpus", topical().directory, "--config", folder / "tiny.json", "--output", folder / "run"]
    options = "--steps 6 --batch-size 8 --sequence-length 16 --learning-rate 1e-2 --no-jit --log-every 2 --eval-every 4"
    assert main(["pretrain", *map(str, arguments), *options.split(), "--eval-batches", "1"]) == 0
    return folder / "run"


def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


# What a run leaves


def test_log_has_figures_and_held_out_scores(finished):
    rows = list(csv.DictReader((finished / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert [int(row["tokens"]) for row in rows] == [256, 512, 768]
    assert [bool(row["held_out_loss"]) for row in rows] == [False, True, True]
    assert all(float(row["loss"]) > 0 and float(row["tokens_per_second"]) > 0 for row in rows)
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)


def test_curve_is_a_picture(finished):
    from PIL import Image

    with Image.open(finished / "loss.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert picture.size == (840, 480)
    assert len(colours) > 50


@pytest.mark.usefixtures("untraced")
def test_folder_is_a_model(finished, tmp_path):
    """`finetune --preset` takes it, and the file says how it was trained."""
    fields = json.loads((finished / "config.json").read_text())
    assert fields["notes"]["pretraining"]["finished_steps"] == 6
    assert fields["notes"]["pretraining"]["held_out"]["loss"] > 0
    assert fields["config"] == json.loads(json.dumps(TINY.to_dict()))  # with the dropout it was given, not trained with
    train = tmp_path / "train.csv"
    train.write_text("text,label\n" + "".join(f"turn on {i},yes\nturn off {i},no\n" for i in range(8)))
    options = f"--train {train} --dev {train} --preset {finished} --epochs 1 --output {tmp_path / 'model'}"
    assert main(["finetune", *options.split()]) == 0
    assert EelbertBackbone.from_preset(finished).config == TINY


# Resuming


class _PowerCut(BaseException):
    """Nothing of ours runs after it."""


def test_a_run_that_was_cut_ends_the_same(tmp_path):
    """Bit by bit, and so does its log, with everything that has a state; cut while a checkpoint was to be written."""
    options = dataclasses.replace(OPTIONS, checkpoint_minutes=1e-9)  # after every step
    written = checkpoint.write_checkpoint

    def write(folder, step, arrays, state):
        if step == 4:
            raise _PowerCut
        return written(folder, step, arrays, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eelbert_tf.training.pretrain.run.write_checkpoint", write)
        with pytest.raises(_PowerCut):
            run(tmp_path / "cut", MUCH, options=options)
    run(tmp_path / "cut", MUCH, options=options)
    run(tmp_path / "whole", MUCH)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")

    def log(folder):
        timed = ("seconds", "tokens_per_second", "loss", "accuracy", "recall")  # means since the last row or resume
        return [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader((folder / "log.csv").open())]

    assert log(tmp_path / "cut") == log(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "cut" / "checkpoints").iterdir()) == ["step-00000005", "step-00000006"]


def test_sigterm_writes_a_checkpoint(tmp_path, finished):
    """At the next step; resumed, the run ends as if nothing had been, though the newest checkpoint was damaged."""
    said: list[str] = []

    class Interrupt(pretrain_watch.Watch):
        def on_train_batch_end(self, batch, logs=None):
            if self.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            super().on_train_batch_end(batch, logs)

    options = dataclasses.replace(OPTIONS, checkpoint_minutes=1e-9, warn=said.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eelbert_tf.training.pretrain.run.Watch", Interrupt)
        with pytest.raises(SystemExit) as caught:
            run(tmp_path / "run", options=options)
    assert caught.value.code == 143
    checkpoints = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000003", "step-00000004"]
    assert EelbertBackbone.from_preset(tmp_path / "run").config == TINY
    flip(checkpoints / "step-00000004" / "state.safetensors")
    run(tmp_path / "run", options=options)
    assert "step-00000004: damaged" in said[0]
    assert "trying the one before it" in said[0]
    assert said[1] == "resuming at step 3"
    assert digest(tmp_path / "run") == digest(finished)


def flip(path: Path) -> None:
    """One bit of a file."""
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "name"), [(cut, "state.safetensors"), (flip, "state.safetensors"), (cut, "state.json")]
)
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage, name):
    """The one before it is used, and the user is told."""
    said: list[str] = []
    for step in (1, 2, 3):
        checkpoint.write_checkpoint(tmp_path, step, {"a": np.full(50, step, np.float32)}, {"seconds": 1.5})
    damage(tmp_path / "step-00000003" / name)
    found = checkpoint.read_checkpoint(tmp_path, said.append)
    assert found is not None
    arrays, state = found
    np.testing.assert_array_equal(arrays["a"], 2)
    assert (state["step"], state["seconds"]) == (2, 1.5)
    assert "step-00000003: damaged" in said[0]
    assert len(said) == 1
    damage(tmp_path / "step-00000002" / name)
    with pytest.raises(InputError, match="every checkpoint is damaged"):
        checkpoint.read_checkpoint(tmp_path, said.append)


def test_any_flipped_bit_of_a_checkpoint_is_seen(tmp_path):
    """In its arrays, and in its other fields: the step, for example."""
    arrays = {"a": np.arange(20, dtype=np.float32)}
    checkpoint.write_checkpoint(tmp_path, 1, arrays, {"seconds": 1.5, "backend": "jax"})
    for name in ("state.safetensors", "state.json"):
        path = tmp_path / "step-00000001" / name
        good = path.read_bytes()
        for place in random.Random(0).sample(range(8 * len(good)), 150):
            damaged = bytearray(good)
            damaged[place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            try:
                read = checkpoint.read_checkpoint(tmp_path, lambda text: None)
            except InputError:
                continue
            assert read is not None
            found, state = read
            assert found["a"].tolist() == arrays["a"].tolist()
            assert [state[key] for key in ("step", "seconds", "backend")] == [1, 1.5, "jax"]
        path.write_bytes(good)


def test_a_damaged_log_loses_lines_only(finished, tmp_path):
    """Bytes that are no text, quotes, NUL, ends of lines."""
    folder = copy(finished, tmp_path)
    log = (folder / "log.csv").read_bytes()
    for junk in (b"\xff", b'"', b"\0", b"\r"):
        log = log.replace(b"0", junk, 1)
    (folder / "log.csv").write_bytes(log)
    assert run(folder)["steps"] == 6
    assert EelbertBackbone.from_preset(folder).config == TINY


@pytest.mark.usefixtures("untraced")
def test_a_full_disk_is_told_on_a_line_of_its_own(tmp_path, monkeypatch, capsys):
    """The bar ends before; the line names what could not be written."""

    def full(folder, step, arrays, state):
        raise InputError("checkpoints: cannot write: the disk is full")

    monkeypatch.setattr("eelbert_tf.training.pretrain.run.write_checkpoint", full)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    arguments = ["--corpus", topical().directory, "--config", tmp_path / "tiny.json", "--output", tmp_path / "run"]
    options = "--steps 2 --batch-size 8 --sequence-length 16 --no-jit --eval-every 0"
    assert main(["pretrain", *map(str, arguments), *options.split()]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "eelbert pretrain: checkpoints: cannot write: the disk is full"


def test_killed_between_weights_and_configuration(finished, tmp_path, monkeypatch):
    """The folder holds a run and is not replaced as a whole: the next process that reads it completes the model."""
    folder = copy(finished, tmp_path)
    (folder / "config.json").unlink()
    replace = os.replace

    def cut_after_weights(source, target):
        replace(source, target)
        if Path(target) == folder / WEIGHTS_FILE:
            raise _PowerCut

    monkeypatch.setattr(os, "replace", cut_after_weights)
    with pytest.raises(_PowerCut):
        run(folder)
    monkeypatch.undo()
    assert not (folder / "config.json").exists()
    assert EelbertBackbone.from_preset(folder).config == TINY


def test_a_finished_run_is_left_alone(tmp_path, finished):
    folder = copy(finished, tmp_path)
    assert run(folder)["steps"] == 6
    assert digest(folder) == digest(finished)


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": dataclasses.replace(FEW, batch_size=16)}, "settings batch_size = 8, not 16"),
        ({"settings": dataclasses.replace(FEW, seed=1)}, "settings seed = 0, not 1"),
        ({"config": TINY.replace(intermediate_size=24)}, "config intermediate_size = 20, not 24"),
        ({"config": TINY.replace(hash=HashConfig(widths=(6, 5, 5), seed=7))}, "config hash = "),
    ],
    ids=["batch", "seed", "shape", "hash"],
)
def test_resuming_another_run(finished, change, message):
    """Nothing is changed, and the first difference is named."""
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=message):
        run(finished, **change)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_resuming_with_another_corpus(finished, tmp_path):
    other = build(tmp_path, b"some words and more\n\nand others of them")
    with pytest.raises(InputError, match="this run was started with corpus words = "):
        run(finished, corpus=other)


def test_folders_that_hold_something_else(finished, tmp_path):
    with pytest.raises(InputError, match="holds a run; continue it with --resume"):
        run(finished, options=dataclasses.replace(OPTIONS, resume=False))
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"holds something else \(thesis.tex\)"):
        run(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(finished / "config.json", model)
    with pytest.raises(InputError, match="holds a model, but no run"):
        run(model)


def test_two_processes_in_one_folder(finished):
    """The second is refused: the first would lose its work."""
    identity = json.loads((finished / "run.json").read_text())
    with lock(finished, identity, True):
        second = lock(finished, identity, True)
        with pytest.raises(InputError, match="another process is training here"):
            second.__enter__()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sequence-length 64", "more than the model's 16 positions"),
        ("--sequence-length 4", "--sequence-length: must be at least 8"),
        ("--batch-size 8 --accumulate 3", "does not divide the batch size"),
        ("--mask-rate 1.5", "--mask-rate: must lie in"),
        ("--steps 0", "--steps: must be positive"),
        ("--config no_such_size", "neither a name"),
        ("--strategy jax", "needs the jax backend; set KERAS_BACKEND=jax"),
        ("--strategy tpu", "no TPU found"),
    ],
)
def test_impossible_options(tmp_path, capsys, options, message):
    """One line, status 2, and no folder."""
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.to_dict()))
    given = ["--corpus", str(topical().directory), "--config", str(tmp_path / "tiny.json")]
    given += ["--sequence-length", "16", "--output", str(tmp_path / "run"), *options.split()]
    assert main(["pretrain", *given]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_bad_corpora(tmp_path, capsys):
    """Empty, cut off, unfinished or absent: named before any work."""

    def fails(folder: Path, message: str) -> None:
        status = main(["pretrain", "--corpus", str(folder), "--output", str(tmp_path / "run")])
        assert status == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "run").exists()

    (tmp_path / "empty.txt").touch()
    assert main(["corpus", "--input", str(tmp_path / "empty.txt"), "--output", str(tmp_path / "empty")]) == 2
    capsys.readouterr()
    fails(tmp_path / "empty", "no such folder" if not (tmp_path / "empty").exists() else "unfinished")
    cut = Path(shutil.copytree(topical().directory, tmp_path / "cut"))
    shard = next(cut.glob("shard-*"))
    shard.write_bytes(shard.read_bytes()[:-4])
    fails(cut, f"{shard}: has ")
    (cut / "index.json").unlink()
    fails(cut, "missing")
    single = build(tmp_path / "single", b"only one document").directory
    fails(single, "a single document")


def test_a_table_of_another_hash_is_not_used(tmp_path):
    """Each hash has its own table of a corpus, and one that does not fit its words is made again."""
    corpus = build(tmp_path, b"some words of two documents\n\nand others of them")
    first, second = (
        build_model(corpus, TINY.replace(hash=HashConfig(widths=(6, 5, 5), seed=seed)), FEW) for seed in (1, 2)
    )
    a, b = (np.asarray(model.objective.tokens.embeddings) for model in (first, second))
    assert abs(a[0] - b[0]).max() > 0.1
    table = next((corpus.directory / "cache").glob("embeddings-*"))
    good = table.read_bytes()
    table.write_bytes(bytes(len(good)))
    for seed in (1, 2):
        build_model(corpus, TINY.replace(hash=HashConfig(widths=(6, 5, 5), seed=seed)), FEW)
    assert table.read_bytes() == good


# The optimizer


def test_weight_decay_leaves_biases_and_norms_alone():
    """By identity of the variables: after steps without any gradient exactly the matrices have shrunk."""
    config = TINY.replace(num_hidden_layers=2, hash=HashConfig(widths=(6, 4)), lexicon_size=8, lexicon_width=3)
    model = build_model(topical(), config, dataclasses.replace(FEW, weight_decay=0.1, warmup=0.0))
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape, np.float32))
    model.optimizer.apply([keras.ops.zeros_like(variable) for variable in variables])
    shrunk = {id(v) for v in variables if float(keras.ops.max(v)) < 1}
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    matrices = [layer.kernel for layer in layers if layer.kernel.trainable]
    matrices += [model.backbone.position_embedding, model.backbone.segment_embedding, model.backbone.lexicon.table]
    assert shrunk == {id(v) for v in matrices}
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.LayerNormalization)]
    left = [v for layer in norms for v in (layer.gamma, layer.beta)]
    left += [layer.bias for layer in layers if layer.bias is not None and layer.bias.trainable]
    left += [model.objective.output_bias]
    assert {id(v) for v in variables} - shrunk == {id(v) for v in left}


def test_gradients_are_clipped_together():
    """Gradients of any size change weights as ones of the largest norm do, and smaller ones are left alone."""

    def moved(scale: float) -> np.ndarray:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        optimizer = adamw(model, 1.0, 10, clip_norm=1.0)
        slots = {v.path.split("/")[-1]: v for v in optimizer.variables}
        optimizer.apply([keras.ops.full(v.shape, scale) for v in model.trainable_variables])
        momentum = [np.asarray(v).ravel() for name, v in slots.items() if name.endswith("momentum")]
        return np.concatenate(momentum) / 0.1  # the first average of gradients is a tenth of them

    assert np.linalg.norm(moved(100.0)) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(moved(0.01), 0.01, rtol=1e-5)


def test_accumulation_equals_the_larger_batch(tmp_path):
    """The same weights with one batch as with four micro-batches."""
    # Documents of a row's length, so that every micro-batch has as many masked words and weighs as much.
    rng = np.random.default_rng(0)
    text = "\n\n".join(" ".join(f"w{i}" for i in rng.integers(0, 30, 14)) for _ in range(100))
    corpus = build(tmp_path, text.encode())
    for count in (1, 4):
        settings = dataclasses.replace(FEW, steps=3, clip_norm=0.1, accumulate=count)
        run(tmp_path / str(count), settings, corpus=corpus, options=dataclasses.replace(OPTIONS, eval_every=0))
    one, four = (EelbertBackbone.from_preset(tmp_path / str(count)) for count in (1, 4))
    for a, b in zip(one.weights, four.weights, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5, err_msg=a.path)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision(tmp_path, precision, finished):
    """Computes in 16 bits, keeps float32 weights, and learns as float32 does; the policy is put back."""
    settings = dataclasses.replace(FEW, mixed_precision=precision)
    report = run(tmp_path / "run", settings)
    assert keras.config.dtype_policy().name == "float32"
    assert {v.dtype for v in EelbertBackbone.from_preset(tmp_path / "run").weights} == {"float32"}
    expected = float(list(csv.DictReader((finished / "log.csv").open()))[-1]["loss"])
    assert report["loss"] == pytest.approx(expected, rel=0.03)
    assert report["loss"] != expected
