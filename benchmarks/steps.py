"""Steps: the time of a training step. Losses are compared first; then contenders are timed in alternating blocks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.cases import Case
from benchmarks.contenders import CONTENDERS
from benchmarks.worker import Worker, WorkerError

DISTURBED = 0.1  # CPUs that others kept busy during a block; from here on the block is left out
INSTALL = 'pip install "nanoae[bench]"'

Say = Callable[[str], None]


class LossMismatch(RuntimeError):
    """Two contenders do not compute the same thing."""


@dataclass(frozen=True)
class Settings:
    """rounds, up to so many extra ones where blocks were disturbed, seconds per block, seconds of pause before a block
    (idle threads stop spinning), threads."""

    rounds: int
    extra: int
    block: float
    pause: float
    threads: int


@dataclass
class Column:
    """One contender in one case. `blas` is "as shipped" or "best" where NumPy's BLAS does the work, else "".

    absent   why there are no numbers: "not installed", "-" (does not fit) or "failed"; `note` says more
    rounds   [{"us": microseconds per step, "steps": how many, "others": CPUs others kept busy}, ...]
    """

    contender: str
    blas: str = ""
    absent: str = ""
    note: str = ""
    rounds: list[dict[str, Any]] = field(default_factory=list)
    peak: int | None = None
    losses: list[float] | None = None
    kernel: str = ""

    def calm(self) -> list[float]:
        """The times of blocks that nobody disturbed."""
        return [block["us"] for block in self.rounds if (block["others"] or 0) < DISTURBED]

    @property
    def us(self) -> float | None:
        """The median of the calm blocks, or of all where fewer than three are calm."""
        calm = self.calm()
        times = calm if len(calm) >= 3 else [block["us"] for block in self.rounds]
        return statistics.median(times) if times else None

    def over(self, other: Column) -> float:
        """How many times as long as `other` this took: the median over the rounds, calm for both where three or more
        are. A machine's speed drifts from round to round, and both feel it."""
        pairs = list(zip(self.rounds, other.rounds, strict=False))
        calm = [pair for pair in pairs if all((block["others"] or 0) < DISTURBED for block in pair)]
        return statistics.median(
            mine["us"] / theirs["us"] for mine, theirs in (calm if len(calm) >= 3 else pairs)
        )

    def leave(self, absent: str, note: str) -> None:
        self.absent, self.note = absent, note


@dataclass
class Result:
    case: Case
    columns: list[Column]

    def column(self, contender: str, blas: str) -> Column | None:
        return next(
            (c for c in self.columns if c.contender == contender and c.blas in ("", blas)), None
        )

    def blas_choices(self) -> list[str]:
        return list(dict.fromkeys(c.blas for c in self.columns if c.blas)) or [""]

    def as_json(self) -> dict[str, Any]:
        return {
            "case": asdict(self.case),
            "columns": [{**asdict(c), "us": c.us} for c in self.columns],
        }


def check_losses(case: Case, columns: list[Column]) -> None:
    """LossMismatch if a contender's first losses differ from the first contender's by more than the case allows."""
    given = [column for column in columns if column.losses is not None]
    for column in given[1:]:
        for i, (mine, theirs) in enumerate(
            zip(given[0].losses or [], column.losses or [], strict=True)
        ):
            if not abs(mine - theirs) <= case.close * abs(theirs):  # NaN is a mismatch, too
                names = [
                    f"{c.contender}{f' ({c.blas})' if c.blas else ''}" for c in (given[0], column)
                ]
                raise LossMismatch(
                    f"case {case.name}: expected the same losses from the same weights and batches, got {mine!r} from "
                    f"{names[0]} and {theirs!r} from {names[1]} at evaluation {i} (relative tolerance {case.close:g})."
                )


def measure(
    case: Case,
    contenders: list[str],
    environments: dict[str, dict[str, str]],
    settings: Settings,
    say: Say,
) -> Result:
    """Time `case`. `environments`: for each choice of BLAS, what it sets in the processes that compute with NumPy."""
    columns, running = [], []
    for name in contenders:
        entry = CONTENDERS[name]
        for blas in environments if entry.numpy_blas else [""]:
            columns.append(Column(name, blas))
            if not entry.installed:
                columns[-1].leave("not installed", f"{entry.title}: {INSTALL}")
    with ExitStack() as stack:
        for column in columns:
            if not column.absent:
                environment = environments.get(column.blas)
                worker = stack.enter_context(
                    Worker(column.contender, settings.threads, environment)
                )
                worker.send("open", case=asdict(case))
                running.append((column, worker))
        for column, worker in running:
            say(f"{case.name}: preparing {CONTENDERS[column.contender].title}")
            try:
                opened = worker.receive()
            except WorkerError as error:
                column.leave(
                    "-" if error.unfit else "failed",
                    f"{CONTENDERS[column.contender].title}: {error}",
                )
                continue
            column.losses, column.kernel = opened["losses"], opened["kernel"]
        check_losses(case, columns)
        running = [(column, worker) for column, worker in running if not column.absent]
        steps = {}
        for column, worker in running:
            say(f"{case.name}: warming up {CONTENDERS[column.contender].title}")
            steps[worker] = worker.ask("warm", seconds=settings.block)
        for number in range(settings.rounds + settings.extra):
            if number >= settings.rounds and all(
                len(column.calm()) >= settings.rounds for column, _ in running
            ):
                break
            say(f"{case.name}: round {number + 1} of {settings.rounds}")
            for column, worker in running:
                time.sleep(settings.pause)
                column.rounds.append(block := worker.ask("time", steps=steps[worker]))
                steps[worker] = max(1, round(settings.block * 1e6 / block["us"]))
        for column, worker in running:
            column.peak = worker.ask("peak")
    say("")
    return Result(case, columns)
