"""What a firmware kit does on a board: errors that tell causes apart, a self test, several models, build systems."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from eelbert_tf import InputError
from eelbert_tf.text.strings import as_data
from eelbert_tf.tflite.checks.hard_texts import hard_inputs
from eelbert_tf.tflite.conversion.self_test import TEXTS, expected
from eelbert_tf.tflite.flatbuffer.metadata import Metadata
from eelbert_tf.tflite.kits.c_sources import Expected
from eelbert_tf.tflite.kits.firmware import PROJECT
from eelbert_tf.tflite.runtimes.litert import EelbertRuntime
from tests.kits import STAND_IN, STRICT, compile_kit, compile_with, stand_in, write
from tests.small_models import converted

ROOT = Path(__file__).parent.parent
METADATA = Metadata(8, 24, 2, task="regression", labels=["a", "b"])
COUNT = "logits[0] = 0; for (int b : bytes) logits[0] += b != 0; logits[1] = bytes[0];"  # a model of a sort

ERRORS = """
#include <string>
static std::string events;
static void hear(const char *name, int begins) { events += std::string(begins ? "<" : ">") + name; }
template <typename Number> void say(Number number) { std::printf(", %d", static_cast<int>(number)); }
static int start(std::size_t size) { const int error = eelbert_init(arena, size); eelbert_deinit(); return error; }

