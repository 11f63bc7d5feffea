"""The results of `nanoae train`, `tune` and `text train`: what they print, and write to the run's folder."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import nanoae
from nanoae import PCA, Dataset
from nanoae.autoencoders.estimator import Estimator
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.network_estimator import NetworkEstimator
from nanoae.autoencoders.part import part_of_another
from nanoae.cli import data as data_options
from nanoae.cli import resume
from nanoae.cli.data import Table
from nanoae.cli.figures import draw, draw_frames
from nanoae.cli.output import write_csv, write_json
from nanoae.cli.page import facts_of, write_page
from nanoae.cli.training_set import TrainingSet
from nanoae.configurable import to_config
from nanoae.data.scaling import SCALERS
from nanoae.spelling import counted
from nanoae.survey import sample
from nanoae.training.process_group import ranks

PCA_LIMIT = 4096  # maximum of min(rows, columns): beyond it, PCA takes minutes
LOSS_NAMES = {"loss": "loss", "val_loss": "validation loss"}


def write(
    args: argparse.Namespace,
    folder: Path,
    model: Any,
    data: Dataset,
    learned: Table,
    test: Table,
    frames: dict[str, np.ndarray] | None = None,
    **more: Any,
) -> None:
    """Test the model, print the result and write the folder; the model comes first, so that no later error loses it."""
    why = why_no_pca(args, model, learned[0])
    baseline = None if why else fit_pca(model, learned[0])
    model.record_schema(model.input_shape_, data.columns)
    notes = TrainingSet.of(data, baseline).notes() | data_options.reading_notes(args)
    save(model, folder / "model.npz", notes)
    write_metrics(folder / "metrics.csv", model.history_)
    x_test = test[0]
    found: dict[str, Any] = {
        "test": model.evaluate(x_test, **test[1]),
        "pca": baseline.evaluate(x_test) if baseline else None,
    }
    config = describe_run(args, model, data) | more | {"results": found}
    write_config(folder, config | {"complete": False})
    print(verdict("test", model, found["test"], baseline, found["pca"], why))
    if not args.no_figures:
        if importlib.util.find_spec("matplotlib") is None:
            print('no figures, they need matplotlib: pip install "nanoae[cli]"')
        else:
            draw(folder, model, baseline, data, test)
    if frames:
        draw_frames(folder / "epochs", model, data, x_test, frames)
    if args.report:
        write_page(
            folder / "report.html", model, baseline, data, "test", folder.name, facts_of(config)
        )
    print(written(folder), flush=True)
    complete = not config["interrupted"]
    write_config(folder, config | {"complete": complete})
    if complete:
        resume.remove(folder)


# ---------------------------------------------------------------- printed


def begun(model: NetworkEstimator, data: Dataset) -> str:
    """The device, and a description of the data."""
    return f"device  {model.network_.ops.describe()}\ndata    {data_options.describe(data, model)}"


def scale_of(model: Any, data: Dataset) -> str:
    """A line about the chosen scaling of a table's columns, or a note if scaling is off but advisable."""
    if data.maximum is not None:
        return ""
    if data.encoder is not None:
        return "\nscaling robust for numbers, none for text columns: TableEncoder"
    train, _ = data.flat(wide=True)
    spread = np.nanstd(sample(train), axis=0, dtype=np.float64)
    low = spread[spread > 0].min(initial=np.inf)
    high = spread.max()
    wide = f"the standard deviations of the columns range from {low:.3g} to {high:.3g}"
    if model.scaling_ != "none":
        return f"\nscaling {model.scaling_}: {wide}; the loss is computed on scaled columns (--scaling)"
    if high <= 10 * min(low, 1):
        return ""
    return f"\nnote    {wide}, and the largest dominate the loss: --scaling standard"


def trained(model: NetworkEstimator) -> str:
    history = model.history_
    last = [
        f"{label} {history[name][-1]:.4g}"
        for name, label in LOSS_NAMES.items()
        if history.get(name)
    ]
    if model.best_epoch_:
        last[-1] += f"; kept the best weights, from epoch {model.best_epoch_}"
    epochs = counted(len(history["loss"]), "epoch")
    seconds = sum(history["seconds"])
    return f"trained {epochs} in {seconds:.1f} s: {', '.join(last) or 'no loss yet'}"


