"""The firmware kit: its array is the file, its operators are the file's, and compilers take it without a word."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eelbert_tf import InputError
from eelbert_tf.__main__ import main
from eelbert_tf.tflite.conversion.convert import convert
from eelbert_tf.tflite.conversion.self_test import expected
from eelbert_tf.tflite.flatbuffer.file import operators, parse
from eelbert_tf.tflite.flatbuffer.metadata import Metadata, read_metadata
from eelbert_tf.tflite.kits.c_sources import DATA, HEADER, OPERATORS, Arena, c_string, resolver_lines, with_margin
from eelbert_tf.tflite.kits.firmware import COPIED, PROJECT, WRITTEN, write_kit
from eelbert_tf.tflite.runtimes.index import Index
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from eelbert_tf.tflite.runtimes.tflm import TflmRuntime
from tests.kits import STAND_IN, STRICT, compile_kit, compile_with, stand_in, write
from tests.small_models import FILE, FOLDER, LABELS, TASKS, converted, saved, trained
from tests.task_texts import task_rows

PROGRAM = """\
#include <stdio.h>
#include "eelbert_classifier.h"
int main(void)
{
    int i;
    for (i = 0; i < EELBERT_CLASSES; i++)
        fprintf(stderr, "%s\\n", eelbert_model_labels[i]);
    fprintf(stderr, "%d\\n", EELBERT_ARENA_BYTES);
    return fwrite(eelbert_model, 1, sizeof(eelbert_model), stdout) != EELBERT_MODEL_BYTES;
}
"""


@functools.cache
def kit(name: str) -> tuple[Path, bytes, dict[str, Any]]:
    """A kit's folder, the TFLite file beside it, and the report."""
    folder, path = FOLDER / f"{name}-kit", FOLDER / f"{name}-kit.tflite"
    report = convert(saved(name), path, target="micro", kit=folder)
    return folder, path.read_bytes(), report


def test_array_is_the_file(tmp_path):
    """A C99 program made of the kit writes the file's bytes and the labels."""
    folder, data, report = kit("small")
    program = tmp_path / "program"
    (tmp_path / "main.c").write_text(PROGRAM)
    compile_with("gcc", "-std=c99", *STRICT, "-I", folder, tmp_path / "main.c", folder / DATA, "-o", program)
    run = subprocess.run([program], capture_output=True, check=True)
    assert run.stdout == data
    assert run.stderr.decode().splitlines() == [*LABELS, str(report["arena_with_margin"])]


@pytest.mark.parametrize("name", ["small", "pair"])
def test_operators_are_those_of_the_file(name):
    folder, data, _ = kit(name)
    lines = (folder / OPERATORS).read_text().splitlines()
    ops = operators(parse(data))
    assert lines == resolver_lines(ops)
    assert [re.sub(r"\W|^resolver.Add", "", line).lower() for line in lines] == [
        op.lower().replace("_", "") for op in ops
    ]
    assert f"#define EELBERT_OPERATORS {len(ops)}\n" in (folder / HEADER).read_text()


@pytest.mark.parametrize("name", ["small", "pair", "normalized_pair"])
def test_syntax_of_the_interface_against_stand_in_headers(name):
    """TFLite Micro's own headers are not here: only that names and types fit each other is checked."""
    folder, _, _ = kit(name)
    command = ["-fsyntax-only", *STRICT, "-I", folder, "-I", STAND_IN, folder / "eelbert_classifier.cc"]
    compile_with("g++", "-std=c++17", *command)
    compile_with("clang++", "-std=c++14", *command)


CLASSIFY = """
int main(int, char **argv)
{
    float scores[EELBERT_CLASSES];
    if (eelbert_init(arena, sizeof(arena)) != 0)
        return 1;
    while (*++argv) {
        for (int i = 0; i < EELBERT_OUTPUTS; i++)
            logits[i] = std::strtof(argv[i], nullptr);
        argv += EELBERT_OUTPUTS - 1;
        std::printf("[%d, [", eelbert_classify("", 0, scores));
        for (int i = 0; i < EELBERT_CLASSES; i++)
            std::printf("%s[%d, %.9g]", i ? ", " : "", eelbert_has(scores, i), scores[i]);
        std::printf("]]\\n");
    }
    return 0;
}
"""
NONE = -6


