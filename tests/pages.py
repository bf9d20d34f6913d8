"""What the Markdown pages hold: blocks of code, commands, links."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, NamedTuple

from tests.forms import ROOT

SKIPPED = {".venv", "build", "dist", "node_modules", ".git"}


class Block(NamedTuple):
    """Some lines of code: `language` is that of the fence, or "shell" where the lines are indented instead."""

    language: str
    text: str


def pages() -> list[Path]:
    """Every Markdown file of the repository."""
    return sorted(path for path in ROOT.rglob("*.md") if not SKIPPED & set(path.relative_to(ROOT).parts))


def blocks(page: Path) -> list[Block]:
    """The blocks of code of a page, in its order."""
    fenced = r"^```(?P<language>\w*)\n(?P<fenced>.*?)^```$"
    indented = r"(?<=\n\n)(?P<indented>(?: {4}[^\n]*\n)+)"  # after an empty line: not the second line of a list's item
    found = re.finditer(f"{fenced}|{indented}", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [
        Block(match["language"] or "", match["fenced"])
        if match["indented"] is None
        else Block("shell", re.sub("^ {4}", "", match["indented"], flags=re.MULTILINE))
        for match in found
    ]


def commands(page: Path) -> list[str]:
    """The lines of the blocks of shell; a line that ends in a backslash is joined to the next."""
    text = "".join(block.text for block in blocks(page) if block.language in ("shell", "sh", "bash"))
    return [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


def links(page: Path) -> list[str]:
    """Targets of the links and pictures of a page, without those on the web."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match("[a-z]+:", target)]


def files(page: Path) -> set[str]:
    """Names of files of this repository that a page gives in backquotes."""
    kinds = "py|md|json|c|cc|h|js|html|svg|toml|cfg"
    return set(re.findall(rf"`([\w./-]+\.(?:{kinds}))`", page.read_text("utf-8")))


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as links say them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def script(name: str) -> Any:
    """A script of experiments/ as a module."""
    return _module(ROOT / "experiments" / f"{name}.py")


def example(name: str) -> Any:
    """A file of examples/ as a module."""
    return _module(ROOT / "examples" / f"{name}.py")


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
