"""Files of several lengths: a text goes through the shortest graph that holds it, and its answer stays the same."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from eelbert_tf import InputError, encode_texts
from eelbert_tf.__main__ import main
from eelbert_tf.text.reference import tokenize
from eelbert_tf.text.strings import as_data, pad_bytes
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.lengths import shorter_lengths
from eelbert_tf.tflite.flatbuffer.file import parse
from eelbert_tf.tflite.flatbuffer.metadata import Length, Metadata
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests import small_taggers
from tests.small_models import converted, saved, with_metadata

SHORTER = [6, 10]


def _by_the_whole(runtime: EelbertRuntime, data: bytes) -> list[np.ndarray]:
    whole = runtime.metadata.whole
    return runtime.invoke(pad_bytes([data], whole.bytes).astype(np.int32), whole)


@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize("name", ["small", "pair", "codes"])
def test_answers_are_those_of_the_whole(name, quantize):
    runtime = EelbertRuntime(converted(name, quantize=quantize, lengths=SHORTER)[0])
    texts = hard_inputs(name == "pair", 300, seed=8)
    data = [as_data(text, runtime.metadata.max_bytes) for text in texts]
    taken = {runtime.metadata.length_for(row).tokens for row in data}
    assert taken == {6, 10, 16}
    logits = np.stack([_by_the_whole(runtime, row)[0][0] for row in data])
    assert np.ptp(logits, axis=0).min() > 0.1
    np.testing.assert_allclose(runtime.predict(texts), logits, atol=1e-5)


def test_tags_are_those_of_the_whole():
    runtime = EelbertRuntime(small_taggers.converted("mobile", "int8", lengths=(8,))[0])
    text = "weather in São Paulo"
    assert runtime.metadata.length_for(text.encode()).tokens == 8
    tags, positions, *_ = _by_the_whole(runtime, text.encode())
    (found,) = runtime.tag_outputs([text])
    there = positions[0, :, 1] > 0
    assert there.sum() == 4
    np.testing.assert_array_equal(found["positions"], positions[0])
    np.testing.assert_allclose(found["tags"][there], tags[0, there], atol=1e-5)


@pytest.mark.parametrize("normalization", [0, 1])
@pytest.mark.parametrize("pair", [False, True])
def test_a_length_is_never_too_short(pair, normalization):
    """By the reference, which would cut: the words are all of those that the whole reads."""
    shorter = [(5, 20), (9, 30), (17, 60)]
    metadata = Metadata(40, 200, 2, pair=pair, config={"hash": {"normalization": normalization}}, lengths=shorter)
    taken = set()
    for text in hard_inputs(pair, 600, seed=9):
        data = as_data(text, 200)
        length = metadata.length_for(data)
        taken.add(length)
        found = tokenize(data, length.tokens, length.bytes, pair, normalization)
        assert found == tokenize(data, 40, 200, pair, normalization)
    assert len(taken) == 4


def test_weights_are_stored_once():
    """A length costs little more than its list of operators and tensors; no large constant is there twice."""
    whole, several = (converted("uno", lengths=lengths)[0].read_bytes() for lengths in ([32], [8, 16, 32]))
    assert len(several) - len(whole) < 2 * 10_000
    model = parse(several)
    large = [bytes(b.data) for b in model.buffers if b.data is not None and len(b.data) >= 1024]
    assert len(set(large)) == len(large)
    assert max(map(len, large)) == max(len(b.data) for b in parse(whole).buffers if b.data is not None)
    positions = 32 * 128 * 4
    assert sum(map(len, large)) < len(whole)
    assert [len(data) for data in large].count(positions) <= 1


def test_the_first_graph_is_the_whole():
    """For programs that know nothing of lengths: input, output and result as in a file of one length."""
    row, found = encode_texts(["turn on the lights"], 64), []
    for lengths in ([16], SHORTER):
        interpreter = Interpreter(model_content=converted("small", lengths=lengths)[0].read_bytes())
        interpreter.allocate_tensors()
        (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert (list(source["shape"]), list(result["shape"])) == ([1, 64], [1, 3])
        interpreter.set_tensor(source["index"], row)
        interpreter.invoke()
        found.append(interpreter.get_tensor(result["index"]))
    np.testing.assert_array_equal(*found)
    assert list(interpreter.get_signature_list()) == ["serving_default", "tokens_6", "tokens_10"]


def test_lengths_by_default():
    """Those of a fixed list that are shorter than the whole."""
    assert shorter_lengths(None, Length(128, 512)) == [(16, 96), (24, 144), (32, 192), (64, 384)]
    assert shorter_lengths(None, Length(20, 90)) == [(16, 90)]
    assert shorter_lengths(None, Length(16, 64)) == []
    assert shorter_lengths([8, 64, 32], Length(64, 256)) == [(8, 48), (32, 192)]
    assert converted("uno")[1]["lengths"] == [16, 24, 32]


def test_bad_lengths(tmp_path, capsys):
    arguments = ["convert", "--model", str(saved("small")), "--output", str(tmp_path / "a.tflite")]
    for more, message in [
        (["--lengths", "3"], "from 4 to 16"),
        (["--lengths", "17"], "Received: 17"),
        (["--lengths", "8", "--target", "micro"], "--lengths is for --target mobile"),
    ]:
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "a.tflite").exists()


@pytest.mark.parametrize(
    "lengths", ["[]", "[[6, 36]]", "[[6, 37], [10, 60]]", "[[9, 60], [6, 36]]", "[[6]]", "5", "[[6, 36], [9, 60]]"]
)
def test_metadata_that_lie_about_lengths(tmp_path, lengths):
    """Of graphs that are not there, or are others, of no order, or of no numbers."""
    path, truth = tmp_path / "lies.tflite", b"[[6, 36], [10, 60]]"
    data = converted("small", lengths=SHORTER)[0].read_bytes()
    path.write_bytes(with_metadata(data.replace(truth, lengths.encode().ljust(len(truth)))))
    with pytest.raises(InputError, match="damaged"):
        EelbertRuntime(path)


def test_workers():
    """Several interpreters give what one gives, in the order of the texts, also from a pickle."""
    path = converted("small", lengths=SHORTER)[0]
    texts = hard_inputs(False, 101, seed=10)
    expected = EelbertRuntime(path).predict(texts)
    runtime = EelbertRuntime(path, workers=3)
    for one in (runtime, pickle.loads(pickle.dumps(runtime))):
        np.testing.assert_array_equal(one.predict(texts), expected)
    assert runtime.predict(texts[:1]).shape == (1, 3)
    assert runtime.predict([]).shape == (0, 3)
