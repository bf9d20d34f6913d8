"""What `workers` gains on a server: many texts through one runtime, with one worker and with several, in turns.

    eelbert convert --model uno_en_sst2 --quantize int8 --output uno_en_sst2.tflite
    python experiments/throughput.py --model uno_en_sst2.tflite --text SST-2/train.tsv --text-columns sentence \
        --limit 8000 --workers 2

Prints microseconds a text, the median of the rounds, and how many times as fast several workers are: the median, the
least and the greatest of the rounds. Their outputs are compared, bit by bit.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from statistics import median

import numpy as np

import eelbert_tf.quiet  # noqa: F401, before Keras
from eelbert_tf.disk.inputs import read_texts
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a TFLite file")
    parser.add_argument("--text", required=True, help="a table or a text file")
    parser.add_argument("--text-columns", nargs="+")
    parser.add_argument("--limit", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    texts = list(islice(read_texts(args.text, args.text_columns), args.limit))
    runtimes = [EelbertRuntime(args.model, workers=workers) for workers in (1, args.workers)]
    rounds = []
    for _ in range(args.rounds):
        seconds, outputs = [], []
        for runtime in runtimes:
            begin = time.perf_counter()
            outputs.append(runtime.predict(texts))
            seconds.append(time.perf_counter() - begin)
        assert np.array_equal(*outputs)
        rounds.append(seconds)
    one, several = (median(column) / len(texts) * 1e6 for column in zip(*rounds, strict=True))
    faster = sorted(first / second for first, second in rounds)
    print(f"{len(texts)} texts: {one:.0f} us a text with one worker, {several:.0f} with {args.workers}")
    print(f"{median(faster):.2f} times as fast ({faster[0]:.2f} to {faster[-1]:.2f}, {args.rounds} rounds)")


if __name__ == "__main__":
    main()
