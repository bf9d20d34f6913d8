"""Tries an installation from outside the repository: `python smoke.py`, in any folder but the repository's.

Run by test_packaging.py with the packages of the running environment, and by `make package` in an empty one.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import tempfile
from pathlib import Path


def main() -> None:
    """Loads every preset, then trains, saves, converts and runs a small model; prints one JSON object."""
    import eelbert_tf
    from eelbert_tf import EelbertBackbone, EelbertClassifier, preset_names
    from eelbert_tf.__main__ import COMMANDS
    from eelbert_tf.__main__ import main as eelbert
    from eelbert_tf.config import EelbertConfig, HashConfig
    from eelbert_tf.errors import InputError
    from eelbert_tf.tflite.conversion.convert import convert
    from eelbert_tf.tflite.runtimes.litert import EelbertRuntime

    home = Path(eelbert_tf.__file__).parent
    assert (home / "py.typed").is_file()
    assert (home / "tflite" / "kits" / "c" / "eelbert_front_end.c").is_file()
    for module, _ in COMMANDS.values():
        importlib.import_module(module)
    for name in preset_names():
        EelbertBackbone.from_preset(name)
        with contextlib.suppress(InputError):  # an encoder has no head
            EelbertClassifier.from_preset(name).predict(["a text"], verbose=0)
    files = list(home.glob("saving/presets/*/*.tflite"))
    assert files
    for file in files:
        EelbertRuntime(file).predict(["a text"])

    config = EelbertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        intermediate_size=16,
        hash=HashConfig(widths=(8, 8)),
        max_tokens=16,
        max_bytes=64,
        max_position_embeddings=16,
    )
    model = EelbertClassifier(EelbertBackbone(config), num_classes=2, labels=["off", "on"])
    model.compile("adam", "mse")
    model.fit(["lamp on", "lamp off"], [[0.0, 1.0], [1.0, 0.0]], verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save_to_preset(Path(folder) / "model")
        convert(Path(folder) / "model", Path(folder) / "model.tflite")
        answer = io.StringIO()
        with contextlib.redirect_stdout(answer):
            assert eelbert(["predict", "--model", f"{folder}/model.tflite", "--text", "lamp on"]) == 0
    assert json.loads(answer.getvalue())["label"] in {"off", "on"}
    print(json.dumps({"home": str(home), "version": eelbert_tf.__version__, "presets": preset_names()}))


if __name__ == "__main__":
    main()
