"""A kit with a front end in C: its sources feed the encoder as NumPy does, and both give the whole model's answers."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf import EelbertBackbone, EelbertClassifier, EelbertSentenceEncoder, EelbertTagger, InputError
from eelbert_tf.__main__ import main
from eelbert_tf.config import LexicalConfig
from eelbert_tf.linear.tables import LexicalTable
from eelbert_tf.text.reference import candidate_rows, ngram_keys, tokenize
from eelbert_tf.text.strings import to_bytes
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.encoder import check_front_end, to_encoder
from eelbert_tf.tflite.conversion.instructions import C_PER_SLOT, COSTS, kind, predict_instructions, work
from eelbert_tf.tflite.conversion.self_test import TEXTS
from eelbert_tf.tflite.flatbuffer.graph import Graph
from eelbert_tf.tflite.flatbuffer.metadata import Length, Metadata
from eelbert_tf.tflite.kits.front_end import Encoder
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.models import metadata_of
from eelbert_tf.tflite.runtimes.tflm import EncoderRuntime, TflmRuntime
from tests.kits import compile_kit, stand_in, write
from tests.small_models import CONFIGS, FOLDER, LABELS, saved

SHORTER = [Length(8, 48), Length(12, 64)]
CALIBRATION = [text for text in hard_inputs(False, 60, seed=2) if text]
READ = [b"", b"a", b"turn on the lights", *map(to_bytes, hard_inputs(False, 150, seed=9))]


def with_words(name: str, coded: bool = False) -> EelbertClassifier:
    """A saved model with a lexical head whose table knows every other n-gram of `READ`."""
    model = EelbertClassifier.from_preset(saved(name))
    config, size = model.backbone.config, LexicalConfig(256, 2, coded)
    both = EelbertClassifier(model.backbone, 3, LABELS, lexical=size)
    both.classifier.set_weights(model.classifier.get_weights())
    texts = [tokenize(t, config.max_tokens, config.max_bytes, normalization=config.hash.normalization) for t in READ]
    keys = np.array(sorted({key for text in texts for key in ngram_keys(text, config.hash)})[::2], np.int64)
    first, _, tags = candidate_rows(keys, size.rows, config.hash)
    _, found = np.unique(first, return_index=True)
    rng = np.random.default_rng(4)
    values, codes = rng.integers(-127, 128, (2, len(found), 2)).astype(np.int8)
    book = rng.integers(-127, 128, (256, 3)).astype(np.int8)
    kernel = rng.normal(0, 2e-4 if coded else 0.02, (1 if coded else 2, 3)).astype(np.float32)
    of_book = {"codes": codes, "book": book} if coded else {}
    both.lexical.set_table(LexicalTable(size, first[found], tags[found], values, kernel, **of_book))
    return both


MODELS = {
    "means": lambda: EelbertClassifier.from_preset(saved("means")),  # two rows of a table for each token
    "codes": lambda: EelbertClassifier.from_preset(saved("codes")),  # rows in codes, normalization
    "small": lambda: EelbertClassifier.from_preset(saved("small")),  # no lexicon
    "words": lambda: with_words("means"),
    "coded words": lambda: with_words("means", coded=True),  # of many classes
    "encoder": lambda: EelbertSentenceEncoder.from_preset(saved("encoder")),
}


@functools.cache
def encoder(name: str) -> tuple[Encoder, Metadata]:
    """The encoder of a model and its front end."""
    model = MODELS[name]()
    metadata = metadata_of(model, "micro", "int8")
    return to_encoder(model, CALIBRATION, SHORTER), metadata


DUMP = """
#include <vector>

