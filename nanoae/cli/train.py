"""`nanoae train`: learn, compare with PCA, and write a folder of results."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from nanoae import PCA, Dataset, TensorBoard, VariationalAutoencoder
from nanoae.autoencoders.estimator import Estimator
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.presets import DATA
from nanoae.cli import data as data_options
from nanoae.cli import resume, settings
from nanoae.cli.data import Table, first
from nanoae.cli.figures import FIGURES, WHERE_THEY_APPLY, draw, reconstructions
from nanoae.cli.output import run_folder, write_csv, write_json
from nanoae.cli.page import told, write_page
from nanoae.cli.training_set import TrainingSet
from nanoae.configurable import to_config
from nanoae.data.scaling import SCALERS
from nanoae.rows import sample
from nanoae.training.loop import Trainer
from nanoae.training.process_group import first_rank, ranks

PCA_LIMIT = 4096  # the most rows or columns, whichever are fewer: beyond, its matrix takes minutes
NO_PCA = "the table is too large for it, has words or gaps, or --no-baseline"
LOSS_NAMES = {"loss": "loss", "val_loss": "validation loss"}


def add_to(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="learn from data, compare with PCA, write model and figures",
        description="Trains an autoencoder and writes runs/NAME/: model.npz, metrics.csv (a row per epoch), "
        f"config.json (settings, versions, results), {', '.join(FIGURES)}, and where they "
        f"apply {', '.join(WHERE_THEY_APPLY)}.",
        epilog="example: nanoae train --data mnist --code-size 16 --hidden 256,64 --epochs 5 --out mnist-16",
    )
    add_options(parser)
    resume.add_options(parser)
    parser.add_argument(
        "--each-epoch",
        action="store_true",
        help="also draw reconstructions after each epoch, to epochs/",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write what TensorBoard shows, to tensorboard/",
    )
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `train`, which `tune` has too."""
    data_options.add_options(parser)
    settings.add_options(parser)
    parser.add_argument(
        "--conditional",
        action="store_true",
        help="variational: under the labels of --data, p(row | label)",
    )
    group = parser.add_argument_group("output")
    place = group.add_mutually_exclusive_group()
    place.add_argument(
        "--out", metavar="DIR", type=Path, help="the new folder to write (default: runs/NAME)"
    )
    place.add_argument("--name", help="NAME (default: the preset or the data, and a number)")
    group.add_argument("--quiet", action="store_true", help="print the result only")
    group.add_argument(
        "--no-baseline",
        action="store_true",
        help="fit no PCA beside the model: it needs three times the rows' memory",
    )
    group.add_argument("--no-figures", action="store_true", help="write no figures")
    group.add_argument(
        "--report", action="store_true", help="also write report.html: see `nanoae report`"
    )


# ---------------------------------------------------------------- the command


def run(args: argparse.Namespace) -> int:
    args = resume.as_begun(args)
    with run_folder(*place(args), resume=args.resume) as folder:
        data = data_options.read(args, words=True)
        model, learn, test = prepared(settings.build_model(args, data), data, args.conditional)
        frames: dict[
            str, np.ndarray
        ] = {}  # what each epoch makes of some test rows, where that is asked for
        watchers = [watcher(model, first(test, 10), frames)] if args.each_epoch else []
        if args.tensorboard:
            watchers.append(board(folder / "tensorboard", model, data, test))
        log = logger(args)
        log(
            f"device  {model.network_.ops.describe()}\ndata    {data_options.describe(data, model)}"
        )

        def fit(**checkpoints: Any) -> None:
            log(f"model   {model.network_.theta.size:,} parameters\n\n{model.summary()}\n")
            train(model, learn[0], quiet=args.quiet, watchers=watchers, **checkpoints, **learn[1])

        model, code = resume.finish(args, folder, model, fit)
        if not first_rank():
            return code
        without = args.no_baseline or data_options.predicts(model)
        baseline = None if without else fit_pca(model, learn[0])
        log(f"{trained(model)}{scale_of(model, data)}")
        write_results(args, folder, model, baseline, data, test, frames)
        if code == 0:
            resume.remove(folder)
    return code


def place(args: argparse.Namespace, suffix: str = "") -> tuple[Path, bool]:
    """What `run_folder` is to make, by --out, --name, or the preset or data; --data has its default from here on."""
    args.data = args.data or (DATA if args.preset else "digits")
    if args.preset:
        settings.preset(args.preset)  # a misspelt one is said before anything else
    if args.out or args.name:
        return args.out or Path("runs", args.name), False
    return Path(
        "runs", (args.preset or Path(args.data.removesuffix(".gz")).resolve().stem) + suffix
    ), True


