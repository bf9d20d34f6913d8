"""The table of letters for `normalization=1`, from Python's `unicodedata`, in the sources of four languages.

python -m tests.make_letters    # writes the runs anew, where they differ
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where the runs stand, each between a line that ends in "runs:" and the next that has none; and how one is written.
SOURCES = {
    "eelbert_tf/text/folding.py": "0x{:08X},",
    "tflite/kits/c/eelbert_front_end.c": "0x{:08X},",
    "tflite/kits/web/folding.js": "0x{:08x},",
    "tflite/kits/android/eelbert/src/main/java/eelbert/android/Folding.java": "0x{:08X},",
}
MARK = "written by tests/make_letters.py"

# Code points that the table covers, and where each of the two ranges begins in it.
COVERED = (*range(0x80, 0x700), *range(0x1E00, 0x2000))
CONSTANT, RISING, EVERY_OTHER, SPECIAL = range(4)
DROPPED, SYMBOL, DOUBLE_S = range(3)
MOST = 128  # characters in a run


def folded(text: str) -> str:
    """Without marks and cases, as BERT's uncased models have it, but fully folded: `ss` where `ß` was."""
    return _unmarked(_unmarked(text).casefold())


def _unmarked(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


def rule(code: int) -> tuple[str, int] | None:
    """What happens to a character of the table: ("special", ..), ("letter", the one it becomes), or nothing."""
    character = chr(code)
    category = unicodedata.category(character)
    if code <= 0xA0 or category == "Cn":
        return None
    if category in ("Mn", "Cf"):
        return "special", DROPPED
    if category[0] in "PS":
        return ("special", SYMBOL) if code < 0x700 else None
    found = folded(character)
    if found == "ss":
        return "special", DOUBLE_S
    if found == character or len(found) != 1 or ord(found) >= 0x800:
        return None
    return "letter", ord(found)


def runs() -> list[int]:
    """The table: runs of characters with one rule, as 32-bit numbers; the fewest from left to right.

    From the highest bit on: 12 bits, place of the first character in `COVERED`; 7 bits, characters after it; 2 bits,
    kind; 11 bits, what the first becomes (or what is special about it).
    """
    rules = [rule(code) for code in COVERED]
    found, place = [], 0
    while place < len(rules):
        here = rules[place]
        if here is None:
            place += 1
            continue
        name, value = here
        options = [(_run(rules, place, [here] * MOST), SPECIAL if name == "special" else CONSTANT)]
        if name == "letter":
            options.append((_run(rules, place, [("letter", value + i) for i in range(MOST)]), RISING))
            if value == COVERED[place] + 1:
                pattern = [("letter", value + i) if i % 2 == 0 else None for i in range(MOST)]
                options.append((_run(rules, place, pattern) // 2 * 2, EVERY_OTHER))
        length, kind = max(options)
        found.append(place << 20 | (length - 1) << 13 | kind << 11 | value)
        place += length
    return found


def _run(rules: list[tuple[str, int] | None], place: int, pattern: list[tuple[str, int] | None]) -> int:
    """How many rules from a place on follow the pattern, within one of the two ranges."""
    end = COVERED.index(0x1E00) if COVERED[place] < 0x1E00 else len(rules)
    count = 0
    while count < len(pattern) and place + count < end and rules[place + count] == pattern[count]:
        count += 1
    return count


def rewrite(text: str, form: str) -> str:
    """A source with the runs in the place of those that stand there."""
    numbers = [form.format(number) for number in runs()]

    def block(match: re.Match[str]) -> str:
        indent = match["indent"]
        per_line = (120 - len(indent) + 1) // (len(numbers[0]) + 1)
        lines = (numbers[i : i + per_line] for i in range(0, len(numbers), per_line))
        return match["head"] + "".join(f"{indent}{' '.join(line)}\n" for line in lines)

    numbers_in_line = r"(?:0x[0-9A-Fa-f]+, ?)+\n"
    pattern = rf"(?P<head>[^\n]*{re.escape(MARK)}[^\n]*\n)(?P<indent> +){numbers_in_line}(?: *{numbers_in_line})*"
    new, count = re.subn(pattern, block, text)
    assert count == 1, "the place of the runs is not found"
    return new


def main() -> None:
    """Writes the sources."""
    for name, form in SOURCES.items():
        path = ROOT / name
        if path.exists() and MARK in path.read_text("utf-8"):
            path.write_text(rewrite(path.read_text("utf-8"), form), "utf-8")


if __name__ == "__main__":
    main()