int main()
{
    const std::size_t all = sizeof(arena);
    std::printf("[%d", eelbert_classify("a", 1, nullptr));
    schema = 4;
    say(start(all));
    schema = TFLITE_SCHEMA_VERSION;
    say(eelbert_init(arena + 8, all - 8));
    say(eelbert_init(nullptr, 0));
    say(start(1000));
    say(eelbert_arena_missing());
    needed = 1500;
    say(start(1200));
    say(eelbert_arena_missing());
    needed = 1024;
    prepares = false;
    say(start(all));
    say(eelbert_arena_missing());
    prepares = true;
    knows_operators = false;
    say(start(all));
    knows_operators = true;
    tensors[0].bytes++;
    say(start(all));
    tensors[0].bytes--;
    eelbert_set_profiler(hear);
    say(eelbert_init(arena, all));
    say(eelbert_init(arena, all));
    say(eelbert_classify("a", 1, nullptr));
    say(eelbert_arena_used());
    eelbert_deinit();
    say(eelbert_classify("a", 1, nullptr));
    say(eelbert_arena_used());
    std::printf(", \\"%s\\"]", events.c_str());
    return 0;
}
"""


@pytest.mark.parametrize("standard", ["c++14", "c++17"])
def test_errors_tell_causes_apart(tmp_path, standard):
    write(tmp_path, METADATA)
    done = subprocess.run(
        [compile_kit(tmp_path, stand_in() + ERRORS, standard=standard)], capture_output=True, check=True
    )
    not_ready, bad_schema, not_aligned, no_memory, failed, no_operator, bad_build = -4, -1, -8, -2, -5, -7, -3
    arena = 2048  # 5 % more than 1,000, in whole KiB
    assert json.loads(done.stdout) == [
        *(not_ready, bad_schema, not_aligned, no_memory),
        *(no_memory, arena - 1000),
        *(no_memory, 300),
        *(failed, 0, no_operator, bad_build),
        *(0, 0, 0, 1024, not_ready, 0),
        "<ADD>ADD",
    ]


SELF_TEST = """
#include "eelbert_self_test.h"
int main()
{
    const int before = eelbert_self_test();
    eelbert_init(arena, sizeof(arena));
    std::printf("[%d, %d]", before, eelbert_self_test());
    return 0;
}
"""


def test_self_test_counts_texts_that_differ(tmp_path):
    right = []
    for text in TEXTS:
        data = text if isinstance(text, bytes) else text.encode()
        read = data[: METADATA.max_bytes]
        right.append(Expected(data, [float(len(read) - read.count(0)), float(read[0]) if read else 0.0], []))
    wrong = [right[0], right[1]._replace(values=[2.1, 111.0]), right[2]._replace(spans=[(0, 0, 1)]), *right[3:]]
    for name, tests, differ in (("right", right, 0), ("wrong", wrong, 2)):
        write(tmp_path / name, METADATA, tests=tests)
        program = compile_kit(tmp_path / name, stand_in(COUNT) + SELF_TEST)
        assert json.loads(subprocess.run([program], capture_output=True, check=True).stdout) == [-4, differ]
    nothing = compile_kit(tmp_path / "right", "#include <cmath>\n" + stand_in("logits[0] = NAN;") + SELF_TEST)
    assert json.loads(subprocess.run([nothing], capture_output=True, check=True).stdout) == [-4, len(TEXTS)]


def test_scores_too_small_for_a_float(tmp_path):
    """Compilers warn of a constant that becomes zero, which is an error here."""
    tests = [Expected(b"a", [1.0, 3.3e-46], []), Expected(b"b", [2.0**-126, 8.1e-40], [])]
    write(tmp_path / "kit", METADATA, tests=tests)
    compile_kit(tmp_path / "kit", stand_in(COUNT) + SELF_TEST)


@pytest.mark.parametrize("name", ["small", "pair", "encoder"])
def test_expected_results_are_the_models(name):
    runtime = EelbertRuntime(converted(name)[0])
    tests = expected(runtime)
    assert [len(test.values) for test in tests] == [runtime.metadata.num_classes] * len(TEXTS)
    again = [tuple(test.text.split(b"\x1f")) if runtime.metadata.pair else test.text for test in tests]
    logits = runtime.predict(again)
    values = logits if name == "encoder" else runtime.metadata.outputs.probabilities(logits)
    assert [test.values for test in tests] == [pytest.approx(row) for row in values.tolist()]


TRUNCATION = """
#include <vector>
#include "eelbert_truncation.h"
int main(int, char **argv)
{
    std::FILE *file = std::fopen(argv[1], "rb");
    unsigned length;
    while (std::fread(&length, 4, 1, file) == 1) {
        std::vector<char> text(length + 1);
        if (std::fread(text.data(), 1, length, file) != length)
            return 1;
        std::putchar('0' + eelbert_is_truncated(text.data(), length));
    }
    std::fclose(file);
    return 0;
}
"""


@pytest.mark.parametrize(
    "changes",
    [{}, {"pair": True}, {"max_windows": 3, "window_overlap": 2}, {"config": {"hash": {"normalization": 1}}}],
)
def test_truncation_is_that_of_the_library(tmp_path, changes):
    metadata = dataclasses.replace(METADATA, **changes)
    write(tmp_path, metadata)
    program = compile_kit(tmp_path, stand_in() + TRUNCATION)
    texts = [*hard_inputs(metadata.pair, 300), *([] if metadata.pair else ["a" * n for n in range(20, 90)])]
    whole = [as_data(text, metadata.max_bytes) if metadata.pair else as_data(text, 10**9) for text in texts]
    file = tmp_path / "texts"
    file.write_bytes(b"".join(len(data).to_bytes(4, "little") + data for data in whole))
    found = subprocess.run([program, file], capture_output=True, check=True, text=True).stdout
    if metadata.pair:  # it cannot see what joining two texts has cut off
        assert not any(f == "1" and not metadata.is_truncated(t) for f, t in zip(found, texts, strict=True))
        return
    assert [digit == "1" for digit in found] == [metadata.is_truncated(text) for text in texts]
    assert "0" in found
    assert "1" in found


SEVERAL = """
#include "second_model_classifier.h"
int main()
{
    float first[2], second[2];
    if (eelbert_init(arena, sizeof(arena)) != 0 || second_model_init(arena, sizeof(arena)) != 0)
        return 1;
    eelbert_classify("abc", 3, first);
    second_model_classify("abcd", 4, second);
    std::printf("%g %g %s", first[0], second[0], second_model_labels()[0]);
    return 0;
}
"""


def test_several_models_in_one_program(tmp_path):
    """In one folder even; a class may be named as the functions are."""
    write(tmp_path, METADATA)
    write(tmp_path, dataclasses.replace(METADATA, labels=["eelbert_a", "b"]), prefix="second_model")
    program = compile_kit(tmp_path, stand_in(COUNT) + SEVERAL, ("eelbert", "second_model"))
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"3 4 eelbert_a"
    for prefix in ("", "a-b", "2b", "a__b", "Ab", "b_", "ü"):
        with pytest.raises(InputError, match="--kit-prefix"):
            write(tmp_path / "other", METADATA, prefix=prefix)


TAGS = ["O", "B-room", "I-room"]
KINDS = {
    "classification": METADATA,
    "tagging": Metadata(8, 24, 2, labels=["a", "b"], task="tagging", tags=TAGS),
    "tags_alone": Metadata(8, 24, 0, task="tagging", tags=TAGS),
    "embedding": Metadata(8, 24, 16, task="embedding"),
    "windows": dataclasses.replace(METADATA, max_windows=2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_every_source_compiles(tmp_path, kind, compiler):
    """As C99 and as C++ of both standards; clang has warnings of its own."""
    metadata = KINDS[kind]
    values = [0.0] * (16 if kind == "embedding" else metadata.num_classes)
    write(tmp_path, metadata, tests=[Expected(b"a", values, [(0, 0, 1)] * (metadata.tags is not None))])
    include = ["-I", tmp_path, "-I", STAND_IN]
    for standard in ("c++14", "c++17"):
        compile_with(compiler, f"-std={standard}", "-fno-rtti", "-fno-exceptions", "-fsyntax-only", *STRICT, *include,
                     tmp_path / "eelbert_classifier.cc")  # fmt: skip
    compiler = {"g++": "gcc", "clang++": "clang"}[compiler]
    sources = [*tmp_path.glob("*.c"), tmp_path / "example" / "main.c"]
    compile_with(compiler, "-std=c99", "-fsyntax-only", *STRICT, *include, *sources)


CMAKE = """\
cmake_minimum_required(VERSION 3.16)
project(board LANGUAGES C CXX)
add_library(tflm INTERFACE)
target_include_directories(tflm INTERFACE {stand_in})
add_subdirectory(kit)
"""
ESP = """\
cmake_minimum_required(VERSION 3.16)
project(board LANGUAGES NONE)
set(ESP_PLATFORM 1)
function(idf_component_register)
  cmake_parse_arguments(ARG "" "" "SRCS;INCLUDE_DIRS;REQUIRES" ${ARGN})
  foreach(source ${ARG_SRCS})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
      message(FATAL_ERROR ${source})
    endif()
  endforeach()
  message("REQUIRES ${ARG_REQUIRES} ${ARG_UNPARSED_ARGUMENTS}.")
