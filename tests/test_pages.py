"""The pages: links lead somewhere, commands exist, pictures are those that their scripts draw."""

from __future__ import annotations

import ast
import importlib.util
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from eelbert_tf.__main__ import _parser
from tests.forms import ROOT
from tests.pages import anchors, commands, files, links, pages, script


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links(page: Path) -> None:
    """Each names a file of the repository, and a heading in it where it names one."""
    for link in links(page):
        target, _, heading = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link}: no such file"
        if heading:
            assert heading in anchors(path), f"{link}: no such heading"


@pytest.mark.parametrize("page", pages(), ids=named)
def test_names_of_files(page: Path) -> None:
    """What a page calls by name is there, or is something that a command writes."""
    written = {
        "mails.json",
        "report.html",
        "report.json",
        "config.json",
        "eelbert.json",
        "index.json",
        "run.json",
        "eelbert_model.c",
        "eelbert_model.h",
    }
    packages = [ROOT / name for name in ("eelbert_tf", "training", "tflite")]
    modules = [path.parent for package in packages for path in package.rglob("__init__.py")]  # by their bare names too
    folders: list[str | Path] = [
        "",
        "docs",
        "tests",
        "tflite/kits/c",
        "tflite/kits/c/project",
        "tflite/kits/web",
        "experiments",
        *packages,
        *modules,
    ]
    for name in files(page) - written:
        assert any((ROOT / folder / name).is_file() for folder in folders), f"{name}: no such file"


@pytest.mark.parametrize("page", [page for page in pages() if commands(page)], ids=named)
def test_commands(page: Path) -> None:
    """Each has the options that the page gives it; scripts and modules exist. test_readme.py runs the README."""
    for line in commands(page):
        words = shlex.split(line.replace("...", ""), comments=True)
        while words and "=" in words[0]:  # variables before the command
            words = words[1:]
        if words[:1] == ["eelbert"]:
            complete = "..." not in line
            parser = _parser(words[1:2])
            try:
                parser.parse_args(words[1:])
            except SystemExit:
                assert not complete, f"{line}: eelbert {words[1]} does not take this"
        elif words[:1] == ["python"]:
            path = ROOT / words[1]
            if words[1] == "-m":
                assert importlib.util.find_spec(words[2]) is not None, f"{line}: no such module"
            else:
                assert path.is_file(), f"{line}: no such file"


def test_site() -> None:
    """The site's navigation (mkdocs.yml) has every page of docs/, those that docs/site.py brings in, and no other."""

    def entries(nav: Any) -> Iterator[str]:
        if isinstance(nav, str):
            yield nav
        else:
            for part in nav.values() if isinstance(nav, dict) else nav:
                yield from entries(part)

    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    tree = ast.parse((ROOT / "docs" / "site.py").read_text("utf-8"))  # read, not run: MkDocs need not be installed
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    outside = ast.literal_eval(assigned["PAGES"])
    assert all((ROOT / source).is_file() for source in outside.values())
    known = {path.name for path in (ROOT / "docs").glob("*.md")} | outside.keys() | {"api.md"}
    found = list(entries(configuration["nav"]))
    assert set(found) == known
    assert len(found) == len(known)


def test_picture_of_the_hash() -> None:
    """The numbers in it are those of the specification: the file is what the script draws."""
    figure = script("hash_figure")
    assert figure.OUTPUT.read_text("utf-8") == figure.figure()


def test_points_of_the_pictures() -> None:
    """Every point has what a plot shows, and says where it comes from."""
    kept = json.loads((ROOT / "experiments" / "picture.json").read_text("utf-8"))
    picture = script("picture")
    for point in kept["points"]:
        assert point.keys() == {"model", "format", "kind", "bytes", "scores", "source"}
        assert point["kind"] in picture.KINDS
        assert all(0 <= score <= 100 for score in point["scores"].values())
    assert len({(point["model"], point["format"]) for point in kept["points"]}) == len(kept["points"])


def test_picture_takes_results(tmp_path: Path) -> None:
    """Of the size suite and of GLUE; what was there is brought up to date."""
    points = tmp_path / "points.json"
    old = {"model": "uno", "format": "float32", "kind": "ours", "bytes": 1, "scores": {"MNLI": 50.0}, "source": ""}
    points.write_text(json.dumps({"about": "a test", "points": [old]}))
    row = {"model": "uno", "accuracy": 0.8}
    rows = [
        {**row, "format": "float32", "bytes": 900},
        {**row, "format": "int8 weights", "bytes": 300},
        {"model": "tfidf", "format": "float32", "bytes": 200, "accuracy": 0.7},
        {"model": "BERT-tiny, random weights", "format": "float32", "bytes": 17, "accuracy": None},
    ]
    (tmp_path / "sizes.json").write_text(json.dumps({"rows": rows, "test": "dev.tsv, 9 texts"}))
    results = {
        f"tfidf: SST-2 seed {seed} 0.001, 4 epochs": {"sets": {"dev": {"accuracy": 70.0 + seed}}, "seconds": 1}
        for seed in range(3)
    }
    results["tfidf: MNLI choosing 0 0"] = {"sets": {"held-out": {"accuracy": 1.0}}, "seconds": 1}
    (tmp_path / "glue.json").write_text(json.dumps({"settings": {}, "results": results}))
    picture = script("picture")
    files = ["--points", str(points)]
    new = ["--sizes", str(tmp_path / "sizes.json"), "--glue", str(tmp_path / "glue.json")]
    with pytest.raises(SystemExit, match="--bytes tfidf=N"):
        picture.main([*files, *new])
    picture.main([*files, *new, "--bytes", "tfidf=200"])
    found = {(p["model"], p["format"]): p for p in json.loads(points.read_text())["points"]}
    assert found["uno", "float32"]["scores"] == {"MNLI": 50.0, "SST-2": 80.0}
    assert found["uno", "int8 weights"]["bytes"] == 300
    assert found["tfidf", "float32"]["scores"] == {"SST-2": 71.0}
    assert [found[key]["kind"] for key in (("uno", "float32"), ("tfidf", "float32"))] == ["ours", "baseline"]
    assert len(found) == 3
