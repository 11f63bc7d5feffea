"""`nanoae generate`: new rows and pictures out of a model that was saved."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.cli import data as data_options
from nanoae.cli import model as models
from nanoae.cli.options import BACKEND, MODEL, command, declare
from nanoae.cli.output import print_summary
from nanoae.cli.training_set import TrainingSet
from nanoae.configurable import Configurable
from nanoae.spelling import counted, did_you_mean

STEPS = 11  # pictures in a traversal
SIDE = 20  # of a manifold
MOST = 1 << 28  # numbers drawn in one command: a gigabyte


def add_to(commands) -> None:
    parser = command(
        commands,
        "generate",
        run,
        "draw new examples from a model",
        description="Decodes codes drawn from the model's prior: N(0, I) for a variational autoencoder, or a mixture "
        "of Gaussians fitted on the codes of data, which any autoencoder can take.",
        epilog="example: nanoae generate runs/vae-20-1 --count 100 --temperature 0.8 --out drawn.png",
    )
    declare(
        parser,
        f"""
        {MODEL}
        --out FILE!         .png for a picture, or .npy or .csv
        --count N=64        how many
        --temperature X=1   below 1: more typical ones
        --condition LABEL   of a conditional model: the label to draw
        --seed SEED=0       random seed
        --mixture N         fit this many Gaussians on the codes of --data first
        {BACKEND}
    """,
    )
    declare(
        parser.add_mutually_exclusive_group(),
        f"""
        --manifold   the plane of codes of two, {SIDE} x {SIDE}, instead
        --traverse   a strip for each number of the code instead
    """,
    )
    data_options.add_options(parser)


def run(args: Namespace) -> int:
    model = models.load(args)
    if not isinstance(model, Autoencoder):
        raise ValueError(
            f"MODEL: expected an autoencoder, got {type(model).__name__}, which cannot generate."
        )
    if (args.mixture is None) != (args.data is None):
        raise ValueError(
            "--mixture: expected --mixture N and --data NAME together, got one without the other."
        )
    if args.count * model.n_features_in_ > MOST:
        most = MOST // model.n_features_in_
        raise ValueError(
            f"--count: expected at most {most:,} rows of {model.n_features_in_} numbers, got {args.count:,}."
        )
    condition = chosen_condition(model, args.condition)
    if args.mixture is None and model.prior_ is None:
        raise ValueError(
            f"{args.model}: expected a model with a prior to draw codes from, got {type(model).__name__} without. "
            "Fit one on the codes of its training rows: --mixture 10 --data NAME."
        )
    args.data = args.data or ""
    models.check_output(args, (".npy", ".csv", ".png"))
    trained = models.trained_on(args)
    if args.mixture:
        data = models.read(args, model, trained)
        rows, extra = data_options.parts(data, "train", model)[0]
        model.fit_prior(rows, args.mixture, random_state=args.seed, **extra)
    drawn = draw(model, args, condition)
    if args.out.suffix == ".png":
        picture(args.out, model, args, drawn, trained)
    else:
        if args.out.suffix != ".npy":
            drawn = drawn.reshape(len(drawn), -1)
        models.write(args.out, len(drawn), iter([drawn]), data_options.column_names(model))
    print_summary(
        f"written to {args.out}: {counted(len(drawn), 'example')} drawn from {args.model}", args.out
    )
    return 0


def chosen_condition(model: Configurable, text: str | None) -> dict[str, Any]:
    """--condition as the model's methods take it: its own label, whatever its type."""
    labels = getattr(model, "classes_", None)
    known = {} if labels is None else {str(label): label for label in labels.tolist()}
    if text in known:
        return {"condition": known[text]}
    if text is None and not known:
        return {}
    expected = f"one of {', '.join(known)}" if known else "none: this model is not conditional"
    got = "none"
    hint = ""
    if text is not None:
        got = repr(text)
        hint = did_you_mean(text, known)
    raise ValueError(f"--condition: expected {expected}, got {got}.{hint}")


def draw(model: Autoencoder, args: Namespace, condition: dict[str, Any]) -> np.ndarray:
    if args.manifold:
        return model.manifold(SIDE, **condition)
    if args.traverse:
        units = range(model.code_size_)
        strips = [model.traverse(k, steps=STEPS, **condition) for k in units]
        return np.concatenate(strips)
    return model.sample(args.count, args.seed, args.temperature, **condition)


def picture(
    path: Path,
    model: Autoencoder,
    args: Namespace,
    drawn: np.ndarray,
    trained: TrainingSet | None,
) -> None:
    """A grid of images, or curves of the first ten rows where a row is no image."""
    from nanoae import report

    shape = model.input_shape_
    noted = tuple((trained and trained.shape) or getattr(model, "image_shape", None) or ())
    if len(shape) == 1 and min(noted, default=0) > 0 and math.prod(noted) == shape[0]:
        shape = noted
    side = math.isqrt(model.n_features_in_)
    if len(shape) == 1 and side > 3 and side**2 == shape[0]:
        shape = (side, side)
    if args.traverse:
        strips = drawn.reshape(-1, STEPS, *drawn.shape[1:])
        report.image_rows(
            path,
            {f"code {k + 1}": strip for k, strip in enumerate(strips)},
            shape,
            n=STEPS,
            title="What each unit of the code does",
        )
    elif len(shape) == 1:
        report.image_rows(
            path,
            {"drawn": drawn},
            shape,
            title="Drawn rows",
            columns=data_options.column_names(model),
        )
    else:
        title = "The plane of the code" if args.manifold else "Drawn images"
        report.image_grid(path, drawn, shape, SIDE if args.manifold else None, title)
