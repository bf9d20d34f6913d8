"""Figures that stand in several places are the same everywhere: experiments/results.json, pages, presets."""

from __future__ import annotations

import copy
import math
import re
from itertools import combinations
from statistics import fmean
from xml.etree import ElementTree as ET

import pytest
import safetensors

from eelbert_tf.models.backbone import EelbertBackbone
from eelbert_tf.models.classifier import EelbertClassifier
from eelbert_tf.saving.folders import PRESETS, WEIGHTS_FILE, preset_file, preset_names
from eelbert_tf.saving.info import read_info
from tests.pages import script

RESULTS = script("results")
PLOTS = script("plots")
SVG = script("svg")
KEPT = RESULTS.read_results()


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


@pytest.mark.parametrize("name", PLOTS.drawn(KEPT))
def test_plots(name: str) -> None:
    """Each is what the script draws, is XML, light, and reads well on dark pages too."""
    text = PLOTS.drawn(KEPT)[name]
    assert (RESULTS.ROOT / "docs" / name).read_text("utf-8") == text, "run experiments/results.py"
    ET.fromstring(text)
    assert len(text) < 12_000
    assert "prefers-color-scheme:dark" in text


def test_plots_show_the_figures() -> None:
    """A better score stands higher, a larger file further right; other scores give other plots."""
    other = copy.deepcopy(KEPT)
    other["models"]["uno_en"] |= {"int8_mb": 9.0, "scores": {"stsb": 79.9, "ten": 70.0, "sst2": [86.0, 85.0, 87.0]}}
    old, new = PLOTS.drawn(KEPT), PLOTS.drawn(other)
    assert old["picture.svg"] != new["picture.svg"]
    assert old["latency.svg"] == new["latency.svg"]
    for name in ("picture.svg", "quality.svg"):
        (x, y), (new_x, new_y) = (_place(drawn[name], "uno_en") for drawn in (old, new))
        assert new_x > x
        assert new_y < y


def _place(drawing: str, name: str) -> tuple[float, float]:
    """Where a plot has a name last."""
    found = re.findall(rf'x="([0-9.]+)" y="([0-9.]+)"[^>]*>{name}<', drawing)
    return float(found[-1][0]), float(found[-1][1])


def test_names_in_plots_cover_nothing() -> None:
    """Points close to one another: each name stands beside the others, and within the picture."""
    points = [SVG.Point(1e6 * (1 + i / 9), 70 + i / 9, f"model_{i}") for i in range(5)]
    drawing = SVG.drawing([SVG.Panel("a", "b", "c", [SVG.Series("a", points)])], "a test")
    places = [_place(drawing, point.name) for point in points]
    assert all(abs(a[1] - b[1]) > 11 or abs(a[0] - b[0]) > 40 for a, b in combinations(places, 2))
    assert all(40 < x < SVG.WIDTH and 20 < y < SVG.HEIGHT for x, y in places)


def test_measures_can_be_repeated() -> None:
    """Each says by which command, and how often it was run."""
    assert KEPT["machine"]
    for measure in KEPT["measures"].values():
        assert measure.keys() == {"name", "seeds", "command"}


def test_the_readme_names_the_baseline() -> None:
    """In its sentence below the table of presets, in the columns' order."""
    scores = KEPT["baselines"]["TF-IDF"]["scores"]
    readme = (RESULTS.ROOT / "README.md").read_text("utf-8")
    found = re.findall(r"\(TF-IDF: ([0-9.]+)[;)]", readme)
    assert [float(score) for score in found] == [scores[key] for key in ("stsb", "ten", "sst2")]
    (larger,) = re.findall(r"all-MiniLM-L6-v2 of 90 MB: ([0-9.]+)\)", readme)
    assert float(larger) == KEPT["baselines"]["all-MiniLM-L6-v2, frozen, 90 MB"]["scores"]["ten"]


def test_means_are_those_of_the_runs() -> None:
    """From ten examples a class and from all texts: of each preset and baseline that was measured on all sets."""
    named = {f"`{name}`": model for name, model in KEPT["models"].items()} | KEPT["baselines"]
    for measure, shots in (("ten", 10), ("all", None)):
        found = RESULTS.accuracies(KEPT, shots)
        for column, by_set in found.items():
            mean = fmean(value for values in by_set.values() for value in values)
            for model in (model for name, model in named.items() if column in name):
                assert model["scores"][measure] == pytest.approx(mean, abs=0.0501), (column, measure)
        assert {"TF-IDF", "fastText", "WordLlama", "MiniLM", "`uno_en`", "`tiny_en`", "`mini_en`"} <= found.keys()
    for teacher, score in KEPT["frozen"]["STS-B dev, Spearman"].items():
        (model,) = (model for name, model in named.items() if teacher in name)
        assert model["scores"]["stsb"] == pytest.approx(score, abs=0.0501)


def test_nothing_is_outdated() -> None:
    """Cards and what `eelbert presets` shows, too; a card's row is replaced, not repeated."""
    assert not RESULTS.outdated(KEPT), "run experiments/results.py"
    text = "# a\n\n| | |\n|---|---|\n| shape | b |\n\nEnd.\n"
    once = RESULTS.card(text, RESULTS.measured("uno_en", KEPT))
    assert once.count("STS-B") == 1
    assert RESULTS.card(once, RESULTS.measured("uno_en", KEPT)) == once
    assert once.index("shape") < once.index("STS-B") < once.index("End.")


@pytest.mark.parametrize("name", ["eelbert_uno", "eelbert_tiny", "bert_tiny"])
def test_shapes_are_counted(name: str) -> None:
    """Without being built, as Keras counts them; test_encoder.py has all."""
    model = EelbertClassifier(EelbertBackbone.from_name(name), num_classes=2)
    assert RESULTS.parameters(model.backbone.config) == model.count_params()


def test_every_preset_is_there() -> None:
    """No more and no fewer, in the README's order."""
    assert set(KEPT["models"]) == set(preset_names())


@pytest.mark.parametrize("name", KEPT["models"])
def test_presets(name: str) -> None:
    """Numbers of the weights, scores of the configuration, and what the card says are those of the table."""
    model = KEPT["models"][name]
    assert model["scores"].keys() <= KEPT["measures"].keys()
    with safetensors.safe_open(PRESETS / name / WEIGHTS_FILE, "np") as file:
        keys = [key for key in file.keys() if not key.endswith("/tags")]  # noqa: SIM118, no mapping; not learned
        slices = [file.get_slice(key) for key in keys]
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
