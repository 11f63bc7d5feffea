"""Checkpoints: the state that a fit needs to resume after a stop, with exactly the weights it would have had.

A fit consists of one or more trainings: of each layer of a stacked autoencoder and then of the whole, or of each
autoencoder of a detector. Everything else follows from its arguments. So a checkpoint holds the final weights of
finished trainings and the full state of the current one. A resumed fit repeats everything except the trainings:
finished ones are looked up, and the last one continues where it was left. This works for any kind of model.

file      checkpoint-NUMBER.npz, a zip of arrays like a model file, with a checksum of each; no pickle
header    {"format": 1, "nanoae": version, "model": config of the estimator, "trainings": [{...}, ...], ...}, as JSON
arrays    "0.network.0", "0.optimizer.1", ...: the training's number and the array's name in `Trainer.arrays`
"""

from __future__ import annotations

import json
import os
import re
import time
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
from nanoae.warning import warn
from nanoae.whole_file import whole_file

if TYPE_CHECKING:
    from nanoae.training.loop import Trainer

KEPT = 2  # number of files kept, in case the last one is damaged
NAME = re.compile(r"checkpoint-(\d{8,})\.npz")
# Fraction of the training time that checkpoints may take, and the seconds that are always allowed
SHARE, FREE = 0.02, 1.0

Stage = tuple[Facts, Arrays]  # current or final state of a training


class Checkpoints(Configurable):
    """The checkpoints of one fit, in their own folder; `fit(checkpoint_dir=...)` takes this object or a folder's path.

    A background thread writes one after each epoch. While it is busy only the latest is kept for writing, and in long
    trainings some are skipped so that they take at most 2 % of the time. The last two files are kept.

    steps, minutes   also write one within an epoch, after this many steps or minutes

    If a file cannot be written, training continues with a warning, once per reason and again at the end.
    """

    bounds: ClassVar = {"steps": "[1, inf)", "minutes": "(0, inf)"}

    def __init__(
        self, folder: str | os.PathLike[str], steps: int | None = None, minutes: float | None = None
    ):
        if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
            raise ValueError(
                f"Checkpoints: expected the path of a folder, got {folder!r:.60}. "
                'fit(checkpoint_dir="runs/mine") creates it if necessary.'
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
        """Open the folder for the fit of `model`; with `resume` continue from the last file, if there is one.

        Raises ValueError if there are files but no `resume`, or if they are from another fit; OSError if the folder is
        not writable.
        """
        from concurrent.futures import ThreadPoolExecutor  # keeps `import nanoae` fast

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            wanted = f"expected a folder for checkpoints ({error.strerror}). Choose another checkpoint_dir"
            raise OSError(error.errno, wanted, str(self.folder)) from error
        with locked_folder(self.folder):
            existing = files(self.folder)
            if existing and not resume:
                raise ValueError(
                    f"{self.folder}: expected no checkpoints of an earlier fit, got {len(existing)}. Continue it with "
                    "resume=True, or choose another checkpoint_dir."
                )
            self.model = comparable(model)
            self.trainings: list[Stage] = []  # trainings begun so far
            self.found: list[Stage] = []  # trainings begun according to the file
            self.seed: Any = None
            self.number = existing[0][0] if existing else 0
            self.good: list[Path] = []
            self.failure: OSError | None = None
            self.reported = ""
            self.spent = 0.0
            self.began = self.saved = time.perf_counter()
            if existing:
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
        """True if the fit resumes from a file in the folder."""
        return bool(self.found)

    def read_latest(self) -> None:
        path, header, arrays = latest(self.folder)
        current = {**versions(), "model": self.model}
        saved = {name: header[name] for name in current}
        check_same(self.folder, saved, current)
        self.found = [
            (facts, state.below(f"{number}.", arrays))
            for number, facts in enumerate(header["trainings"])
        ]
        self.seed = header["seed"]
        self.good = [path]

    def entropy(self, drawn: Any) -> Any:
        """Return the seed of the fit: `drawn`, or the one drawn when the fit first began."""
        self.seed = drawn if self.seed is None else self.seed
        return self.seed

    # ---------------------------------------------------------------- a training

    def begin(self, trainer: Trainer, *data: Any) -> None:
        """Begin the next training of the fit; restore `trainer` to its saved state if it was begun before."""
        identity = {
            **comparable(state.identity(trainer)),
            "data": fingerprint(trainer.ops, (*data, trainer.weights)),
        }
        number = len(self.trainings)
        if number:  # the previous training has ended: keep its weights only
            facts, arrays = self.trainings[-1]
            weights = {name: a for name, a in arrays.items() if name.startswith("network.")}
            self.trainings[-1] = facts, weights
        if number >= len(self.found):
            self.trainings.append(({"training": identity}, {}))
            self.save(trainer, wait=True)
            if self.failure is not None and number == 0:  # fail now rather than after hours
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
        """Return True if a checkpoint is due after this many steps of an epoch."""
        if self.steps is not None and steps % self.steps == 0:
            return True
        if self.minutes is None:
            return False
        elapsed = time.perf_counter() - self.saved
        return elapsed >= 60 * self.minutes

    def save(self, trainer: Trainer, wait: bool = False, asked: bool = False) -> None:
        """Write the present state in the background. Unless `asked` or `wait`, skip it if checkpoints took too long."""
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
            self.waiting.cancel()  # an older one that has not started
        self.waiting = self.writer.submit(self.try_to_write, list(self.trainings))
        self.spent += time.thread_time() - started
        if wait:
            self.waiting.result()

    # ---------------------------------------------------------------- files

    def try_to_write(self, trainings: list[Stage]) -> None:
        """Write a checkpoint in the background thread; store an OSError in `failure`."""
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
        """Warn about a failed write, but only once per reason unless `when` is given."""
        if self.failure is None or (str(self.failure) == self.reported and not when):
            return
        self.reported = str(self.failure)
        existing = [*filter(os.path.exists, self.good)]
        safe = f"The last one written is {existing[-1]}" if existing else "No earlier one exists"
        warn(f"{when}a checkpoint could not be written: {self.failure}. {safe}; training continues")


def files(folder: Path) -> list[tuple[int, Path]]:
    """Return (number, path) of the checkpoints in a folder, latest first."""
    found = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    numbered = [(int(match[1]), path) for match, path in found if match]
    return sorted(numbered, reverse=True)


def latest(folder: Path) -> tuple[Path, Facts, Arrays]:
    """Return (path, header, arrays) of the last valid checkpoint; warn if a later one is damaged.

    Raises FileNotFoundError if there are none, ValueError if all are damaged.
    """
    damaged: ValueError | None = None
    for _, path in files(folder):
        try:
            header, arrays = read(path)
        except ValueError as error:
            damaged = damaged or error
            continue
        if damaged:
            warn(f"{damaged} Resuming from the previous one, {path.name}.")
        return path, header, arrays
    wanted = "expected checkpoints to resume from, got none"
    raise damaged or FileNotFoundError(2, wanted, str(folder))


def read(path: Path) -> tuple[Facts, Arrays]:
    """Return (header, arrays) of a checkpoint; ValueError if it is not one, is damaged, or has another format."""
    with open_archive(path, limit=path.stat().st_size) as archive:  # its arrays are not compressed
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
