"""What the shipped presets give for some texts, stored so that a change of the code that changes it is seen.

python -m tests.make_preset_outputs    # writes tests/golden/presets.json anew, when a preset has new weights
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "golden" / "presets.json"
TEXTS = [
    "Turn on the lights.",
    "a fine waste of a film",
    "",
    "It's 5 o'clock — isn't it?",
    "naïve café, 東京タワー",
    "x" * 300,
    "The quick brown fox jumps over the lazy dog. " * 6,
]
NUMBERS = 6  # of each text's pooled output


def compute(texts: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """The logits of each classifier, `[n, num_classes]`, and the first pooled numbers of each encoder, `[n, 6]`."""
    from eelbert_tf.models.backbone import EelbertBackbone
    from eelbert_tf.models.classifier import EelbertClassifier
    from eelbert_tf.saving.folders import preset_names
    from eelbert_tf.saving.stored import read_stored_info
    from eelbert_tf.text.strings import encode_texts

    found: dict[str, dict[str, np.ndarray]] = {"logits": {}, "pooled": {}}
    for name in preset_names():
        backbone = EelbertBackbone.from_preset(name)
        pooled = backbone(encode_texts(texts, backbone.config.max_bytes))["pooled_output"]
        found["pooled"][name] = np.asarray(pooled)[:, :NUMBERS]
        if read_stored_info(name).kind == "classifier":
            found["logits"][name] = EelbertClassifier.from_preset(name).predict(texts, verbose=0)
    return found


def write(models: dict[str, dict[str, np.ndarray]]) -> None:
    """Writes the file, a text a line."""

    def rows(values: list[Any]) -> str:
        return "[\n" + ",\n".join("   " + json.dumps(value, ensure_ascii=False) for value in values) + "\n  ]"

    parts = [f'{{\n "texts": {rows(TEXTS)}']
    for kind, found in models.items():
        arrays = (
            f"  {json.dumps(name)}: {rows(array.astype(np.float64).round(6).tolist())}" for name, array in found.items()
        )
        parts.append(f' "{kind}": {{\n' + ",\n".join(arrays) + "\n }")
    GOLDEN.write_text(",\n".join(parts) + "\n}\n", "utf-8")


if __name__ == "__main__":
    write(compute(TEXTS))
