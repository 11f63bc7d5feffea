"""Checkpoints: all that a fit needs to go on from where it was stopped, with the very weights it would have had.

A fit is one training or several, one after the other: of each layer of a stacked autoencoder and then of the whole, of
each autoencoder of a detector. Whatever else it does follows from its arguments. So a checkpoint holds what the
finished trainings ended with and the whole state of the one under way, and to go on is to do everything again, but for
the trainings: the finished ones are looked up, the last one is entered where it was left. Nothing here asks what kind
of model it is.

file      checkpoint-NUMBER.npz, a zip of arrays as a model file is, with a checksum of each; no pickle
header    {"format": 1, "nanoae": its version, "model": whose fit it is, "trainings": [{...}, ...], ...}, as JSON
arrays    "0.network.0", "0.optimizer.1", ...: the training's number and the array's name in `Trainer.arrays`
"""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nanoae.configurable import Configurable
from nanoae.data.archive import open_archive
from nanoae.data.dataset import BadFile
from nanoae.data.field import fits, parse
from nanoae.lock import locked_folder
from nanoae.training import state
from nanoae.training.sameness import check_same, comparable, fingerprint, versions
from nanoae.training.state import Arrays, Facts
from nanoae.whole_file import whole_file

if TYPE_CHECKING:
    from nanoae.training.loop import Trainer

KEPT = 2  # files: should the last one be damaged, there is the one before
NAME = re.compile(r"checkpoint-(\d{8,})\.npz")
# The share of the time that checkpoints may take, and the seconds that they may take in any case
SHARE, FREE = 0.02, 1.0

Stage = tuple[Facts, Arrays]  # how a training stands, or stood at its end