ANSWER = """
#include <vector>
#include "eelbert_index.h"

int main(int, char **argv)
{
    float embedding[EELBERT_WIDTH];
    eelbert_index index;
    eelbert_match best;
    std::size_t length;
    std::vector<char> data(1 << 20);
    std::FILE *file = std::fopen(argv[1], "rb");

    data.resize(std::fread(data.data(), 1, data.size(), file));
    std::fclose(file);
    for (int i = 0; i < EELBERT_WIDTH; i++)
        logits[i] = std::strtof(argv[i + 2], nullptr);
    if (eelbert_init(arena, sizeof(arena)) != 0 || eelbert_embed("", 0, embedding) != 0 || EELBERT_CLASSES != 0)
        return 1;
    if (eelbert_index_open(&index, data.data(), data.size(), EELBERT_MODEL_CRC32) != 0 ||
        eelbert_index_search(&index, embedding, EELBERT_WIDTH, &best, 1) != 1)
        return 2;
    const char *label = eelbert_index_label(&index, best.id, &length);
    std::printf("%.*s", static_cast<int>(length), label);
    return 0;
}
"""


def test_a_question_is_answered(tmp_path):
    """From an embedding to the answer in an index of the kit's own model; TFLite Micro itself is not here."""
    path, _ = converted("encoder", target="micro")
    runtime = EelbertRuntime(path)
    texts, answers = ["how do I pay?", "where are you?"], [b"By card.", b"In B\xc3\xb6blingen."]
    Index.build(runtime.embed(texts), texts, answers, model_crc32=runtime.crc32).write(tmp_path / "faq.index")
    write(tmp_path, runtime.metadata, path.read_bytes())
    program = compile_kit(tmp_path, stand_in() + ANSWER)
    for embedding, answer in zip(runtime.embed(texts), answers, strict=True):
        numbers = [format(number, ".9g") for number in embedding]
        done = subprocess.run([program, tmp_path / "faq.index", *numbers], capture_output=True, check=True)
        assert done.stdout == answer
    page = (Path(__file__).parent.parent / "docs" / "embeddings.md").read_text("utf-8")
    (tmp_path / "faq_index.h").write_text(
        "static unsigned char faq_index[] = {0};\nstatic unsigned faq_index_len = 1;\n"
    )
    (tmp_path / "page.c").write_text(page.split("```c\n")[1].split("```")[0])
    compile_with("gcc", "-std=c99", *STRICT, "-I", tmp_path, "-fsyntax-only", tmp_path / "page.c")


@pytest.mark.parametrize("task", TASKS)
def test_scores_of_every_task(task, tmp_path):
    """From logits to classes in C++ as in Python; TFLite Micro itself is not here."""
    runtime = EelbertRuntime(trained(task) / FILE)
    logits = runtime.predict([row[0] for row in task_rows(task, 20, seed=3)[1]] + ["who wrote that book?", ""])
    write(tmp_path, runtime.metadata, (trained(task) / FILE).read_bytes())
    program = compile_kit(tmp_path, stand_in() + CLASSIFY)
    arguments = [format(value, ".9g") for value in logits.reshape(-1)]
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    outputs = runtime.metadata.outputs
    for row, line in zip(logits, run.stdout.splitlines(), strict=True):
        best, classes = json.loads(line)
        if task == "regression":
            assert best == 0
            assert [score for _, score in classes] == pytest.approx(row.tolist(), rel=1e-6)
            continue
        probabilities, decided = outputs.probabilities(row), outputs.decide(row[None])[0]
        assert [score for _, score in classes] == pytest.approx(probabilities, abs=1e-6)
        given = set(np.flatnonzero(decided)) if task == "multilabel" else {decided}
        assert {i for i, (has, _) in enumerate(classes) if has} == given
        named = [i for i in np.argsort(-probabilities) if i in given and outputs.names[i] is not None]
        likeliest = named[0] if named else NONE
        # float32 may round two probabilities to one number
        assert best == likeliest or probabilities[best] == pytest.approx(probabilities[likeliest], abs=1e-7)


AVERAGE = """
#include <cstring>

int main(int, char **argv)
{
    float scores[EELBERT_CLASSES];
    if (eelbert_init(arena, sizeof(arena)) != 0)
        return 1;
    eelbert_classify(argv[1], std::strlen(argv[1]), scores);
    std::printf("%g %g", scores[0], scores[1]);
    return 0;
}
"""


def test_windows_are_averaged(tmp_path):
    """A long text goes through the model window by window; the stand-in gives the bytes that it reads for a logit."""
    metadata = Metadata(8, 24, 2, task="regression", max_windows=3)
    write(tmp_path, metadata)
    invoke = "logits[0] = 0; for (int b : bytes) logits[0] += b != 0; logits[1] = bytes[0];"
    program = compile_kit(tmp_path, stand_in(invoke) + AVERAGE)
    for text in ("", "one", "a b c d e f g", "a b c d e f g h i j k l m n o p q r s t u v w", "x" * 30 + " y"):
        windows = metadata.windows
        parts, shares = windows.cut_and_weigh(text)
        expected = shares @ [[len(part[:24]), (part or b"\0")[0]] for part in parts]
        done = subprocess.run([program, text], capture_output=True, text=True, check=True)
        assert list(map(float, done.stdout.split())) == pytest.approx(expected, rel=1e-5), text


