"""The BERT encoder on hashed, or on learned, token embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras import ops

from eelbert_tf.config import PACKAGE, EelbertConfig, named_config
from eelbert_tf.saving.info import CONFIG_FILE, ModelInfo, damage_in
from eelbert_tf.saving.stored import StoredModel, backbone_prefix, read_stored
from eelbert_tf.text import hashing, splitting
from eelbert_tf.text.ngrams import Ngrams, find_ngrams

from .layers import HashLexicon, NgramHashEmbedding, to_byte_tensor
from .presets import Saveable, assign
from .transformer import TransformerBlock, attention_bias

Tensor = Any


class Embedded(NamedTuple):
    """What the encoder starts from."""

    embeddings: Tensor  # float [B, T, hidden_size]
    lexical: Tensor | None  # float [B, T, hidden_size]: the lexicon's part, by itself
    padding_mask: Tensor  # int32 [B, T]
    segment_ids: Tensor  # int32 [B, T]
    ngrams: Ngrams | None


def unit_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean of the unmasked rows, scaled to a mean square of 1: float `[B, T, d]` and `[B, T]` to `[B, d]`."""
    shares = mask / ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1.0)
    mean = ops.matmul(ops.expand_dims(shares, 1), x)[:, 0]  # [B, d]
    return mean * ops.rsqrt(ops.mean(mean * mean, axis=-1, keepdims=True) + 1e-6)


