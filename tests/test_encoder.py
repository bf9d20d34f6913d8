"""The encoder: its named sizes, equality to an independent BERT, and one result from every kind of input."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_hub.models import BertBackbone

from eelbert_tf.config import EelbertConfig, HashConfig, named_config
from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.models.presets import weight_names
from eelbert_tf.models.sentence_encoder import EelbertSentenceEncoder
from eelbert_tf.preprocessing.hashed_texts import HashedTexts, batch_shapes
from eelbert_tf.text.reference import CLS, SEP, embed_token, lexicon_index, tokenize
from eelbert_tf.text.strings import encode_texts
from eelbert_tf.training.objectives.masked import MaskedWords
from eelbert_tf.training.objectives.registry import ObjectiveSettings
from tests.conftest import randomize
from tests.forms import hard_texts

OUTPUTS = ("sequence_output", "pooled_output")


def outputs(model: Any, inputs: Any) -> list[np.ndarray]:
    """Both outputs of a backbone, empty slots left out of the first."""
    found = model(inputs)
    mask = np.asarray(found["padding_mask"]).astype(bool)
    return [np.asarray(found["sequence_output"])[mask], np.asarray(found["pooled_output"])]


def encode(texts: list[Any], config: EelbertConfig, pair: bool = False) -> Any:
    """Texts as a model of this configuration reads them."""
    return HashedTexts(config.max_tokens, config.max_bytes, pair).encode(texts)


def same(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 0.0) -> None:
    """Asserts that both outputs agree."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("bert_base", 109_483_778),
        ("eelbert_base", 86_042_882),
        ("bert_mini", 11_171_074),
        ("eelbert_mini", 3_357_442),
        ("bert_tiny", 4_386_178),
        ("eelbert_tiny", 479_362),
        ("eelbert_uno", 281_986),
    ],
)
def test_parameters_of_named_sizes(name: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a head of two classes. Weights are zeros here: drawing 109 million numbers takes long."""
    monkeypatch.setattr(
        keras.initializers.TruncatedNormal, "__call__", lambda self, shape, dtype=None: tf.zeros(shape, dtype)
    )
    model = EelbertClassifier(EelbertBackbone.from_name(name), num_classes=2)
    assert model.count_params() == count
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == count


def test_parameters_of_uno_as_a_masked_language_model() -> None:
    """The paper's number, with BERT's 30,522 output words: their embeddings are hashes and not parameters.

    The pooler does not count: it learns nothing there.
    """
    words = np.ones(30_522, np.int64)
    tokens: Any = SimpleNamespace(specials=None, counts=words, size=lambda max_size: min(max_size, len(words)))
    backbone = EelbertBackbone.from_name("eelbert_uno")
    head = MaskedWords(backbone.config, ObjectiveSettings(output_words=30_522), tokens)
    head.build()
    learned = [v for v in backbone.trainable_variables if "pooler" not in v.path] + head.trainable_variables
    assert sum(math.prod(v.shape) for v in learned) == 312_506


def independent(model: EelbertBackbone, table: np.ndarray) -> BertBackbone:
    """KerasHub's BERT with the weights of ours, and `table` as its token embeddings.

    KerasHub approximates GELU by tanh; ours is exact, as in BERT's paper, so the exact one is set.
    """
    config = model.config
    bert = BertBackbone(
        vocabulary_size=len(table),
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        max_sequence_length=config.max_position_embeddings,
    )
    bert.token_embedding.embeddings.assign(table)
    bert.position_embedding.position_embeddings.assign(model.position_embedding)
    bert.segment_embedding.embeddings.assign(model.segment_embedding)
    bert.embeddings_layer_norm.set_weights(model.embeddings_norm.get_weights())
    bert.pooled_dense.set_weights(model.pooler.get_weights())
    for ours, theirs in zip(model.blocks, bert.transformer_layers, strict=True):
        attention = theirs._self_attention_layer
        for mine, other in (
            (ours.query, attention._query_dense),
            (ours.key, attention._key_dense),
            (ours.value, attention._value_dense),
            (ours.attention_output, attention._output_dense),
            (ours.intermediate, theirs._feedforward_intermediate_dense),
            (ours.output_dense, theirs._feedforward_output_dense),
            (ours.attention_norm, theirs._self_attention_layer_norm),
            (ours.output_norm, theirs._feedforward_layer_norm),
        ):
            for weight, value in zip(other.weights, mine.get_weights(), strict=True):
                weight.assign(value.reshape(weight.shape))
        theirs._feedforward_intermediate_dense.activation = lambda x: keras.ops.gelu(x, approximate=False)
    return bert


def test_equals_an_independent_bert_on_token_ids() -> None:
    """The baseline with a vocabulary, on a padded batch with segments: every filled slot agrees."""
    config = EelbertConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, vocab_size=50
    )
    model = randomize(EelbertBackbone(config))
    rng = np.random.default_rng(1)
    lengths = np.array([20, 13, 7, 1])
    mask = (np.arange(20)[None] < lengths[:, None]).astype(np.int32)
    inputs = {
        "token_ids": rng.integers(0, 50, mask.shape).astype(np.int32),
        "padding_mask": mask,
        "segment_ids": rng.integers(0, 2, mask.shape).astype(np.int32),
    }
    expected = independent(model, model.token_embedding.embeddings.numpy())(inputs)
    found = model(inputs)
    for name in OUTPUTS:
        a, b = np.asarray(found[name]), np.asarray(expected[name])
        if name == "sequence_output":
            a, b = a[mask.astype(bool)], b[mask.astype(bool)]
        assert np.std(b) > 0.1
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    padding = {**inputs, "token_ids": np.where(mask, inputs["token_ids"], 7).astype(np.int32)}
    np.testing.assert_array_equal(model(padding)["pooled_output"], found["pooled_output"])


def test_equals_an_independent_bert_on_strings() -> None:
    """EELBERT-UNO on pairs of texts is a BERT whose table holds the hashes of just these words."""
    config = named_config("eelbert_uno").replace(max_tokens=24, max_bytes=96)
    model = randomize(EelbertBackbone(config, pair=True))
    pairs = [("Turn on the lights!", "The lamp is on."), ("", "größer 中"), ("one word " * 20, "cut")]
    data = encode_texts(pairs, config.max_bytes)
    rows = [tokenize(bytes(row.astype(np.uint8)), 24, 96, True).with_specials() for row in data]
    words = sorted({word for tokens, _ in rows for word in tokens})
    table = np.stack([embed_token(word, config.hash) for word in [b"", *words]])
    ids, segments = np.zeros((2, len(rows), 24), np.int32)
    for i, (tokens, kinds) in enumerate(rows):
        ids[i, : len(tokens)] = [words.index(word) + 1 for word in tokens]
        segments[i, : len(tokens)] = kinds
    assert {CLS, SEP} < set(words)
    assert segments.any()
    mask = (ids > 0).astype(np.int32)
    expected = independent(model, table)({"token_ids": ids, "segment_ids": segments, "padding_mask": mask})
    found = model(tuple(tf.constant(side) for side in zip(*pairs, strict=True)))
    np.testing.assert_array_equal(found["padding_mask"], mask)
    filled = mask.astype(bool)
    np.testing.assert_allclose(
        np.asarray(found["sequence_output"])[filled],
        np.asarray(expected["sequence_output"])[filled],
        rtol=0,
        atol=1e-5,
    )
    np.testing.assert_allclose(found["pooled_output"], expected["pooled_output"], rtol=0, atol=1e-5)


def test_every_kind_of_input_gives_one_result(rich: EelbertConfig) -> None:
    """Strings, bytes, ready embeddings, bytes under XLA, and the narrower shapes that batches come in."""
    model = randomize(EelbertBackbone(rich))
    texts = [text.rstrip(b"\0") for text in hard_texts(40)]
    encoded = encode(texts, rich)
    whole = encoded.rows
    data = encode_texts(whole, rich.max_bytes)
    expected = outputs(model, tf.constant(texts))
    same(outputs(model, data), expected)
    same(outputs(model, {"bytes": data.astype(np.uint8)}), expected)
    compiled = tf.function(model, jit_compile=True)
    same(outputs(compiled, {"bytes": tf.constant(data)}), expected, 1e-5)

    used = set()
    for level in np.unique(encoded.levels):
        chosen = np.flatnonzero(encoded.levels == level)
        batch = encoded.batch(chosen)
        used.add((batch["padding_mask"].shape[1], batch["bytes"].shape[1]))
        same(outputs(model, batch), outputs(model, data[chosen]), 1e-5)
    assert used == set(batch_shapes(rich.max_tokens, rich.max_bytes))


def test_pairs_in_narrower_batches(rich: EelbertConfig) -> None:
    """Segments and the inner separator survive narrowing."""
    model = randomize(EelbertBackbone(rich, pair=True))
    pairs = [("a b", "c"), ("", ""), ("word " * 10, "more " * 8), ("word " * 90, "more words " * 40)]
    encoded = encode(pairs, rich, pair=True)
    assert len(set(encoded.levels.tolist())) > 1
    whole = np.asarray(model(encode_texts(pairs, rich.max_bytes))["pooled_output"])
    for i in range(len(pairs)):
        narrow = model(encoded.batch(np.array([i])))["pooled_output"]
        np.testing.assert_allclose(narrow[0], whole[i], rtol=0, atol=1e-5)


def test_projection_and_lexicon(rich: EelbertConfig) -> None:
    """Token embeddings are the projected hash plus, for words, the projected row of the lexicon."""
    model = randomize(EelbertBackbone(rich))
    text = b"Turn the lights on, on!"
    tokens, _ = tokenize(text, rich.max_tokens, rich.max_bytes).with_specials()
    kernel, bias = model.projection.get_weights()
    weights = {weight.path.rpartition("lexicon/")[2]: weight.numpy() for weight in model.lexicon.weights}
    expected = np.stack([embed_token(token, rich.hash) for token in tokens]) @ kernel + bias
    for slot, token in enumerate(tokens):
        if token not in {CLS, SEP}:
            row = weights["table"][lexicon_index(token, rich.hash, rich.lexicon_size)]
            expected[slot] += row @ weights["projection/kernel"]
    found, mask, segments = model.embed(tf.constant([text]))
    assert np.asarray(mask)[0].sum() == len(tokens)
    assert not np.asarray(segments).any()
    np.testing.assert_allclose(found[0, : len(tokens)], expected, rtol=0, atol=1e-5)


def test_two_lookups(rich: EelbertConfig) -> None:
    """A token's two rows are the halves of its row in a lexicon of the size squared."""
    config = rich.replace(lexicon_lookups=2)
    model = randomize(EelbertBackbone(config))
    table, kernel = (np.asarray(v) for v in (model.lexicon.table, model.lexicon.projection.kernel))
    assert kernel.shape == (2 * rich.lexicon_width, rich.hidden_size)
    tokens = tokenize(b"some words, and others", rich.max_tokens, rich.max_bytes).with_specials()[0][1:-1]
    assert rich.hash is not None
    codes = [lexicon_index(token, rich.hash, rich.lexicon_size**2) for token in tokens]
    rows = [np.concatenate([table[code // rich.lexicon_size], table[code % rich.lexicon_size]]) for code in codes]
    alone = EelbertBackbone(config.replace(lexicon_size=0))
    alone.projection.set_weights(model.projection.get_weights())
    text = tf.constant(["some words, and others"])
    added = np.asarray(model.embed(text)[0] - alone.embed(text)[0])[0]
    np.testing.assert_allclose(added[1 : len(tokens) + 1], np.stack(rows) @ kernel, rtol=0, atol=1e-5)
    assert not added[0].any()
    np.testing.assert_allclose(
        model.lexicon.look_up(np.array([*codes, -1], np.int32)),
        [*(row @ kernel for row in rows), [0.0] * rich.hidden_size],
        atol=1e-5,
    )


def test_lexicon_beside_the_encoder(tiny: EelbertConfig) -> None:
    """With `lexicon_skip` a mean is that of the output plus the scaled part that the lexicon has in the input."""
    config = tiny.replace(pooling="mean", lexicon_size=64, lexicon_width=4, lexicon_skip=True)
    model = randomize(EelbertBackbone(config))
    data = encode_texts(["some words, and others", "", "one"], tiny.max_bytes)
    found = model(data)
    alone = EelbertBackbone(config.replace(lexicon_size=0, lexicon_skip=False))
    lexical = model.embed(data)[0] - alone.embed(data)[0]
    total = found["sequence_output"] + lexical * np.asarray(model.lexicon_scale)
    expected = model.pool_means(total, found["padding_mask"], np.zeros(found["padding_mask"].shape, np.int32))
    np.testing.assert_allclose(found["pooled_output"], expected, rtol=0, atol=1e-5)
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(EelbertSentenceEncoder(model)(data), unit, rtol=0, atol=1e-5)
    plain = EelbertBackbone(config.replace(lexicon_skip=False))
    plain.set_weights([np.asarray(v) for v in model.weights if "lexicon_scale" not in v.path])
    assert np.abs(found["pooled_output"] - plain(data)["pooled_output"])[0].max() > 1e-3


def test_pooled_output_alone(rich: EelbertConfig) -> None:
    """Without the other slots of the last block, which nothing then reads, the pooled output is the same."""
    backbone = randomize(EelbertBackbone(rich))
    data = encode_texts(hard_texts(20), rich.max_bytes)
    alone = backbone(data, pooled_only=True)
    assert "sequence_output" not in alone
    np.testing.assert_allclose(alone["pooled_output"], backbone(data)["pooled_output"], rtol=0, atol=2e-6)


@pytest.mark.parametrize("pair", [False, True])
def test_pooling_by_means(rich: EelbertConfig, pair: bool) -> None:
    """The pooled output is what NumPy makes of the sequence output; empty slots and batch widths do not matter."""
    backbone = randomize(EelbertBackbone(rich.replace(pooling="mean"), pair=pair))
    assert not any("pooler" in v.path for v in backbone.weights)
    texts = hard_texts(20)
    data = encode_texts(list(zip(texts, texts[::-1], strict=True)) if pair else texts, rich.max_bytes)
    found = {name: np.asarray(array) for name, array in backbone(data).items()}
    segments = np.asarray(backbone.embed(data)[2])
    for i, pooled in enumerate(found["pooled_output"]):
        filled = found["padding_mask"][i] > 0
        means = [found["sequence_output"][i][filled & (segments[i] == side)].mean(axis=0) for side in range(1 + pair)]
        means = [mean / np.sqrt(np.mean(mean**2)) for mean in means]
        u, v = means[0], means[-1]
        expected = np.concatenate([u, v, abs(u - v), u * v]) if pair else u
        np.testing.assert_allclose(pooled, expected, rtol=0, atol=2e-5)
    assert backbone.pooled_size == found["pooled_output"].shape[1] == rich.hidden_size * (4 if pair else 1)
    alone = backbone(data, pooled_only=True)
    np.testing.assert_allclose(alone["pooled_output"], found["pooled_output"], rtol=0, atol=2e-6)


def test_config_round_trip(rich: EelbertConfig) -> None:
    """Keras rebuilds the backbone from its configuration."""
    model = EelbertBackbone(rich, pair=True, name="front")
    rebuilt = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert (rebuilt.config, rebuilt.pair, rebuilt.name) == (rich, True, "front")
    assert [w.shape for w in rebuilt.weights] == [w.shape for w in model.weights]
    assert EelbertConfig.from_dict(rich.to_dict()) == rich


def test_dropout_applies_in_training_only(tiny: EelbertConfig) -> None:
    """Two calls agree at inference and differ in training."""
    model = randomize(EelbertBackbone(tiny.replace(hidden_dropout_prob=0.5)))
    texts = tf.constant(["some words here"])
    same(outputs(model, texts), outputs(model, texts))
    first, second = (np.asarray(model(texts, training=True)["pooled_output"]) for _ in range(2))
    assert not np.array_equal(first, second)


def test_mixed_precision(tiny: EelbertConfig) -> None:
    """Under mixed_bfloat16 weights stay float32, and outputs stay near those of float32."""
    config = tiny.replace(num_hidden_layers=2)
    plain = randomize(EelbertBackbone(config))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = randomize(EelbertBackbone(config))
        head = EelbertClassifier(mixed, num_classes=2)
    finally:
        keras.config.set_dtype_policy(before)
    texts = tf.constant(["turn on the lights", "", "a " * 40])
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    assert mixed(texts)["sequence_output"].dtype == tf.bfloat16
    assert head(texts).dtype == tf.float32
    same([x.astype(np.float32) for x in outputs(mixed, texts)], outputs(plain, texts), 0.1)


def test_shared_blocks(tiny: EelbertConfig) -> None:
    """Layers that share a block compute what layers with equal blocks do, and weigh as much as one."""
    shared = randomize(EelbertBackbone(tiny.replace(num_hidden_layers=4, num_hidden_groups=2)))
    each = EelbertBackbone(tiny.replace(num_hidden_layers=4))
    weights = weight_names(shared)
    for name, variable in weight_names(each).items():
        variable.assign(weights[re.sub(r"(?<=^block_)\d", lambda found: str(int(found[0]) // 2), name)])
    texts = tf.constant(["turn on the lights", "", "a " * 40])
    same(outputs(shared, texts), outputs(each, texts))
    assert shared.count_params() == EelbertBackbone(tiny.replace(num_hidden_layers=2)).count_params()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 15}, "`num_attention_heads` must divide `hidden_size`"),
        ({"hash": None}, "exactly one of `hash`"),
        ({"vocab_size": 9}, "exactly one of `hash`"),
        ({"hidden_act": "tanh"}, '"gelu" or "relu"'),
        ({"max_tokens": 17}, "between 4 and `max_position_embeddings`"),
        ({"max_tokens": 3}, "between 4 and `max_position_embeddings`"),
        ({"max_bytes": 3}, "at least 4"),
        ({"num_hidden_layers": 3, "num_hidden_groups": 2}, "`num_hidden_groups` must divide"),
        ({"num_hidden_groups": 0}, "`num_hidden_groups` must divide"),
        ({"lexicon_size": 6, "lexicon_width": 2}, "power of two"),
        ({"lexicon_size": 8}, "`lexicon_width` positive"),
        ({"lexicon_size": 8, "lexicon_width": 6, "lexicon_codes": 4}, "`lexicon_codes` must divide `lexicon_width`"),
        ({"lexicon_size": 8, "lexicon_width": 6, "lexicon_codes": -3}, "lexicon_codes=-3"),
        ({"lexicon_codes": 4}, "needs a lexicon with one lookup"),
        ({"lexicon_size": 8, "lexicon_width": 4, "lexicon_codes": 4, "lexicon_lookups": 2}, "lexicon_lookups=2"),
        ({"lexicon_skip": True, "pooling": "mean"}, "`lexicon_skip` needs a lexicon"),
        ({"lexicon_skip": True, "lexicon_size": 8, "lexicon_width": 4}, "pooling='cls'"),
        ({"heads": 2}, "Unknown configuration field 'heads'"),
    ],
)
def test_wrong_configurations(tiny: EelbertConfig, fields: dict[str, Any], message: str) -> None:
    """Each says which field, and what was received."""
    with pytest.raises(ValueError, match=message):
        EelbertBackbone({**tiny.to_dict(), **fields})


def test_unknown_name() -> None:
    """The known ones are listed."""
    with pytest.raises(ValueError, match="Unknown configuration 'bert_uno'. Known: bert_base, bert_mini"):
        EelbertBackbone.from_name("bert_uno")


def test_wrong_inputs(tiny: EelbertConfig) -> None:
    """Inputs that do not fit the kind of model are refused with the reason."""
    model = EelbertBackbone(tiny)
    bert = EelbertBackbone(tiny.replace(hash=None, vocab_size=9))
    lexicon = EelbertBackbone(tiny.replace(lexicon_size=8, lexicon_width=2))
    for call, message in (
        (lambda: model({"token_ids": np.zeros((1, 4), np.int32)}), "Expected `bytes` or `embeddings`"),
        (lambda: model(np.zeros((1, 2, 4), np.int32)), "Ready tokens go through `NgramHashEmbedding` first"),
        (lambda: model(np.zeros((1, 4), np.float32)), "bytes as int32 or uint8"),
        (lambda: bert(tf.constant(["a"])), "takes a dictionary with `token_ids`"),
        (lambda: lexicon({"embeddings": np.zeros((1, 4, 16), np.float32)}), "takes `lexicon_rows` beside `embeddings`"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_relu_and_many_segments() -> None:
    """The other activation, and more segments than BERT's two."""
    config = EelbertConfig(
        hidden_size=16, intermediate_size=16, hash=HashConfig((16,)), hidden_act="relu", type_vocab_size=3
    )
    model = randomize(EelbertBackbone(config))
    rng = np.random.default_rng(0)
    inputs = {"embeddings": rng.normal(size=(1, 4, 16)).astype(np.float32)}
    results = [
        np.asarray(model({**inputs, "segment_ids": np.full((1, 4), segment, np.int32)})["pooled_output"])
        for segment in range(3)
    ]
    assert len({result.tobytes() for result in results}) == 3
    np.testing.assert_array_equal(model(inputs)["pooled_output"], results[0])
