"""The command: `python -m benchmarks [steps | run | import | growth | quote]`. Options without a
subcommand mean `steps`; without arguments it lists the measurements and how long they take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, QUICK
from benchmarks.contenders import CONTENDERS
from benchmarks.growth import draw, sweeps
from benchmarks.machine import machine, pin
from benchmarks.package import import_times, install_size, package_table
from benchmarks.steps import INSTALL, LossMismatch, Settings, measure
from benchmarks.table import (
    how,
    kind,
    markdown,
    notes,
    quote,
    save,
    steps_table,
    title,
    where,
    write_json,
)
from benchmarks.whole import RunFailed, measure_runs, runs_table
from benchmarks.worker import Worker, WorkerError

SHIPPED = "as shipped"
# paragraphs to print, facts to write, whether all went well
Outcome = tuple[list[str], dict[str, Any], bool]


def names(known) -> Callable[[str], list[str]]:
    """An argparse type: a comma-separated choice of `known`."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(
                f"expected some of {','.join(known)}, got {','.join(unknown)}"
            )
        return chosen

    return parse


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 1, got {text!r}")
    return int(text)


def new_file(text: str) -> Path:
    """A file that can be written, as far as can be said before the measuring starts."""
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in an existing folder, got {text!r}")
    return Path(text)


def figure_file(text: str) -> Path:
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(f"matplotlib is not installed: {INSTALL}")
    return new_file(text)


def plain_name(text: str) -> str:
    if not text.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError(
            f"expected a name of letters, digits, - and _, got {text!r}"
        )
    return text


def parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", type=new_file, metavar="FILE", help="write machine, versions and every round"
    )
    common.add_argument("--save", type=plain_name, metavar="NAME", help="write benchmarks/results/NAME.md and .json; "
                        "of times NAME-CPU.md, one for each kind of CPU")  # fmt: skip
    limits = argparse.ArgumentParser(add_help=False)
    limits.add_argument(
        "--threads", type=at_least_one, default=2, help="CPUs and threads of every contender (2)"
    )
    limits.add_argument("--blas", choices=("as-shipped", "best", "both"), default="both", help="NumPy's BLAS as it "
                        "ships, with the kernel that is best here, or both (run and growth: the best)")  # fmt: skip
    top = argparse.ArgumentParser(
        "python -m benchmarks", description="How fast nanoae is, beside its peers."
    )
    commands = top.add_subparsers(dest="command", required=True)
    steps = commands.add_parser(
        "steps", parents=[common, limits], help="the time of a training step (the default)"
    )
    steps.add_argument(
        "--quick",
        action="store_true",
        help=f"under 2 minutes: cases {','.join(QUICK)}, fewer rounds",
    )
    steps.add_argument("--cases", type=names(CASES), help=f"some of {','.join(CASES)}")
    steps.add_argument(
        "--rounds", type=at_least_one, help="timed blocks of each contender (15; 5 with --quick)"
    )
    steps.set_defaults(contenders=list(CONTENDERS))
    run = commands.add_parser(
        "run", parents=[common, limits], help="whole runs to a test error on MNIST"
    )
    run.add_argument("--data-dir", help="the folder that holds MNIST (else NANOAE_DATA)")
    run.add_argument("--target", type=float, default=0.0055, help="test MSE to reach (0.0055)")
    run.add_argument("--rounds", type=at_least_one, default=3, help="runs of each library (3)")
    commands.add_parser(
        "import", parents=[common], help="import time beyond NumPy's, and install size"
    )
    growth = commands.add_parser(
        "growth", parents=[common, limits], help="cost over batch, width and rows"
    )
    growth.add_argument(
        "--figure", type=figure_file, metavar="FILE", help="draw it (.png, .pdf, .svg)"
    )
    growth.add_argument(
        "--rounds", type=at_least_one, default=5, help="timed blocks of each contender (5)"
    )
    growth.add_argument(
        "--sizes", type=at_least_one, help="only so many sizes of each sweep, the smallest first"
    )
    growth.set_defaults(contenders=["nanoae", "torch"])
    said = commands.add_parser(
        "quote", parents=[common], help="the ratios of the slower CPU, out of all the tables"
    )
    said.add_argument(
        "name", nargs="?", default="cpu-steps", help="the tables NAME-CPU.json (cpu-steps)"
    )
    for command in (steps, growth):
        command.add_argument("--contenders", type=names(CONTENDERS), help=f"some of {','.join(CONTENDERS)} "
                             f"({','.join(command.get_default('contenders'))})")  # fmt: skip
    return top