class Checkpoints(Configurable):
    """The checkpoints of one fit, in a folder of their own; `fit(checkpoint_dir=...)` takes one, or the folder's path.

    One is written after each epoch, by a thread beside the training; of those that come while it is busy the last one
    is, and some are left out where all of them would take more than 2 % of a long training. The last two are kept.

    steps, minutes   write one after so many, too, within an epoch

    A file that cannot be written is no reason to stop: a warning says so, once for each reason, and at the end again.
    """

    bounds: ClassVar = {"steps": "[1, inf)", "minutes": "(0, inf)"}

    def __init__(
        self, folder: str | os.PathLike[str], steps: int | None = None, minutes: float | None = None
    ):
        if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
            raise ValueError(
                f"Checkpoints: expected the path of a folder, got {folder!r:.60}. "
                'fit(checkpoint_dir="runs/mine") makes it where it is not there.'
            )
        if steps is not None and steps % 1:
            raise ValueError(f"Checkpoints: expected steps, a whole number, got {steps!r}.")
        self.folder = Path(folder)
        self.steps = steps
        self.minutes = minutes
        self.open = False

    # ---------------------------------------------------------------- a fit

    @contextmanager
    def opened(self, model: Any, resume: bool) -> Iterator[Checkpoints]:
        """Ready for the fit of `model`; with `resume` it goes on from the last file, where there is one.

        ValueError for files of another fit, or with none to be resumed; OSError where the folder cannot be written.
        """
        from concurrent.futures import ThreadPoolExecutor  # here: `import nanoae` would pay for it

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            wanted = f"expected a folder for checkpoints ({error.strerror}). Choose another checkpoint_dir"
            raise OSError(error.errno, wanted, str(self.folder)) from error
        with locked_folder(self.folder):
            there = files(self.folder)
            if there and not resume:
                raise ValueError(
                    f"{self.folder}: expected no checkpoints of an earlier fit, got {len(there)}. Go on from them with "
                    "resume=True, or choose another checkpoint_dir."
                )
            self.model = comparable(model)
            self.trainings: list[Stage] = []  # begun so far
            self.found: list[Stage] = []  # begun, says the file that was read
            self.seed: Any = None
            self.number = there[0][0] if there else 0
            self.good: list[Path] = []
            self.failure: OSError | None = None
            self.reported = ""
            self.spent = 0.0
            self.began = self.saved = time.perf_counter()
            if there:
                self.read_latest()
            self.waiting: Any = None
            with ThreadPoolExecutor(1, "checkpoints") as self.writer:
                self.open = True
                try:
                    yield self
                finally:
                    self.open = False
            if self.failure is not None:
                self.report("At the end, too: ")

    @property
    def resumed(self) -> bool:
        """Whether the fit goes on from what is in the folder."""
        return bool(self.found)

    def read_latest(self) -> None:
        path, header, arrays = latest(self.folder)
        here = {**versions(), "model": self.model}
        there = {name: header[name] for name in here}
        check_same(self.folder, there, here)
        self.found = [
            (facts, state.below(f"{number}.", arrays))
            for number, facts in enumerate(header["trainings"])
        ]
        self.seed = header["seed"]
        self.good = [path]

    def entropy(self, drawn: Any) -> Any:
        """What everything random of this fit follows from: `drawn`, or what was drawn when it first began."""
        self.seed = drawn if self.seed is None else self.seed
        return self.seed

    # ---------------------------------------------------------------- a training

    def begin(self, trainer: Trainer, *data: Any) -> None:
        """The next training of the fit: `trainer` is brought to where it was, if it was begun before."""
        identity = {
            **comparable(state.identity(trainer)),
            "data": fingerprint(trainer.ops, (*data, trainer.weights)),
        }
        number = len(self.trainings)
        if number:  # the one before has ended, and nobody trains that network any more
            facts, arrays = self.trainings[-1]
            weights = {name: a for name, a in arrays.items() if name.startswith("network.")}
            self.trainings[-1] = facts, weights
        if number >= len(self.found):
            self.trainings.append(({"training": identity}, {}))
            self.save(trainer, wait=True)
            if self.failure is not None and number == 0:  # better now than after hours
                raise self.failure
            return
        facts, arrays = self.found[number]
        self.trainings.append((facts, arrays))
        check_same(self.folder, facts.get("training"), identity)
        try:
            state.restore(trainer, facts, arrays)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadFile(
                self.good[0], "a whole checkpoint", f"one that does not fit together: {error}"
            ) from error

    def due(self, steps: int) -> bool:
        """Whether one is wished for now, so many steps into an epoch."""
        if self.steps is not None and steps % self.steps == 0:
            return True
        if self.minutes is None:
            return False
        elapsed = time.perf_counter() - self.saved
        return elapsed >= 60 * self.minutes

    def save(self, trainer: Trainer, wait: bool = False, asked: bool = False) -> None:
        """Have how things stand now written; if nobody has `asked` for it, nor waits, only where that costs little."""
        self.report()
        self.saved = time.perf_counter()
        started = time.thread_time()
        elapsed = self.saved - self.began
        most = max(FREE, SHARE * elapsed)
        if not (wait or asked) and self.spent > most:
            return
        facts, arrays = state.take(trainer)
        begun, _ = self.trainings[-1]
        facts = {"training": begun["training"], **facts}
        self.trainings[-1] = facts, arrays
        if self.waiting is not None:
            self.waiting.cancel()  # an older one that was not yet begun
        self.waiting = self.writer.submit(self.try_to_write, list(self.trainings))
        self.spent += time.thread_time() - started
        if wait:
            self.waiting.result()

    # ---------------------------------------------------------------- files

    def try_to_write(self, trainings: list[Stage]) -> None:
        """What the thread does."""
        started = time.thread_time()
        try:
            self.write(trainings)
            self.failure = None
        except OSError as error:
            self.failure = error
        self.spent += time.thread_time() - started

    def write(self, trainings: list[Stage]) -> None:
        header = {
            "format": 1,
            **versions(),
            "model": self.model,
            "seed": self.seed,
            "trainings": [facts for facts, _ in trainings],
        }
        text = json.dumps(header).encode()
        arrays = {"header": np.frombuffer(text, np.uint8)}
        for number, (_, own) in enumerate(trainings):
            arrays |= {f"{number}.{name}": array for name, array in own.items()}
        self.number += 1
        path = self.folder / f"checkpoint-{self.number:08}.npz"
        with whole_file(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        self.good = [*self.good, path][-KEPT:]
        for _, old in files(self.folder):
            if old not in self.good:
                old.unlink()

    def report(self, when: str = "") -> None:
        """A warning of what could not be written; only once if the same thing happens again and again."""
        if self.failure is None or (str(self.failure) == self.reported and not when):
            return
        self.reported = str(self.failure)
        there = [*filter(os.path.exists, self.good)]
        safe = f"The last one that was is {there[-1]}" if there else "None is there"
        warnings.warn(
            f"{when}a checkpoint could not be written: {self.failure}. {safe}; the training goes on",
            stacklevel=3,
        )


def files(folder: Path) -> list[tuple[int, Path]]:
    """(number, path) of the checkpoints in a folder, the last one first."""
    found = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    numbered = [(int(match[1]), path) for match, path in found if match]
    return sorted(numbered, reverse=True)


def latest(folder: Path) -> tuple[Path, Facts, Arrays]:
    """(its path, header, arrays) of the last whole checkpoint, with a warning where it is not the last one.

    FileNotFoundError where there is none; ValueError where none is whole.
    """
    damaged: ValueError | None = None
    for _, path in files(folder):
        try:
            header, arrays = read(path)
        except ValueError as error:
            damaged = damaged or error
            continue
        if damaged:
            warnings.warn(f"{damaged} Going on from the one before, {path.name}.", stacklevel=3)
        return path, header, arrays
    wanted = "expected checkpoints to resume from, got none"
    raise damaged or FileNotFoundError(2, wanted, str(folder))


def read(path: Path) -> tuple[Facts, Arrays]:
    """(header, arrays) of a checkpoint; ValueError for what is none, is damaged, or of another format."""
    with open_archive(path, limit=path.stat().st_size) as archive:  # whose arrays are not packed
        arrays = dict(archive)
    try:
        header = parse(bytes(arrays.pop("header")))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise BadFile(path, "a checkpoint of nanoae", repr(error)) from error
    match header:
        case {
            "format": 1,
            "nanoae": str(),
            "numpy": str(),
            "model": dict(),
            "seed": int() | None,
            "trainings": trainings,
        } if fits(trainings, [dict]):
            return header, arrays
    found = header.get("format") if isinstance(header, dict) else header
    got = f"one of format {found!r:.20}, or not whole"
    raise BadFile(path, "a checkpoint of format 1", got)
