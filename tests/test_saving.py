"""Models on disk: whole or absent, equal after loading, and refused with one clear line where something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from eelbert_tf.config import EelbertConfig, named_config
from eelbert_tf.errors import InputError, InputWarning
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.presets import weight_names
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.preprocessing.hashed_texts import HashedTexts
from eelbert_tf.saving.checksum import CHECKSUM_FIELD
from eelbert_tf.saving.folders import PRESETS, WEIGHTS_FILE, find_model, preset_file, preset_names, read_weights
from eelbert_tf.saving.info import CONFIG_FILE, read_info
from eelbert_tf.text.strings import encode_texts
from tests.conftest import randomize
from tests.forms import ROOT
from tests.small_berts import BERT, PIECES, write_bert

pytestmark = pytest.mark.usefixtures("untraced")

ODD_LABELS = ['größer "x"', "emoji 😀\n", "\\u0000 ' ", "", "../../etc"]
TEXTS = ["turn on the lights", "", "größer 中 😀"]
LOADS: tuple[Callable[[Path], Any], ...] = (
    EelbertClassifier.from_preset,
    EelbertBackbone.from_preset,
    EelbertSentenceEncoder.from_preset,
)


@pytest.fixture(scope="module")
def original(rich: EelbertConfig) -> EelbertClassifier:
    """A classifier of pairs with all that a model can have."""
    backbone = EelbertBackbone(rich, pair=True)
    return randomize(EelbertClassifier(backbone, 5, ODD_LABELS))


@pytest.fixture(scope="module")
def saved(original: EelbertClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its directory."""
    path = tmp_path_factory.mktemp("saving") / "model"
    original.save_to_preset(path, {"note": 1})
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A directory of the same model to damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edit(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes `config.json`, as one does who knows of its checksum."""
    path = directory / CONFIG_FILE
    fields = json.loads(path.read_text("utf-8"))
    fields.pop(CHECKSUM_FIELD, None)
    change(fields)
    path.write_text(json.dumps(fields), "utf-8")


def replace_weights(directory: Path, data: bytes) -> None:
    """Writes other weights with a checksum that fits, as only ill will does."""
    (directory / WEIGHTS_FILE).write_bytes(data)
    edit(directory, lambda fields: fields.update(weights_sha256=hashlib.sha256(data).hexdigest()))


def test_round_trip(original: EelbertClassifier, saved: Path) -> None:
    """Weights, labels and settings come back; fresh processes are tested with the tasks."""
    assert sorted(path.name for path in saved.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
    info, _ = read_info(saved)
    assert (info.config, info.kind, info.pair, info.task) == (
        original.backbone.config,
        "classifier",
        True,
        "classification",
    )
    assert (info.num_classes, info.labels, info.notes) == (5, ODD_LABELS, {"note": 1})
    again = EelbertClassifier.from_preset(saved)
    for name, variable in weight_names(original).items():
        np.testing.assert_array_equal(weight_names(again)[name].numpy(), variable.numpy(), err_msg=name)
    pairs = [(text, "b") for text in TEXTS]
    np.testing.assert_array_equal(again.predict(pairs, verbose=0), original.predict(pairs, verbose=0))


def test_backbones(original: EelbertClassifier, saved: Path, tmp_path: Path, rich: EelbertConfig) -> None:
    """The encoder of a classifier, and an encoder by itself; pairs or not, as asked for."""
    data = encode_texts(TEXTS, rich.max_bytes)
    expected = original.backbone(data)["pooled_output"]
    backbone = EelbertBackbone.from_preset(saved)
    assert backbone.pair is True
    np.testing.assert_array_equal(backbone(data)["pooled_output"], expected)
    backbone.save_to_preset(tmp_path / "backbone")
    again = EelbertBackbone.from_preset(tmp_path / "backbone", pair=False)
    assert again.pair is False
    np.testing.assert_allclose(again(data)["pooled_output"], expected, rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="an encoder without a classification head: fine-tune it first"):
        EelbertClassifier.from_preset(tmp_path / "backbone")


def test_quantized_lexicons(tmp_path: Path, tiny: EelbertConfig) -> None:
    """Codes come back as bytes, alone or in a classifier; other types in their place are refused."""
    config = tiny.replace(pooling="mean", lexicon_size=64, lexicon_width=6, lexicon_codes=3, lexicon_skip=True)
    original = randomize(EelbertClassifier(EelbertBackbone(config), 2))
    original.save_to_preset(tmp_path / "model")
    arrays = read_weights(tmp_path / "model", read_info(tmp_path / "model")[1])
    assert arrays["backbone/lexicon/codes"].dtype == np.uint8
    again = EelbertClassifier.from_preset(tmp_path / "model")
    for name, variable in weight_names(original).items():
        np.testing.assert_array_equal(weight_names(again)[name].numpy(), variable.numpy(), err_msg=name)
    np.testing.assert_array_equal(again.predict(TEXTS, verbose=0), original.predict(TEXTS, verbose=0))
    EelbertBackbone.from_preset(tmp_path / "model").save_to_preset(tmp_path / "backbone")
    encoder = EelbertSentenceEncoder.from_preset(tmp_path / "backbone")
    np.testing.assert_array_equal(encoder.backbone.lexicon.code_table, original.backbone.lexicon.code_table)
    codes = arrays["backbone/lexicon/codes"]
    for wrong, message in (
        (codes.astype(np.int32), "'backbone/lexicon/codes' has the type int32; expected uint8"),
        (codes.astype(np.float32), "'backbone/lexicon/codes' has the type float32; expected uint8"),
        (codes[:, :2].copy(), r"has shape \(64, 2\), the configuration asks for \(64, 3\)"),
    ):
        data = safetensors.numpy.save({**arrays, "backbone/lexicon/codes": wrong})
        replace_weights(tmp_path / "model", data)
        with pytest.raises(InputError, match=message):
            EelbertClassifier.from_preset(tmp_path / "model")


def test_changes_that_do_not_touch_weights(saved: Path) -> None:
    """Narrower inputs are allowed, wider ones than the position table are the caller's mistake."""
    assert EelbertClassifier.from_preset(saved, max_tokens=8, max_bytes=32).backbone.config.max_tokens == 8
    with pytest.raises(ValueError, match="between 4 and `max_position_embeddings`"):
        EelbertBackbone.from_preset(saved, max_tokens=64)


def test_heads(original: EelbertClassifier, saved: Path) -> None:
    """The saved head where its classes are asked for, in their order; else a fresh one on the saved encoder."""
    head = original.classifier.kernel.numpy()
    for kept in ({}, {"labels": ODD_LABELS}, {"num_classes": 5}, {"pair": True, "task": "classification"}):
        model = EelbertClassifier.from_preset(saved, **kept)
        assert (model.labels, model.num_classes, model.task) == (ODD_LABELS, 5, "classification")
        np.testing.assert_array_equal(model.classifier.kernel.numpy(), head)
    fresh: tuple[tuple[dict[str, Any], Any], ...] = (
        ({"labels": ["bad", "good"]}, (["bad", "good"], 2, "classification", True)),
        ({"labels": ODD_LABELS[::-1]}, (ODD_LABELS[::-1], 5, "classification", True)),
        ({"num_classes": 3}, (None, 3, "classification", True)),
        ({"labels": ("x", "y"), "pair": False}, (["x", "y"], 2, "classification", False)),
        ({"task": "regression"}, (None, 1, "regression", True)),
        ({"num_classes": 2, "task": "regression"}, (None, 2, "regression", True)),
    )
    names = weight_names(original.backbone)
    for options, expected in fresh:
        with pytest.warns(
            InputWarning, match="a fresh head takes the place of the saved one, which is for classification"
        ):
            model = EelbertClassifier.from_preset(saved, dropout=0.3, **options)
        assert (model.labels, model.num_classes, model.task, model.backbone.pair) == expected
        assert model.dropout.rate == 0.3
        found = model.classifier.kernel.numpy()
        assert found.shape != head.shape or not np.allclose(found, head)
        for name, variable in weight_names(model.backbone).items():
            np.testing.assert_array_equal(variable.numpy(), names[name].numpy(), err_msg=name)
    with pytest.raises(ValueError, match="one name per class. Received: 2 for 3"):
        EelbertClassifier.from_preset(saved, labels=["a", "b"], num_classes=3)


def test_limits_reach_the_preprocessor(original: EelbertClassifier, saved: Path) -> None:
    """With fewer slots the rest of a text is not read, by any task."""
    model = EelbertClassifier.from_preset(saved, max_tokens=8, max_bytes=48)
    assert (model.backbone.config.max_tokens, model.backbone.config.max_bytes) == (8, 48)
    assert isinstance(model.preprocessor, HashedTexts)
    assert (model.preprocessor.max_tokens, model.preprocessor.max_bytes, model.preprocessor.pair) == (8, 48, True)
    short, long = ("one two", "three"), ("one two", "three and many more words than fit")
    same = model.predict([("one two", "three a b c d e"), ("one two", "three a b x y z")], verbose=0)
    np.testing.assert_allclose(same[0], same[1], rtol=0, atol=2e-6)
    both = [original.predict([pair], verbose=0) - model.predict([pair], verbose=0) for pair in (short, long)]
    assert abs(both[0]).max() < 1e-5 < 1e-3 < abs(both[1]).max()
    encoder = EelbertSentenceEncoder.from_preset(saved, pair=False, max_tokens=8)
    assert encoder.predict(["a b c d e f g h i", "a b c d e f x y z"], verbose=0).shape == (2, 16)
    assert encoder.preprocessor is not None
    assert encoder.preprocessor.max_tokens == 8


@pytest.mark.parametrize(("dtype", "stored"), [("mixed_bfloat16", "float32"), ("bfloat16", "bfloat16")])
def test_precisions(original: EelbertClassifier, saved: Path, tmp_path: Path, dtype: str, stored: str) -> None:
    """The policy reaches every layer of every model; what is saved again is read at any other."""
    pairs = [(text, "b") for text in TEXTS]
    expected = original.predict(pairs, verbose=0)
    model = EelbertClassifier.from_preset(saved, dtype=dtype)
    assert {v.dtype for v in model.weights} == {stored}
    assert model.backbone.blocks[0].query.compute_dtype == model.backbone.compute_dtype == "bfloat16"
    found = model.predict(pairs, verbose=0).astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.2)
    assert abs(found - expected).max() > 0
    for cls in (EelbertBackbone, EelbertSentenceEncoder):
        assert {v.dtype for v in cls.from_preset(saved, dtype=dtype).weights} == {stored}
    model.save_to_preset(tmp_path / "again")
    again = EelbertClassifier.from_preset(tmp_path / "again")
    for name, variable in weight_names(again).items():
        assert variable.dtype == "float32"
        kept = np.asarray(weight_names(model)[name]).astype(np.float32)
        np.testing.assert_array_equal(variable.numpy(), kept, err_msg=name)


