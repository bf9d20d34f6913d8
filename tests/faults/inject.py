"""One system call of a command fails: it ends well, or in one line with status 2, and nothing is lost or half.

Each call on the user's files and on the outputs gets each of six errors. They stand for what happens: EIO a broken
disk, ENOSPC a full one, EACCES missing rights, EMFILE too many open files, ENOMEM too little memory, EINTR a signal
that comes while a call waits. A call that gets an error is not made, `close` neither.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from eelbert_tf.disk.files import recover_directory
from eelbert_tf.disk.workspaces import is_workspace
from eelbert_tf.errors import InputError
from tests.faults.bench import Bench, Command, Tally
from tests.faults.seccomp import Call, Watch, be_watched

# What the line has to say of each error.
ERRORS = {
    errno.EIO: "input/output error",
    errno.ENOSPC: "disk is full|no space left",
    errno.EACCES: "permission denied",
    errno.EMFILE: "too many (open )?files",
    errno.ENOMEM: "memory",
    errno.EINTR: "interrupted",
}
# What Python says of calls whose errors it does not show: it asks whether a file may be written, or has positions.
_UNSAID = {**dict.fromkeys(("access", "faccessat", "faccessat2"), "permission denied"), "lseek": "not seekable"}
ABSENT = "absent"
FOREIGN = "mine.txt"
# Calls that delete temporary folders: what one of them leaves is deleted by the next command that writes there.
_REMOVALS = ("unlink", "unlinkat", "rmdir", "getdents", "openat", "open", "fstatat", "stat", "lstat", "fstat", "close")
_STREAMS = ("stdout", "stderr")
_TIMES = re.compile(r'"[a-z_]*(seconds|ms_per_text|per_second|latency)[a-z_]*": [0-9.e+-]+')


def look_at_bytes(path: Path) -> str:
    """A file that is equal when it is written again."""
    return path.read_bytes().hex() if path.exists() else ABSENT


@dataclasses.dataclass(frozen=True)
class Trial:
    """A command to be tried, in a working directory of its own.

    Args:
        arguments: its words; files are named relative to the folder.
        inputs: the folder that holds what it reads.
        before: a command that must run first.
        older: more words for the command that writes the older output; none where there is no older one.
        again: more words for the command that replaces it.
        output: what it writes; none where it only prints.
        look: what is equal for equal outputs, or `ABSENT`. Raises an InputError or a ValueError for half of one.
        repeats: whether two runs write and print the same.
        stages: whether it writes whole outputs on its way.
        makes: pattern of names that it may write besides.
    """

    arguments: list[str]
    inputs: Path
    before: list[str] = dataclasses.field(default_factory=list)
    older: list[str] | None = None
    again: list[str] = dataclasses.field(default_factory=list)
    output: str = ""
    look: Callable[[Path], str] = look_at_bytes
    repeats: bool = True
    stages: bool = False
    makes: str = "(?!)"


@dataclasses.dataclass
class _Run:
    """What one run did, in `place`."""

    status: int
    printed: str
    errors: str
    calls: list[Call]
    place: Path


Prepare = Callable[[], None] | None


class Injection:
    """Runs of one command.

    Args:
        bench: where to work.
        trial: the command.
        prepare: is called in each process before the command begins, but not for the older output.

    Attributes:
        calls: those of a run in which none fails.

    Raises:
        RuntimeError: the command fails where no call does.
    """

    def __init__(self, bench: Bench, trial: Trial, prepare: Prepare = None) -> None:
        self._bench, self._trial = bench, trial
        self._prepare: Prepare = None
        self._folder = bench.place / "start"
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(trial.inputs, self._folder)
        for arguments in [trial.before, [] if trial.older is None else [*trial.arguments, *trial.older]]:
            if arguments:
                self._succeed(arguments)
                shutil.rmtree(self._folder)
                shutil.copytree(bench.place / "try" / "work", self._folder)
        if (self._folder / trial.output).is_dir() and trial.output:
            (self._folder / trial.output / FOREIGN).write_text("mine")
        self._before, self._prepare = self._look(self._folder), prepare
        clean = self._succeed([*trial.arguments, *trial.again])
        self.calls = clean.calls
        self._whole, self._printed = self._look(clean.place), _TIMES.sub("", clean.printed)

    def _succeed(self, arguments: list[str]) -> _Run:
        run = self._run(arguments, None, 0)
        if run.status:
            raise RuntimeError(f"{' '.join(arguments)}: {run.errors}")
        return run

    def _run(self, arguments: list[str], number: int | None, code: int) -> _Run:
        place = self._bench.place / "try"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._folder, place / "work")
        address = str(self._bench.place / "socket")
        Path(address).unlink(missing_ok=True)
        watch = Watch(address, place, number, code)
        begin = functools.partial(_begin, place / "work", address, self._prepare)
        command = Command(arguments, place / "stderr", place / "stdout", begin)
        watch.run(command.process.sentinel)
        status = command.end()
        printed, errors = (path.read_text("utf-8", "replace") for path in (command.out, command.log))
        return _Run(-1 if status is None else status, printed, errors, watch.calls, place / "work")

    def _look(self, place: Path) -> str:
        return self._trial.look(place / self._trial.output) if self._trial.output else ABSENT

    def attempt(self, tally: Tally, number: int, code: int) -> None:
        """Runs the command with an error at one call, and judges.

        Args:
            tally: gets the outcome.
            number: of the call.
            code: the error.
        """
        run = self._run([*self._trial.arguments, *self._trial.again], number, code)
        if number >= len(run.calls):
            tally.notes["ended before the call"] = tally.notes.get("ended before the call", 0) + 1
            return
        call = run.calls[number]
        if problem := self._problem(run, call, code):
            paths = " ".join(os.path.relpath(path, run.place) for path in call.paths)
            tally.fail(problem[0], f"{errno.errorcode[code]} at {call.name} {paths}: {problem[1]}")
        else:
            tally.add("told in one line" if run.status else "without effect")

    def _problem(self, run: _Run, call: Call, code: int) -> tuple[str, str] | None:
        """What happened that must not, and more about it."""
        if "Traceback" in run.errors or run.status not in (0, 2):
            return f"status {run.status}", run.errors
        unseen = any(Path(path).name == "stderr" for path in call.paths)  # what would be told could not be printed
        if run.status == 2 and not unseen and (lack := self._lack(run, call, code)):
            return lack, run.errors
        try:
            found = self._look(run.place)
        except (InputError, ValueError, OSError) as error:
            return "half an output", f"{error}; {run.errors}"
        if run.status == 2 and found == ABSENT and self._before != ABSENT:
            return "the output is lost", run.errors
        if self._trial.repeats and run.status == 0 and found != self._whole:
            return "another output, and no word of it", run.errors
        if self._trial.repeats and run.status == 0 and _TIMES.sub("", run.printed) != self._printed:
            return "prints something else, and no word of it", run.printed + run.errors
        if run.status == 2 and not self._trial.stages and found not in (self._before, self._whole):
            return "neither the older output nor the new one", run.errors
        return self._traces(run, call)

    def _lack(self, run: _Run, call: Call, code: int) -> str | None:
        """What a refusal lacks: it is one line that says which file, and why."""
        lines = [line for line in run.errors.replace("\r", "\n").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith("eelbert ") and ": warning: " not in line]
        if not lines or lines[-1] not in told:
            return "no line of its own"
        if not re.search(f"{ERRORS[code]}|{_UNSAID.get(call.name, '(?!)')}", lines[-1], re.IGNORECASE):
            return "does not say why"
        if not any(name in lines[-1] for name in self._names(run, call)):
            return "does not name the file"
        return None

    def _names(self, run: _Run, call: Call) -> set[str]:
        """Of these a line names one: a file of the call, a folder above it, the output, or standard output."""
        found = {Path(self._trial.output).stem} - {""}
        for path in map(Path, call.paths):
            if path.name in _STREAMS:
                found.add("standard output")
            if path.is_relative_to(run.place):
                parts = path.relative_to(run.place).parts
                found |= {_target(part) if is_workspace(part) else part for part in parts}
        return found

    def _traces(self, run: _Run, call: Call) -> tuple[str, str] | None:
        """What is lost, changed or left in the folder, but for the output itself."""
        before, after = self._files(self._folder), self._files(run.place)
        if lost := [name for name, data in before.items() if after.get(name, b"") != data]:
            return "lost or changed", f"{', '.join(lost)}; {run.errors}"
        new = [name for name in after if name not in before]
        new += [path.name for path in run.place.parent.iterdir() if path.name not in ("work", *_STREAMS)]
        if new and call.name in _REMOVALS and ".tmp-" in " ".join(call.paths):
            for folder in (run.place / name for name in new if is_workspace(Path(name).name)):
                recover_directory(folder.with_name(_target(folder.name)), ())
            new = [name for name in new if (run.place / name).exists()]
        return ("left behind", f"{', '.join(new)}; {run.errors}") if new else None

    def _files(self, place: Path) -> dict[str, bytes | None]:
        """Files and folders, but for those of the output that are not a user's."""
        output, found = self._trial.output, {}
        stem = re.escape(output.partition(".")[0])  # a page has figures beside it
        for path in place.rglob("*"):
            name = path.relative_to(place).as_posix()
            own = re.fullmatch(self._trial.makes, name) or (output and re.fullmatch(f"{stem}([./].*)?", name))
            if not own or path.name == FOREIGN or is_workspace(path.name):
                found[name] = path.read_bytes() if path.is_file() else None
        return found


