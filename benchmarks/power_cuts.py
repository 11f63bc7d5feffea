"""Power cuts: the states of a fit's checkpoints on disk if the power fails between two of the calls that write them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nanoae.whole_file
from benchmarks.fits import FITS
from nanoae import Checkpoints


class Recorder:
    """Records what `whole_file` asks of the system, in order: (call, path, ...)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.paths: dict[int, str] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[tuple[str, ...]]]:
        originals = {name: getattr(os, name) for name in ("open", "fsync", "replace", "unlink")}
        try:
            for name, original in originals.items():
                setattr(os, name, getattr(self, name)(original))
            nanoae.whole_file.open = self.opened  # type: ignore[attr-defined]
            yield self.calls
        finally:
            for name, original in originals.items():
                setattr(os, name, original)
            del nanoae.whole_file.open  # type: ignore[attr-defined]

    def opened(self, path: Any, *arguments: Any, **named: Any) -> Any:
        file, calls = open(path, *arguments, **named), self.calls  # noqa: SIM115 - whoever asked for it closes it

        class Written:
            """The file, whose writes are told."""

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def write(self, content: Any) -> int:
                calls.append(("write", str(path)))
                return file.write(content)

            def __enter__(self) -> Any:
                file.__enter__()
                return self

            def __exit__(self, *error: Any) -> Any:
                return file.__exit__(*error)

        return Written()

    def open(self, original: Callable) -> Callable:
        def call(path: Any, *arguments: Any, **named: Any) -> int:
            descriptor = original(path, *arguments, **named)
            self.paths[descriptor] = str(path)
            return descriptor

        return call

    def fsync(self, original: Callable) -> Callable:
        def call(descriptor: int) -> None:
            original(descriptor)
            self.calls.append(("fsync", self.paths[descriptor]))

        return call

    def replace(self, original: Callable) -> Callable:
        def call(old: Any, new: Any) -> None:
            original(old, new)
            self.calls.append(("rename", str(old), str(new)))

        return call

    def unlink(self, original: Callable) -> Callable:
        def call(path: Any, *arguments: Any, **named: Any) -> None:
            original(path, *arguments, **named)
            self.calls.append(("unlink", str(path)))

        return call


def power_cuts() -> Counter:
    """The calls of a whole fit, cut off after each, and what a disk may then hold."""
    recorder = Recorder()
    with (
        tempfile.TemporaryDirectory(prefix="nanoae-stops-") as folder,
        recorder.recording() as calls,
    ):
        FITS["dense"].run(checkpoint_dir=Checkpoints(Path(folder, "checkpoints"), steps=1))
    told: Counter = Counter(calls=len(calls))
    for n in range(len(calls) + 1):
        states = after_a_cut(calls[:n])
        told["states"] += len(states)
        told["damaged"] += sum(not whole for state in states for whole in state.values())
        finished = sum(call[0] == "fsync" and call[1].endswith("checkpoints") for call in calls[:n])
        told["none left"] += sum(not state for state in states if finished)
    return told


def after_a_cut(calls: list[tuple[str, ...]]) -> list[dict[str, bool]]:
    """What may be seen after a power cut: for each name, whether all of its bytes are there. Bytes are on the disk once
    they were flushed; names as far as the folder was flushed, and beyond it in their order, up to anywhere."""
    flushed: dict[str, bool] = {}  # of a file, by the name that it was written under
    names: dict[str, str] = {}  # a visible name -> that one
    states = [dict(names)]
    for call, path, *new in calls:
        if call == "write":
            flushed[path] = False
        elif call == "rename":
            names[new[0]] = path
            states.append(dict(names))
        elif call == "unlink" and path in names:
            del names[path]
            states.append(dict(names))
        elif call == "fsync" and path in flushed:
            flushed[path] = True
        elif call == "fsync":
            states = [dict(names)]
    return [{name: flushed[file] for name, file in state.items()} for state in states]
