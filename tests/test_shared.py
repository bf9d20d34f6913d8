"""What test processes share is built once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.forms import ROOT
from tests.shared import FOLDER, once


def test_built_once_for_all_processes(tmp_path: Path) -> None:
    """Three processes that start together with this one's folder: one builds, the others wait for it."""
    script = f"""
import sys, time
from tests.shared import FOLDER, once

def build(path):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)
    path.write_text("whole")

assert str(FOLDER) == {str(FOLDER)!r}
assert once(sys.argv[2], build).read_text() == "whole"
"""
    name = f"once-{tmp_path.name}"
    words = [sys.executable, "-c", script, str(tmp_path / "log"), name]
    processes = [subprocess.Popen(words, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "built\n"
    assert once(name, lambda path: path.write_text("again")).read_text() == "whole"
