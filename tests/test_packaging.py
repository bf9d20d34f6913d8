"""What an installation holds: the wheel and the source distribution, and a first try of what they install."""

from __future__ import annotations

import configparser
import email
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.forms import ROOT
from tests.small_models import converted, saved

MOST_BYTES = 20_000_000  # of the wheel; presets are most of it
BUILD = """
import os, sys
from setuptools import build_meta
os.chdir(sys.argv[1])
getattr(build_meta, sys.argv[2])(sys.argv[3])
"""


def build(tree: Path, hook: str, folder: Path) -> Path:
    """What a hook of the build, `build_wheel` or `build_sdist`, makes of a tree: as `python -m build` calls them."""
    pytest.importorskip("setuptools")
    pytest.importorskip("wheel")
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, tree, hook, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = folder.iterdir()
    return file


def copy_tree(folder: Path) -> None:
    """The repository without what was built in it."""
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "runs", "node_modules", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, folder, ignore=unwanted)


def install(wheel: Path, venv: Path) -> Path:
    """Makes an environment with nothing but a wheel; the folder that it is in."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("needs pip")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, wheel], check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution of a copy of this tree with one more preset, and the wheel made of it."""
    folder = tmp_path_factory.mktemp("packaging")
    copy_tree(folder / "tree")
    shutil.copytree(saved("small"), folder / "tree" / "eelbert_tf" / "saving" / "presets" / "one_more")
    sdist = build(folder / "tree", "build_sdist", folder / "sdist")
    shutil.unpack_archive(sdist, folder / "unpacked")
    (unpacked,) = (folder / "unpacked").iterdir()
    return sdist, build(unpacked, "build_wheel", folder / "wheel")


def installed_files() -> set[str]:
    """What a wheel must hold, by the names that it is installed under."""
    roots = {"eelbert_tf": "eelbert_tf", "training": "eelbert_tf/training", "tflite": "eelbert_tf/tflite"}
    files = {
        f"{name}/{path.relative_to(ROOT / top).as_posix()}"
        for top, name in roots.items()
        for path in (ROOT / top).rglob("*")
        if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
    }
    return {name for name in files if "node_modules" not in name}


def test_the_distributions_are_complete(distributions: tuple[Path, Path]) -> None:
    """Every module, preset and source for devices is in both; no tests are in the wheel; it is small enough."""
    sdist, wheel = distributions
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        text = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    preset = {f"eelbert_tf/saving/presets/one_more/{name}" for name in ("config.json", "weights.safetensors")}
    own = {name for name in names if ".dist-info/" not in name}
    assert own == installed_files() | preset
    assert wheel.stat().st_size < MOST_BYTES
    with tarfile.open(sdist) as source:
        found = {name.partition("/")[2] for name in source.getnames()}
    assert preset <= found
    wanted = {"setup.cfg", "Makefile", "constraints.txt", "tests/test_packaging.py", "docs/hash.md", "LICENSE"}
    assert wanted <= found
    metadata = email.message_from_string(text)
    versions = {f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)}
    assert versions <= set(metadata.get_all("Classifier", []))
    assert metadata["Requires-Python"].replace(" ", "") in {"<3.14,>=3.10", ">=3.10,<3.14"}
    assert "Apache-2.0" in {metadata["License"], metadata["License-Expression"]}


def test_the_wheel_works_outside_the_repository(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed without what it needs, which comes from the running environment; `make package` installs all of it."""
    packages, python = install(distributions[1], tmp_path / "venv"), tmp_path / "venv" / "bin" / "python"
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(ROOT / "tests" / "smoke.py", tmp_path / "elsewhere")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str | Path) -> str:
        where = tmp_path / "elsewhere"
        done = subprocess.run(command, cwd=where, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    result = json.loads(run(python, "smoke.py").splitlines()[-1])
    assert Path(result["home"]) == packages / "eelbert_tf"
    assert "one_more" in result["presets"]
    assert run(tmp_path / "venv" / "bin" / "eelbert", "--help").startswith("usage: eelbert")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the runtime."""
    folder = tmp_path_factory.mktemp("runtime")
    copy_tree(folder / "tree")
    return build(folder / "tree" / "runtime", "build_wheel", folder / "wheel")


def test_the_runtime_is_a_part_of_the_package(runtime: Path) -> None:
    """Whole packages, each preset that has a file, without its weights; and the versions that the package asks for."""
    with zipfile.ZipFile(runtime) as archive:
        own = {name for name in archive.namelist() if name.startswith("eelbert_tf/")}
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("METADATA"))
        assert any(name.endswith("eelbert-runtime/LICENSE") for name in archive.namelist())
    packages = {name.rpartition("/")[0] for name in own if name.endswith(".py")}
    every = installed_files()
    assert {name for name in every if name.rpartition("/")[0] in packages} <= own <= every
    ready = {name.rpartition("/")[0] for name in every if name.endswith("/model.tflite")}
    presets = {name for name in own if "/presets/" in name} - {"eelbert_tf/saving/presets/scores.json"}
    assert presets == {f"{folder}/{name}" for folder in ready for name in ("config.json", "model.tflite")}
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert email.message_from_string(metadata)["Version"] == config["metadata"]["version"]
    for line in ("ai-edge-litert>=2.0,<3", "numpy>=1.26,<3"):
        assert line in config["options"]["install_requires"]
        assert line in (ROOT / "runtime" / "pyproject.toml").read_text()


