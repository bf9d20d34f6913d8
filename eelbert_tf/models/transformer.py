"""BERT's transformer block, and the bias that masks empty slots in its attention."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from eelbert_tf.config import PACKAGE

Tensor = Any


def exact_gelu(x: Tensor) -> Tensor:
    """GELU as in BERT: x times the normal distribution's cumulative function at x."""
    return ops.gelu(x, approximate=False)


@keras.saving.register_keras_serializable(package=PACKAGE)
class TransformerBlock(keras.layers.Layer):
    """BERT's block: self-attention and a feed-forward part, each followed by residual and layer norm (post-LN).

    The source is Devlin et al. 2019, after Vaswani et al. 2017.

    Args:
        hidden_size: d, width of input and output.
        num_attention_heads: must divide `hidden_size`.
        intermediate_size: inner width of the feed-forward part.
        hidden_act: "gelu" (exact) or "relu".
        dropout: rate on both outputs.
        attention_dropout: rate on attention weights.
        layer_norm_eps: added to the variance.
        initializer_range: standard deviation of the initial kernels.

    Call arguments:
        x: float `[B, T, d]`.
        attention_bias: float `[B, 1, 1, T]`, added to the attention scores.
        training: whether dropout applies.
        positions: int32 `[B, M]`; when given, only the rows at these positions are computed. Or an integer M, for the
            first M rows.

    Returns:
        float `[B, T, d]`, or `[B, M, d]` with positions.
    """

    def __init__(
        self,
        hidden_size: int,
        num_attention_heads: int,
        intermediate_size: int,
        hidden_act: str = "gelu",
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.hidden_act = hidden_act
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.activation = exact_gelu if hidden_act == "gelu" else ops.relu

        policy = self.dtype_policy

        def dense(units: int, name: str) -> keras.layers.Dense:
            normal = keras.initializers.TruncatedNormal(stddev=initializer_range)
            return keras.layers.Dense(units, kernel_initializer=normal, name=name, dtype=policy)

        self.query = dense(hidden_size, "query")
        self.key = dense(hidden_size, "key")
        self.value = dense(hidden_size, "value")
        self.attention_output = dense(hidden_size, "attention_output")
        self.intermediate = dense(intermediate_size, "intermediate")
        self.output_dense = dense(hidden_size, "output")
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_eps, name="attention_norm", dtype=policy
        )
        self.output_norm = keras.layers.LayerNormalization(epsilon=layer_norm_eps, name="output_norm", dtype=policy)
        self.hidden_dropout = keras.layers.Dropout(dropout, dtype=policy)
        self.weights_dropout = keras.layers.Dropout(attention_dropout, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        """Creates the kernels."""
        wide = (None, None, self.hidden_size)
        for layer in (self.query, self.key, self.value, self.attention_output, self.intermediate):
            layer.build(wide)
        self.output_dense.build((None, None, self.intermediate_size))
        self.attention_norm.build(wide)
        self.output_norm.build(wide)
        self.built = True

    def _heads(self, x: Tensor) -> Tensor:
        """`[B, T, d]` to `[B, heads, T, d / heads]`."""
        length = ops.shape(x)[1]
        size = self.hidden_size // self.num_attention_heads
        return ops.transpose(ops.reshape(x, (-1, length, self.num_attention_heads, size)), (0, 2, 1, 3))

    def attend(
        self, x: Tensor, attention_bias: Tensor, training: bool | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """Multi-head self-attention, without residual: `[B, T, d]`, or `[B, M, d]` for some `rows` `[B, M, d]` of x."""
        scale = (self.hidden_size // self.num_attention_heads) ** -0.5
        rows = x if rows is None else rows
        query = self._heads(self.query(rows) * scale)
        scores = ops.matmul(query, ops.transpose(self._heads(self.key(x)), (0, 1, 3, 2)))  # [B, heads, T, T]
        weights = self.weights_dropout(ops.softmax(scores + attention_bias), training=training)
        context = ops.matmul(weights, self._heads(self.value(x)))  # [B, heads, T, d / heads]
        context = ops.transpose(context, (0, 2, 1, 3))
        return self.attention_output(ops.reshape(context, (-1, ops.shape(rows)[1], self.hidden_size)))

    def feed(self, x: Tensor) -> Tensor:
        """The feed-forward part, without residual: `[B, T, d]`."""
        return self.output_dense(self.activation(self.intermediate(x)))

    def call(
        self, x: Tensor, attention_bias: Tensor, training: bool | None = None, positions: Tensor | int | None = None
    ) -> Tensor:
        if isinstance(positions, int):
            rows = x[:, :positions]
        else:
            rows = x if positions is None else ops.take_along_axis(x, ops.expand_dims(positions, -1), axis=1)
        attended = self.hidden_dropout(self.attend(x, attention_bias, training, rows), training=training)
        x = self.attention_norm(rows + attended)
        return self.output_norm(x + self.hidden_dropout(self.feed(x), training=training))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": self.hidden_act,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "layer_norm_eps": self.layer_norm_eps,
            "initializer_range": self.initializer_range,
        }


def attention_bias(padding_mask: Tensor, dtype: str) -> Tensor:
    """0 where a slot is filled, -100 where not: `[B, 1, 1, T]`.

    exp(-100) is 4e-44, so an empty slot gets no weight, and the number survives float16 and 8-bit scales better than
    the customary -1e9.
    """
    empty = ops.cast(1 - ops.cast(padding_mask, "int32"), dtype)
    return ops.expand_dims(ops.expand_dims(empty * -100.0, 1), 1)
