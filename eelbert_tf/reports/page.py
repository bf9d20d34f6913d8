"""A report as one page that loads nothing: no scripts, no fonts, no pictures from elsewhere."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from eelbert_tf.disk.files import replace_file

from .plots import Line, plot

_WIDEST = 40  # classes in a confusion matrix; of more, the pairs that are confused most
_PAIRS = 40

_STYLE = """
:root { color-scheme: light dark; --line: #d7d7d7; --soft: #f4f4f4; --blue: 37, 99, 235; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #2a2a2a; --blue: 96, 150, 255; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .2rem .6rem; text-align: left; }
th { font-weight: 600; } tr + tr td, thead + tbody td { border-top: 1px solid var(--line); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.text { max-width: 30rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; } .figures { display: flex; gap: 2.5rem; flex-wrap: wrap; margin: 1rem 0; }
.figures b { display: block; font-size: 1.9rem; line-height: 1.2; }
.plots { display: flex; gap: 2rem; flex-wrap: wrap; }
.warning { border-left: 4px solid #d97706; background: var(--soft); padding: .3rem .8rem; margin: .4rem 0; }
pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; } .soft { opacity: .75; }
.matrix td, .matrix th { padding: .15rem .4rem; font-size: 13px; border: 1px solid var(--line); }
.matrix th.top { writing-mode: vertical-rl; transform: rotate(180deg); }
svg text { font-size: 12px; fill: currentColor; } svg .grid { stroke: var(--line); }
svg polyline { stroke-width: 2; } .c0 { stroke: rgb(var(--blue)); fill: rgb(var(--blue)); }
.c1 { stroke: #d97706; fill: #d97706; } .c2 { stroke: #888; fill: #888; } polyline { fill: none !important; }
"""


def render(report: dict[str, Any]) -> str:
    """The page.

    Args:
        report: `title`, and what there is of `subtitle`, `warnings`, `data`, `validation`, `curve`, `trials`,
            `evaluation`, `baseline`, `model`, `command`, `versions` and `recipe`.
    """
    parts = [f"<h1>{_text(report['title'])}</h1>", f'<p class="soft">{_text(report.get("subtitle", ""))}</p>']
    parts += [f'<p class="warning">{_text(line)}</p>' for line in report.get("warnings", ())]
    evaluation = report.get("evaluation")
    parts.append(_headline(report, evaluation))
    if report.get("curve"):
        parts += ["<h2>Learning curve</h2>", _curve(report)]
    if evaluation:
        parts += _evaluation(evaluation)
    else:
        parts.append(
            "<p>No texts were held out, so nothing is known of its quality: give some with <code>--dev</code>.</p>"
        )
    if "data" in report:
        parts += ["<h2>Training texts</h2>", _data(report["data"])]
    if report.get("trials"):
        parts += ["<h2>Recipes tried</h2>", _trials(report["trials"])]
    parts += ["<h2>To repeat it</h2>", _repeat(report)]
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(report['title'])}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _headline(report: dict[str, Any], evaluation: dict[str, Any] | None) -> str:
    """The figures that matter most."""
    shown = [
        (_figure(name, value), _LABELS.get(name, name)) for name, value in (evaluation or {}).get("figures", {}).items()
    ]
    baseline = report.get("baseline") or {}
    for name, value in list(baseline.get("figures", {}).items())[:1]:
        shown.append((_figure(name, value), f"{_LABELS.get(name, name)} of {baseline['name']}, same split"))
    model = report.get("model", {})
    if "parameters" in model:
        shown.append((f"{model['parameters']:,}", "learned numbers"))
    for name, label in (("float32_bytes", "float32"), ("int8_bytes", "int8 weights")):
        if name in model:
            shown.append((f"{model[name] / 1e6:.2f} MB", f"TFLite file, {label}, about"))
    if "ms" in model:
        shown.append((f"{model['ms']:.2f} ms", model["ms_note"]))
    cells = "".join(f"<div><b>{_text(value)}</b>{_text(label)}</div>" for value, label in shown)
    how = f"<p>{_text(_judged(report.get('validation', {}), evaluation))}</p>" if evaluation else ""
    return f'<div class="figures">{cells}</div>{how}'


_OF_TAGS = {
    "entity_f1": "F1 of spans",
    "entity_precision": "precision of spans",
    "entity_recall": "recall of spans",
    "token_accuracy": "words with the right tag",
}
_LABELS = {
    **_OF_TAGS,
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "ece": "calibration error",
    "map": "mean average precision",
    "rmse": "root mean squared error",
    "pearson": "Pearson's correlation",
    "spearman": "Spearman's correlation",
}
_PERCENT = {"accuracy", "macro_f1", "micro_f1", "ece", "map", *_OF_TAGS}


def _figure(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name in _PERCENT else f"{value:.3f}"


def _judged(validation: dict[str, Any], evaluation: dict[str, Any]) -> str:
    """On what the figures are."""
    n, how = evaluation["n"], validation.get("how")
    if how == "split":
        return (
            f"Measured on {n:,} texts of the training file that were held out, drawn by seed {validation['seed']} with "
            "every class in proportion. The best pass was chosen by them, so a test set is the fairer judge."
        )
    if how == "cross-validation":
        return (
            f"Measured on all {n:,} texts, each by a model that had not learned it ({validation['parts']} parts, seed "
            f"{validation['seed']}). The number of passes was chosen by them."
        )
    if how == "file":
        return f"Measured on {n:,} texts of the development file, by which the best pass was chosen."
    return f"Measured on {n:,} texts."


def _curve(report: dict[str, Any]) -> str:
    rows = report["curve"]
    lines = [Line("training", [(row["epoch"], row["loss"]) for row in rows], colour=2)]
    scored = [row for row in rows if row.get("dev")]
    lines += [Line("held out", [(row["epoch"], row["dev"]["loss"]) for row in scored])] if scored else []
    ends = (min(row["epoch"] for row in rows) - 0.2, max(row["epoch"] for row in rows) + 0.2)
    plots = [plot(lines, "pass", "loss", ends)]
    if scored:
        names = [
            name for name in ("entity_f1", "accuracy", "macro_f1", "micro_f1", "rmse") if name in scored[0]["dev"]
        ][:2]
        scores = [
            Line(_LABELS[name], [(row["epoch"], row["dev"][name]) for row in scored], colour=colour)
            for colour, name in enumerate(names)
        ]
        plots.append(plot(scores, "pass", "held out", ends))
    number = report.get("best_epoch")
    best = "No pass was better than the heads alone, which were kept." if number == 0 else ""
    best = f"<p>{best or f'The weights are those of pass {number}.'}</p>" if number is not None else ""
    return f'<div class="plots">{"".join(plots)}</div>{best}'


def _evaluation(found: dict[str, Any]) -> list[str]:
    parts = []
    if found.get("unseen_labels"):
        names = ", ".join(f"{name} ({count:,})" for name, count in found["unseen_labels"].items())
        parts.append(f'<p class="warning">Labels that the model does not know, counted as wrong: {_text(names)}</p>')
    if "classes" in found:
        parts += ["<h2>Classes</h2>", _class_table(found["classes"])]
    if "intents" in found:
        parts += [f"<h2>Intents</h2>{_class_table(found['intents']['classes'])}"]
    if "confusion" in found:
        classes = [row["name"] for row in found["classes"]]
        parts += ["<h2>Confusion</h2>", _confusion(classes, found["confusion"])]
    if found.get("calibration"):
        parts += ["<h2>Calibration</h2>", _calibration(found["calibration"])]
    if found.get("points"):
        points = [(x, y) for x, y in found["points"]]
        ends = [value for point in points for value in point]
        whole = (min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1)
        lines = [Line("", [(v, v) for v in whole], "dashed", 2), Line("", points, "dots")]
        parts += ["<h2>True and predicted numbers</h2>", plot(lines, "label", "predicted", whole, whole, 380, 380)]
    if found.get("mistakes"):
        parts += [f"<h2>The {len(found['mistakes'])} worst mistakes</h2>", _mistakes(found["mistakes"])]
    return parts


def _class_table(classes: Sequence[dict[str, Any]]) -> str:
    columns = ("class", "texts", "precision", "recall", "F1")
    rows = [
        (row["name"], f"{row['support']:,}", *(f"{100 * row[key]:.1f}" for key in ("precision", "recall", "f1")))
        for row in classes
    ]
    return _table(columns, rows, numbers=range(1, 5))


def _confusion(names: Sequence[str], table: Sequence[Sequence[int]]) -> str:
    """A matrix with the true class by row; of very many classes the pairs that are confused most."""
    if len(names) > _WIDEST:
        pairs = [(count, i, k) for i, row in enumerate(table) for k, count in enumerate(row) if count and i != k]
        worst = sorted(pairs, reverse=True)[:_PAIRS]
        rows = [(names[i], names[k], f"{count:,}") for count, i, k in worst]
        return "<p>The pairs that are confused most.</p>" + _table(("true", "predicted", "texts"), rows, numbers=[2])
    head = "".join(f'<th class="top">{_text(name)}</th>' for name in names)
    lines = []
    for i, row in enumerate(table):
        total = max(1, sum(row))
        cells = "".join(
            f'<td class="n" style="background: rgba(var(--blue), {count / total * 0.7:.2f})">{count or ""}</td>'
            for count in row
        )
        lines.append(f"<tr><th>{_text(names[i])}</th>{cells}</tr>")
    return (
        f"<p>The true class by row, the predicted one by column.</p>"
        f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'
    )


def _calibration(bins: Sequence[dict[str, Any]]) -> str:
    points = [(row["confidence"], row["accuracy"]) for row in bins]
    lines = [Line("", [(0.0, 0.0), (1.0, 1.0)], "dashed", 2), Line("", points), Line("", points, "dots")]
    picture = plot(lines, "confidence", "share that is right", (0.0, 1.0), (0.0, 1.0), 320, 320)
    rows = [(f"{row['confidence']:.2f}", f"{row['accuracy']:.2f}", f"{row['n']:,}") for row in bins]
    table = _table(("confidence", "right", "predictions"), rows, numbers=range(3))
    return (
        f'<div class="plots">{picture}{table}</div><p>On the dashed line a score of 0.8 is right in 80 of 100 cases; '
        "below it the model is too sure of itself.</p>"
    )


def _mistakes(rows: Sequence[dict[str, Any]]) -> str:
    columns = ["row", "text", "label", "predicted"] + (["confidence"] if "confidence" in rows[0] else [])
    cells = [
        [str(row["row"]), row["text"], str(row["label"]), str(row["predicted"])]
        + ([f"{row['confidence']:.2f}"] if "confidence" in row else [])
        for row in rows
    ]
    return _table(columns, cells, numbers=[0, 4], texts=[1])


def _data(data: dict[str, Any]) -> str:
    words, tokens = data["words"], data.get("tokens")
    facts = [
        f"{data['rows']:,} texts in {data['file']}",
        f"{words['median']:,} words a text, {words['most']:,} at most",
    ]
    if tokens:
        facts.append(f"{tokens['most']:,} tokens at most, of which the model reads {tokens['read']:,}")
    facts.append(f"{data['truncated']:,} longer than the model reads")
    listed = "".join(f"<li>{_text(fact)}</li>" for fact in facts)
    tables = [
        _table((column, "number"), [(name, f"{count:,}") for name, count in data[kind].items()], numbers=[1])
        for kind, column in (("classes", "class"), ("spans", "span"), ("intents", "intent"))
        if kind in data
    ]
    return f"<ul>{listed}</ul>" + "".join(tables)


def _trials(trials: Sequence[dict[str, Any]]) -> str:
    names = [name for name in trials[0]["dev"] if name in _LABELS]
    rows = [
        (f"{row['learning_rate']:g}", str(row["epochs"]), *(_figure(name, row["dev"][name]) for name in names))
        for row in trials
    ]
    columns = ("learning rate", "passes", *(_LABELS[name] for name in names))
    return _table(columns, rows, numbers=range(len(columns)))


def _repeat(report: dict[str, Any]) -> str:
    parts = [f"<pre>{_text(report['command'])}</pre>"] if report.get("command") else []
    for title in ("recipe", "versions"):
        if report.get(title):
            values = "; ".join(f"{name} {value}" for name, value in report[title].items() if value is not None)
            parts.append(f"<p>{title.capitalize()}: {_text(values)}.</p>")
    validation = report.get("validation", {})
    if validation.get("rows"):
        lines = _text(", ".join(map(str, validation["rows"])))
        parts.append(f"<details><summary>Rows that were held out</summary><p>{lines}</p></details>")
    return "".join(parts)


def _table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = (), texts: Iterable[int] = ()
) -> str:
    """A table; some columns hold numbers, some long texts."""
    kinds = {**dict.fromkeys(numbers, ' class="n"'), **dict.fromkeys(texts, ' class="text"')}
    head = "".join(f"<th{kinds.get(i, '')}>{_text(name)}</th>" for i, name in enumerate(columns))
    lines = ("".join(f"<td{kinds.get(i, '')}>{_text(cell)}</td>" for i, cell in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(value: Any) -> str:
    return html.escape(str(value))


def write_report(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the page, and beside it the JSON; each whole or not at all.

    Args:
        report: as `render` takes it.
        path: of the page.

    Raises:
        InputError: a place cannot be written.
    """
    for place, content in ((Path(path), render(report)), (Path(path).with_suffix(".json"), as_json(report))):
        with replace_file(place) as temporary:
            temporary.write_bytes(content.encode("utf-8", "replace"))


def as_json(report: dict[str, Any]) -> str:
    """The report for programs."""
    return json.dumps(report, indent=1, ensure_ascii=False) + "\n"
