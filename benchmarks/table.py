"""Tables: results as markdown, for the terminal and for `benchmarks/results/`."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
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
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |"
        for line in lines
    )


def ratio(over: float | None, under: float | None = 1.0) -> str:
    return "-" if not over or not under else f"{over / under:.2f}x"


def steps_table(results: list[Result], contenders: list[str]) -> list[str]:
    """Paragraphs: microseconds per step and the ratios, as they are with nothing set; what a setting buys; peak memory;
    what must be said of single cells."""
    show = [name for name in CONTENDERS if name in contenders]
    titles = [CONTENDERS[name].title for name in show]
    times, memories, settings = [], [], []
    for result in results:
        default, *others = result.blas_choices()
        found = {name: result.column(name, default) for name in show}
        timed = {name: column for name, column in found.items() if column and column.rounds}
        over = ratios(timed)
        beside = [
            ratio(over.get("pytorch")),
            ratio(over.get("jax")),
            f"{over['gemm']:.0%}" if "gemm" in over else "-",
        ]
        times.append([str(result.case), *(time_cell(found[name]) for name in show), *beside])
        memories.append([str(result.case), *(memory_cell(found[name]) for name in show)])
        for blas in others:
            mine, set_ = result.column("nanoae", default), result.column("nanoae", blas)
            if mine and set_ and mine.rounds and set_.rounds:
                settings.append(
                    [
                        str(result.case),
                        blas,
                        time_cell(mine),
                        time_cell(set_),
                        ratio(mine.over(set_)),
                    ]
                )
    beside = ["PyTorch / nanoae", "JAX / nanoae", "GEMM share"]
    bought = ["what a setting buys", "setting", "without", "with", "gain"]
    return [
        markdown(["microseconds per step, nothing set", *titles, *beside], times),
        *([markdown(bought, settings)] if settings else []),
        markdown(["peak memory, MiB", *titles], memories),
        *notes(results),
    ]


def ratios(timed: dict[str, Column]) -> dict[str, float]:
    """Contender -> how many times as long as nanoae it took; "pytorch" is the faster one."""
    mine = timed.get("nanoae")
    over = {name: column.over(mine) for name, column in timed.items()} if mine else {}
    torch = [over[name] for name in PYTORCH if name in over]
    return {**over, "pytorch": min(torch)} if torch else over


def quote(name: str) -> str:
    """Of each case in the tables NAME*.json, one for each kind of CPU, the lowest ratios: what may be claimed."""
    least: dict[str, dict[str, float]] = {}
    cpus: set[str] = set()
    for path in sorted(RESULTS.glob(f"{name}*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        cpus.add(facts["machine"]["cpu"])
        for entry in facts["cases"]:
            columns = [
                Column(**{k: v for k, v in c.items() if k != "us"}) for c in entry["columns"]
            ]
            first = next((c.blas for c in columns if c.blas), "")
            found = ratios({c.contender: c for c in columns if c.rounds and c.blas in ("", first)})
            case = least.setdefault(entry["case"]["name"], {})
            for peer in ("pytorch", "jax"):
                if peer in found:
                    case[peer] = min(found[peer], case.get(peer, found[peer]))
    titles = {case: str(CASES[case]) if case in CASES else case for case in least}
    rows = [
        [titles[case], ratio(found.get("pytorch")), ratio(found.get("jax"))]
        for case, found in least.items()
    ]
    return markdown(
        [f"the lowest on {', '.join(sorted(cpus))}", "PyTorch / nanoae", "JAX / nanoae"], rows
    )


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
    blocks = [
        block["others"]
        for result in results
        for column in result.columns
        for block in column.rounds
    ]
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
    columns = [
        column for result in results for column in result.columns if column.blas and column.kernel
    ]
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


def kind(facts: dict[str, Any]) -> str:
    """The machine's kind of CPU, for the name of a file: "amd-epyc-26-2"."""
    model = "-".join(facts["family"].split("/")[:2])
    return re.sub("[^a-z0-9]+", "-", f"{facts['cpu']} {model}".lower().replace("(r)", "")).strip(
        "-"
    )


def title(facts: dict[str, Any]) -> str:
    return f"# {facts['cpu']} (family, model, stepping {facts['family']}), {facts['logical_cpus']} CPUs"


def save(name: str, text: str, facts: dict[str, Any] | None = None) -> None:
    """Write results/NAME.md, and with facts results/NAME.json, which say by what command, when and of which commit."""
    RESULTS.mkdir(exist_ok=True)
    made = origin()
    (RESULTS / f"{name}.md").write_text(f"{text}\n\n{measured(made)}\n", encoding="utf-8")
    if facts is not None:
        write_json(RESULTS / f"{name}.json", {"origin": made, **facts})


def measured(made: dict[str, str]) -> str:
    """What `origin` found, as a sentence."""
    return f"Measured on {made['date']}, at commit {made['commit']}: `{made['command']}`."


def origin() -> dict[str, str]:
    """The command, the day, and the commit that is checked out, "unknown" outside a repository."""
    asked = ["git", "-C", str(RESULTS), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    command = shlex.join(["python", *sys.orig_argv[1:]])
    return {"command": command, "date": datetime.date.today().isoformat(), "commit": commit}


def write_json(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(
        json.dumps(facts, indent=1, default=lambda number: number.item()) + "\n", encoding="utf-8"
    )
