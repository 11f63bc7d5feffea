"""Claims: a table with one row per published number, filled in as the numbers are measured."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import busy_seconds, machine
from benchmarks.steps import DISTURBED
from benchmarks.table import markdown, save, where
from nanoae.backend.blas import openblas


def options(description: str | None, seeds: int = 3) -> argparse.ArgumentParser:
    """The options of every claim; a module may add its own."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.reproduce.{Path(sys.argv[0]).stem}",
        description=(description or "").split("\n\n")[0],
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test on a few rows: seconds, and no results"
    )
    parser.add_argument("--data-dir", help="the folder that holds the data (else NANOAE_DATA)")
    parser.add_argument(
        "--seeds", type=int, default=seeds, metavar="N", help=f"seeds 0 .. N-1 ({seeds})"
    )
    parser.add_argument(
        "--save", action="store_true", help="write benchmarks/results/NAME.md and .json"
    )
    return parser


def threads() -> int:
    """How many threads NumPy's BLAS takes: what its peers get, too. OPENBLAS_NUM_THREADS sets it."""
    running = openblas()
    return (
        running.threads
        if running and running.threads
        else int(os.environ.get("OMP_NUM_THREADS", 1))
    )


def own_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


class Claims:
    """The table of one module.

    name      of the module and of the files in results/
    columns   head -> format of its cells, as in {"model": "", "seed": "d", "test MSE": ".4f"}

    >>> claims = Claims("conv", {"model": "", "test MSE": ".3f", "target": ".3f"})
    >>> claims.add("conv-2d", mse, 0.180, holds=mse <= 0.180)      # printed at once
    >>> return claims.finish(args, "Five epochs, batch 100.")      # the exit code
    """

    def __init__(self, name: str, columns: dict[str, str]):
        self.name, self.columns = name, columns
        self.rows: list[tuple[Any, ...]] = []
        self.held: list[bool | None] = []
        self.started = time.perf_counter(), busy_seconds(), own_seconds()

    def add(self, *cells: Any, holds: bool | None = None) -> None:
        """One row, a cell for each column; None is "-". `holds`: whether we reach what is claimed (None: no claim)."""
        if len(cells) != len(self.columns):
            raise ValueError(
                f"Claims: expected {len(self.columns)} cells, one for each of {list(self.columns)}."
            )
        self.rows.append(cells)
        self.held.append(holds)
        pairs = zip(self.columns, self.cells(-1), strict=False)
        print(", ".join(f"{head} {cell}".strip() for head, cell in pairs), flush=True)

    def cells(self, row: int) -> list[str]:
        """The row as text; its last cell says whether it holds."""
        formats = zip(self.rows[row], self.columns.values(), strict=True)
        verdict = {None: "-", True: "yes", False: "NO"}[self.held[row]]
        return [*("-" if cell is None else format(cell, form) for cell, form in formats), verdict]

    def others(self) -> float | None:
        """How many CPUs other processes kept busy since the start; None where the system does not tell."""
        (started, busy, own), now = self.started, busy_seconds()
        if busy is None or now is None:
            return None
        return max(0.0, now - busy - (own_seconds() - own)) / (time.perf_counter() - started)

    def finish(self, args: argparse.Namespace, *notes: str, **facts: Any) -> int:
        """Print the table, the `notes` and the machine; save them where asked. 0, or 1 where a claim does not hold.

        facts   more for the .json: the settings of the runs, every loss, ...
        """
        table = markdown([*self.columns, "holds"], [self.cells(i) for i in range(len(self.rows))])
        told, others = machine(), self.others()
        how = f"BLAS threads, also of the libraries compared: {threads()}."
        if others is not None and others >= DISTURBED:
            how += f" Other processes kept {others:.1f} CPUs busy meanwhile, so the times are too long."
        text = "\n\n".join([table, *notes, f"{how} {where(told)}"])
        print(f"\n{text}")
        if args.quick:
            print("\nA smoke test: these numbers mean nothing, and are not saved.")
            return 0
        if args.save:
            rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
            rows = [{**row, "holds": held} for row, held in zip(rows, self.held, strict=True)]
            started, _, own = self.started
            facts |= {
                "rows": rows,
                "seconds": time.perf_counter() - started,
                "cpu_seconds": own_seconds() - own,
            }
            save(
                self.name, text, {"machine": told, "threads": threads(), "others": others, **facts}
            )
        return 1 if False in self.held else 0
