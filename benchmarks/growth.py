"""Growth: how the cost grows with batch size, width and number of rows, for each contender."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.cases import B, Case
from benchmarks.contenders import CONTENDERS
from benchmarks.steps import Result


@dataclass
class Sweep:
    """One panel: a case for each size; the cost is that of a step, or of an epoch."""

    axis: str
    title: str
    cases: dict[int, Case]
    epoch: bool = False

    @property
    def cost(self) -> str:
        return "µs per epoch" if self.epoch else "µs per step"

    def points(self, results: dict[str, Result], contender: str) -> dict[int, float]:
        """Size -> cost, wherever the contender has a time."""
        costs = {}
        for size, case in self.cases.items():
            column = results[case.name].column(contender, results[case.name].blas_choices()[-1])
            if column is not None and column.us:
                costs[size] = column.us * (math.ceil(case.rows / case.batch) if self.epoch else 1)
        return costs

    def table(
        self, results: dict[str, Result], contenders: list[str]
    ) -> tuple[list[str], list[list[str]]]:
        lines = [self.points(results, name) for name in contenders]
        rows = [
            [f"{n:,}", *(f"{line[n]:,.0f}" if n in line else "-" for line in lines)]
            for n in self.cases
        ]
        return [
            f"{self.cost}, by {self.axis} ({self.title})",
            *(CONTENDERS[name].title for name in contenders),
        ], rows


def sweeps(most: int | None = None) -> list[Sweep]:
    """Batches of 16 to 4096 and epochs over 1,000 to 64,000 rows of case B; 784-width-784 from 32 to 2048.

    most    only so many sizes of each, the smallest first
    """
    batches, widths = [2**k for k in range(4, 13)][:most], [2**k for k in range(5, 12)][:most]
    rows = [1000 * 2**k for k in range(7)][:most]
    return [
        Sweep(
            "batch",
            "784-128-32-128-784, BCE",
            {n: replace(B, name=f"batch {n}", batch=n) for n in batches},
        ),
        Sweep(
            "width",
            "784-width-784, BCE, batch 256",
            {n: replace(B, name=f"width {n}", widths=(784, n, 784)) for n in widths},
        ),
        Sweep(
            "rows",
            "784-128-32-128-784, BCE, batch 256",
            {n: replace(B, name=f"rows {n}", rows=n) for n in rows},
            epoch=True,
        ),
    ]


def draw(found: list[Sweep], results: dict[str, Result], contenders: list[str], path: Path) -> None:
    """A log-log panel for each sweep: a line of slope 1 is a cost in proportion."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(found), 4), layout="constrained")
    for axes, sweep in zip(figure.subplots(1, len(found)), found, strict=True):
        for name, marker in zip(contenders, "os^vDP", strict=False):
            points = sweep.points(results, name)
            axes.loglog(
                list(points), list(points.values()), marker=marker, label=CONTENDERS[name].title
            )
        axes.set_xticks(list(sweep.cases), [f"{n:,}" for n in sweep.cases], rotation=45)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(sweep.axis)
        axes.set_ylabel(sweep.cost)
        axes.set_title(sweep.title, fontsize=10)
        axes.grid(True, alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
