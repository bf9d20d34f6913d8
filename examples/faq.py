"""Answers to 1,000 frequent questions, found by a file of 0.3 MB: embeddings and search, from a table to a device.

    python examples/faq.py --output faq

makes a table of questions and answers by a small grammar, converts an encoder, builds an index, and asks questions as
people may ask them: in a polite sentence, with two letters left out, with another name of the thing, or in other words.
It prints how often the right answer comes first, or among the first five, and the same of TF-IDF. The folder then has:

    faq.csv         the columns `question` and `answer`
    encoder.tflite  from the bytes of a text to its embedding
    faq.index       questions, answers and embeddings: what an app ships beside the encoder
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from eelbert_tf.tflite import EelbertRuntime, Index, convert

# What a shop sells, and another name for each.
THINGS = [
    ("kettle", "water boiler"),
    ("toaster", "bread toaster"),
    ("washing machine", "washer"),
    ("dishwasher", "dish washing machine"),
    ("fridge", "refrigerator"),
    ("vacuum cleaner", "hoover"),
    ("coffee machine", "espresso maker"),
    ("hair dryer", "blow dryer"),
    ("iron", "steam iron"),
    ("microwave", "microwave oven"),
    ("cooker", "stove"),
    ("fan", "ventilator"),
    ("heater", "radiator"),
    ("lamp", "light"),
    ("router", "wifi box"),
    ("printer", "printing device"),
    ("phone", "mobile"),
    ("tablet", "tablet computer"),
    ("laptop", "notebook computer"),
    ("camera", "photo camera"),
    ("television", "TV set"),
    ("radio", "radio receiver"),
    ("toothbrush", "electric toothbrush"),
    ("bread maker", "baking machine"),
    ("lawn mower", "grass cutter"),
]
# What people ask about each thing, the answer, and the question in other words.
MATTERS = [
    ("how do I clean the {x}?", "Wipe the {x} with a damp cloth.", "my {x} is dirty, what can I do"),
    ("how long is the warranty of the {x}?", "Two years for the {x}.", "for how many years is the {x} guaranteed"),
    ("can I return the {x}?", "Yes, the {x} within 30 days.", "I want to send the {x} back"),
    ("where do I get spare parts for the {x}?", "In our shop, under {x}.", "I need a replacement part for my {x}"),
    ("what do I do when the {x} does not switch on?", "Check the fuse of the {x}.", "my {x} won't start"),
    ("how loud is the {x}?", "The {x} has 45 decibels.", "does the {x} make much noise"),
    ("how much electricity does the {x} use?", "See the label of the {x}.", "what is the power consumption of the {x}"),
    ("how do I throw away an old {x}?", "Bring the {x} to a collection point.", "where can I recycle my {x}"),
    ("is there a manual for the {x}?", "Yes: scan the code under the {x}.", "I lost the instructions of my {x}"),
    ("how heavy is the {x}?", "The weight of the {x} is on its box.", "what does the {x} weigh"),
    ("how large is the {x}?", "The size of the {x} is on its box.", "what are the dimensions of the {x}"),
    ("in which colours is the {x} sold?", "The {x} is black or white.", "can I have a red {x}"),
    ("is the {x} safe for children?", "The {x} is for ages from 8.", "may my kids use the {x}"),
    ("why does the {x} smell burnt?", "Pull the plug of the {x} at once.", "there is smoke coming from my {x}"),
    ("how long does delivery of the {x} take?", "The {x} comes in 3 days.", "when will my {x} arrive"),
    ("can I use the {x} abroad?", "The {x} needs 230 volts.", "does the {x} work in other countries"),
    ("can I pay for the {x} in instalments?", "Yes, the {x} in 12 of them.", "monthly payments for the {x}"),
    ("what does a repair of the {x} cost?", "From 40 for the {x}.", "how expensive is it to fix my {x}"),
    ("how do I register my {x}?", "Enter the number under the {x}.", "where do I put in the serial number of the {x}"),
    ("how do I connect the {x} to the app?", "Hold the key of the {x}.", "pairing the {x} with my smartphone fails"),
    ("is the {x} waterproof?", "Keep the {x} dry.", "can the {x} stand in the rain"),
    ("how do I update the {x}?", "The {x} does it at night.", "new software for the {x}"),
    ("how do I reset the {x}?", "Hold the key of the {x} for 10 seconds.", "back to factory settings on the {x}"),
    ("is the {x} in stock?", "See the page of the {x}.", "do you have the {x} right now"),
    ("is there a discount on the {x}?", "The {x} is cheaper in May.", "can I get the {x} for less money"),
    ("may I try the {x} in a shop?", "Yes, the {x} is in every shop.", "where can I look at the {x} before I buy it"),
    ("what is in the box of the {x}?", "The {x} and a cable.", "which accessories come with the {x}"),
    ("who made the {x}?", "The {x} is from our own factory.", "what is the brand of the {x}"),
    ("where was the {x} produced?", "The {x} is made in Spain.", "which country does the {x} come from"),
    ("how long does the {x} last?", "The {x} lasts about 8 years.", "what is the life time of the {x}"),
    ("how do I cancel my order of the {x}?", "Under orders, {x}.", "I ordered the {x} by mistake"),
    ("why is the {x} so slow?", "Switch the {x} off and on.", "my {x} takes ages"),
    ("what does the red light of the {x} mean?", "The {x} is too hot.", "the {x} is blinking"),
    ("how do I store the {x}?", "Put the {x} into its box.", "where should I keep the {x} when I don't need it"),
    ("can the {x} be rented?", "Rent the {x} by the week.", "I want to borrow the {x} for some days"),
    ("does the {x} need a battery?", "No, the {x} has a cable.", "how do I charge the {x}"),
    ("how do I set the clock of the {x}?", "Turn the wheel of the {x}.", "the {x} shows the wrong time"),
    ("what can break the {x}?", "Do not drop the {x}.", "my {x} fell down and is damaged"),
    ("can I give the {x} as a present?", "We wrap the {x} for you.", "the {x} is a gift for a friend"),
    ("why did I get the wrong {x}?", "Send the {x} back for free.", "you sent me another {x} than I ordered"),
]


TOP = 5
KINDS = ("polite", "misspelt", "other name", "other words")


def questions() -> list[tuple[str, str]]:
    """Questions with their answers."""
    return [(ask.format(x=x), answer.format(x=x)) for x, _ in THINGS for ask, answer, _ in MATTERS]


def asked(kind: str, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Questions as people may ask them, of one of the `KINDS`, with the right answers."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        (name, other_name), (ask, answer, other_words) = rng.choice(THINGS), rng.choice(MATTERS)
        text = ask.format(x=name)
        if kind == "polite":
            text = rng.choice(["Hello! ", "Please tell me: ", "I have a question, "]) + text + " Thank you"
        elif kind == "misspelt":
            for place in sorted(rng.sample(range(len(text)), 2), reverse=True):
                text = text[:place] + text[place + 1 :]
        else:
            text = (ask if kind == "other name" else other_words).format(x=other_name)
        found.append((text, answer.format(x=name)))
    return found


def write_table(path: Path, header: Sequence[str], rows: Sequence[tuple[str, str]]) -> None:
    """A CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def by_words(texts: Sequence[str], queries: Sequence[str]) -> np.ndarray:
    """TF-IDF's cosines: float `[queries, texts]`."""
    words = TfidfVectorizer(sublinear_tf=True).fit(texts)
    return (words.transform(queries) @ words.transform(texts).T).toarray()


