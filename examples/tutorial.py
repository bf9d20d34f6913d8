"""From a table to a file for a device, in cells.

Run it whole, `python examples/tutorial.py`, or cell by cell in an editor that knows `# %%` (VS Code, PyCharm, Spyder,
Jupyter with jupytext). It takes about a minute on two cores, needs no network, and leaves a folder `tutorial` with all
that it makes.
"""

# %%
import csv
from pathlib import Path

import keras

from eelbert_tf import EelbertBackbone, EelbertClassifier, EelbertSentenceEncoder, preset_names
from eelbert_tf.config import named_config
from eelbert_tf.disk.tables import read_table
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.training.finetune.device_commands import device_commands

folder = Path("tutorial")
folder.mkdir(exist_ok=True)

# %% [markdown]
# ## The table
#
# A CSV or TSV file with a header: here the columns `text` and `label`. The sample, commands to the devices of a home in
# eight classes, comes with the package and is made by a grammar; put a file of your own in its place.

# %%
train_rows, test_rows = device_commands()
for name, rows in (("train", train_rows), ("test", test_rows)):
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])

train, test = read_table(folder / "train.csv"), read_table(folder / "test.csv")
labels = sorted({str(label) for label in train.labels})
print(f"{len(train)} texts to learn from, {len(test)} to test on, {len(labels)} classes")
print(train.texts[0], "->", train.labels[0])

# %% [markdown]
# ## The model
#
# Strings in, one logit per class out. A preset brings an encoder that has read text; without one the weights are fresh,
# which is enough for commands as simple as these. `max_tokens` and `max_bytes` say how much of a text is read, and with
# it what a text costs on the device.

# %%
limits = {"max_tokens": 32, "max_bytes": 128}
keras.utils.set_random_seed(0)
if "uno_en" in preset_names():
    model = EelbertClassifier.from_preset("uno_en", labels=labels, **limits)
else:
    backbone = EelbertBackbone(named_config("eelbert_uno").replace(**limits))
    model = EelbertClassifier(backbone, labels=labels)
print(f"{model.count_params():,} learned numbers, {4 * model.count_params() / 1e6:.2f} MB as float32")

# %% [markdown]
# ## Training
#
# `compile` and `fit` are those of Keras. `eelbert finetune` does the same in one line of shell; its weight decay leaves
# biases and norms alone, and it chooses the number of epochs by the number of texts.

# %%
epochs = 20
steps = epochs * (len(train) // 32 + 1)
rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps=steps // 10)
model.compile(
    optimizer=keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train.texts, [labels.index(str(label)) for label in train.labels], epochs=epochs, verbose=2)

# %% [markdown]
# ## What it learned
#
# The rows of `predict` come in the order of the texts.

# %%
logits = model.predict(test.texts, verbose=0)  # float32 [n, classes]
found = [labels[i] for i in logits.argmax(axis=1)]
right = sum(guess == label for guess, label in zip(found, test.labels, strict=True))
print(f"{right} of {len(test)} test texts are right")
for text, guess, label in list(zip(test.texts, found, test.labels, strict=True))[:5]:
    print(f"  {text!r}: {guess}" + ("" if guess == label else f", not {label}"))

# %% [markdown]
# ## A folder, and a file
#
# A model on disk is a folder of two files, JSON and safetensors, which hold names and numbers only. `convert` makes one
# TFLite file of it, runs that beside Keras on hundreds of hard texts, and writes nothing where they differ.

# %%
model.save_to_preset(folder / "model")
for quantize in ("none", "int8"):
    report = convert(folder / "model", folder / f"{quantize}.tflite", quantize=quantize)
    print(f"{quantize}: {report['bytes']:,} bytes, logits within {report['max_abs_diff']:.2g} of Keras")

# %% [markdown]
# ## Using the file
#
# The runtime needs NumPy and LiteRT, neither TensorFlow nor Keras. Labels and limits are in the file. On a phone, in a
# page or on a microcontroller other code does the same: docs/android.md, docs/web.md, docs/microcontrollers.md.

# %%
runtime = EelbertRuntime(folder / "int8.tflite")
for text in ("Turn the lamp on, please!", "it's freezing in here", "trun off teh musik"):
    label, probability = runtime.classify(text)[0]
    print(f"{text!r}: {label}, {probability:.0%}")

# %% [markdown]
# ## Texts as points
#
# The same encoder gives sentence embeddings, whose product is their cosine: for search, for grouping, or for classes
# with a few examples each. They mean most with a preset that was distilled from a sentence encoder.

# %%
encoder = EelbertSentenceEncoder(model.backbone)
query, *others = encoder.predict(["switch the lamp on", "turn on the light", "stop the music"], verbose=0)
print("cosines with 'switch the lamp on':", [round(float(query @ other), 2) for other in others])
