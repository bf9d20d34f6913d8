"""What a model is: frozen dataclasses that are saved as JSON beside the weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

PACKAGE = "eelbert_tf"  # Keras registers the classes of models under it: part of saved files

# A Fowler-Noll-Vo style polynomial over 32-bit integers: the published FNV offset and prime. The offset keeps
# signatures of single bytes away from small integers, whose projections would be correlated (docs/hash.md).
FNV_OFFSET = 2166136261
FNV_PRIME = 16777619

# Bits above the eight of a byte, set on the first and the last byte of a token when `boundaries` is on.
FIRST_BYTE_FLAG = 256
LAST_BYTE_FLAG = 512

# The ASCII unit separator: joins the two texts of a pair in one byte string.
SEPARATOR_BYTE = 31

# A token's own signature covers at most this many of its last bytes: 2 ** WORD_DOUBLINGS.
WORD_DOUBLINGS = 6
MAX_WORD_BYTES = 2**WORD_DOUBLINGS

# A token's code in the lexicon is counted in float32 on the way, which holds whole numbers up to here.
MAX_LEXICON_COMBINATIONS = 2**24

BOOK_ENTRIES = 256  # of a quantized lexicon and of a lexical head: what a code of one byte can name

# What tells n-grams in one row of a lexical head's table apart: numbers below this, two bytes in a file.
LEXICAL_TAGS = 2**16
MAX_LEXICAL_ROWS = 2**20

MAX_WINDOWS = 1024  # of a text: bounds the memory that one can take

NORMALIZATIONS = (0, 1)  # versions of `HashConfig.normalization`


# Keras' dtype policies by the names that commands give them.
POLICIES = {"none": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@dataclass(frozen=True)
class HashConfig:
    """The n-gram pooling hash (docs/hash.md).

    Args:
        widths: width of each block: `widths[i - 1]` numbers come from the i-grams.
        seed: the only thing stored of the projection; the multipliers are drawn from it.
        boundaries: whether the first and the last byte of a token are told apart from inner bytes.
        word_width: width of one more block, from the signature of the whole token; 0 for none.
        pooling: "mean" (the paper) or "sqrtn", the sum divided by the square root of the number of n-grams.
        normalization: version of what is done to characters before they are hashed. 0: ASCII is lower-cased. 1: letters
            are folded (capitals, accents, full width), invisible characters dropped, punctuation and signs of many
            scripts are tokens by themselves.

    Raises:
        ValueError: a value is out of range.
    """

    widths: tuple[int, ...] = (43, 43, 42)
    seed: int = 20231
    boundaries: bool = False
    word_width: int = 0
    pooling: str = "mean"
    normalization: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(int(w) for w in self.widths))
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"`widths` needs at least one positive width. Received: widths={self.widths}")
        if self.word_width < 0:
            raise ValueError(f"`word_width` must not be negative. Received: word_width={self.word_width}")
        if self.pooling not in ("mean", "sqrtn"):
            raise ValueError(f'`pooling` must be "mean" or "sqrtn". Received: pooling={self.pooling!r}')
        if self.normalization not in NORMALIZATIONS:
            raise ValueError(
                "`normalization` must be 0 or 1 (a larger one is of a newer version). "
                f"Received: normalization={self.normalization!r}"
            )

    @property
    def size(self) -> int:
        """Width of a token's hash embedding: all blocks together."""
        return sum(self.widths) + self.word_width


@dataclass(frozen=True)
class LexicalConfig:
    """The lexical head of a classifier: weights of the words and word pairs that its task needs (docs/hash.md).

    Args:
        rows: of the table, a power of two; each holds one n-gram.
        rank: numbers per row, from which a matrix makes logits.
        coded: whether a byte beside each number names the entry of a book that it multiplies, where there are too many
            classes for a number of each.

    Raises:
        ValueError: a value is out of range.
    """

    rows: int
    rank: int
    coded: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.rows <= MAX_LEXICAL_ROWS or self.rows & (self.rows - 1):
            raise ValueError(f"`rows` must be a power of two from 2 to {MAX_LEXICAL_ROWS}. Received: rows={self.rows}")
        if self.rank < 1:
            raise ValueError(f"`rank` must be positive. Received: rank={self.rank}")


