"""Figures that stand in several places are the same everywhere: experiments/results.json, pages, presets."""

from __future__ import annotations

import json
import math
import re

import pytest
import safetensors

from eelbert_tf.saving.folders import PRESETS, WEIGHTS_FILE, preset_file, preset_names
from eelbert_tf.saving.info import read_info
from tests.pages import script

RESULTS = script("results")
KEPT = json.loads(RESULTS.SOURCE.read_text("utf-8"))


@pytest.mark.parametrize("page", RESULTS.PAGES, ids=lambda page: page.name)
def test_pages(page) -> None:
    """Each has a table, and it is what the script writes."""
    text = page.read_text("utf-8")
    assert re.findall(r"<!-- results: (\w+) -->", text)
    assert RESULTS.written(text, KEPT) == text, "run experiments/results.py"


def test_tables_are_replaced() -> None:
    """Whatever stood between the marks goes; what stands outside stays."""
    page = "above\n<!-- results: scores -->\nold\n<!-- end -->\nbelow\n"
    text = RESULTS.written(page, KEPT)
    assert text.startswith("above\n<!-- results: scores -->\n| ")
    assert text.endswith("|\n<!-- end -->\nbelow\n")
    assert "old" not in text
    assert RESULTS.written(text, KEPT) == text


def test_every_preset_is_there() -> None:
    """No more and no fewer, in the README's order."""
    assert set(KEPT["models"]) == set(preset_names())


@pytest.mark.parametrize("name", KEPT["models"])
def test_presets(name: str) -> None:
    """Numbers of the weights, scores of the configuration, and what the card says are those of the table."""
    model = KEPT["models"][name]
    assert model["scores"].keys() <= KEPT["measures"].keys()
    with safetensors.safe_open(PRESETS / name / WEIGHTS_FILE, "np") as file:
        slices = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118, no mapping
    counts = {True: 0, False: 0}
    for one in slices:
        counts[one.get_dtype() == "U8"] += math.prod(one.get_shape())
    assert (counts[False], counts[True]) == (model["numbers"], model.get("codes", 0))
    card = (PRESETS / name / "README.md").read_text("utf-8")
    if "| learned numbers |" in card:
        assert f"| learned numbers | {model['numbers']:,} " in card
    if file := preset_file(name):
        assert file.stat().st_size / 1e6 == pytest.approx(model["int8_mb"], abs=0.005)
    if (said := read_info(PRESETS / name)[0].notes.get("scores", {}).get("stsb_dev")) is not None:
        assert said == pytest.approx(model["scores"]["stsb"], abs=0.05)
        assert f"STS-B dev without training for it: {model['scores']['stsb']}" in card