def main() -> None:
    """From the grammar to the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--model", default="uno_en", help="a preset or a model directory")
    parser.add_argument("--width", type=int, help="first numbers of an embedding to keep (all)")
    parser.add_argument("--asked", type=int, default=500, help="questions to ask of each kind")
    args = parser.parse_args()
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    texts, answers = zip(*questions(), strict=True)
    write_table(folder / "faq.csv", ("question", "answer"), questions())

    convert(args.model, folder / "encoder.tflite", quantize="int8", task="embedding")
    runtime = EelbertRuntime(folder / "encoder.tflite")
    index = Index.build(runtime.embed(texts), texts, answers, args.width, runtime.crc32)
    index.write(folder / "faq.index")
    size = sum((folder / name).stat().st_size for name in ("encoder.tflite", "faq.index"))
    print(f"{len(index)} questions; encoder and index: {size / 1000:.0f} kB")

    for kind in KINDS:
        queries, right = zip(*asked(kind, args.asked), strict=True)
        found = [[match.label.decode() for match in matches] for matches in index.search(runtime.embed(queries))]
        words = [[answers[i] for i in np.argsort(-row)[:TOP]] for row in by_words(texts, queries)]
        print(f"{kind:12} {queries[0]!r} -> {found[0][0]!r}")
        for name, each in (("embeddings", found), ("TF-IDF", words)):
            pairs = list(zip(right, each, strict=True))
            first, five = (sum(answer in five[:top] for answer, five in pairs) / len(pairs) for top in (1, TOP))
            print(f"{'':12} {name:10} first {first:.1%}, among five {five:.1%}")


if __name__ == "__main__":
    main()
