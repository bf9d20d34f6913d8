"""Draws docs/hash.svg: how a word becomes its embedding, with the numbers of the worked example in docs/hash.md."""

from __future__ import annotations

from pathlib import Path

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.config import FNV_OFFSET, FNV_PRIME, HashConfig
from eelbert_tf.disk.files import replace_file
from eelbert_tf.text.reference import embed_token, multipliers, signature

OUTPUT = Path(__file__).parent.parent / "docs" / "hash.svg"
WORD = "cat"
CONFIG = HashConfig(widths=(2, 2, 1))

_WIDTH, _HEIGHT = 860, 400
_COLUMNS = (20, 170, 320, 580)  # the word, its n-grams, their signatures, the block
_TOP, _ROW = 96, 26
_FILLS = ("#dbe9f6", "#fde3cf", "#dcefdc")
_STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#222}.mono{font:14px ui-monospace,monospace}"
    ".head{font-weight:600}.small{font-size:12px;fill:#555}.line{stroke:#999;fill:none}"
)


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{words}</text>'


def _box(x: float, y: float, width: float, words: str, fill: str) -> str:
    box = f'<rect x="{x}" y="{y - 16}" width="{width}" height="22" rx="3" fill="{fill}" stroke="#999"/>'
    return box + _text(x + width / 2, y, words, "mono", "middle")


def figure() -> str:
    """The picture, as SVG."""
    embedding = embed_token(WORD.encode(), CONFIG)
    h = multipliers(CONFIG.seed, CONFIG.size).view("uint32")
    word, grams, signatures, block = _COLUMNS
    parts = [
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(word, 30, "a word", "head"),
        _text(word, 48, "its bytes", "small"),
        _text(grams, 30, "n-grams", "head"),
        _text(grams, 48, "of 1, 2, 3 bytes", "small"),
        _text(signatures, 30, "signatures", "head"),
        _text(signatures, 48, f"s = s × {FNV_PRIME} + byte", "small"),
        _text(signatures, 64, f"modulo 2³², from s = {FNV_OFFSET}", "small"),
        _text(block, 30, "blocks", "head"),
        _text(block, 48, "the mean of int32(s × h) over the n-grams,", "small"),
        _text(block, 64, "× 2⁻³¹; the multipliers h come from one seed", "small"),
    ]
    parts += [_box(word + 34 * i, _TOP + 3 * _ROW, 28, letter, "#eee") for i, letter in enumerate(WORD)]
    parts += [
        _text(word + 34 * i + 14, _TOP + 4 * _ROW, f"{byte:02x}", "small mono", "middle")
        for i, byte in enumerate(WORD.encode())
    ]
    y, start = _TOP, 0
    for order, (width, fill) in enumerate(zip(CONFIG.widths, _FILLS, strict=True), 1):
        pieces = [WORD[i : i + order] for i in range(len(WORD) - order + 1)]
        middle = y + (len(pieces) - 1) * _ROW / 2
        parts.append(f'<path class="line" d="M{word + 104} {_TOP + 3 * _ROW - 5} L{grams - 8} {middle - 5}"/>')
        for i, piece in enumerate(pieces):
            row = y + i * _ROW
            parts.append(_box(grams, row, 24 + 10 * order, piece, fill))
            parts.append(f'<path class="line" d="M{grams + 64} {row - 5} H{signatures - 8}"/>')
            parts.append(_text(signatures, row, f"{signature(list(piece.encode())):>10}", "mono"))
            parts.append(f'<path class="line" d="M{signatures + 98} {row - 5} L{block - 70} {middle - 5}"/>')
        parts.append(_text(block - 62, middle, "mean →", "small"))
        for j in range(start, start + width):
            x = block + 118 * (j - start)
            parts.append(_box(x, middle, 112, f"{embedding[j]:+.5f}", fill))
            parts.append(_text(x + 56, middle + 22, f"h = {h[j]}", "small", "middle"))
        y += len(pieces) * _ROW + 18
        start += width
    y += 22
    parts.append(_text(word, y, "the embedding", "head"))
    fills = [fill for width, fill in zip(CONFIG.widths, _FILLS, strict=True) for _ in range(width)]
    parts += [
        _box(grams + 90 * j, y, 88, f"{number:+.5f}", fill)
        for j, (number, fill) in enumerate(zip(embedding, fills, strict=True))
    ]
    parts.append(
        _text(word, y + 34, "No table, no vocabulary: one seed is stored, and any bytes have an embedding.", "small")
        + _text(word, y + 52, "Here five numbers; a UNO model has 43 + 43 + 42 = 128.", "small")
    )
    lines = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'role="img" aria-label="How the hash turns the word {WORD} into numbers">\n'
        f"<style>{_STYLE}</style>\n{lines}\n</svg>\n"
    )


if __name__ == "__main__":
    with replace_file(OUTPUT) as temporary:
        temporary.write_text(figure(), "utf-8")
