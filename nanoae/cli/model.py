"""`nanoae evaluate`, `encode` and `reconstruct`: apply a saved model."""

from __future__ import annotations

import csv
import math
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from nanoae.autoencoders.model_file import read_notes
from nanoae.blocks import write_npy
from nanoae.cli import data as data_options
from nanoae.cli import results
from nanoae.cli.figures import reconstructions
from nanoae.cli.options import BACKEND, JSON, MODEL, command, declare
from nanoae.cli.output import STDOUT, check_output_file, print_summary, safe, text_file, write_json
from nanoae.cli.resume import FOLDER
from nanoae.cli.training_set import TrainingSet
from nanoae.data import Dataset
from nanoae.data.field import promised
from nanoae.data.regular_file import decoding
from nanoae.spelling import counted
from nanoae.training.divergence import NotFiniteError

NOT_OF_ROWS = {
    "TextVAE": "Use nanoae text generate.",
    "AnomalyDetector": "Use nanoae detect --model if nanoae detect --save wrote it, else load it in Python.",
}


SPLIT = f"--split {'|'.join(data_options.SPLITS)}"


def add_to(commands) -> None:
    parser = add_command(commands, evaluate, "report the error of a model, compared with PCA's")
    declare(
        parser,
        f"""
        {JSON}
        {SPLIT}   rows to use (default: the test rows of the training data; all rows of other files)
    """,
    )
    parser = add_command(commands, encode, "write the codes of rows", " --out codes.csv")
    add_output(parser, ".npy or .csv")
    text = "write the reconstructions of rows"
    parser = add_command(commands, reconstruct, text, " --out reconstructions.png")
    add_output(parser, ".npy, .csv, or .png for an image of ten rows")


def add_command(commands: Any, run: Callable[..., int], text: str, example: str = "") -> Any:
    """Add the parser of a command that applies a model to rows."""
    name = run.__name__
    epilog = f"example: nanoae {name} runs/digits-1 --data digits{example}"
    parser = command(commands, name, run, text, epilog=epilog)
    declare(parser, MODEL)
    data_options.add_options(parser, required=True)
    declare(parser, BACKEND)
    return parser


def add_output(parser: Any, kinds: str) -> None:
    declare(
        parser,
        f"""
        --out FILE!  {kinds}; "-" for .csv to stdout
        {SPLIT}=all   rows to use; with all, in the order of the file
    """,
    )


def file_of(path: Path) -> Path:
    """The model file: `path`, or model.npz in the folder of a run. ValueError if the run was stopped before."""
    if not path.is_dir():
        return path
    file = path / "model.npz"
    if not file.exists() and (path / FOLDER).is_dir():
        raise ValueError(
            f"{path}: expected a finished run, got one that was stopped before it wrote its model. Continue it "
            f"with --resume {path}."
        )
    return file


def model_path(args: Namespace) -> Path:
    """The file of MODEL."""
    return file_of(args.model)


def load(args: Namespace) -> Any:
    """The estimator of MODEL."""
    return nanoae.load(model_path(args), backend=args.backend, limit=args.limit)


def notes(args: Namespace) -> dict[str, Any]:
    """The notes that were saved with the model."""
    return read_notes(model_path(args), args.limit)


def trained_on(args: Namespace) -> TrainingSet | None:
    """The model's training set; None if its file does not say."""
    with decoding(model_path(args), "nanoae model"):
        return TrainingSet.of_notes(notes(args))


def reading_notes(args: Namespace) -> dict[str, list[str]]:
    """How the model's training data were read: "ignore", the columns left out; "na", the marks of missing values; and
    "resize", the size that images were scaled to."""
    with decoding(model_path(args), "nanoae model"):
        found = notes(args)
        return {name: promised(found, name, [str], []) for name in ("ignore", "na", "resize")}


def read(
    args: Namespace, model: Any, trained: TrainingSet | None, in_order: bool = False
) -> Dataset:
    """--data, with the columns that the model learned, on the scale of its training data."""
    data = data_options.read(data_options.as_learned(args, reading_notes(args)), in_order, model)
    # the model raises the error
    if trained is None or math.prod(data.shape) != model.n_features_in_:
        return data
    return trained.on_scale(data, args.maximum)


def load_of_rows(args: Namespace) -> Any:
    """The estimator of MODEL; ValueError if it does not encode rows."""
    model = load(args)
    name = type(model).__name__
    if name in NOT_OF_ROWS:
        raise ValueError(
            f"{args.model}: expected an autoencoder of rows, got {name}. {NOT_OF_ROWS[name]}"
        )
    return model


