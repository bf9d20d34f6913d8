"""What an installation holds."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


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
