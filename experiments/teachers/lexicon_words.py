"""Turn texts into the hashed words of the lexicon: one 32-bit number a token, whatever the table's size.

    python experiments/teachers/lexicon_words.py --texts texts/texts.txt --output lexicon/words --most 1000000

Writes tokens.npy (uint32: word signature times the lexicon's multiplier; a table of 2^m rows uses
the top m bits) and offsets.npy (int64: where each text begins, and the end). The tokens and the
hash are those of docs/hash.md with seed 20231, size 128, boundaries on.
"""

import argparse
import itertools
import pathlib
import re

import numpy as np

OFFSET, PRIME, MASK = 2166136261, 16777619, 0xFFFFFFFF
FIRST, LAST, MOST_BYTES = 256, 512, 64
_SPACE = "\x00-\x20\xa0\u3000\u2000-\u200f"
_SYMBOL = "!-/:-@\\[-`{-\x7f\u2010-\u206f\u3001-\u303f\u3400-\u3fff\u4000-\u9fff\uf900-\ufaff\U0001f000-\U0003ffff"
_TOKENS = re.compile(f"[{_SYMBOL}]|[^{_SPACE}{_SYMBOL}]+")
_LOWER = {code: code + 32 for code in range(65, 91)}


def multiplier(seed=20231, size=128):
    """The lexicon's multiplier: SplitMix64's output number `size`, its upper half, made odd."""
    wide = 0xFFFFFFFFFFFFFFFF
    state = (seed + (size + 1) * 0x9E3779B97F4A7C15) & wide
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & wide
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & wide
    return (z ^ (z >> 31)) >> 32 | 1


class Words:
    """Hashed words of texts; remembers the words it has seen."""

    def __init__(self):
        self._known, self._h = {}, multiplier()

    def word(self, token):
        """The number of a token."""
        units = list(token.encode())
        units[0] += FIRST
        units[-1] += LAST
        state = OFFSET if len(units) <= MOST_BYTES else 0
        for unit in units[-MOST_BYTES:]:
            state = (state * PRIME + unit) & MASK
        return state * self._h & MASK

    def text(self, text, most=126):
        """The numbers of a text's tokens."""
        found = []
        for token in _TOKENS.findall(text.translate(_LOWER))[:most]:
            number = self._known.get(token)
            if number is None:
                number = self._known[token] = self.word(token)
            found.append(number)
        return found


def main():
    """Write tokens and offsets."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--most", type=int)
    arguments = parser.parse_args()
    words, parts, offsets = Words(), [], [0]
    with open(arguments.texts, encoding="utf-8") as file:
        for line in itertools.islice(file, arguments.most):
            found = words.text(line.rstrip("\n"))
            parts.append(np.array(found, np.uint32))
            offsets.append(offsets[-1] + len(found))
    arguments.output.mkdir(parents=True, exist_ok=True)
    np.save(arguments.output / "tokens.npy", np.concatenate(parts))
    np.save(arguments.output / "offsets.npy", np.array(offsets))
    print(f"{len(parts)} texts, {offsets[-1]} tokens, {len(words._known)} words")


if __name__ == "__main__":
    main()
