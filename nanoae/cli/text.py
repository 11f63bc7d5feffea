"""`nanoae text train` and `nanoae text generate`: learn lines of text, and write new ones."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import numpy as np

from nanoae import TextVAE
from nanoae.autoencoders.vocabulary import some
from nanoae.cli import data as data_options
from nanoae.cli import model as models
from nanoae.cli import results as outcome
from nanoae.cli import resume, settings
from nanoae.cli import train as trainer
from nanoae.cli.options import BACKEND, command, declare
from nanoae.cli.output import run_folder
from nanoae.cli.train import logger
from nanoae.data.files import read_lines
from nanoae.data.slogans import draw_slogans
from nanoae.report import write_text_report
from nanoae.spelling import counted
from nanoae.training.process_group import first_rank, ranks

HELD_OUT = 0.1  # share of the lines that the model is tested on
# with -1, -2, ...: where train writes, and generate looks for the newest model
RUNS = Path("runs", "text")
EXAMPLES = """\
examples:
  nanoae text train                                   the built-in slogans, about a minute
  nanoae text train lines.txt                         your own file, one line per slogan, in any script
  nanoae text train slogans.tsv --out my-slogans      lines of keyword<TAB>slogan: conditional on the keyword
  nanoae text generate --keyword coffee --count 10 --temperature 0.8
  nanoae text generate my-slogans --seed 1            the model in another folder, the same lines each time