@keras.saving.register_keras_serializable(package=PACKAGE)
class EelbertBackbone(Saveable, keras.Model):
    """A BERT encoder whose input table is replaced by hashed n-gram embeddings.

    With `config.vocab_size` in place of `config.hash` it is BERT itself, the baseline.

    Args:
        config: shape of the encoder, or its fields as a dictionary.
        pair: whether a separator byte in the input divides two texts.
        **kwargs: `name`, `dtype` and `trainable`, as Keras takes them; the dtype policy reaches every layer.

    Call arguments:
        inputs: anything `NgramHashEmbedding` takes, or a dictionary with one of
            - `bytes`: int32 or uint8 `[B, L]`; with `padding_mask` `[B, T]` only T token slots are laid out;
            - `embeddings`: float `[B, T, hash.size]`, with `padding_mask` and optional `segment_ids`, and for a model
              with a lexicon `lexicon_rows` int32 `[B, T]`, words' codes in it, -1 where there is no word;
            - `token_ids`: int32 `[B, T]`, for a model with a vocabulary, likewise.
            With `output_positions` int32 `[B, M]` beside it, the last block computes these positions only.
        training: whether dropout applies.
        pooled_only: whether only the pooled output is needed. With "cls" pooling the last block then computes [CLS]
            alone.
        with_ngrams: whether the words and word pairs of the texts are wanted, which a lexical head looks up.

    Returns:
        A dictionary of `sequence_output` float `[B, T, hidden_size]`, of the last block; `token_output`, the same and
        with `lexicon_skip` the lexicon's part added, of which means are taken; `pooled_output` float `[B, pooled_size]`
        and `padding_mask` int32 `[B, T]`. With `output_positions`: `sequence_output` `[B, M, hidden_size]` and the
        mask. With `pooled_only`: neither of the first two. With `with_ngrams`: also `ngrams`.

    Attributes:
        pooled_size: `hidden_size`; four times that for pairs pooled by their means.

    Example:

    >>> backbone = EelbertBackbone(named_config("eelbert_uno"))
    >>> backbone(tf.constant(["Turn on the lights."]))["pooled_output"].shape
    TensorShape([1, 128])
    """

    def __init__(self, config: EelbertConfig | dict[str, Any], pair: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        config = EelbertConfig.from_dict(config) if isinstance(config, dict) else config
        self.config = config
        self.pair = pair
        dtype = self.dtype_policy
        normal = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.hash_embedding: Any = None
        self.projection: Any = None
        self.lexicon: Any = None
        self.token_embedding: Any = None
        self.scatter_codes: bool | None = None  # for exporters: how `hashing.slot_codes` adds up
        if config.hash is not None:
            self.hash_embedding = NgramHashEmbedding(
                config.hash, config.max_tokens, config.max_bytes, pair, name="hash_embedding", dtype=dtype
            )
            if config.hash.size != config.hidden_size:
                self.projection = keras.layers.Dense(
                    config.hidden_size, kernel_initializer=normal, name="projection", dtype=dtype
                )
            if config.lexicon_size:
                self.lexicon = HashLexicon(
                    config.lexicon_size,
                    config.lexicon_width,
                    config.hidden_size,
                    config.hash,
                    config.lexicon_lookups,
                    config.lexicon_codes,
                    name="lexicon",
                    dtype=dtype,
                )
        else:
            self.token_embedding = keras.layers.Embedding(
                config.vocab_size,
                config.hidden_size,
                embeddings_initializer=normal,
                name="token_embedding",
                dtype=dtype,
            )
        self.embeddings_norm = keras.layers.LayerNormalization(
            epsilon=config.layer_norm_eps, name="embeddings_norm", dtype=dtype
        )
        self.embeddings_dropout = keras.layers.Dropout(config.hidden_dropout_prob, dtype=dtype)
        self.blocks = [
            TransformerBlock(
                config.hidden_size,
                config.num_attention_heads,
                config.intermediate_size,
                config.hidden_act,
                config.hidden_dropout_prob,
                config.attention_probs_dropout_prob,
                config.layer_norm_eps,
                config.initializer_range,
                name=f"block_{i}",
                dtype=dtype,
            )
            for i in range(config.num_blocks)
        ]
        self.pooled_size = config.pooled_size(pair)
        self.pooler: Any = None
        if config.pooling == "cls":
            self.pooler = keras.layers.Dense(
                config.hidden_size, activation="tanh", kernel_initializer=normal, name="pooler", dtype=dtype
            )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight, whatever the input will be."""
        if self.built:
            return
        config = self.config
        wide = (None, None, config.hidden_size)
        normal = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
        self.position_embedding = self.add_weight(
            name="position_embedding", shape=(config.max_position_embeddings, config.hidden_size), initializer=normal
        )
        self.segment_embedding = self.add_weight(
            name="segment_embedding", shape=(config.type_vocab_size, config.hidden_size), initializer=normal
        )
        if config.lexicon_skip:
            self.lexicon_scale = self.add_weight(name="lexicon_scale", shape=(config.hidden_size,), initializer="ones")
        if self.projection is not None:
            self.projection.build((None, None, self.hash_embedding.hash.size))
        for layer in (self.hash_embedding, self.lexicon, self.token_embedding):
            if layer is not None:
                layer.build((None, None))
        self.embeddings_norm.build(wide)
        for block in self.blocks:
            block.build(wide)
        if self.pooler is not None:
            self.pooler.build((None, config.hidden_size))
        self.built = True

    def embed(self, inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Token embeddings before positions, with mask and segments.

        Args:
            inputs: as the call takes them.

        Returns:
            float `[B, T, hidden_size]`, int32 `[B, T]`, int32 `[B, T]`.

        Raises:
            ValueError: the inputs do not fit the kind of model.
        """
        found = self._embed(inputs)
        embeddings = found.embeddings if found.lexical is None else found.embeddings + found.lexical
        return embeddings, found.padding_mask, found.segment_ids

    def _embed(self, inputs: Any, with_ngrams: bool = False) -> Embedded:
        """What `embed` gives, with the lexicon's part by itself, and with the n-grams where they are wanted.

        Raises:
            ValueError: as `embed`.
        """
        fields = inputs if isinstance(inputs, dict) else {"bytes": inputs}
        ngrams = None
        mask = fields.get("padding_mask")
        lexical = None
        if self.token_embedding is not None:
            if "token_ids" not in fields:
                raise ValueError(
                    f"A model with a vocabulary takes a dictionary with `token_ids`. Received keys: {sorted(fields)}"
                )
            embeddings = self.token_embedding(fields["token_ids"])
        elif "embeddings" in fields:
            embeddings = fields["embeddings"]
            if self.lexicon is not None and "lexicon_rows" not in fields:
                raise ValueError(
                    "A model with a lexicon takes `lexicon_rows` beside `embeddings`, -1 where there is no word. "
                    f"Received keys: {sorted(fields)}"
                )
            if self.lexicon is not None:
                lexical = self.lexicon.look_up(fields["lexicon_rows"])
        elif "bytes" in fields:
            data = to_byte_tensor(fields["bytes"], self.config.max_bytes)
            if len(data.shape) == 3:
                raise ValueError("Ready tokens go through `NgramHashEmbedding` first; pass its result.")
            slots = self.config.max_tokens if mask is None else ops.shape(mask)[1]
            hashed, tokens, layout = self.hash_embedding.embed_split(self.hash_embedding.split(data), slots)
            embeddings, fields = hashed["embeddings"], hashed
            if self.lexicon is not None:
                lexical = self.lexicon(tokens, slots=layout.slots, num_slots=slots)
            if with_ngrams:
                codes = self._codes(tokens, layout.slots, slots)
                ngrams = find_ngrams(codes, layout, self.hash_embedding.hash, self.pair)
        else:
            raise ValueError(f"Expected `bytes` or `embeddings`. Received keys: {sorted(fields)}")
        if self.projection is not None:
            embeddings = self.projection(embeddings)
        embeddings = ops.cast(embeddings, self.compute_dtype)
        lexical = None if lexical is None else ops.cast(lexical, self.compute_dtype)
        shape = ops.shape(embeddings)[:2]
        mask = fields.get("padding_mask")
        mask = ops.ones(shape, "int32") if mask is None else mask
        segments = fields.get("segment_ids")
        segments = ops.zeros(shape, "int32") if segments is None else segments
        return Embedded(embeddings, lexical, mask, segments, ngrams)

    def _codes(self, tokens: splitting.Split, slots: Tensor, num_slots: int | Tensor) -> Tensor:
        """The code of the word in each slot: int32 `[B, T]`."""
        layer, where = self.hash_embedding, (*tokens[:3], slots, num_slots)
        if self.scatter_codes is None:
            return hashing.word_codes(*where, layer.hash)
        return hashing.slot_codes(*where, layer.hash, self.scatter_codes, layer.block_bytes)[0]

    def call(
        self, inputs: Any, training: bool | None = None, pooled_only: bool = False, with_ngrams: bool = False
    ) -> dict[str, Any]:
        embeddings, lexical, mask, segments, ngrams = self._embed(inputs, with_ngrams)
        embeddings = embeddings if lexical is None else embeddings + lexical
        length = ops.shape(embeddings)[1]
        dtype = self.compute_dtype
        x = embeddings + ops.cast(ops.expand_dims(ops.convert_to_tensor(self.position_embedding)[:length], 0), dtype)
        segment_rows = ops.cast(ops.convert_to_tensor(self.segment_embedding), dtype)
        if self.config.type_vocab_size == 2:  # arithmetic instead of a lookup: the same on every target
            which = ops.cast(ops.expand_dims(segments, -1), dtype)  # [B, T, 1]
            x = x + segment_rows[0] + which * (segment_rows[1] - segment_rows[0])
        else:
            x = x + ops.take(segment_rows, segments, axis=0)
        x = self.embeddings_dropout(self.embeddings_norm(x), training=training)
        bias = attention_bias(mask, dtype)
        repeats = self.config.num_hidden_layers // self.config.num_blocks
        *earlier, last = [block for block in self.blocks for _ in range(repeats)]
        for block in earlier:
            x = block(x, bias, training=training)
        positions = inputs.get("output_positions") if isinstance(inputs, dict) else None
        first_only = pooled_only and self.pooler is not None
        x = last(x, bias, training=training, positions=1 if first_only else positions)
        if positions is not None and not pooled_only:
            return {"sequence_output": x, "padding_mask": mask}
        tokens = x
        if self.config.lexicon_skip:
            tokens = x + lexical * ops.cast(ops.convert_to_tensor(self.lexicon_scale), dtype)
        pooled = self.pooler(x[:, 0]) if self.pooler is not None else self.pool_means(tokens, mask, segments)
        found = {"pooled_output": pooled, "padding_mask": mask}
        if ngrams is not None:
            found["ngrams"] = ngrams
        return found if pooled_only else {"sequence_output": x, "token_output": tokens, **found}

    def pool_means(self, x: Tensor, padding_mask: Tensor, segment_ids: Tensor) -> Tensor:
        """One vector for a text, the mean of its tokens; for a pair, the two means, their difference and their product.

        Each mean is scaled to a mean square of 1, so that the dot product of two is proportional to their cosine. Pairs
        are compared as in Conneau et al. 2017 (InferSent).

        Args:
            x: float `[B, T, hidden_size]`.
            padding_mask: int32 `[B, T]`.
            segment_ids: int32 `[B, T]`.

        Returns:
            float `[B, pooled_size]`: u, or for pairs u, v, |u - v| and u * v.
        """
        mask = ops.cast(padding_mask, x.dtype)
        if not self.pair:
            return unit_mean(x, mask)
        second = mask * ops.cast(segment_ids, x.dtype)
        u, v = unit_mean(x, mask - second), unit_mean(x, second)
        return ops.concatenate([u, v, ops.abs(u - v), u * v], axis=-1)

    def describe(self) -> ModelInfo:
        """The description for `config.json`."""
        return ModelInfo(self.config, "backbone", self.pair)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Raises:
            ValueError: a layer is in a state that a file cannot hold.
        """
        return {**self.saved_state(), "config": self.config.to_dict(), "pair": self.pair}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EelbertBackbone:
        """The inverse of `get_config`."""
        backbone: EelbertBackbone = cls.restore(config)
        return backbone

    @classmethod
    def from_preset(
        cls, name: str | Path, pair: bool | None = None, dtype: Any = None, **changes: Any
    ) -> EelbertBackbone:
        """The encoder of a preset or of a folder, with its weights.

        Args:
            name: a preset's name, a folder that `save_to_preset` wrote, or a BERT in Hugging Face's layout.
            pair: whether the input is to be pairs; as saved by default.
            dtype: a dtype policy; Keras's global one by default.
            **changes: fields of the configuration to change that do not touch the weights, `max_tokens` for example.

        Returns:
            The encoder.

        Raises:
            InputError: there is no such model, or it is damaged.
            ValueError: a change is out of range.
        """
        return cls.from_stored(read_stored(name), pair, dtype, **changes)

    @classmethod
    def from_stored(
        cls, stored: StoredModel, pair: bool | None = None, dtype: Any = None, **changes: Any
    ) -> EelbertBackbone:
        """The encoder of a model that has been read, with its weights.

        Args:
            stored: what was read.
            pair: as in `from_preset`.
            dtype: as in `from_preset`.
            **changes: as in `from_preset`.

        Returns:
            The encoder.

        Raises:
            InputError: the model is damaged.
            ValueError: a change is out of range.
        """
        config = stored.info.config.replace(**changes)
        with damage_in(stored.path.parent / CONFIG_FILE):
            backbone = cls(config, pair=stored.info.pair if pair is None else pair, name="backbone", dtype=dtype)
        assign(backbone, stored, backbone_prefix(stored.info))
        return backbone

    @classmethod
    def from_name(cls, name: str, **kwargs: Any) -> EelbertBackbone:
        """A backbone of a named size with fresh weights.

        Args:
            name: one of `config.CONFIG_NAMES`.
            **kwargs: other arguments of the constructor.

        Returns:
            The encoder.

        Raises:
            ValueError: the name is unknown.
        """
        return cls(named_config(name), **kwargs)