def test_presets_of_each_class() -> None:
    """Names, each with what its configuration notes."""
    for cls in (EelbertBackbone, EelbertClassifier, EelbertSentenceEncoder):
        assert sorted(cls.presets) == preset_names()
        assert all(isinstance(notes, dict) for notes in cls.presets.values())


def test_replaces_an_older_model_and_nothing_else(original: EelbertClassifier, tmp_path: Path) -> None:
    """A user's files beside a model stay; a folder of something else is refused, other people's models included."""
    path = tmp_path / "model"
    for note in (1, 2):
        original.backbone.save_to_preset(path, {"note": note})
        assert read_info(path)[0].notes == {"note": note}
    (path / "results.csv").write_text("mine")
    original.backbone.save_to_preset(path, {"note": 3})
    assert read_info(path)[0].notes == {"note": 3}
    assert (path / "results.csv").read_text() == "mine"
    foreign, photos = tmp_path / "bert", tmp_path / "photos"
    foreign.mkdir()
    photos.mkdir()
    (foreign / CONFIG_FILE).write_text('{"architectures": ["BertModel"], "model_type": "bert"}')
    (photos / "holiday.jpg").write_text("")
    for folder, name in ((photos, "holiday.jpg"), (foreign, CONFIG_FILE)):
        with pytest.raises(InputError, match="exists and holds something else"):
            original.backbone.save_to_preset(folder)
        assert (folder / name).exists()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="is a file; give the name of a folder"):
        original.backbone.save_to_preset(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bert", "file", "model", "photos"]


def test_the_system_refuses_to_write(original: EelbertClassifier, tmp_path: Path) -> None:
    """For a file larger than the process may write, as for a full disk: one line, and the older model stays."""
    path = tmp_path / "model"
    original.backbone.save_to_preset(path, {"note": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        for target in (path, tmp_path / "new" / "model"):
            with pytest.raises(InputError, match="model: cannot write: the file would grow past the limit"):
                original.save_to_preset(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["model"]
    assert read_info(path)[0].notes == {"note": 1}


def test_a_model_whose_replacement_died_is_found(saved: Path, tmp_path: Path) -> None:
    """Between two renames the older version has another name: reading gives it its own back."""
    shutil.copytree(saved, tmp_path / f".model.tmp-{0:016x}" / "old-0")
    assert read_info(find_model(tmp_path / "model"))[0].labels == ODD_LABELS


def test_a_folder_of_a_presets_name_comes_first(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it holds a model; a line says so."""
    monkeypatch.chdir(tmp_path)
    name = "uno_en_sst2"
    (tmp_path / name).mkdir()
    assert find_model(name) == PRESETS / name
    assert preset_file(name) is not None
    shutil.copytree(saved, tmp_path / name, dirs_exist_ok=True)
    with pytest.warns(InputWarning, match="uno_en_sst2: the folder of this name is used, not the preset"):
        assert find_model(name) == Path(name)
    with pytest.warns(InputWarning, match="the folder of this name"):
        assert preset_file(name) is None
    monkeypatch.chdir(PRESETS)
    assert find_model(name) == PRESETS / name


# A change to `config.json`, and what the error says.
CONFIGURATIONS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    (
        "another version",
        lambda f: f.update(format_version=2),
        "written in format version 2; this library reads version 1",
    ),
    ("no version", lambda f: f.pop("format_version"), "written in format version None"),
    ("another format", lambda f: f.update(format="bert"), 'expected "format": "eelbert"'),
    ("no format", lambda f: f.pop("format"), "not a model of this library"),
    ("no config", lambda f: f.pop("config"), "damaged configuration: 'config' is missing"),
    ("no kind", lambda f: f.pop("kind"), "'kind' is missing"),
    ("other kind", lambda f: f.update(kind="decoder"), "`kind` must be"),
    ("other task", lambda f: f.update(task="rm -rf"), "`task` must be"),
    ("config a list", lambda f: f.update(config=[]), "damaged configuration"),
    ("config a text", lambda f: f.update(config="x"), "damaged configuration"),
    (
        "newer field",
        lambda f: f["config"].update(rotary=True),
        "Unknown configuration field 'rotary': was it written by",
    ),
    ("newer hash field", lambda f: f["config"]["hash"].update(mixer=1), "damaged configuration.*mixer"),
    ("hash a text", lambda f: f["config"].update(hash="x"), "`hash` must be a dictionary"),
    ("hash gone", lambda f: f["config"].update(hash=None), "exactly one of `hash`"),
    ("widths a number", lambda f: f["config"]["hash"].update(widths=6), "damaged configuration"),
    ("widths nested", lambda f: f["config"]["hash"].update(widths=[[6]]), "damaged configuration"),
    ("a text for a size", lambda f: f["config"].update(hidden_size="16"), "damaged configuration"),
    ("half a token", lambda f: f["config"].update(max_tokens=16.5), "`max_tokens` must be a positive integer"),
    ("true bytes", lambda f: f["config"].update(num_hidden_layers=True), "`num_hidden_layers` must be a positive"),
    ("negative layers", lambda f: f["config"].update(num_hidden_layers=-1), "`num_hidden_layers` must be a positive"),
    ("no heads", lambda f: f["config"].update(num_attention_heads=0), "damaged configuration"),
    ("dropout", lambda f: f["config"].update(hidden_dropout_prob=7.0), "damaged configuration"),
    ("layers", lambda f: f["config"].update(num_hidden_layers=10**12, num_hidden_groups=1), "must be at most 1000"),
    ("long inputs", lambda f: f["config"].update(max_bytes=10**12), "`max_bytes` must be at most"),
    ("labels a text", lambda f: f.update(labels="abcde"), "`labels` must be a list of names"),
    ("labels numbers", lambda f: f.update(labels=[1, 2, 3, 4, 5]), "`labels` must be a list of names"),
    ("too few labels", lambda f: f.update(labels=["a"]), "one name per class. Received: 1 for 5"),
    ("classes a text", lambda f: f.update(num_classes="many"), "damaged configuration"),
]
# Sizes that would take terabytes, and the weight that gives them away.
HUGE: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("hidden", lambda f: f["config"].update(hidden_size=10**9), "position_embedding.* asks for .*1000000000"),
    ("inner", lambda f: f["config"].update(intermediate_size=10**12), "intermediate/kernel"),
    ("layers", lambda f: f["config"].update(num_hidden_layers=10**12), "block_2/intermediate/kernel.* is missing"),
    ("positions", lambda f: f["config"].update(max_position_embeddings=10**12), "position_embedding"),
    ("segments", lambda f: f["config"].update(type_vocab_size=10**12), "segment_embedding"),
    ("hash", lambda f: f["config"]["hash"].update(widths=[10**12]), "projection/kernel"),
    ("word", lambda f: f["config"]["hash"].update(word_width=10**12), "projection/kernel"),
    ("lexicon", lambda f: f["config"].update(lexicon_size=2**23), "lexicon/table"),
    ("lexicon codes", lambda f: f["config"].update(lexicon_codes=3), "lexicon/codes.* is missing"),
    ("lexicon width", lambda f: f["config"].update(lexicon_width=2**50), "lexicon/table"),
    ("vocabulary", lambda f: f["config"].update(hash=None, vocab_size=10**12), "token_embedding"),
    ("classes", lambda f: f.update(num_classes=10**12, labels=None), "classifier/kernel"),
]


@pytest.mark.parametrize(("name", "change", "message"), CONFIGURATIONS, ids=[row[0] for row in CONFIGURATIONS])
def test_damaged_configurations(
    copy: Path, name: str, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Each is refused with the file's name, by all ways to load."""
    edit(copy, change)
    for load in LOADS:
        with pytest.raises(InputError, match=message) as caught:
            load(copy)
        assert str(caught.value).startswith(f"{copy / CONFIG_FILE}: ")


@pytest.mark.parametrize(("name", "change", "message"), HUGE, ids=[row[0] for row in HUGE])
def test_huge_sizes_are_refused_before_anything_is_built(
    copy: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """What a configuration asks for must be in the weights already."""
    edit(copy, change)
    monkeypatch.setattr(EelbertBackbone, "__init__", lambda *_, **__: pytest.fail("built"))
    for load in LOADS:
        with pytest.raises(InputError, match=message):
            load(copy)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[1]", '"eelbert"', "\0", "[" * 100_000, '{"format": "eelbert", "format_version": 1}']
)
def test_garbage_for_a_configuration(copy: Path, text: str) -> None:
    """Whatever stands in the file, the answer is one line."""
    (copy / CONFIG_FILE).write_text(text)
    with pytest.raises(InputError, match=r"config.json: (cannot be read as JSON|not a model|incomplete or damaged)"):
        EelbertClassifier.from_preset(copy)
    (copy / CONFIG_FILE).write_bytes(b'{"format": "\xff"}')
    with pytest.raises(InputError, match="cannot be read as JSON"):
        EelbertClassifier.from_preset(copy)


def test_any_flipped_bit_of_a_configuration_is_seen(copy: Path) -> None:
    """Also one that leaves a plausible number or name: a seed, a limit, a label."""
    path = copy / CONFIG_FILE
    data, whole = path.read_bytes(), read_info(copy)
    rng = random.Random(0)
    seen = 0
    for place in rng.sample(range(8 * len(data)), 500):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert read_info(copy) == whole  # white space, or the name of the checksum itself
        except InputError as error:
            assert str(error).startswith(f"{path}: ")
            seen += "its checksum differs" in str(error)
    assert seen > 50
    path.write_bytes(data.replace(b"../../etc", b"../../etd"))
    with pytest.raises(InputError, match="its checksum differs. Copy it again; if you edited it, remove its field"):
        read_info(copy)


def test_damaged_weights(copy: Path) -> None:
    """A flipped bit, a cut file, an empty one, none."""
    path = copy / WEIGHTS_FILE
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for damaged in (bytes(flipped), data[:-1], data[: len(data) // 2], b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"weights.safetensors: damaged: its checksum differs"):
            EelbertClassifier.from_preset(copy)
    path.unlink()
    with pytest.raises(InputError, match=r"weights.safetensors: no such file"):
        EelbertClassifier.from_preset(copy)


class Bomb:
    """Unpickling it would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("exploded", "w"))


def test_hostile_weights(copy: Path, original: EelbertClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files with a checksum that fits: nothing runs, and each is refused in one line."""
    monkeypatch.chdir(copy.parent)
    arrays = {name: variable.numpy() for name, variable in weight_names(original).items()}
    last = "backbone/block_1/output_norm/beta"
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    bf16 = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    for data, message in (
        (pickle.dumps(Bomb()), "not a safetensors file"),
        (b"", "not a safetensors file"),
        (len(header).to_bytes(8, "little") + header, "not a safetensors file"),
        ((2**60).to_bytes(8, "little") + b"{}", "not a safetensors file"),
        (len(bf16).to_bytes(8, "little") + bf16 + b"\0\0", "not a safetensors file|expected floating point|is missing"),
        (safetensors.numpy.save({}), "weight 'backbone/position_embedding' is missing"),
        (safetensors.numpy.save({k: v for k, v in arrays.items() if k != last}), f"weight '{last}' is missing"),
        (safetensors.numpy.save({**arrays, last: arrays[last][:-1].copy()}), r"has shape \(15,\), .* asks for \(16,\)"),
        (safetensors.numpy.save({**arrays, last: arrays[last].astype(np.int32)}), "type int32; expected floating"),
    ):
        replace_weights(copy, data)
        with pytest.raises(InputError, match=message) as caught:
            EelbertClassifier.from_preset(copy)
        assert str(caught.value).startswith(f"{copy / WEIGHTS_FILE}: ")
    assert not Path("exploded").exists()


@pytest.mark.parametrize("kind", ["classifier", "vocabulary", "foreign"])
def test_links_out_of_a_model(kind: str, copy: Path, tmp_path: Path) -> None:
    """To a device without end, a pipe, a folder or another file: refused, not waited for, and not shown."""
    files = [WEIGHTS_FILE, CONFIG_FILE]
    if kind != "classifier":
        shutil.rmtree(copy)
        backbone = EelbertBackbone(BERT)
        files = ["vocab.txt", *files]
        if kind == "foreign":
            write_bert(copy, backbone)
            files[1] = "model.safetensors"
        else:
            backbone.save_to_preset(copy, vocabulary=PIECES)
    secret = tmp_path / "secret"
    secret.write_text("password")
    os.mkfifo(tmp_path / "pipe")
    for name in files:
        kept = (copy / name).read_bytes()
        for target in ("/dev/zero", tmp_path / "pipe", tmp_path, secret):
            (copy / name).unlink()
            (copy / name).symlink_to(target)
            with pytest.raises(InputError) as caught:
                EelbertClassifier.from_preset(copy, num_classes=5)
            assert "password" not in str(caught.value)
        (copy / name).unlink()
        (copy / name).write_bytes(kept)
    EelbertClassifier.from_preset(copy, num_classes=5)
    assert secret.read_text() == "password"


def test_paths_that_are_no_models(tmp_path: Path) -> None:
    """The message tells a folder from a missing one, and names the presets."""
    file = tmp_path / "file"
    file.write_text("")
    for name, message in (
        (tmp_path, "not a model directory: it has no config.json"),
        (tmp_path / "none", "neither a directory nor a preset. Presets: "),
        (file, "neither a directory nor a preset"),
        (file / "x", "neither a directory nor a preset"),
        ("uno_xx", "neither a directory nor a preset"),
        ("", "not a model directory|neither a directory"),
        ("a" * 300, "cannot be read: the name is too long|neither a directory"),  # as the Python version sees it
    ):
        with pytest.raises(InputError, match=message):
            find_model(name)


SAVE_FOREVER = """
import sys
import numpy as np
from eelbert_tf.config import named_config
from eelbert_tf.saving.folders import write_model
from eelbert_tf.saving.info import ModelInfo
for number in range(int(sys.argv[2]), 10**6):
    info = ModelInfo(named_config("eelbert_uno"), notes={"number": number})
    write_model(sys.argv[1], info, {"weight": np.full(200_000, number, np.float32)})
    print(number, flush=True)
    if sys.argv[3:]:
        break
"""


def test_killed_while_saving(tmp_path: Path) -> None:
    """Whenever the process is killed, the newest or the next to newest version is whole."""
    path = tmp_path / "model"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    rng = random.Random(0)
    newest = -1
    for _ in range(6):
        command = [sys.executable, "-c", SAVE_FOREVER, str(path), str(newest + 1)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(rng.random() * 0.05)
        process.kill()
        rest = process.communicate()[0].split()
        found = find_model(path)
        info, sha256 = read_info(found)
        weights = read_weights(found, sha256)["weight"]
        assert (weights == info.notes["number"]).all()
        assert info.notes["number"] >= max(newest + 1, *(int(line) for line in rest), 0)
        newest = info.notes["number"]
    command = [sys.executable, "-c", SAVE_FOREVER, str(path), str(newest + 1), "once"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert os.listdir(tmp_path) == ["model"]  # what the killed ones left is gone


def test_named_configurations_survive_json() -> None:
    """Through the text of a file, for the largest and the smallest."""
    for name in ("bert_base", "eelbert_uno"):
        config = named_config(name)
        assert EelbertConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
