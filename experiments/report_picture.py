"""Makes docs/report.png: what `eelbert finetune` reports of a model for the demo's data, as a browser shows it.

    python experiments/report_picture.py --output docs/report.png

It needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
"""

from __future__ import annotations

import argparse
import base64
import csv
import os
import socket
import sys
import tempfile
from pathlib import Path

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.__main__ import main
from eelbert_tf.disk.files import replace_file
from eelbert_tf.training.finetune.device_commands import device_commands

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests import browser

WIDTH, HEIGHT = 980, 2300  # pixels


def write_report(folder: Path) -> Path:
    """Trains on the demo's texts; returns the page."""
    os.chdir(folder)
    with open("commands.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *device_commands()[0]])
    words = "finetune --train commands.csv --method full --lexical off --max-tokens 32 --max-bytes 128 --output home"
    assert main(words.split(" ")) == 0
    return folder / "home" / "report.html"


def picture(page: Path, output: Path) -> None:
    """Saves what a browser shows of a page.

    Raises:
        SystemExit: there is no browser.
    """
    programs = browser.find()
    if programs is None:
        raise SystemExit("chromium and chromedriver are missing: apt-get install chromium chromium-driver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with browser.start(*programs, port) as window:
        window.command(
            "Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False
        )
        window.command("Emulation.setScrollbarsHidden", hidden=True)
        window.open(page.as_uri())
        assert not [url for url in window.requests() if url.startswith("http")]
        data = window.command("Page.captureScreenshot", format="png")["data"]
    with replace_file(output) as temporary:
        temporary.write_bytes(base64.b64decode(data))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", required=True, metavar="F.png", help="picture to write")
    place = Path(parser.parse_args().output).resolve()
    with tempfile.TemporaryDirectory() as directory:
        picture(write_report(Path(directory)), place)
