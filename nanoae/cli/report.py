"""`nanoae report`: one HTML file that shows what a model has learned, with its decoder running in the page."""

from __future__ import annotations

import copy
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nanoae import AnomalyDetector, TextVAE, read_table
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.cli import data as data_options
from nanoae.cli import model as models
from nanoae.cli import text
from nanoae.cli.options import BACKEND, command, declare
from nanoae.cli.page import facts_of, write_page
from nanoae.report import write_detector_report, write_text_report
from nanoae.spelling import counted
from nanoae.whole_file import check_writable


def add_to(commands) -> None:
    parser = command(
        commands,
        "report",
        run,
        "write an HTML report of what a model has learned, with its interactive decoder",
        description="Writes one self-contained HTML file: the settings and the data, learning curves, reconstructions "
        "beside PCA's, errors, codes, weights, suggestions, and the decoder itself with a slider for each number of "
        "the code. It opens in any browser and needs no network.",
        epilog="example: nanoae report runs/digits-1",
    )
    text = "the folder of a run, or a model file"
    parser.add_argument("model", metavar="RUN", type=Path, help=text)
    declare(
        parser,
        f"""
        --out FILE   output file (default: report.html beside the model)
        --split {"|".join(data_options.SPLITS)}   rows to use (default: as in evaluate, rows that were not learned)
        {BACKEND}
    """,
    )
    data_options.add_options(parser)


def run(args: Namespace) -> int:
    path = models.model_path(args)
    out = args.out or path.with_name(
        "report.html" if path.name == "model.npz" else f"{path.stem}.html"
    )
    if out.suffix not in (".html", ".htm"):
        raise ValueError(f"--out: expected a file name ending in .html, got {out}.")
    check_writable(out)
    config = config_of(path)
    model = models.load(args)
    # noted in config.json, not in the model file
    model.interrupted_ = bool(config.get("interrupted"))
    for kind, write in REPORTS:
        if isinstance(model, kind):
            which = write(args, out, model, config)
            print(f"written to {out}: {which}")
            return 0
    raise ValueError(
        f"{args.model}: expected an autoencoder, a predictor or a detector, got {type(model).__name__}."
    )


def of_lines(args: Namespace, out: Path, model: TextVAE, config: dict[str, Any]) -> str:
    """Write the report of a text model; return a description of its lines."""
    lines, keywords, which = lines_to_report(args, config)
    write_text_report(
        out, model, lines, keywords, title=title_of(args), facts={"lines in this report": which}
    )
    return which


def of_table(args: Namespace, out: Path, model: AnomalyDetector, config: dict[str, Any]) -> str:
    """Write the report of a detector on the rows of a table; return a description of the rows."""
    if args.data is None:
        raise ValueError("--data: expected a file of rows to score, got none.")
    table = read_table(args.data, limit=data_options.limit(args), **data_options.text_format(args))
    named = data_options.no_inputs(args)
    ignored = models.reading_notes(args)["ignore"]
    before = [name for name in ignored if name in table.names and name not in named]
    rows, copied = table.split([*before, *named])
    labels = None
    if args.label:
        _, cells = copied[-1]
        labels = np.array([str(cell) for cell in cells])
    which = f"the {counted(len(rows), 'row')} of {args.data}"
    facts = {"rows in this report": which}
    write_detector_report(out, model, rows, labels, title=title_of(args), facts=facts)
    return which


def of_rows(args: Namespace, out: Path, model: NetworkEstimator, config: dict[str, Any]) -> str:
    """Write the report of an autoencoder or predictor on its own data or on --data; return a description."""
    args = with_data_of(args, config)
    trained = models.trained_on(args)
    data = models.read(args, model, trained)
    split, which = models.judged(args, data, trained)
    facts = facts_of(config) | {"rows in this report": which}
    baseline = trained.baseline if trained else None
    write_page(out, model, baseline, data, split, title_of(args), facts)
    return which


REPORTS: tuple[tuple[type, Callable[..., str]], ...] = (
    (TextVAE, of_lines),
    (AnomalyDetector, of_table),
    (NetworkEstimator, of_rows),
)


def lines_to_report(
    args: Namespace, config: dict[str, Any]
) -> tuple[list[str], list[str] | None, str]:
    """(lines, keywords, description): all lines of --data, or the held-out lines of the run's own file."""
    if args.data is not None:
        return *text.lines_of(args.data), f"all lines of {args.data}"
    if "seed" not in config.get("data", {}):
        raise ValueError(
            f"--data: expected a file of lines to report on, got none, and {args.model} does not name its own."
        )
    own = config["data"]
    lines, keywords = text.lines_of(own["source"])
    learned, held = text.halves(lines, keywords, own["seed"])
    if held:
        return *held, "held-out lines"
    return *learned, "the training lines, since there are too few to hold any out"


def title_of(args: Namespace) -> str:
    path = models.model_path(args)
    return path.resolve().parent.name if path.name == "model.npz" else path.stem


def config_of(path: Path) -> dict[str, Any]:
    """The config.json beside a run's model; {} if there is none."""
    try:
        config = json.loads(path.with_name("config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if path.name != "model.npz" or not isinstance(config, dict):
        return {}
    return config


def with_data_of(args: Namespace, config: dict[str, Any]) -> Namespace:
    """`args`, with the data options of the run's own command if they do not name the data."""
    if args.data is not None:
        return args
    source = config.get("data", {}).get("source")
    if source is None:
        raise ValueError(
            f"--data: expected the rows to report on, got none, and {args.model} does not name its own."
        )
    parser = ArgumentParser(add_help=False)
    data_options.add_options(parser)
    command = [str(word) for word in config.get("command", [])]
    known, _ = parser.parse_known_args(command)
    found = copy.copy(args)
    for name, value in vars(known).items():
        if vars(args).get(name) == parser.get_default(name):  # not given here
            setattr(found, name, value)
    found.data = source
    return found
