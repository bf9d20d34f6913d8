"""A headless Chromium, driven over WebDriver's HTTP interface: nothing but chromium and chromedriver is needed."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key of an element's number
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> tuple[str, str] | None:
    """Chromium and its driver, or None."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


class Browser:
    """One window.

    Args:
        address: of the session at the driver.

    Attributes:
        site: the folder that is served to it, where there is one.
    """

    site: Path

    def __init__(self, address: str) -> None:
        self._address = address

    def open(self, url: str) -> None:
        """Loads a page."""
        _call("POST", f"{self._address}/url", {"url": url})

    def script(self, source: str) -> Any:
        """What a script in the page returns."""
        return _call("POST", f"{self._address}/execute/sync", {"script": source, "args": []})

    def wait(self, source: str, expected: Callable[[Any], Any], seconds: float = 30) -> Any:
        """Runs a script until its result is as expected; the result, or the last one when the time is over."""
        end = time.monotonic() + seconds
        while not expected(result := self.script(source)) and time.monotonic() < end:
            time.sleep(0.05)
        return result

    def type(self, selector: str, text: str) -> None:
        """Types into an element; for a file input, a path."""
        found = _call("POST", f"{self._address}/element", {"using": "css selector", "value": selector})
        _call("POST", f"{self._address}/element/{found[_ELEMENT]}/value", {"text": text})

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return _call("POST", f"{self._address}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since the last call."""
        entries = _call("POST", f"{self._address}/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@contextlib.contextmanager
def start(chromium: str, driver: str, port: int) -> Iterator[Browser]:
    """A browser without a past, which ends with the block.

    Args:
        chromium: the program.
        driver: the program.
        port: a free one, for the driver.
    """
    with tempfile.TemporaryDirectory(prefix="eelbert-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        options = {"binary": chromium, "args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL"}}
        session = None
        try:
            _wait_until_ready(address)
            session = _call("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            yield Browser(f"{address}/session/{session}")
        finally:
            if session is not None:
                with contextlib.suppress(OSError):
                    _call("DELETE", f"{address}/session/{session}")
            process.terminate()
            process.wait(timeout=20)


def _wait_until_ready(address: str) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            if _call("GET", f"{address}/status")["ready"]:
                return
        time.sleep(0.05)
    raise TimeoutError("chromedriver did not start within 10 seconds.")


def _call(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {url}: {error.read().decode()[:500]}") from None