def environments(choice: str) -> dict[str, dict[str, str]]:
    """What each choice of BLAS sets before NumPy loads, the better one last."""
    with Worker("gemm", 1) as shipped:
        best = shipped.ask("best_environment")
    setting = " ".join(f"{name}={value}" for name, value in best.items())
    if choice == "as-shipped" or not best:
        return {SHIPPED: {}}
    return {setting: best} if choice == "best" else {SHIPPED: {}, setting: best}


def say(text: str) -> None:
    """Progress, on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def steps_command(options) -> Outcome:
    block, pause = (0.25, 0.1) if options.quick else (0.4, 0.25)
    rounds = options.rounds or (5 if options.quick else 15)
    settings = Settings(rounds, 0 if options.quick else 2 * rounds, block, pause, options.threads)
    chosen = environments(options.blas)
    cases = options.cases or (QUICK if options.quick else CASES)
    results = [measure(CASES[name], options.contenders, chosen, settings, say) for name in cases]
    facts = {
        "settings": vars(settings),
        "environments": chosen,
        "cases": [result.as_json() for result in results],
    }
    good = not any(column.absent == "failed" for result in results for column in result.columns)
    return [*steps_table(results, options.contenders), how(results, settings)], facts, good


def run_command(options) -> Outcome:
    libraries = [name for name in ("nanoae", "torch") if CONTENDERS[name].installed]
    environment = list(environments(options.blas).values())[-1]
    runs = measure_runs(
        libraries,
        options.rounds,
        options.target,
        options.data_dir,
        options.threads,
        environment,
        say,
    )
    missing = [] if "torch" in libraries else [f"PyTorch is not installed: {INSTALL}"]
    facts = {
        "threads": options.threads,
        "environment": environment,
        "target": options.target,
        "runs": runs,
    }
    return [markdown(*runs_table(runs)), *missing], facts, True


def import_command(options) -> Outcome:
    times = import_times()
    size, built = install_size()
    return [markdown(*package_table(times)), size], {**times, **built}, bool(built)


def growth_command(options) -> Outcome:
    settings = Settings(options.rounds, 2 * options.rounds, 0.2, 0.1, options.threads)
    environment = dict(list(environments(options.blas).items())[-1:])
    found = sweeps(options.sizes)
    cases = [case for sweep in found for case in sweep.cases.values()]
    results = {
        case.name: measure(case, options.contenders, environment, settings, say) for case in cases
    }
    if options.figure:
        draw(found, results, options.contenders, options.figure)
    tables = [markdown(*sweep.table(results, options.contenders)) for sweep in found]
    measured = [result.as_json() for result in results.values()]
    facts = {"settings": vars(settings), "environment": environment, "cases": measured}
    return (
        [*tables, *notes(list(results.values())), how(list(results.values()), settings)],
        facts,
        True,
    )


def quote_command(options) -> Outcome:
    return [quote(options.name)], {}, True


GUIDE = """\
How fast nanoae is, beside PyTorch, JAX and scikit-learn, where these are installed:

  python -m benchmarks steps --quick    two minutes   the time of a training step, few rounds of the small networks
  python -m benchmarks steps            20 minutes    the same, every network, with peak memory
  python -m benchmarks run              3 minutes     whole runs to a test error on MNIST
  python -m benchmarks import           1 minute      import time, and size of the wheel
  python -m benchmarks growth           20 minutes    cost over batch, width and rows
  python -m benchmarks quote            at once       what the tables that are saved allow to be claimed
  python -m benchmarks.gpu              8 minutes     on a machine with an NVIDIA GPU
  python -m benchmarks.reproduce        at once       lists the published numbers that can be measured again

Measure on an idle machine. --save NAME writes benchmarks/results/NAME-CPU.md; --help tells the options."""

COMMANDS = {
    "quote": quote_command,
    "steps": steps_command,
    "run": run_command,
    "import": import_command,
    "growth": growth_command,
}


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        print(GUIDE)
        return 0
    if arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments = ["steps", *arguments]
    options = parser().parse_args(arguments)
    if hasattr(options, "threads"):
        pin(options.threads)
    try:
        paragraphs, facts, good = COMMANDS[options.command](options)
    except (LossMismatch, RunFailed, WorkerError) as error:
        say("")
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbenchmarks: interrupted; nothing was written", file=sys.stderr)
        return 130
    facts = {"machine": machine(), **facts}
    text = "\n\n".join([title(facts["machine"]), *paragraphs, where(facts["machine"])])
    if options.json:
        write_json(options.json, facts)
    if options.save:
        of_one_cpu = options.command in ("steps", "growth", "run")
        save(
            f"{options.save}-{kind(facts['machine'])}" if of_one_cpu else options.save, text, facts
        )
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