"""
SETTINGS = settings.known_settings({"": TextVAE}, without=("random_state", "warm_start"))


def add_to(commands) -> None:
    about = "train a variational autoencoder of lines of text, and generate new lines"
    more = {"description": f"TextVAE: {about}.", "epilog": EXAMPLES}
    parser = command(commands, "text", lambda args: parser.print_help() or 2, about, **more)
    actions = parser.add_subparsers(metavar="train|generate", title="actions")

    options = command(
        actions,
        "train",
        train,
        "train on the lines of a file",
        epilog=EXAMPLES,
        description="Trains on nine tenths of the lines, tests the model on the others, and writes runs/text-1/:\n"
        "model.npz, metrics.csv (one row per epoch), config.json (settings and results).",
    )
    declare(
        options,
        """
        [FILE]          UTF-8, one slogan per line, or keyword<TAB>slogan (default: built-in slogans)
        --out DIR       the new folder for the results (default: runs/text-N)
        --quiet         print only the result
        --report        also write report.html, as `nanoae report` does
        --seed SEED=0   random seed
    """,
    )
    resume.add_options(options)
    group = options.add_argument_group("settings")
    settings.add_settings(group, SETTINGS, default=argparse.SUPPRESS)

    options = command(actions, "generate", generate, "generate new lines", epilog=EXAMPLES)
    declare(
        options,
        f"""
        [MODEL]               a model.npz, or the folder that contains it (default: the newest in runs/)
        --keyword WORD        keyword of the lines (default: a known keyword for each line)
        --count N=10          number of lines
        --temperature X=0.8   0 always takes the most probable word; larger values vary more
        --seed SEED           random seed, for reproducible lines (default: new lines each time)
        {BACKEND}
    """,
    )
    data_options.add_limit(options)


def train(args: argparse.Namespace) -> int:
    args = resume.as_begun(args)
    lines, keywords = lines_of(args.file)
    with run_folder(args.out or RUNS, args.out is None, args.resume) as folder:
        learned, held = halves(lines, keywords, args.seed)
        log = logger(args)
        model = TextVAE(random_state=args.seed, **settings.given(args, SETTINGS)).build(*learned)
        log(f"device  {model.network_.ops.describe()}\n{about(args.file, model, learned[0])}\n")
        fit = functools.partial(trainer.train, model, *learned, quiet=args.quiet)
        model, code = resume.finish(args, folder, model, fit)
        if not first_rank():
            return code
        log(outcome.trained(model))
        outcome.save(model, folder / "model.npz", {})
        outcome.write_metrics(folder / "metrics.csv", model.history_)
        judged = held or learned
        results = model.evaluate(*judged)
        whose = "the training lines, since there are too few to hold any out"
        if held:
            whose = f"{len(held[0]):,} held-out lines"
        config = describe_run(args, model, {whose: results})
        outcome.write_config(folder, config | {"complete": False})
        if args.report:
            facts = {"text": about(args.file, model, learned[0]), "lines in this report": whose}
            page = folder / "report.html"
            write_text_report(page, model, *judged, title=folder.name, facts=facts)
        print(verdict(whose, results))
        for line in model.generate(5, temperature=0.8, random_state=args.seed):
            log(f"  {line}")
        print(outcome.written(folder))
        if code == 0:
            outcome.write_config(folder, config | {"complete": True})
            resume.remove(folder)
    return code


def halves(lines: list[str], keywords: list[str] | None, random_state: int):
    """((lines, keywords) for training, (lines, keywords) held out, or None if there are too few). Held-out
    lines have only keywords that occur in training."""
    order = np.random.default_rng(random_state).permutation(len(lines)).tolist()
    n_held = round(HELD_OUT * len(lines))

    def part(rows: list[int]) -> tuple[list[str], list[str] | None]:
        return [lines[i] for i in rows], keywords and [keywords[i] for i in rows]

    learned = part(order[n_held:])
    known = set(learned[1] or ())
    rows = order[:n_held]
    if keywords is not None:
        rows = [i for i in rows if keywords[i] in known]
    return learned, part(rows) if rows else None


def lines_of(source: str | None) -> tuple[list[str], list[str] | None]:
    """The lines of a file, or the built-in slogans, and their keywords."""
    return draw_slogans() if source is None else read_lines(source)


def about(file: Path | None, model: TextVAE, lines: list[str]) -> str:
    words = model.vocabulary_.tokens
    unit = model.vocabulary_.unit
    name = file.name if file else "built-in slogans"
    keywords = ""
    if model.keywords_:
        keywords = f", with {counted(len(model.keywords_), 'keyword')}: {some(model.keywords_)}"
    return (
        f"text    {name}: {counted(len(lines), 'line')} for training, with {len(words):,} different {unit}{keywords}\n"
        f"model   {model.network_.theta.size:,} parameters"
    )


def verdict(whose: str, result: dict[str, float]) -> str:
    return (
        f"{whose}: ELBO {result['elbo']:.2f} nats per line, perplexity {result['perplexity']:.2f}; the code carries "
        f"{result['kl']:.2f} nats, in {result['active_units']} units; {result['token_accuracy']:.1%} of "
        f"the tokens and {result['exact_lines']:.1%} of the lines are reconstructed from it"
    )


def describe_run(
    args: argparse.Namespace, model: TextVAE, results: dict[str, dict[str, float]]
) -> dict[str, Any]:
    return {
        "command": ["nanoae", *args.argv],
        "data": {"source": None if args.file is None else str(args.file), "seed": args.seed},
        "settings": outcome.settings_config(model),
        "ranks": ranks(),
        "results": results,
    }


def generate(args: argparse.Namespace) -> int:
    args.model = args.model or newest()
    model = models.load(args)
    if not isinstance(model, TextVAE):
        raise ValueError(
            f"{args.model}: expected a TextVAE, got {type(model).__name__}. `nanoae text train` writes one."
        )
    for line in model.generate(args.count, args.keyword, args.temperature, args.seed):
        print(line)
    return 0


def newest() -> Path:
    """The newest model written by `text train`."""
    written = RUNS.parent.glob(f"{RUNS.name}-*/model.npz")
    models = sorted(written, key=lambda path: path.stat().st_mtime)
    if not models:
        raise ValueError(
            f"expected MODEL, or a model in {RUNS}-1, got none. Run `nanoae text train` first (about a minute)."
        )
    return models[-1]
