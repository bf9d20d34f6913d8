"""What a tuned teacher says of the texts of classifier_texts.py: logits.npy, float32 `[n, classes]`.

    python experiments/presets/classifier_answers.py --teacher teachers/sst2 --words sst2

The teacher is what teachers_tune.py made with --only one set of classes. Resumable by parts of 20,000 texts.
"""

import argparse
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "teachers"))
from minilm import load
from teachers_answer import embed, write

PART = 20_000


def main():
    """Ask part after part, then put the parts together."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--teacher", type=pathlib.Path, required=True)
    parser.add_argument("--words", type=pathlib.Path, required=True, help="what classifier_texts.py wrote")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, tokenizer = load(arguments.teacher)
    model = model.eval().to(torch.bfloat16)
    head = torch.load(arguments.teacher / "resume.pt", weights_only=True)["heads"]
    kernel, bias = head["0.weight"].numpy(), head["0.bias"].numpy()
    texts, parts = (arguments.words / "texts.txt").read_text("utf-8").split("\n")[:-1], []
    (arguments.words / "parts").mkdir(exist_ok=True)
    for start in range(0, len(texts), PART):
        path = arguments.words / "parts" / f"{start}.npy"
        if not path.is_file():
            found = embed(model, tokenizer, texts[start : start + PART])
            write(path, (10 * found @ kernel.T + bias).astype(np.float32))
            print(f"{start + PART} of {len(texts)}", flush=True)
        parts.append(np.load(path))
    logits, labels = np.concatenate(parts), np.load(arguments.words / "labels.npy")
    right = (logits.argmax(1) == labels)[labels >= 0].mean()
    np.save(arguments.words / "logits.npy", logits)
    print(f"{len(logits)} texts; of the labelled ones it says {100 * right:.1f} % as they are labelled")


if __name__ == "__main__":
    main()