def prepared(model: Any, data: Dataset, conditional: bool) -> tuple[Any, Table, Table]:
    """The model, built but untrained, and what it learns from and is tested on, known to be fit for it."""
    if conditional and not isinstance(model, VariationalAutoencoder):
        raise ValueError(
            f"--conditional: expected a variational autoencoder, got {type(model).__name__}. Take --preset vae-20, "
            "without --stacked, --classify and --regress."
        )
    name = "condition" if conditional else "y" if data_options.predicts(model) else None
    learn, test = (
        {name: data_options.labels(data, split)} if name else {} for split in ("train", "test")
    )
    model.build(math.prod(data.shape), **learn)
    x_train, x_test = data.flat(data_options.black(model), wide=True)
    model.check_table(x_train, reset=True, wide=True)
    model.evaluate(x_test, **test)
    return model, (x_train, learn), (x_test, test)


def fit_pca(model: Any, x: np.ndarray) -> PCA | None:
    """The baseline, with as many components as the model's code has numbers, of columns on the same scale; None where
    it would take longer than the training, or values are missing, or words."""
    if getattr(model, "missing", "error") == "mask":
        return None
    scaling = model.scaling_ if model.scaling_ in SCALERS else model.scaling
    return PCA(model.code_size_, scaling=scaling).fit(x) if min(x.shape) <= PCA_LIMIT else None


def train(
    model: Any,
    *data: Any,
    quiet: bool,
    watchers: Sequence[Callable] = (),
    lines: bool = True,
    **beside: Any,
) -> None:
    """model.fit(*data, **beside), with a bar on a terminal, or else with about ten `lines`; the watchers are called
    after each epoch, too."""
    bar = not quiet and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    tellers = () if bar or quiet or not lines else (tell_epoch,)
    model.set_params(verbose=bar, callbacks=(*tellers, *watchers))
    model.fit(*data, **beside)
    model.set_params(verbose=False, callbacks=())


def tell_epoch(trainer: Trainer, row: dict[str, float]) -> None:
    """A line after every tenth of the epochs."""
    if row["epoch"] % math.ceil(trainer.epochs / 10) == 0:
        layer = f"layer {row['layer']}  " if "layer" in row else ""
        validation = f"   validation {row['val_loss']:.4g}" if "val_loss" in row else ""
        print(
            f"{layer}epoch {row['epoch']:>3} of {trainer.epochs}   loss {row['loss']:.4g}{validation}",
            flush=True,
        )


def watcher(model: Any, table: Table, frames: dict[str, np.ndarray]) -> Callable:
    """A callback that puts what the model makes of these rows into `frames` after each epoch."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError('--each-epoch: figures need matplotlib: pip install "nanoae[cli]"')
    if data_options.predicts(model):
        raise ValueError(
            f"--each-epoch: expected an autoencoder, got {type(model).__name__}, which has no reconstructions."
        )

    def watch(_, row: dict[str, float]) -> None:
        if "layer" not in row:
            frames[f"epoch {row['epoch']}"] = model.reconstruct(table[0], **table[1])

    return watch


def board(folder: Path, model: Any, data: Dataset, test: Table) -> TensorBoard:
    """The callback that shows test rows in TensorBoard."""
    x, labels = test[0], data.y_test
    if "condition" in test[1]:  # the network reads the label, one-hot, behind the row
        x = np.hstack([x, np.equal.outer(test[1]["condition"], model.classes_)])
    if labels is not None and labels.ndim > 1:
        labels = None
    return TensorBoard(folder, x, labels, data.shape)


def write_results(
    args: argparse.Namespace,
    folder: Path,
    model: Any,
    baseline: PCA | None,
    data: Dataset,
    test: Table,
    frames: dict[str, np.ndarray] | None = None,
    **more: Any,
) -> None:
    """Test the model, tell, and fill the folder: the model first, so that nothing that comes after can cost it."""
    model.record_schema(model.input_shape_, data.columns)
    save(model, folder / "model.npz", TrainingSet.of(data, baseline).notes())
    write_metrics(folder / "metrics.csv", model.history_)
    x_test = test[0]
    results: dict[str, Any] = {
        "test": model.evaluate(x_test, **test[1]),
        "pca": baseline.evaluate(x_test) if baseline else None,
    }
    config = describe_run(args, model, data) | more | {"results": results}
    write_config(folder, config | {"complete": False})
    print(verdict("test", model, results["test"], baseline, results["pca"]))
    if not args.no_figures:
        if importlib.util.find_spec("matplotlib") is None:
            print('no figures: they need matplotlib: pip install "nanoae[cli]"')
        else:
            draw(folder, model, baseline, data, test)
    if frames:
        (folder / "epochs").mkdir(exist_ok=True)
        for i, (name, again) in enumerate(frames.items(), 1):
            rows = {"original": x_test[: len(again)], name: again}
            reconstructions(
                folder / "epochs" / f"{i:03}.png", rows, data, data_options.black(model), name
            )
    if args.report:
        write_page(folder / "report.html", model, baseline, data, "test", folder.name, told(config))
    names = sorted(file.name for file in folder.iterdir() if file.name != resume.FOLDER)
    print(f"written to {folder}: {', '.join(names)}", flush=True)
    write_config(folder, config | {"complete": not config["interrupted"]})


# ---------------------------------------------------------------- what is told


def logger(args: argparse.Namespace) -> Callable[[str], None]:
    return (lambda text: None) if args.quiet else (lambda text: print(text, flush=True))


def scale_of(model: Any, data: Dataset) -> str:
    """A line on the scale of a table's columns: which was chosen; or that none was, where it is missed."""
    if data.maximum is not None:
        return ""
    if data.encoder is not None:
        return "\nscaling of the numbers robust, of the words none: TableEncoder"
    spread = np.nanstd(sample(data.flat(wide=True)[0]), axis=0, dtype=np.float64)
    low, high = spread[spread > 0].min(initial=np.inf), spread.max()
    wide = f"the columns' standard deviations go from {low:.3g} to {high:.3g}"
    if model.scaling_ != "none":
        return f"\nscaling {model.scaling_}: {wide}; the loss is that of scaled columns (--scaling)"
    if high <= 10 * min(low, 1):
        return ""
    return f"\nnote    {wide}, and the loss sees the largest: --scaling standard"


