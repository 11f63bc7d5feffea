"""Tables: results as markdown, for the terminal and for `benchmarks/results/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.steps import DISTURBED, Column, Result, Settings

RESULTS = Path(__file__).parent / "results"
PYTORCH = ("torch", "compile")


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table whose columns are aligned in plain text, too: the first to the left, the others to the right."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [head, rule, *rows]
    return "\n".join(
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |" for line in lines
    )


def ratio(over: float | None, under: float | None = 1.0) -> str:
    return "-" if not over or not under else f"{over / under:.2f}x"


def steps_table(results: list[Result], contenders: list[str]) -> list[str]:
    """Paragraphs: microseconds per step and the ratios; peak memory; what must be said of single cells."""
    show = [name for name in CONTENDERS if name in contenders]
    titles = [CONTENDERS[name].title for name in show]
    times, memories = [], []
    for result in results:
        for blas in result.blas_choices():
            found = {name: result.column(name, blas) for name in show}
            timed = {name: column for name, column in found.items() if column and column.rounds}
            mine = timed.get("nanoae")
            over = {name: column.over(mine) for name, column in timed.items()} if mine else {}
            torch = min((over[name] for name in PYTORCH if name in over), default=None)
            label = [str(result.case), blas or "-"]
            cells = [time_cell(found[name]) for name in show]
            times.append(
                [*label, *cells, ratio(torch), ratio(over.get("jax")), f"{over['gemm']:.0%}" if "gemm" in over else "-"]
            )
            memories.append([*label, *(memory_cell(found[name]) for name in show)])
    head = ["microseconds per step", "NumPy's BLAS", *titles]
    beside = ["PyTorch / nanoae", "JAX / nanoae", "GEMM share"]
    return [markdown(head + beside, times), markdown(["peak memory, MiB", *head[1:]], memories), *notes(results)]


def time_cell(column: Column | None) -> str:
    if column is None or column.us is None:
        return column.absent if column else "-"
    return f"{column.us:,.0f}"


def memory_cell(column: Column | None) -> str:
    return f"{column.peak / 2**20:,.0f}" if column and column.peak else "-"


def notes(results: list[Result]) -> list[str]:
    """What must be said: why a cell is empty, and whether the machine was busy with something else."""
    empty: dict[str, list[str]] = {}
    for result in results:
        for column in result.columns:
            if column.note and result.case.name not in empty.setdefault(column.note, []):
                empty[column.note].append(result.case.name)
    said = [f"{note} ({', '.join(cases)})" for note, cases in empty.items()]
    blocks = [block["others"] for result in results for column in result.columns for block in column.rounds]
    disturbed = [others for others in blocks if (others or 0) >= DISTURBED]
    if disturbed:
        said.append(
            f"{len(disturbed)} of {len(blocks)} blocks were disturbed: other processes kept {DISTURBED} CPUs or more "
            f"busy (at most {max(disturbed):.1f}). They are left out where three others remain. Measure on an idle "
            "machine."
        )
    if blocks and None in blocks:
        said.append("This system does not tell how busy other processes were.")
    return said


def how(results: list[Result], settings: Settings) -> str:
    """How it was measured."""
    columns = [column for result in results for column in result.columns if column.blas and column.kernel]
    kernels = dict.fromkeys(f"{column.kernel} ({column.blas})" for column in columns)
    return (
        f"Medians of {settings.rounds} rounds or more, in each a block of about {settings.block} s of every contender "
        f"in turn, {settings.threads} threads. A step includes the gather of its batch from the data set; greedy: a "
        "step of each stage. Peak memory is a fresh process's, with imports, compilation, data (179 MiB at 60,000 "
        "rows). "
        "Ratios are medians of each round's. PyTorch / nanoae: the faster PyTorch. GEMM share: bare GEMMs / nanoae. "
        f"NumPy's BLAS: {', '.join(kernels)}."
    )


def where(facts: dict[str, Any]) -> str:
    """The machine and the versions, in a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"{facts['cpu']} (family, model, stepping {facts['family']}; {' '.join(facts['flags'])}), "
        f"{facts['logical_cpus']} logical CPUs, {facts['memory_gib']} GiB, {facts['system']}. {versions}."
    )


def save(name: str, text: str, facts: dict[str, Any]) -> None:
    """Write results/NAME.md and results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    write_json(RESULTS / f"{name}.json", facts)


def write_json(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, default=lambda number: number.item()) + "\n", encoding="utf-8")
