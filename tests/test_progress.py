"""Progress: a bar on a terminal, plain lines elsewhere, nothing for short work."""

from __future__ import annotations

import io
import sys

import pytest

from eelbert_tf.disk import progress
from eelbert_tf.disk.progress import Progress, with_progress


class Clock:
    """Seconds that the test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that progress looks at."""
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_lines_where_there_is_no_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """A first one after two seconds, then one every half minute, and one at the end; no carriage returns."""
    with Progress("training", 4000, "step", initial=1000) as bar:
        bar.update(100)
        assert capsys.readouterr().err == ""
        clock.now += 3
        bar.show("loss 0.532")
        bar.update(200)
        assert capsys.readouterr().err == "training: 1,300 of 4,000 steps, 0:27 left, 0:03 elapsed, loss 0.532\n"
        for _ in range(29):
            clock.now += 1
            bar.update()
        assert capsys.readouterr().err == ""
        bar.write("epoch 1: accuracy 0.5")
        clock.now += 7200
        bar.update(2671)
        lines = capsys.readouterr().err.splitlines()
        assert lines == ["epoch 1: accuracy 0.5", "training: 4,000 of 4,000 steps, 2:00:32 elapsed, loss 0.532"]
    assert capsys.readouterr().err == ""
    with Progress("reading", None, "byte", scale=True) as bar:
        clock.now += 3
        bar.update(1_234_567)
        bar.update(10**9)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["reading: 1.23M bytes, 0:03 elapsed", "reading: 1G bytes, 0:03 elapsed"]


def test_short_work_shows_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither where there is a terminal nor elsewhere, but messages are printed; a quiet one prints none of them."""
    assert list(with_progress(iter("abc"), "letter")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
    with Progress("training", 3, "step", quiet=True) as bar:
        clock.now += 100
        bar.update()
        bar.write("epoch 1")
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the figures beside it and messages above it; nothing of it for short work."""
    for delay, shown in ((0.0, True), (60.0, False)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(progress, "DELAY", delay)
        with Progress("training", 2, "step") as bar:
            bar.show("loss 0.5")
            for _ in range(2):
                bar.update()
            bar.write("a message")
        text = terminal.getvalue()
        assert "a message\n" in text
        assert ("training: 100%" in text) == ("loss 0.5" in text) == shown
