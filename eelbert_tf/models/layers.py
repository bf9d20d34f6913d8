"""Keras layers that make tokens' embeddings out of bytes: the hash embedding, and the lexicon beside it."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from eelbert_tf.config import BOOK_ENTRIES, PACKAGE, HashConfig
from eelbert_tf.text import hashing, splitting, strings
from eelbert_tf.text.reference import CLS, SEP, embed_token

Tensor = Any

_BYTE_TYPES = ("uint8", "int32", "int64")


@keras.saving.register_keras_serializable(package=PACKAGE)
class NgramHashEmbedding(keras.layers.Layer):
    """Hashed n-gram embeddings of text: nothing is looked up and nothing is learned.

    The method is the n-gram pooling hash of EELBERT (Cohn et al., EMNLP 2023 Industry); docs/hash.md specifies it.

    Args:
        hash: the hash, or its fields as a dictionary.
        max_tokens: T, token slots of one input, [CLS] and [SEP] included; at least 4.
        max_bytes: L, bytes read of one input, or of one ready token; at least 4.
        pair: whether a separator byte (0x1F) in the bytes divides two texts.

    Call arguments:
        inputs: one of
            - tf.string `[B]`: texts;
            - a tuple of two tf.string `[B]`: pairs of texts;
            - tf.string `[B, T]`: ready tokens, hashed as they are, an empty string where there is none;
            - int32 or uint8 `[B, L]`: bytes of texts, zero after the end;
            - int32 or uint8 `[B, T, W]`: bytes of ready tokens.
        num_slots: token slots to lay out instead of `max_tokens`, for texts known to need fewer; at least 4.

    Returns:
        A dictionary of `embeddings` float32 `[B, T, hash.size]`, `padding_mask` int32 `[B, T]` and `segment_ids` int32
        `[B, T]`. For ready tokens [CLS] and [SEP] are not added.

    Raises:
        ValueError: inputs of another rank or type, or `max_tokens` or `max_bytes` too small.

    Example:

    >>> layer = NgramHashEmbedding(HashConfig())
    >>> layer(tf.constant(["Turn on the lights."]))["embeddings"].shape
    TensorShape([1, 128, 128])
    """

    def __init__(
        self,
        hash: HashConfig | dict[str, Any] | None = None,
        max_tokens: int = 128,
        max_bytes: int = 512,
        pair: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"trainable": False, **kwargs})
        if min(max_tokens, max_bytes) < 4:
            raise ValueError(
                "`max_tokens` and `max_bytes` must be at least 4. "
                f"Received: max_tokens={max_tokens}, max_bytes={max_bytes}"
            )
        self.hash = HashConfig(**hash) if isinstance(hash, dict) else hash or HashConfig()
        self.max_tokens = max_tokens
        self.max_bytes = max_bytes
        self.pair = pair
        # For exporters: columns computed at a time, all of them by default, and whether sums are scattered.
        self.columns: int | None = None
        self.scatter = False
        self.block_bytes = hashing.BLOCK_BYTES  # likewise: bytes that are summed at once
        self.scatter_bytes = True  # likewise: whether normalization puts bytes to their places or moves them in steps

    def build(self, input_shape: Any = None) -> None:
        """There is nothing to create."""
        self.built = True

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """`call`, after a check that Keras would put less clearly.

        Raises:
            ValueError: texts are Python strings.
        """
        if isinstance(inputs, str | bytes) or (
            isinstance(inputs, list | tuple) and any(isinstance(x, str | bytes) for x in inputs)
        ):
            raise ValueError(
                "Texts must be a tensor: pass `tf.constant(texts)`, or bytes from `strings.encode_texts`. "
                f"Received: a {type(inputs).__name__} of Python strings"
            )
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any, num_slots: int | Tensor | None = None) -> dict[str, Tensor]:
        data = to_byte_tensor(inputs, self.max_bytes)
        if len(data.shape) == 3:
            return self._embed_ready(data)
        return self.embed_split(self.split(data), num_slots)[0]

    def split(self, data: Tensor) -> splitting.Split:
        """Tokens of bytes, by the rules of the hash's normalization.

        Args:
            data: int32 `[B, L]`.

        Returns:
            The tokens: int32 `[B, L]` tensors.
        """
        return splitting.split(data, self.hash.normalization, self.scatter_bytes)

    def embed_split(
        self, tokens: splitting.Split, num_slots: int | Tensor | None = None
    ) -> tuple[dict[str, Tensor], splitting.Split, splitting.Layout]:
        """`call` from split bytes on.

        Args:
            tokens: what `splitting.split` gives.
            num_slots: as in the call.

        Returns:
            The result of the call, and the kept tokens with their layout.
        """
        slots = self.max_tokens if num_slots is None else num_slots
        tokens, layout = splitting.lay_out(tokens, self.max_bytes, slots, self.pair)
        embeddings = hashing.embed_tokens(
            *tokens[:3],
            layout.slots,
            slots,
            self.hash,
            columns=self.columns,
            scatter=self.scatter,
            block_bytes=self.block_bytes,
        )
        for token, where in ((CLS, layout.classify), (SEP, layout.separate)):
            special = embed_token(token, self.hash).reshape(1, 1, -1)
            embeddings = embeddings + ops.cast(ops.expand_dims(where, -1), "float32") * special
        result = {
            "embeddings": embeddings,
            "padding_mask": layout.padding_mask,
            "segment_ids": layout.segment_ids,
        }
        return result, tokens, layout

    def _embed_ready(self, data: Tensor) -> dict[str, Tensor]:
        """Embeds tokens that somebody else has split; `data` is int32 `[B, T, W]`."""
        batch, slots, width = ops.shape(data)
        rows = ops.reshape(data, (batch * slots, width))  # each token as a text of its own
        filled = ops.cast(ops.greater(rows, 0), "int32")
        # A byte belongs to the token if it, or any byte after it, is not zero.
        positions = ops.expand_dims(ops.arange(width, dtype="int32"), 0)
        length = ops.max(filled * (positions + 1), axis=1, keepdims=True, initial=0)
        inside = ops.cast(ops.less(positions, length), "int32")
        starts = inside * ops.cast(ops.equal(positions, 0), "int32")
        embeddings = hashing.embed_tokens(rows, starts, inside - starts, ops.zeros_like(rows), 1, self.hash)
        mask = ops.reshape(ops.cast(ops.greater(length, 0), "int32"), (batch, slots))
        return {
            "embeddings": ops.reshape(embeddings, (batch, slots, self.hash.size)),
            "padding_mask": mask,
            "segment_ids": ops.zeros_like(mask),
        }

    def compute_output_spec(self, inputs: Any, num_slots: Any = None) -> dict[str, keras.KerasTensor]:
        """Shapes and types of the result, for symbolic inputs."""
        _check_inputs(inputs)
        first = inputs[0] if isinstance(inputs, tuple | list) else inputs
        ready = len(first.shape) == (2 if strings.is_string_tensor(first) else 3)
        laid_out = num_slots if isinstance(num_slots, int) else None if num_slots is not None else self.max_tokens
        shape = (first.shape[0], first.shape[1] if ready else laid_out)
        return {
            "embeddings": keras.KerasTensor((*shape, self.hash.size), "float32"),
            "padding_mask": keras.KerasTensor(shape, "int32"),
            "segment_ids": keras.KerasTensor(shape, "int32"),
        }

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "hash": dataclasses.asdict(self.hash),
            "max_tokens": self.max_tokens,
            "max_bytes": self.max_bytes,
            "pair": self.pair,
        }


def _check_inputs(inputs: Any) -> None:
    """Checks that `inputs`, concrete or symbolic, are something that `NgramHashEmbedding` takes.

    Raises:
        ValueError: they are not.
    """
    if isinstance(inputs, tuple | list):
        if len(inputs) != 2 or not all(strings.is_string_tensor(x) and len(x.shape) == 1 for x in inputs):
            raise ValueError(f"A pair is a tuple of two string tensors [B]. Received: {inputs!r}")
        sizes = [x.shape[0] for x in inputs]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(f"The two sides of pairs differ in number. Received: {sizes[0]} and {sizes[1]}")
    elif strings.is_string_tensor(inputs):
        if len(inputs.shape) not in (1, 2):
            raise ValueError(f"String inputs are texts [B] or tokens [B, T]. Received shape: {tuple(inputs.shape)}")
    elif not hasattr(inputs, "dtype") or keras.backend.standardize_dtype(inputs.dtype) not in _BYTE_TYPES:
        raise ValueError(f"Expected strings, or bytes as int32 or uint8. Received: {inputs!r}")
    elif len(inputs.shape) not in (2, 3) or inputs.shape[-1] == 0:
        raise ValueError(f"Bytes are texts [B, L] or tokens [B, T, W]. Received shape: {tuple(inputs.shape)}")


def to_byte_tensor(inputs: Any, max_bytes: int) -> Tensor:
    """Any input of `NgramHashEmbedding` as bytes: int32 `[B, L]`, or `[B, T, W]` for ready tokens.

    Raises:
        ValueError: inputs of another rank or type.
    """
    _check_inputs(inputs)
    if isinstance(inputs, tuple | list):
        return strings.decode_pairs(inputs[0], inputs[1], max_bytes)
    if strings.is_string_tensor(inputs):
        ready = len(inputs.shape) == 2
        return strings.decode_strings(inputs, strings.longest(inputs, max_bytes) if ready else max_bytes)
    return ops.cast(inputs, "int32")[..., :max_bytes]


def _any_codes(shape: Any, dtype: Any) -> Tensor:
    """Codes of a lexicon that has not been quantized from anything: rows differ, and their entries are shared."""
    return ops.cast(keras.random.randint(shape, 0, BOOK_ENTRIES), dtype)


@keras.saving.register_keras_serializable(package=PACKAGE)
class HashLexicon(keras.layers.Layer):
    """A small learned table indexed by the token's own signature: a lexicon without a vocabulary.

    Args:
        size: rows, a power of two.
        width: numbers per row; a projection brings them to `hidden_size`.
        lookups: rows per token, 1 or 2, one behind the other.
        hidden_size: width of the result.
        hash: the hash whose signatures are used.
        codes: bytes that a row is stored in, each naming an entry of its own book of 256; 0 for rows of numbers. Codes
            are fixed, the books learn.

    Call arguments:
        tokens: `splitting.Split` with int32 `[B, L]` tensors.
        slots: int32 `[B, L]`, token slot of each byte.
        num_slots: T.

    Returns:
        float `[B, T, hidden_size]`, zero in slots without a word.
    """

    def __init__(
        self,
        size: int,
        width: int,
        hidden_size: int,
        hash: HashConfig | dict[str, Any],
        lookups: int = 1,
        codes: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.width = width
        self.codes = codes
        self.lookups = lookups
        self.hidden_size = hidden_size
        self.hash = HashConfig(**hash) if isinstance(hash, dict) else hash
        self.scatter: bool | None = None  # for exporters: how `hashing.slot_codes` adds up
        self.block_bytes = hashing.BLOCK_BYTES  # likewise: bytes that are summed at once
        # Larger than BERT's kernels: the lexicon then weighs about as much as the hash from the start.
        self.projection = keras.layers.Dense(
            hidden_size, use_bias=False, kernel_initializer="glorot_uniform", name="projection", dtype=self.dtype_policy
        )

    def build(self, input_shape: Any = None) -> None:
        """Creates the table, or the codes and books that stand for it."""
        normal = keras.initializers.TruncatedNormal(stddev=self.width**-0.5)
        if self.codes:
            self.code_table = self.add_weight(
                name="codes", shape=(self.size, self.codes), dtype="uint8", initializer=_any_codes, trainable=False
            )
            self.books = self.add_weight(
                name="books", shape=(self.codes, BOOK_ENTRIES, self.width // self.codes), initializer=normal
            )
        else:
            self.table = self.add_weight(name="table", shape=(self.size, self.width), initializer=normal)
        self.projection.build((None, None, self.width * self.lookups))
        self.built = True

    def call(self, tokens: splitting.Split, slots: Tensor, num_slots: int | Tensor) -> Tensor:
        if self.scatter is not None:
            where = (*tokens[:3], slots, num_slots)
            codes, there = hashing.slot_codes(*where, self.hash, self.scatter, self.block_bytes)
            found = self._take(hashing.slot_rows(codes, self.size, self.lookups))
            return self._project(ops.reshape(found, (1, num_slots, self.lookups * self.width)), there)
        combinations = self.size**self.lookups
        rows, lasts = hashing.lexicon_rows(tokens.chars, tokens.starts, tokens.continues, self.hash, combinations)
        marked = (rows + 1) * lasts  # of each slot's bytes only the last one counts
        member = hashing.membership(tokens.starts, tokens.continues, slots, num_slots)  # [B, C, T, W]
        marked = ops.cast(ops.expand_dims(hashing.in_blocks(marked), 2), "float32")
        # Not a matrix product, which accelerators round to 8 bits.
        from_one = ops.cast(ops.sum(member * marked, axis=(1, 3)), "int32")
        return self.look_up(from_one - 1)

    def look_up(self, rows: Tensor) -> Tensor:
        """The result for words whose codes are known: int32 `[...]`, -1 for none, to float `[..., hidden_size]`.

        With one lookup a code is a row; with two it is the first row times `size` plus the second.
        """
        known = ops.maximum(rows, 0)
        if self.lookups == 1:
            found = self._take(known)
        else:
            found = ops.concatenate([self._take(part) for part in (known // self.size, known % self.size)], axis=-1)
        return self._project(found, ops.greater_equal(rows, 0))

    def _take(self, rows: Tensor) -> Tensor:
        """Rows of the table: int32 `[...]` to float `[..., width]`."""
        if not self.codes:
            return ops.take(ops.convert_to_tensor(self.table), rows, axis=0)
        shape = ops.shape(rows)
        # As int8, less 128: devices look up no uint8. Bytes wrap on the way, so that exporters fold tables of any size.
        table = ops.cast(ops.convert_to_tensor(self.code_table) + np.uint8(BOOK_ENTRIES // 2), "int8")
        first = BOOK_ENTRIES * np.arange(self.codes, dtype=np.int32) + BOOK_ENTRIES // 2
        places = ops.cast(ops.take(table, rows, axis=0), "int32") + first  # [..., codes]
        entries = ops.reshape(ops.convert_to_tensor(self.books), (self.codes * BOOK_ENTRIES, self.width // self.codes))
        return ops.reshape(ops.take(entries, places, axis=0), (*shape, self.width))

    def _project(self, found: Tensor, there: Tensor) -> Tensor:
        """The result for rows that were found where `there` is true, or 1."""
        return self.projection(found * ops.cast(ops.expand_dims(there, -1), found.dtype))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "width": self.width,
            "hidden_size": self.hidden_size,
            "hash": dataclasses.asdict(self.hash),
            "lookups": self.lookups,
            "codes": self.codes,
        }
