"""What an installation holds: the wheel and the source distribution, and a first try of what they install."""

from __future__ import annotations

import configparser
import email
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
from tests.small_models import saved

MOST_BYTES = 12_000_000  # of the wheel; presets are most of it
BUILD = """
import os, sys
from setuptools import build_meta
os.chdir(sys.argv[1])
getattr(build_meta, sys.argv[2])(sys.argv[3])
"""


def build(tree: Path, hook: str, folder: Path) -> Path:
    """What a hook of the build, `build_wheel` or `build_sdist`, makes of a tree: as `python -m build` calls them."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, tree, hook, folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution of a copy of this tree with one more preset, and the wheel made of it."""
    pytest.importorskip("setuptools")
    pytest.importorskip("wheel")
    folder = tmp_path_factory.mktemp("packaging")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "runs", "node_modules", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, folder / "tree", ignore=unwanted)
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
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("needs pip")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "--python", python, "install", *options, distributions[1]]
    subprocess.run(install, check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
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