int main(int, char **argv)
{
    std::FILE *file = std::fopen(argv[1], "rb");
    unsigned length;
    while (std::fread(&length, 4, 1, file) == 1) {
        std::vector<char> text(length + 1);
        std::vector<unsigned char> inputs[EELBERT_INPUTS];
        void *places[EELBERT_INPUTS];
        float words[EELBERT_OUTPUTS + EELBERT_WIDTH] = {};
        if (std::fread(text.data(), 1, length, file) != length)
            return 1;
        const unsigned count = static_cast<unsigned>(eelbert_input_tokens(text.data(), length));
        for (int i = 0; i < EELBERT_INPUTS; i++) {
            inputs[i].resize(EELBERT_MAX_TOKENS * eelbert_input_bytes(i));
            places[i] = inputs[i].data();
        }
        eelbert_input_fill(text.data(), length, EELBERT_MAX_TOKENS, places);
        eelbert_input_add_words(text.data(), length, words);
        std::fwrite(&count, 4, 1, stdout);
        for (auto &input : inputs)
            std::fwrite(input.data(), 1, input.size(), stdout);
        std::fwrite(words, 4, EELBERT_OUTPUTS + EELBERT_WIDTH, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize("name", MODELS)
def test_c_gives_what_numpy_gives(name: str, tmp_path: Path) -> None:
    """Inputs to the byte, and logits of words; cut texts, empty ones and broken UTF-8 among them."""
    found, metadata = encoder(name)
    write(tmp_path, metadata, encoder=found)
    program = compile_kit(tmp_path, stand_in() + DUMP)
    texts = [*READ, b"\xff\xc3 x" * 40, b"x" * 200]
    (tmp_path / "texts").write_bytes(b"".join(len(text).to_bytes(4, "little") + text for text in texts))
    data = subprocess.run([program, tmp_path / "texts"], capture_output=True, check=True).stdout
    some = 0
    for text in texts:
        count, data = int.from_bytes(data[:4], "little"), data[4:]
        assert count == found.front_end.count(text)
        for values in found.front_end.inputs(text):
            assert data[: values.nbytes] == values.tobytes(), text
            data = data[values.nbytes :]
        words, data = np.frombuffer(data, np.float32, metadata.num_classes), data[4 * metadata.num_classes :]
        expected = np.broadcast_to(found.front_end.lexical_logits(text), words.shape)
        np.testing.assert_allclose(words, expected, rtol=1e-5, atol=1e-6)
        some += bool(np.any(words))
    assert not data
    assert bool(some) == ("words" in name)


@pytest.mark.parametrize("name", MODELS)
def test_encoder_in_tflm_gives_the_models_answers(name: str) -> None:
    """Shorter graphs give what the whole gives, but for what 8 bits leave to empty slots; so is the Keras model."""
    found, metadata = encoder(name)
    runtime = EncoderRuntime(found, metadata, 0)
    model = MODELS[name]()
    expected = np.asarray(model.predict(CALIBRATION, verbose=0))
    logits = runtime.predict(CALIBRATION)
    size = max(1.0, float(np.abs(expected).max()))
    assert np.abs(logits - expected).max() < 0.2 * size
    assert np.sqrt(np.square(logits - expected).mean()) < 0.05 * size
    counts = {found.number_for(found.front_end.count(to_bytes(text))) for text in CALIBRATION}
    assert counts == {0, 1, 2}  # graphs that these texts go through
    alone = EncoderRuntime(to_encoder(model, CALIBRATION), metadata, 0)
    np.testing.assert_allclose(logits, alone.predict(CALIBRATION), rtol=0, atol=0.05 * size)


GRAPHS = """
#include <cstring>

int main(int, char **argv)
{
    std::printf("[%d", eelbert_init(arena, sizeof(arena)));
    for (argv++; *argv; argv++) {
        const int best = eelbert_classify(*argv, std::strlen(*argv), nullptr);
        std::printf(", %d, %d", best, graph);
    }
    needed = 1 << 20; // for another graph
    const int failed = eelbert_classify("a b c d e f g", 13, nullptr);
    std::printf(", %d, %d", failed, eelbert_classify("a", 1, nullptr));
    std::printf("]");
    return 0;
}
"""


def test_a_text_goes_through_the_shortest_graph(tmp_path: Path) -> None:
    """The kit makes it ready in the same arena, and says so where it cannot."""
    found, metadata = encoder("means")
    write(tmp_path, metadata, encoder=found)
    program = compile_kit(tmp_path, stand_in("for (int i = 0; i < 3; i++) logits[i] = i == graph;") + GRAPHS)
    texts = ["a", "a b c d e f", "a b c d e f g", " ".join("abcdefghijklmnop"), "a b"]
    done = subprocess.run([program, *texts], capture_output=True, check=True)
    no_memory, not_ready = -2, -4
    answers = json.loads(done.stdout)
    assert answers == [0, 0, 0, 0, 0, 1, 1, 2, 2, 0, 0, no_memory, not_ready]


@functools.cache
def report() -> dict[str, Any]:
    """Of a conversion with a kit, in the folder `encoder-kit`."""
    return convert(
        with_words("means"),
        FOLDER / "encoder-kit.tflite",
        target="micro",
        quantize="int8",
        calibration=CALIBRATION,
        kit=FOLDER / "encoder-kit",
        lengths=[8],
        front_end="c",
        measure=lambda runtime: runtime.predict(CALIBRATION),
    )


def test_conversion_reports_what_is_in_the_kit() -> None:
    """The file is the whole model; the kit's encoder is smaller, needs less memory, and gives the same answers."""
    found = report()
    inside = found["encoder"]
    assert inside["lengths"] == [8, CONFIGS["means"].max_tokens]
    assert inside["bytes"] < found["bytes"]
    assert inside["arena_bytes"] < found["arena_bytes"]
    assert set(inside["ops"]) < set(found["ops"])
    assert inside["argmax_agreement"] > 0.9
    assert set(found["instructions"]) == {"cortex-m3", "cortex-m4f", "cortex-m55"}
    for core, instructions in inside["instructions"].items():
        assert instructions == sorted(instructions), core
        assert instructions[-1] < found["instructions"][core]
    header = (FOLDER / "encoder-kit" / "eelbert_model.h").read_text()
    assert f"EELBERT_MODEL_BYTES {inside['bytes']} " in header
    assert f"EELBERT_TESTS {len(TEXTS)} " in header
    assert EelbertRuntime(found["output"]).classify("turn on the lights")


def test_both_forms_are_measured() -> None:
    """The file's model in TFLite Micro, and the kit's encoder, whose answers differ a little."""
    found = report()["test"]
    assert set(found) == {"tflm", "kit"}
    np.testing.assert_array_equal(found["tflm"], TflmRuntime(report()["output"]).predict(CALIBRATION))
    assert 0 < np.abs(found["kit"] - found["tflm"]).max() < 0.2 * np.abs(found["tflm"]).max()


def test_instructions_are_predicted_from_operators() -> None:
    """A dense layer costs its products, its numbers and itself; a kind that has not been measured, as one like it."""
    graph = Graph(encoder("means")[0].graph(0))
    costs = json.loads(COSTS.read_text())
    dense = next(o for o in graph.operators if graph.name(o) == "FULLY_CONNECTED" and not graph.is_float(o.inputs[0]))
    (_, slots, width), (rows, _) = (graph.shape(int(number)) for number in dense.inputs[:2])
    assert kind(graph, dense) == "FULLY_CONNECTED int8"
    assert work(graph, dense) == (slots * width * rows, max(slots * width, slots * rows), 1)
    graph.set_outputs(dense.outputs)
    graph.operators[:] = [dense]
    for core, instructions in predict_instructions(graph, slots_in_c=2).items():
        cost = costs[core]["FULLY_CONNECTED int8"]
        assert instructions == round(np.dot(cost, work(graph, dense))) + 2 * C_PER_SLOT
    dense.opcodeIndex = graph.operator("POW", [], []).opcodeIndex
    assert min(predict_instructions(graph).values()) > 0


def test_models_and_options_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused in one line, before anything is converted."""
    options = {"target": "micro", "kit": tmp_path / "kit", "front_end": "c"}
    with pytest.raises(InputError, match="--quantize int8"):
        convert(saved("small"), tmp_path / "a.tflite", **options)
    pairs = [("a", "b")] * 30
    with pytest.raises(InputError, match="pairs of texts"):
        convert(saved("pair_means"), tmp_path / "a.tflite", quantize="int8", calibration=pairs, **options)
    with pytest.raises(InputError, match="tags tokens"):
        check_front_end(EelbertTagger(EelbertBackbone(CONFIGS["small"]), ["room"]))
    arguments = ["convert", "--model", str(saved("small")), "--output", str(tmp_path / "a.tflite")]
    assert main([*arguments, "--front-end", "c"]) == 2
    assert "--kit" in capsys.readouterr().err
    assert main([*arguments, "--front-end", "rust"]) == 2
    assert "model, c" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