def test_front_end_comes_along(tmp_path):
    folder, _, _ = kit("small")
    assert set(contents(folder)) == {*COPIED, *WRITTEN, *PROJECT}
    compile_with("gcc", "-std=c99", *STRICT, "-c", folder / "eelbert_front_end.c", "-o", tmp_path / "front_end.o")


@pytest.mark.parametrize("name", ["small", "pair"])
def test_arena_with_margin_suffices(name):
    """The model runs in what the header reserves, and not in less than it was said to need."""
    _, _, report = kit(name)
    size = report["arena_with_margin"]
    assert size == with_margin(report["arena_bytes"]) >= 1.05 * report["arena_bytes"]
    assert TflmRuntime(report["output"], size).metadata.target == "micro"
    with pytest.raises(InputError, match="TFLite Micro cannot run it"):
        TflmRuntime(report["output"], report["arena_bytes"] - 64)


def test_arena_of_a_32_bit_target(tmp_path):
    """Shorter pointers take less of an arena; the header has the figure of either target, with the same margin."""
    folder, _, report = kit("small")
    program = tmp_path / "arena.c"
    sizes = {bits: with_margin(report[f"arena_bytes{end}"]) for bits, end in ((64, ""), (32, "_32_bit"))}
    assert sizes[32] < sizes[64]
    for bits, size in sizes.items():
        program.write_text(f'#include "{HEADER}"\n_Static_assert(EELBERT_ARENA_BYTES == {size}, "");\n')
        compile_with("gcc", f"-m{bits}", "-ffreestanding", "-fsyntax-only", "-I", folder, program)


def test_strings():
    assert c_string("größer") == r'"gr\303\266\303\237er"'
    assert c_string('a"\\?\n1') == r'"a\042\134\077\0121"'


def test_command(capsys, tmp_path):
    """`--kit` belongs to the target micro, and fills an empty folder."""
    folder, output = tmp_path / "kit", tmp_path / "a.tflite"
    options = ["convert", "--model", str(saved("small")), "--output", str(output), "--kit", str(folder)]
    assert main(options) == 2
    assert "--target micro" in capsys.readouterr().err
    folder.mkdir()
    assert main([*options, "--target", "micro"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["kit"] == str(folder)
    assert set(contents(folder)) == {*COPIED, *WRITTEN, *PROJECT}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_files_in_the_folder_of_a_kit_stay(tmp_path):
    """A kit is laid beside them, and replaced beside them."""
    others = {"main.c": b"int main;", "README.md": b"mine", "drivers/led.c": b"int led;", "eelbert_model.h.bak": b"x"}
    (tmp_path / "drivers").mkdir()
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
    first, second = (kit(name) for name in ("small", "pair"))
    for folder, data, report in (first, second):
        metadata, tflm = read_metadata(data, report["output"]), TflmRuntime(report["output"])
        arena = Arena(report["arena_bytes"], report["arena_bytes_32_bit"])
        write_kit(tmp_path, data, metadata, report["ops"], arena, expected(tflm), version("tflite-micro"))
        assert contents(tmp_path) == {**contents(folder), **others}


@pytest.mark.parametrize("name", [HEADER, DATA, COPIED[0]])
def test_files_of_a_kits_names_that_are_not_of_a_kit_stay(tmp_path, name):
    """Refused before anything is converted; so is a kit's file beside other files, of which no header tells."""
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / name).write_text("int x;")
    for others in ({}, {"main.c": b"int main;"}):
        for other, data in others.items():
            (folder / other).write_bytes(data)
        before = contents(folder)
        with pytest.raises(InputError, match="holds"):
            convert(saved("small"), tmp_path / "a.tflite", target="micro", kit=folder)
        assert contents(folder) == before
        assert os.listdir(tmp_path) == ["kit"]


def test_a_header_and_data_of_different_conversions_do_not_compile(tmp_path):
    """What an interrupt in a folder with other files may leave."""
    for name in (HEADER, DATA):
        shutil.copy(kit("small")[0] / name, tmp_path)
    compile_with("gcc", "-std=c99", *STRICT, "-fsyntax-only", tmp_path / DATA)
    shutil.copy(kit("pair")[0] / HEADER, tmp_path)
    done = subprocess.run(["gcc", "-fsyntax-only", tmp_path / DATA], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "different conversions" in done.stderr


def test_example_of_the_documentation(tmp_path):
    """The program in docs/microcontrollers.md is C99 that fits the kit's header."""
    text = (Path(__file__).parent.parent / "docs" / "microcontrollers.md").read_text("utf-8")
    program = tmp_path / "main.c"
    program.write_text(text.split("```c\n")[1].split("```")[0])
    compile_with("gcc", "-std=c99", *STRICT, "-I", kit("small")[0], "-fsyntax-only", program)