def test_the_runtime_needs_numpy_and_litert_alone(runtime: Path, tmp_path: Path) -> None:
    """In an environment that has nothing else: every command that runs a file, and what others say."""
    packages = install(runtime, tmp_path / "venv")
    for name in ("numpy", "ai_edge_litert"):
        module = Path(importlib.util.find_spec(name).origin).parent
        for folder in (module, Path(f"{module}.libs")):
            if folder.exists():
                (packages / folder.name).symlink_to(folder)
    (tmp_path / "t.csv").write_text("text,label\nturn it on,play_music\nturn it off,lights_on\n")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command: str | Path) -> tuple[int, str, str]:
        program = tmp_path / "venv" / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    classifier, encoder = converted("small")[0], converted("encoder")[0]
    commands: list[tuple[str | Path, ...]] = [
        ("predict", "--model", "uno_en_sst2", "--text", "a fine film"),
        ("evaluate", "--model", classifier, "--test", "t.csv", "--report", "r.html", "--predictions", "p.csv"),
        ("embed", "--model", encoder, "--input", "t.csv", "--output", "e.npy"),
        ("index", "--model", encoder, "--texts", "t.csv", "--output", "t.index"),
        ("search", "--model", encoder, "--index", "t.index", "--query", "on"),
        ("presets",),
    ]
    for command in commands:
        status, said, complaints = run("eelbert", *command)
        assert status == 0, complaints
        assert isinstance(json.loads(said.splitlines()[-1]), dict)
    code = "from eelbert_tf.tflite import EelbertRuntime; print(EelbertRuntime('uno_en_sst2').classify('fine')[0][0])"
    assert run("python", "-c", code)[1] == "positive\n"
    for command in [("predict", "--model", saved("small"), "--text", "a"), ("finetune", "--help")]:
        status, _, complaints = run("eelbert", *command)
        assert status == 2
        assert re.fullmatch(r"eelbert \w+: needs [\w.]+, which is not installed: pip install eelbert-tf\n", complaints)


def test_every_folder_of_modules_is_a_package_of_the_distribution():
    """`make` installs by links and would not notice a folder that setup.cfg leaves out; a wheel would lack it."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = set(config["options"]["packages"].split())
    for top, name in (
        ("eelbert_tf", "eelbert_tf"),
        ("training", "eelbert_tf.training"),
        ("tflite", "eelbert_tf.tflite"),
    ):
        for module in (ROOT / top).rglob("*.py"):
            package = ".".join([name, *module.parent.relative_to(ROOT / top).parts])
            assert package in packages, f"add {package} to `packages` in setup.cfg"


def test_tested_versions_hold_everything_that_is_installed():
    """Each distribution that setup.cfg names has a version in constraints.txt."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    names = set(re.findall(r"^([a-z][a-z0-9-]*)(?=[<>=])", "\n".join(wanted), re.MULTILINE))
    fixed = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert len(names) > 10
    assert names <= fixed, f"add {sorted(names - fixed)} to constraints.txt"


def test_locked_versions_are_the_tested_ones():
    """locked.txt has the versions of constraints.txt, with checksums, of all that the two commands install."""
    pin = r"^([a-z0-9.-]+==[^\s;]+)"
    locked, fixed = ((ROOT / name).read_text() for name in ("locked.txt", "constraints.txt"))
    pins, tested = set(re.findall(pin, locked, re.MULTILINE)), set(re.findall(pin, fixed, re.MULTILINE))
    untested = {"setuptools", "wheel", "httpx2-jsfetch"}  # what an environment brings along, and what browsers need
    other = {one for one in pins - tested if one.partition("==")[0] not in untested}
    assert not other, f"{sorted(other)}: run the command that locked.txt begins with"
    assert {"tensorflow", "pytest", "keras-hub"} <= {one.partition("==")[0] for one in pins}
    requirements = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", locked, flags=re.MULTILINE)).splitlines()
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", line) for line in requirements)
