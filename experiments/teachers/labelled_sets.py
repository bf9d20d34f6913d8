"""The labelled sets that teachers and encoders learn from, beside unlabelled texts, without the held-out parts.

Sets whose labels are left out, so that they stay unseen tasks in measurements: TREC, emotion and SNIPS of `classify`
are never read, nor are `LEFT_OUT`. STS-B's scores are not used, so that similarity stays zero-shot.
"""

import numpy as np
from held_out import SETS, Forbidden, rows, tsv

LEFT_OUT = ("slurp_slots", "bitext_support", "stackoverflow_titles", "isear", "davidson_hate")
SCORES = ("query_wellformedness", "STS-B")
SEVERAL = ("xed_emotion",)


def labelled(data, held_out, leave_out):
    """Names and rows (text, second text or None, label) of the labelled sets."""
    for path in sorted((data / "labelled").glob("*.csv.xz")):
        name = path.name.split(".")[0]
        if name not in leave_out:
            found = rows(held_out / name / "train.csv" if name in SETS else path)
            yield name, [(row["text"], row.get("text_b"), row["label"]) for row in found]


def glue(data, held_out, with_stsb):
    """The same of GLUE's training parts."""
    for name, first, second, label in (
        ("SST-2", 0, None, 1),
        ("MRPC", 3, 4, 0),
        ("RTE", 1, 2, 3),
        ("MNLI_part", 0, 1, 2),
        ("STS-B", 7, 8, 9),
    ):
        if name != "STS-B" or with_stsb:
            found = tsv(data / "glue" / name / "train.tsv")
            yield name, [(row[first], row[second] if second else None, row[label]) for row in found]
    yield "CoLA", [(row[3], None, row[1]) for row in tsv(data / "glue" / "CoLA" / "train.tsv", header=False)]
    yield "QQP", [(row[3], row[4], row[5]) for row in tsv(held_out / "QQP" / "train.tsv")]


def allowed_sets(data, held_out, leave_out=LEFT_OUT, with_stsb=False):
    """Every set without forbidden texts: name, and rows (text, second text or None, label)."""
    forbidden = Forbidden(held_out / "forbidden.npy")
    for name, found in (*labelled(data, held_out, leave_out), *glue(data, held_out, with_stsb)):
        allowed = [row for row in found if not forbidden.has(row[0]) and not (row[1] and forbidden.has(row[1]))]
        print(f"{name}: {len(allowed)} of {len(found)} rows", flush=True)
        yield name, allowed


def kind(name):
    """What a set's labels are: "score", "several" or "class"."""
    return "score" if name in SCORES else "several" if name in SEVERAL else "class"


def targets(name, labels):
    """Targets of a set (classes int64 `[n]`, several float32 `[n, C]`, a score float32 `[n]` to 1) and its names."""
    several = [label.split("|") if kind(name) == "several" else [label] for label in labels]
    names = sorted({label for one in several for label in one})
    position = {label: index for index, label in enumerate(names)}
    if kind(name) == "score":
        found = np.array(labels, np.float32)
        return found / found.max(), names
    if kind(name) == "class":
        return np.array([position[label] for label in labels]), names
    found = np.zeros((len(labels), len(names)), np.float32)
    for row, one in enumerate(several):
        found[row, [position[label] for label in one]] = 1
    return found, names
