"""The data options, which all commands share, and the rows they name."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from nanoae.data import Dataset, load_data
from nanoae.data.catalogue import NAMES

SPLITS = ("train", "test", "all")
Table = tuple[np.ndarray, dict[str, Any]]  # rows on the model's scale, (N, D), and what its methods take beside them


def add_options(parser: argparse.ArgumentParser, required: bool = False, default: str | None = None) -> None:
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data", required=required, default=default, metavar="NAME|PATH",
        help=f"{', '.join(NAMES)}, or a .csv, .npy, .npz or IDX file, or a folder of images or of one for each class"
    )  # fmt: skip
    group.add_argument("--data-dir", metavar="DIR", help="where to look for mnist and fashion-mnist first")
    group.add_argument("--label", metavar="COLUMN", help="the column of a .csv file that is no feature but the label")
    group.add_argument(
        "--maximum", type=float, metavar="X",
        help="the number that stands for 1 in a file, where its type does not say so: 255 for pixels in a .csv"
    )  # fmt: skip


def read(args: argparse.Namespace, in_order: bool = False) -> Dataset:
    """The data set, split into training and test rows; a user's file `in_order` is only cut, not shuffled."""
    seed = None if in_order and args.data not in NAMES else 0
    return load_data(args.data, args.data_dir, random_state=seed, label=args.label, maximum=args.maximum)


def black(model: Any) -> float:
    """What black pixels are for this model; see `NetworkEstimator.black_`."""
    return getattr(model, "black_", 0.0)


def predicts(model: Any) -> bool:
    """Whether it learns labels, and not to give the rows back."""
    return hasattr(model, "predict")


def conditional(model: Any) -> bool:
    """Whether it learned rows under their labels, and has to be told them."""
    return getattr(model, "classes_", None) is not None and not predicts(model)


def parts(data: Dataset, split: str, model: Any, learned: bool = False) -> list[Table]:
    """The tables of a split, for "all" the training and the test rows. With labels where the model is told them,
    condition=; and where it predicts them and they are to be `learned`, y=."""
    name = "condition" if conditional(model) else "y" if learned and predicts(model) else None
    tables = zip(("train", "test"), data.flat(black(model)), strict=True)
    wanted = [(part, x) for part, x in tables if part == split or (split == "all" and len(x))]
    return [(x, {name: labels(data, part)} if name else {}) for part, x in wanted]


def joined(tables: list[Table]) -> Table:
    """All rows, one table after the other."""
    rows, besides = zip(*tables, strict=True)
    return np.concatenate(rows), {name: np.ma.concatenate([beside[name] for beside in besides]) for name in besides[0]}


def first(table: Table, n: int) -> Table:
    """Its first n rows."""
    rows, beside = table
    return rows[:n], {name: labels[:n] for name, labels in beside.items()}


def labels(data: Dataset, split: str) -> np.ndarray:
    """The labels (N,) of the training or the test rows; ValueError where there are none."""
    which, y = {"train": ("training", data.y_train), "test": ("test", data.y_test)}[split]
    if y is None or y.ndim != 1:
        raise ValueError(
            f"--data: expected labels, one for each {which} row, got {data.name} without. For a .csv: --label COLUMN; "
            "for images: a folder for each class."
        )
    return y


def describe(data: Dataset, model: Any) -> str:
    """How many rows, of which shape and range, on the model's scale."""
    rows = f"{len(data.x_train):,} training and {len(data.x_test):,} test rows"
    return f"{data.name}: {rows} of {describe_rows(data, model)}"


def describe_rows(data: Dataset, model: Any) -> str:
    """The shape and range of a row, on the model's scale."""
    x = data.x_train
    shape = " x ".join(map(str, data.shape)) + (" columns" if len(data.shape) == 1 else "")
    low, ends = black(model), [float(x.min()), float(x.max())]
    read = [f"{low + (1 - low) * end / data.maximum:g}" for end in ends] if data.maximum else []
    scaled = f", read as {' to '.join(read)}" if read else ""
    return f"{shape}, {x.dtype} from {ends[0]:g} to {ends[1]:g}{scaled}"