def why_no_pca(args: argparse.Namespace, model: Any, x: np.ndarray) -> str:
    """Why the model is not compared with PCA, as text; "" if it is."""
    if args.no_baseline or data_options.predicts(model):
        return "--no-baseline"
    if getattr(model, "missing", "error") == "mask":
        return "it cannot learn text or missing values"
    return "the table is too large for it" if min(x.shape) > PCA_LIMIT else ""


def fit_pca(model: Any, x: np.ndarray) -> PCA:
    """Fit the baseline: PCA with the model's code size, on columns scaled in the same way."""
    scaling = model.scaling_ if model.scaling_ in SCALERS else model.scaling
    with part_of_another():
        return PCA(model.code_size_, scaling=scaling).fit(x)


def verdict(
    split: str,
    model: Estimator,
    result: dict[str, float],
    baseline: PCA | None,
    of_pca: dict[str, float] | None,
    why: str = "",
) -> str:
    """test mse 0.01234   PCA-8 0.02466, or test error 2.78 %   cross-entropy 0.0994, or test R² 0.93   mse 0.25"""
    if "error" in result:
        return f"{split} error {100 * result['error']:.2f} %   cross-entropy {result['loss']:.4g}"
    if "r2" in result:
        return f"{split} R² {result['r2']:.4g}   mse {result['loss']:.4g}"
    own = loss_of(model, result)
    scaled = "scaled_mse" in result
    mse = "scaled_mse" if scaled else "mse"
    text = f"{split} {own}{mse.replace('_', ' ')} {result[mse]:.4g}   "
    if baseline is None or of_pca is None:
        text += f"no PCA: {why}"
    else:
        error = of_pca.get("scaled_mse", of_pca["mse"])
        named = "mse " if own or scaled else ""
        text += f"PCA-{len(baseline.components_)} {named}{error:.4g}"
    if scaled:
        of_baseline = f" (PCA {of_pca['mse']:.4g})" if of_pca else ""
        text += f"   in original units mse {result['mse']:.4g}{of_baseline}"
    return text


def loss_of(model: Estimator, result: dict[str, float]) -> str:
    """The training loss of the model, as text; "" if it is the mse."""
    if "elbo" in result:
        parts = "elbo {elbo:.2f} nats (reconstruction {reconstruction:.2f}, KL {kl:.2f}), "
        return (parts + "{active_units} units active   ").format_map(result)
    loss = getattr(model, "loss", "mse")
    if loss == "mse":
        return ""
    name = loss if isinstance(loss, str) else "loss"
    return f"{name} {result['loss']:.4g}   "


def written(folder: Path) -> str:
    """The files that a run has written to its folder, as text."""
    names = {file.name for file in folder.iterdir()} - {resume.FOLDER}
    return f"written to {folder}: {', '.join(sorted(names))}"


# ---------------------------------------------------------------- written


def save(model: Estimator, path: Path, notes: dict[str, Any]) -> None:
    """`save_model`; if that fails, save the model in a temporary folder and raise an OSError that names it."""
    try:
        save_model(model, path, notes)
    except OSError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="nanoae-"), path.name)
        save_model(model, elsewhere, notes)
        raise OSError(
            error.errno, f"{error.strerror}. The model was saved to {elsewhere}", str(path)
        ) from error


def write_config(folder: Path, config: dict[str, Any]) -> None:
    write_json(folder / "config.json", json.loads(json.dumps(config, default=to_config)))


def write_metrics(path: Path, history: dict[str, list[float]]) -> None:
    columns = {name: history[name] for name in (*LOSS_NAMES, "seconds") if name in history}
    header = ["epoch", *columns]
    rows = enumerate(zip(*columns.values(), strict=True), 1)
    lines = [[epoch, *row] for epoch, row in rows]
    write_csv(path, [header, *lines])


def describe_run(args, model: Any, data: Dataset) -> dict[str, Any]:
    """Everything needed to repeat the run."""
    packages = {
        "nanoae": nanoae.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
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
        "settings": settings_config(model),
        "scaling": model.scaling_,
        "parameters": int(model.network_.theta.size),
        "epochs_run": len(model.history_["loss"]),
        "interrupted": model.interrupted_,
        "seconds": sum(model.history_["seconds"]),
        "last_epoch": {
            name: model.history_[name][-1] for name in LOSS_NAMES if model.history_.get(name)
        },
    }


def settings_config(model: NetworkEstimator) -> dict[str, Any]:
    """The model's parameters as written to config.json."""
    params = model.get_params(deep=False)
    del params["callbacks"], params["verbose"]
    return {name: to_config(value) for name, value in params.items()}
