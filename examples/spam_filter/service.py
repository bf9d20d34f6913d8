"""A classifier as an HTTP service: a batch endpoint, health, and metrics for Prometheus.

    MODEL=spam/spam.tflite uvicorn --app-dir examples/spam_filter --factory service:create_app

Needs Starlette and a server such as uvicorn beside eelbert-tf; neither TensorFlow nor Keras is loaded.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from eelbert_tf.tflite import EelbertRuntime

MAX_TEXTS = 256  # of a request
MAX_BODY = 1 << 20  # bytes of a request
_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0)  # seconds


class BadRequestError(Exception):
    """A request cannot be answered; holds the status and what was expected."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Service:
    """The model, and what it has done so far.

    Args:
        path: a file from `eelbert convert`.
        workers: requests that are classified at the same time. Each has a runtime of its own.
    """

    def __init__(self, path: str | os.PathLike[str], workers: int = 2) -> None:
        self._runtimes: queue.Queue[EelbertRuntime] = queue.Queue()
        for _ in range(workers):
            self._runtimes.put(EelbertRuntime(path))
        self._version = f"{self._runtimes.queue[0].crc32:08x}"
        self._requests: Counter[int] = Counter()  # by status
        self._labels: Counter[str] = Counter()
        self._truncated = 0
        self._seconds: list[int] = [0] * (len(_BUCKETS) + 1)
        self._total_seconds = 0.0

    async def classify(self, request: Request) -> Response:
        """`{"texts": [...]}` to `{"results": [{"label", "score", "scores", "truncated"}, ...]}`, in the same order."""
        began = time.perf_counter()
        try:
            texts = _texts(await _body(request))
            results = await run_in_threadpool(self._answer, texts)
            response = JSONResponse({"results": results})
        except BadRequestError as error:
            response = JSONResponse({"error": str(error)}, error.status)
        self._count(response.status_code, time.perf_counter() - began)
        return response

    def _answer(self, texts: list[str]) -> list[dict[str, Any]]:
        with self._runtime() as runtime:
            results = [{**runtime.answer(text), "truncated": runtime.is_truncated(text)} for text in texts]
        self._labels.update(str(result["label"]) for result in results)
        self._truncated += sum(result["truncated"] for result in results)
        return results

    @contextlib.contextmanager
    def _runtime(self) -> Iterator[EelbertRuntime]:
        runtime = self._runtimes.get()
        try:
            yield runtime
        finally:
            self._runtimes.put(runtime)

    def _count(self, status: int, seconds: float) -> None:
        self._requests[status] += 1
        self._seconds[next((i for i, most in enumerate(_BUCKETS) if seconds <= most), len(_BUCKETS))] += 1
        self._total_seconds += seconds

    async def health(self, _: Request) -> Response:
        """The checksum of the model that answers."""
        return JSONResponse({"status": "ok", "model": self._version})

    async def metrics(self, _: Request) -> Response:
        """Counters and a histogram in the text format of Prometheus."""
        lines = ["# TYPE requests_total counter"]
        lines += [f'requests_total{{status="{status}"}} {count}' for status, count in sorted(self._requests.items())]
        lines += ["# TYPE texts_total counter"]
        labels = ((json.dumps(label, ensure_ascii=False), count) for label, count in sorted(self._labels.items()))
        lines += [f"texts_total{{label={label}}} {count}" for label, count in labels]
        lines += ["# TYPE truncated_texts_total counter", f"truncated_texts_total {self._truncated}"]
        lines += ["# TYPE request_seconds histogram"]
        for i, most in enumerate((*_BUCKETS, "+Inf")):
            lines.append(f'request_seconds_bucket{{le="{most}"}} {sum(self._seconds[: i + 1])}')
        lines += [f"request_seconds_sum {self._total_seconds:.6f}", f"request_seconds_count {sum(self._seconds)}"]
        return PlainTextResponse("\n".join(lines) + "\n")


async def _body(request: Request) -> bytes:
    """The body, read no further than its limit.

    Raises:
        BadRequestError: it is longer.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BadRequestError(413, f"expected at most {MAX_BODY} bytes; send several requests")
    return body


def _texts(body: bytes) -> list[str]:
    """The texts of a request.

    Raises:
        BadRequestError: there are none, or too many.
    """
    try:
        texts = json.loads(body)["texts"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadRequestError(400, 'expected JSON: {"texts": ["...", ...]}') from None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequestError(400, "`texts` must be a list of strings")
    if len(texts) > MAX_TEXTS:
        raise BadRequestError(413, f"{len(texts)} texts; expected at most {MAX_TEXTS}")
    return texts


def create_app(model: str | os.PathLike[str] | None = None, workers: int = 2) -> Starlette:
    """The application.

    Args:
        model: a file from `eelbert convert`; by default what the variable MODEL names.
        workers: as for `Service`.
    """
    service = Service(model or Path(os.environ["MODEL"]), workers)
    routes = [
        Route("/classify", service.classify, methods=["POST"]),
        Route("/health", service.health),
        Route("/metrics", service.metrics),
    ]
    return Starlette(routes=routes)
