"""Sample data that the project makes itself: short commands to the devices of a home. Synthetic, and not a benchmark.

A small grammar says what people tell lights, blinds, music and heating, each in two opposite senses: eight classes.
The senses share most of their words ("turn the lamp on, not off"), the devices share verbs, and a few letters are
mistyped, so that a bag of words gets most commands right but not all. It serves the demo and the tests; what a model
scores here says nothing about text that people wrote.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

Example = tuple[str, str]  # text, label

TEST_SHARE = 0.25
CORRECTION_RATE = 0.15  # commands that name the opposite too: "don't close the blinds, open them"
DISTRACTION_RATE = 0.1  # commands that name another device too: "leave the radio alone and open the blinds"
TYPO_RATE = 0.1  # commands with one letter dropped, doubled or swapped


@dataclass(frozen=True)
class _Device:
    """What one kind of device is called and told.

    Args:
        nouns: its names; the room may follow.
        senses: for each label, phrases in which `{it}` is the device, `{high}` and `{low}` are degrees.
        wishes: for each label, phrases that name no device, but a `{room}`.
    """

    nouns: tuple[str, ...]
    senses: dict[str, tuple[str, ...]]
    wishes: dict[str, tuple[str, ...]]


_DEVICES = (
    _Device(
        nouns=(
            "the light",
            "the lights",
            "the lamp",
            "the ceiling light",
            "the reading lamp",
            "both lamps",
            "the bulb",
        ),
        senses={
            "light_on": ("turn on {it}", "turn {it} on", "switch {it} on", "switch on {it}", "put {it} on"),
            "light_off": ("turn off {it}", "turn {it} off", "switch {it} off", "switch off {it}", "put {it} out"),
        },
        wishes={
            "light_on": ("it is too dark in {room}", "i can't see a thing in {room}", "light up {room}"),
            "light_off": ("it is too bright in {room}", "make {room} dark", "lights out in {room}"),
        },
    ),
    _Device(
        nouns=("the blinds", "the curtains", "the shutters", "the shades", "the left blind", "all the blinds"),
        senses={
            "blinds_open": ("open {it}", "raise {it}", "pull {it} up", "roll up {it}", "put {it} up"),
            "blinds_close": ("close {it}", "shut {it}", "pull {it} down", "roll down {it}", "put {it} down"),
        },
        wishes={
            "blinds_open": ("let some sun into {room}", "i want to look out of {room}"),
            "blinds_close": ("keep the sun out of {room}", "the neighbours can look into {room}"),
        },
    ),
    _Device(
        nouns=("the music", "the radio", "my playlist", "some jazz", "the news", "that song", "the speaker"),
        senses={
            "music_play": ("play {it}", "start {it}", "turn on {it}", "turn {it} on", "put {it} on"),
            "music_stop": ("stop {it}", "pause {it}", "turn off {it}", "turn {it} off", "switch {it} off"),
        },
        wishes={
            "music_play": ("it is too quiet in {room}", "i would like to hear something in {room}"),
            "music_stop": ("it is too loud in {room}", "i would like to hear nothing in {room}"),
        },
    ),
    _Device(
        nouns=("the heating", "the heater", "the thermostat", "the radiator", "the temperature"),
        senses={
            "heat_up": (
                "turn up {it}",
                "turn {it} up",
                "raise {it}",
                "set {it} to {high} degrees",
                "put {it} up to {high}",
            ),
            "heat_down": (
                "turn down {it}",
                "turn {it} down",
                "lower {it}",
                "set {it} to {low} degrees",
                "put {it} down to {low}",
            ),
        },
        wishes={
            "heat_up": ("it is too cold in {room}", "make it {high} degrees in {room}", "i am freezing in {room}"),
            "heat_down": ("it is too warm in {room}", "make it {low} degrees in {room}", "i am sweating in {room}"),
        },
    ),
)
LABELS = tuple(label for device in _DEVICES for label in device.senses)

_ROOMS = ("the kitchen", "the bedroom", "the hall", "the bathroom", "the office", "the living room", "the garage")
_CALLS = ("hey,", "hello,", "please", "well,", "listen,", "now")
_ASKS = ("could you", "can you please", "i want you to", "would you", "time to", "quickly", "please", "now")
_AFTER = ("please", "now", "right away", "for {minutes} minutes", "in {minutes} minutes", "at {hour} o'clock", "thanks")
_CORRECTIONS = (
    "do not {wrong}, {right}",
    "don't {wrong} but {right}",
    "{right}, do not {wrong}",
    "{right} and don't {wrong}",
)
_DISTRACTIONS = ("leave {other} alone and {right}", "{right} but not {other}", "{right}, never mind {other}")


def device_commands(seed: int = 0, per_class: int = 80) -> tuple[list[Example], list[Example]]:
    """Generates the sample set: the same for the same arguments, on every machine.

    Args:
        seed: of the random generator.
        per_class: commands of each of the eight `LABELS`, a quarter of them for testing.

    Returns:
        Shuffled pairs of text and label to train on, and others to test on. No text occurs twice.

    Raises:
        ValueError: the grammar does not hold that many different commands, or they are too few to split.
    """
    if not 4 <= per_class <= 2000:
        raise ValueError(f"`per_class` must be between 4 and 2000. Received: per_class={per_class}")
    rng = random.Random(seed)
    train: list[Example] = []
    test: list[Example] = []
    seen: set[str] = set()
    for device in _DEVICES:
        for label in device.senses:
            texts: list[str] = []
            while len(texts) < per_class:
                text = _command(rng, device, label)
                if text not in seen:
                    seen.add(text)
                    texts.append(text)
            held_out = round(per_class * TEST_SHARE)
            test += [(text, label) for text in texts[:held_out]]
            train += [(text, label) for text in texts[held_out:]]
    rng.shuffle(train)
    rng.shuffle(test)
    return train, test


def _command(rng: random.Random, device: _Device, label: str) -> str:
    """One command of a class."""
    imperatives = tuple(phrase.partition(" ")[0] for phrase in device.senses[label])
    kind = rng.random()
    if kind < CORRECTION_RATE:
        text = _correction(rng, device, label)
    elif kind < CORRECTION_RATE + DISTRACTION_RATE:
        other = _noun(rng, rng.choice([other for other in _DEVICES if other is not device]))
        right = rng.choice(device.senses[label]).replace("{it}", _noun(rng, device))
        text = rng.choice(_DISTRACTIONS).replace("{other}", other).replace("{right}", right)
    else:
        text = rng.choice(device.senses[label] * 2 + device.wishes[label]).replace("{it}", _noun(rng, device))
    if rng.random() < 0.4:
        text = f"{rng.choice(_ASKS if text.startswith(imperatives) else _CALLS)} {text}"
    if rng.random() < 0.3:
        text = f"{text} {rng.choice(_AFTER)}"
    text = text.format(
        room=rng.choice(_ROOMS),
        high=rng.randint(22, 27),
        low=rng.randint(14, 18),
        minutes=rng.randint(2, 45),
        hour=rng.randint(1, 12),
    )
    return _mistype(rng, text) if rng.random() < TYPO_RATE else text


def _correction(rng: random.Random, device: _Device, label: str) -> str:
    """A command that says what is meant and, with the words of the opposite class, what is not."""
    opposite = next(other for other in device.senses if other != label)
    pattern = rng.choice(_CORRECTIONS)
    noun = _noun(rng, device)
    pronoun = "those" if noun.split(" in ")[0].endswith("s") else "that"
    wrong_first = pattern.index("{wrong}") < pattern.index("{right}")
    wrong = rng.choice(device.senses[opposite]).replace("{it}", noun if wrong_first else pronoun)
    right = rng.choice(device.senses[label]).replace("{it}", pronoun if wrong_first else noun)
    return pattern.replace("{wrong}", wrong).replace("{right}", right)


def _noun(rng: random.Random, device: _Device) -> str:
    """A device, half the time with its room."""
    return rng.choice(device.nouns) + rng.choice((" in {room}", ""))


def _mistype(rng: random.Random, text: str) -> str:
    """The text with one letter dropped or doubled, or two swapped; digits stay, for they carry the meaning."""
    at = rng.choice([i for i, (a, b) in enumerate(itertools.pairwise(text)) if a.isalpha() and b.isalpha()])
    a, b = text[at], text[at + 1]
    return text[:at] + rng.choice((b, a + a + b, b + a)) + text[at + 2 :]