def _equal_widths(size: int, orders: int = 3) -> tuple[int, ...]:
    """`size` split into `orders` widths that differ by one at most, the larger first."""
    return tuple(size // orders + (i < size % orders) for i in range(orders))


@dataclass(frozen=True)
class EelbertConfig:
    """Shape of a BERT encoder and of the text in front of it.

    Exactly one of `hash` (EELBERT: embeddings computed from bytes) and `vocab_size` (BERT: a learned table looked up
    by token id) is given.

    Args:
        hidden_size: width of the encoder.
        num_hidden_layers: number of transformer blocks that a text goes through.
        num_hidden_groups: blocks that have weights of their own, each used for as many layers in a row (ALBERT, Lan et
            al. 2020); must divide `num_hidden_layers`. `None` for as many as layers (BERT).
        num_attention_heads: must divide `hidden_size`.
        intermediate_size: inner width of the feed-forward part.
        hash: the n-gram pooling hash, or `None`. Where its size is not `hidden_size`, a learned projection follows.
        vocab_size: rows of a learned token table, or `None`.
        max_position_embeddings: rows of the position table.
        type_vocab_size: number of segments.
        hidden_act: "gelu" (exact, as BERT) or "relu".
        hidden_dropout_prob: dropout rate on embeddings and block outputs.
        attention_probs_dropout_prob: dropout rate on attention weights.
        layer_norm_eps: added to the variance in layer normalisation.
        initializer_range: standard deviation of the initial weights.
        max_tokens: token slots of one input, [CLS] and [SEP] included.
        max_bytes: bytes read of one input.
        max_windows: inputs that a classifier reads of one text. A longer text is read in windows, each an input by
            itself, and their logits are averaged; 1 cuts it off instead.
        window_overlap: tokens that a window has in common with the one before.
        lexicon_size: rows of a learned table indexed by the token's own signature, a power of two; 0 for none.
        lexicon_width: width of those rows, projected to `hidden_size` and added to the hash.
        lexicon_lookups: rows that a token has, 1 or 2, one behind the other: with two, hardly a pair of words shares
            both. At most 4096 rows then.
        lexicon_codes: bytes that a row of the lexicon is stored in (product quantization, Jegou et al. 2011): each
            names one of 256 entries of its own book, and the entries lie one behind the other. Must divide
            `lexicon_width`; 0 for rows of numbers.
        lexicon_skip: whether the lexicon's part of each token is added, scaled, to the output that means are taken of.
        pooling: what a text comes down to: "cls" (BERT), the output at [CLS] through a learned dense layer; or "mean",
            the mean of the output over a text's tokens, without weights.

    Raises:
        ValueError: values are out of range, or do not fit one another.
    """

    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    intermediate_size: int = 128
    hash: HashConfig | None = None
    vocab_size: int | None = None
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    max_tokens: int = 128
    max_bytes: int = 512
    lexicon_size: int = 0
    lexicon_width: int = 0
    lexicon_lookups: int = 1
    pooling: str = "cls"
    num_hidden_groups: int | None = None
    lexicon_codes: int = 0
    lexicon_skip: bool = False
    max_windows: int = 1
    window_overlap: int = 0

    def __post_init__(self) -> None:
        if (self.hash is None) == (self.vocab_size is None):
            raise ValueError(
                "Give exactly one of `hash` (EELBERT) and `vocab_size` (BERT). "
                f"Received: hash={self.hash}, vocab_size={self.vocab_size}"
            )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "`num_attention_heads` must divide `hidden_size`. "
                f"Received: hidden_size={self.hidden_size}, num_attention_heads={self.num_attention_heads}"
            )
        if self.num_hidden_groups is not None and (
            self.num_hidden_groups < 1 or self.num_hidden_layers % self.num_hidden_groups
        ):
            raise ValueError(
                "`num_hidden_groups` must divide `num_hidden_layers`. "
                f"Received: num_hidden_layers={self.num_hidden_layers}, num_hidden_groups={self.num_hidden_groups}"
            )
        if self.pooling not in ("cls", "mean"):
            raise ValueError(f'`pooling` must be "cls" or "mean". Received: pooling={self.pooling!r}')
        if self.hidden_act not in ("gelu", "relu"):
            raise ValueError(f'`hidden_act` must be "gelu" or "relu". Received: hidden_act={self.hidden_act!r}')
        if not 4 <= self.max_tokens <= self.max_position_embeddings:
            raise ValueError(
                "`max_tokens` must lie between 4 and `max_position_embeddings`. "
                f"Received: max_tokens={self.max_tokens}, max_position_embeddings={self.max_position_embeddings}"
            )
        if self.max_bytes < 4:
            raise ValueError(f"`max_bytes` must be at least 4. Received: max_bytes={self.max_bytes}")
        if not 1 <= self.max_windows <= MAX_WINDOWS:
            raise ValueError(
                f"`max_windows` must lie between 1 and {MAX_WINDOWS}. Received: max_windows={self.max_windows}"
            )
        if not 0 <= self.window_overlap <= (self.max_tokens - 2) // 2:
            raise ValueError(
                "`window_overlap` must be at most half of the tokens of a window. "
                f"Received: window_overlap={self.window_overlap}, max_tokens={self.max_tokens}"
            )
        if self.lexicon_size and (
            self.lexicon_size < 2 or self.lexicon_size & (self.lexicon_size - 1) or self.lexicon_width < 1
        ):
            raise ValueError(
                "`lexicon_size` must be a power of two and `lexicon_width` positive. "
                f"Received: lexicon_size={self.lexicon_size}, lexicon_width={self.lexicon_width}"
            )
        if self.lexicon_lookups not in (1, 2) or self.lexicon_combinations > MAX_LEXICON_COMBINATIONS:
            raise ValueError(
                "`lexicon_lookups` must be 1 or 2, and `lexicon_size` to its power at most "
                f"{MAX_LEXICON_COMBINATIONS}. Received: lexicon_lookups={self.lexicon_lookups}, "
                f"lexicon_size={self.lexicon_size}"
            )
        if self.lexicon_codes and (
            self.lexicon_codes < 0
            or self.lexicon_width % self.lexicon_codes
            or not self.lexicon_size
            or self.lexicon_lookups > 1
        ):
            raise ValueError(
                "`lexicon_codes` must divide `lexicon_width`, and needs a lexicon with one lookup. Received: "
                f"lexicon_codes={self.lexicon_codes}, lexicon_width={self.lexicon_width}, "
                f"lexicon_size={self.lexicon_size}, lexicon_lookups={self.lexicon_lookups}"
            )
        if self.lexicon_skip and not (self.lexicon_size and self.pooling == "mean"):
            raise ValueError(
                '`lexicon_skip` needs a lexicon and `pooling="mean"`. '
                f"Received: lexicon_size={self.lexicon_size}, pooling={self.pooling!r}"
            )

    @property
    def num_blocks(self) -> int:
        """Blocks with weights of their own."""
        return self.num_hidden_layers if self.num_hidden_groups is None else self.num_hidden_groups

    @property
    def lexicon_combinations(self) -> int:
        """Combinations of rows that a token can have: each is found as a row of a lexicon of this size would be."""
        return self.lexicon_size**self.lexicon_lookups

    def pooled_size(self, pair: bool) -> int:
        """Width of the pooled output.

        Args:
            pair: whether texts are pairs, of which means give four vectors.
        """
        return self.hidden_size * (4 if pair and self.pooling == "mean" else 1)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> EelbertConfig:
        """The inverse of `to_dict`.

        Args:
            fields: as `config.json` has them.

        Returns:
            The configuration.

        Raises:
            ValueError: a field is unknown or out of range.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise ValueError(f"Unknown configuration field {unknown[0]!r}: was it written by a newer version?")
        if isinstance(fields.get("hash"), dict):
            fields = {**fields, "hash": HashConfig(**fields["hash"])}
        return cls(**fields)

    def replace(self, **changes: Any) -> EelbertConfig:
        """A copy with some fields changed.

        Args:
            **changes: the fields.

        Returns:
            The copy.

        Raises:
            ValueError: a value is out of range.
        """
        return dataclasses.replace(self, **changes)


BERT_VOCAB_SIZE = 30522

# hidden size, layers, heads, intermediate size: the published BERT shapes (Devlin et al. 2019; Turc et al. 2019).
_SHAPES = {
    "base": (768, 12, 12, 3072),
    "mini": (256, 4, 4, 1024),
    "tiny": (128, 2, 2, 512),
    "uno": (128, 2, 2, 128),  # the shape that gives the paper's 312,506 parameters
}


def named_config(name: str) -> EelbertConfig:
    """The configuration of a named size.

    Args:
        name: one of `CONFIG_NAMES`.

    Returns:
        The published shape (Devlin et al. 2019; Turc et al. 2019; for UNO, Cohn et al. 2023), 128 tokens and 512 bytes.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in CONFIG_NAMES:
        raise ValueError(f"Unknown configuration {name!r}. Known: {', '.join(CONFIG_NAMES)}")
    family, _, shape = name.partition("_")
    hidden, layers, heads, intermediate = _SHAPES[shape]
    return EelbertConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        hash=HashConfig(widths=_equal_widths(hidden)) if family == "eelbert" else None,
        vocab_size=BERT_VOCAB_SIZE if family == "bert" else None,
    )


CONFIG_NAMES = tuple(
    f"{family}_{shape}" for family in ("bert", "eelbert") for shape in _SHAPES if (family, shape) != ("bert", "uno")
)