def evaluate(args: Namespace) -> int:
    model = load_of_rows(args)
    trained = trained_on(args)
    try:
        data = read(args, model, trained)
    except ValueError:
        # for instance a single row, which cannot be split
        data = read(args, model, trained, in_order=True)
    split, judged_on = judged(args, data, trained)
    rows, extra = data_options.joined(data_options.parts(data, split, model, learned=True))
    result = model.evaluate(rows, **extra)
    for name, value in result.items():
        if not math.isfinite(value):
            raise NotFiniteError(
                f"{args.data}: expected rows with a finite {name}, got {value}. The values are too large for the "
                "model, or its weights are not finite."
            )
    code_size = len(model.get_feature_names_out())
    baseline = trained.baseline if trained else None
    of_pca = baseline.evaluate(rows) if baseline else None
    if args.json:
        facts = {
            "model": str(args.model),
            "class": type(model).__name__,
            "code_size": code_size,
            "data": data.name,
            "split": split,
            "rows": len(rows),
            "result": result,
            "pca": of_pca,
        }
        write_json(STDOUT, facts)
        return 0
    print(
        f"model   {args.model}: {type(model).__name__}, {rows.shape[1]} features, code size {code_size}"
    )
    print(f"data    {data.name}: rows of {data_options.describe_rows(data, model)}")
    print(f"tested  {judged_on}")
    print(
        results.verdict(
            split, model, result, baseline, of_pca, "the model file has no PCA of the training rows"
        )
    )
    return 0


def judged(args: Namespace, data: Dataset, trained: TrainingSet | None) -> tuple[str, str]:
    """The split to evaluate, and its description. The default is "test" if the model was trained on this set, if its
    training set is unknown, or if the set comes with test rows; otherwise "all"."""
    own = trained is not None and trained.holds(data)
    aside = len(data.x_test) and (own or trained is None or data.official)
    split = args.split or ("test" if aside else "all")
    tables = {"train": len(data.x_train), "test": len(data.x_test)}
    every = sum(tables.values())
    if split == "all":
        rows = f"all {every:,} rows" if every > 1 else "its row"
    else:
        rows = f"the {tables[split]:,} {split} rows of {every:,}"
    where = "; the model file does not name its training data (choose other rows with --split)"
    if own:
        where = " in the model's training data"
    elif trained is not None:
        where = f"; the model was trained on other data, {trained.name}"
    return split, rows + where


def encode(args: Namespace) -> int:
    model = load_of_rows(args)
    data = read(args, model, trained_on(args), in_order=args.split == "all")
    check_output(args, (".npy", ".csv"))
    parts = data_options.parts(data, args.split, model)
    rows = sum(len(x) for x, _ in parts)
    codes = data_options.by_rows(model.transform, parts)
    shape = write(args.out, rows, codes, model.get_feature_names_out())
    print_summary(f"written to {args.out}: codes {shape} of {data.name}", args.out)
    return 0


def reconstruct(args: Namespace) -> int:
    model = load_of_rows(args)
    if not hasattr(model, "reconstruct"):
        raise ValueError(
            f"{args.model}: expected an autoencoder, got {type(model).__name__}, which has no reconstructions. "
            "Use nanoae evaluate or nanoae encode."
        )
    data = read(args, model, trained_on(args), in_order=args.split == "all")
    parts = data_options.parts(data, args.split, model)
    check_output(args, (".npy", ".csv", ".png"))
    if args.out.suffix == ".png":
        few, extra = data_options.first(parts[0], 10)
        reconstructed = model.reconstruct(few, **extra)
        pictures = {"original": few, "reconstruction": reconstructed}
        reconstructions(args.out, pictures, data, data_options.black(model))
        rows = len(reconstructed)
    else:
        rows = sum(len(x) for x, _ in parts)
        blocks = data_options.by_rows(model.reconstruct, parts)
        columns = data.columns or data_options.column_names(model)
        if data.encoder is not None:
            check_output(args, (".csv",))
            blocks = map(data.encoder.inverse_transform, blocks)
            columns = data.encoder.names_
        if args.out.suffix == ".npy":
            blocks = (block.reshape(len(block), *data.shape) for block in blocks)
        write(args.out, rows, blocks, columns)
    print_summary(f"written to {args.out}: {counted(rows, 'row')} of {data.name}", args.out)
    return 0


def check_output(args: Namespace, suffixes: Sequence[str]) -> None:
    """Raise before the work if --out is the file being read, cannot be written, or has an unknown suffix."""
    if args.out == STDOUT and ".csv" in suffixes:
        return
    if args.out.suffix not in suffixes:
        raise ValueError(
            f"--out: expected a file name ending in {' or '.join(suffixes)}, got {args.out}."
        )
    for source in (args.model, Path(args.data)):
        if args.out.exists() and source.exists() and args.out.samefile(source):
            raise ValueError(f"--out: expected a file other than the input, got {args.out}.")
    check_output_file(args.out)


def write(
    path: Path, rows: int, blocks: Iterator[np.ndarray], columns: Sequence[str] | None
) -> tuple[int, ...]:
    """Write `rows` rows, given in blocks (n, ...), as .npy, or (N, D) as .csv with the column names, if any, as the
    first row. Return the shape of the whole."""
    if path.suffix == ".npy":
        return write_npy(path, rows, blocks)
    shape: tuple[int, ...] = ()
    with text_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        if columns is not None:
            table.writerow(map(safe, columns))
        for block in blocks:
            shape = rows, *block.shape[1:]
            if block.dtype == object:
                table.writerows(map(cells, block))
                continue
            form = "%.15g" if block.dtype == np.float64 else "%.9g"
            np.savetxt(file, block, fmt=form, delimiter=",")
    return shape


def cells(row: Sequence[Any]) -> list[str]:
    """The cells of a table's row as text for a .csv file."""
    return [safe(cell) if isinstance(cell, str) else f"{cell:.9g}" for cell in row]