def _target(name: str) -> str:
    """The name of the output that a temporary folder was made for."""
    return name[1:].rpartition(".tmp-")[0]


def _begin(folder: Path, address: str, prepare: Prepare) -> None:
    os.chdir(folder)
    os.environ["TMPDIR"] = str(folder.parent)
    if "keras" in sys.modules:  # to make a graph of a tiny model takes longer than to do without
        sys.modules["keras"].Model.run_eagerly = property(lambda _: True, lambda _, value: None)
    if prepare is not None:
        prepare()
    be_watched(address)


def inject(bench: Bench, trial: Trial, most: int, prepare: Prepare = None) -> Tally:
    """Answers calls of a command with errors, one in each run.

    Args:
        bench: where to work, and the chance by which calls and errors are chosen where there are more than `most`.
        trial: the command.
        most: how many errors; 0 for all.
        prepare: as for `Injection`.
    """
    what = trial.arguments[0] + " --kit" * ("--kit" in trial.arguments)
    injection = Injection(bench, trial, prepare)
    cases = [(number, code) for number in range(len(injection.calls)) for code in ERRORS]
    tally = Tally(f"one failing system call in {what}", notes={"calls of a run": len(injection.calls)})
    if 0 < most < len(cases):
        cases = sorted(bench.random.sample(cases, most))
    for number, code in bench.bar(cases, tally.name):
        injection.attempt(tally, number, code)
    return tally