def trained(model: NetworkEstimator) -> str:
    history = model.history_
    last = [
        f"{label} {history[name][-1]:.4g}"
        for name, label in LOSS_NAMES.items()
        if history.get(name)
    ]
    if model.best_epoch_:
        last[-1] += f"; kept the best weights, of epoch {model.best_epoch_}"
    epochs, seconds = len(history["loss"]), sum(history["seconds"])
    return f"trained {epochs} epochs in {seconds:.1f} s: {', '.join(last) or 'no loss yet'}"


def verdict(
    split: str,
    model: Estimator,
    result: dict[str, float],
    baseline: PCA | None,
    of_pca: dict[str, float] | None,
    why: str = NO_PCA,
) -> str:
    """test mse 0.01234   PCA-8 0.02466, or test error 2.78 %   cross-entropy 0.0994, or test R² 0.93   mse 0.25"""
    if "error" in result:
        return f"{split} error {100 * result['error']:.2f} %   cross-entropy {result['loss']:.4g}"
    if "r2" in result:
        return f"{split} R² {result['r2']:.4g}   mse {result['loss']:.4g}"
    loss = getattr(model, "loss", "mse")
    own = (
        ""
        if loss == "mse"
        else f"{loss if isinstance(loss, str) else 'loss'} {result['loss']:.4g}   "
    )
    if "elbo" in result:
        parts = "elbo {elbo:.2f} nats (reconstruction {reconstruction:.2f}, KL {kl:.2f}), "
        own = (parts + "{active_units} units active   ").format_map(result)
    if "scaled_mse" in result:
        own += "scaled "
    if baseline is None or of_pca is None:
        pca = f"no PCA: {why}"
    else:
        error = of_pca.get("scaled_mse", of_pca["mse"])
        pca = f"PCA-{len(baseline.components_)} {'mse ' if own else ''}{error:.4g}"
    if "scaled_mse" in result:
        beside = f" (PCA {of_pca['mse']:.4g})" if of_pca else ""
        pca += f"   in the data's units mse {result['mse']:.4g}{beside}"
    return f"{split} {own}mse {result.get('scaled_mse', result['mse']):.4g}   {pca}"


# ---------------------------------------------------------------- what is written


def save(model: Estimator, path: Path, notes: dict[str, Any]) -> None:
    """`save_model`, or where that fails, the model in another place, and an OSError that says where."""
    try:
        save_model(model, path, notes)
    except OSError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="nanoae-"), path.name)
        save_model(model, elsewhere, notes)
        raise OSError(
            error.errno, f"{error.strerror}. The model is in {elsewhere}", str(path)
        ) from error


def write_config(folder: Path, config: dict[str, Any]) -> None:
    write_json(folder / "config.json", json.loads(json.dumps(config, default=to_config)))


def write_metrics(path: Path, history: dict[str, list[float]]) -> None:
    columns = {name: history[name] for name in (*LOSS_NAMES, "seconds") if name in history}
    rows = enumerate(zip(*columns.values(), strict=True), 1)
    write_csv(path, [["epoch", *columns], *([epoch, *row] for epoch, row in rows)])


def describe_run(args, model: Any, data: Dataset) -> dict[str, Any]:
    """Everything needed to do it again."""
    packages = {
        "nanoae": nanoae.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    hidden = ("callbacks", "verbose")
    return {
        "command": ["nanoae", *args.argv],
        "versions": packages,
        "device": model.network_.ops.describe(),
        "ranks": ranks(),
        "preset": args.preset,
        "data": {
            "name": data.name,
            "source": str(args.data),
            "train": list(data.x_train.shape),
            "test": list(data.x_test.shape),
            "dtype": str(data.x_train.dtype),
            "maximum": data.maximum,
        },
        "settings": {
            k: to_config(v) for k, v in model.get_params(deep=False).items() if k not in hidden
        },
        "scaling": model.scaling_,
        "parameters": int(model.network_.theta.size),
        "epochs_run": len(model.history_["loss"]),
        "interrupted": model.interrupted_,
        "seconds": sum(model.history_["seconds"]),
        "last_epoch": {
            name: model.history_[name][-1] for name in LOSS_NAMES if model.history_.get(name)
        },
    }