endfunction()
add_subdirectory(kit)
"""


def test_cmake(tmp_path):
    """A library for any project, and a component for ESP-IDF, whose one function stands in."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    write(tmp_path / "kit", METADATA, prefix="wake")
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(stand_in=STAND_IN))
    for command in (["-S", ".", "-B", "build"], ["--build", "build"]):
        done = subprocess.run(["cmake", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
    (library,) = tmp_path.glob("build/kit/*wake_kit.*")
    assert b"_ZTI" not in library.read_bytes()  # types that TFLite Micro, compiled without them, does not have
    (tmp_path / "CMakeLists.txt").write_text(ESP)
    done = subprocess.run(["cmake", "-S", ".", "-B", "esp"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "REQUIRES esp-tflite-micro ." in done.stderr


def test_files_for_build_systems_that_are_not_ours_stay(tmp_path):
    """Their names are everybody's: in a folder with other files they are written where there is none."""
    own = {
        "README.md": "mine",
        "CMakeLists.txt": "project(mine)",
        "zephyr/module.yml": "name: mine",
        "main.c": "int x;",
    }
    (tmp_path / "zephyr").mkdir()
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    for _ in range(2):
        write(tmp_path, METADATA)
        assert {name: (tmp_path / name).read_text() for name in own} == own
        assert all((tmp_path / name).is_file() for name in PROJECT)
    assert "0.0.0" not in (tmp_path / "library.properties").read_text()
    assert "@" not in (tmp_path / "idf_component.yml").read_text()
    licence = (ROOT / "LICENSE").read_bytes()
    assert (tmp_path / "LICENSE").read_bytes() == licence
