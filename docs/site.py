"""What MkDocs does not do by itself: pages from outside of this folder, links to files of the repository, the API page.

`make docs` calls it as a hook (mkdocs.yml).
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

import griffe
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# Pages of the site that lie elsewhere in the repository.
PAGES = {
    "index.md": "README.md",
    "c.md": "tflite/kits/c/README.md",
    "spam-filter.md": "examples/spam_filter/README.md",
    "support-mail.md": "examples/support_mail/README.md",
    "many-languages.md": "examples/many_languages/README.md",
    "view-model.md": "examples/android_view_model/README.md",
    "voice-slots.md": "examples/voice_slots/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
# What the reference describes, in this order; the names are those of `_HOME` in the packages' __init__.py.
PACKAGES = {"eelbert_tf": "eelbert_tf/__init__.py", "eelbert_tf.tflite": "tflite/__init__.py"}
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


class Doctests(griffe.Extension):
    """Shows the examples of docstrings, which stand there by themselves, as code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _DOCTEST.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside, and the files that pages link to."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text("utf-8")))
    files.append(File.generated(config, "api.md", content=reference()))
    linked = {target for page in files.documentation_pages() for target in _linked(page)}
    for target in sorted(linked):
        files.append(File.generated(config, f"source/{target}", abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lets links lead where their targets stand on the site."""
    source = _source(page.file.src_uri)
    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(lambda m: m[1] + _moved(m[2], source) + (m[3] or "") + m[4], part) for part in parts[::2]]
    return "".join(parts)


def reference() -> str:
    """The page of the API: every public name of the packages, from its docstrings."""
    lines = ["# API", "", "Everything that is public, with shapes, types, units and errors.", ""]
    for package, file in PACKAGES.items():
        lines += [f"## `{package}`", ""]
        for name, module in public_names(ROOT / file).items():
            lines += [f"::: {package}.{module}.{name}", ""]
    return "\n".join(lines)


def public_names(file: Path) -> dict[str, str]:
    """The names that a package loads on first use, with their modules; the file is read, not run.

    Raises:
        ValueError: it has no such table.
    """
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOME":
            return dict(ast.literal_eval(node.value))
    raise ValueError(f"{file}: no `_HOME`")


def _source(page: str) -> PurePosixPath:
    """Where a page of the site stands in the repository."""
    return PurePosixPath(PAGES.get(page, f"docs/{page}"))


def _target(link: str, source: PurePosixPath) -> str | None:
    """The file of the repository that a page's link leads to; `None` for links to the web."""
    if re.match(r"[a-z]+:", link) or link.startswith("/"):
        return None
    return os.path.normpath(source.parent / link).replace(os.sep, "/")


def _moved(link: str, source: PurePosixPath) -> str:
    """A link as the site needs it: all of its pages lie in one folder."""
    target = _target(link, source)
    if target is None:
        return link
    names = {file: page for page, file in PAGES.items()}
    return names.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else f"source/{target}")


def _linked(page: File) -> set[str]:
    """Files outside of docs/ that a page links to, other than pages."""
    source, text = _source(page.src_uri), _CODE.sub("", page.content_string)
    targets = {_target(match[2], source) for match in _LINK.finditer(text)}
    return {t for t in targets if t and not t.startswith("docs/") and t not in PAGES.values() and (ROOT / t).is_file()}
