"""`nanoae generate`: sample new rows and images from a saved model."""

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

STEPS = 11  # images in a traversal
SIDE = 20  # images along each side of a manifold
MOST = 1 << 28  # numbers sampled in one command: a gigabyte


def add_to(commands) -> None:
    parser = command(
        commands,
        "generate",
        run,
        "sample new examples from a model",
        description="Decodes codes sampled from the model's prior: N(0, I) for a variational autoencoder, or, for any "
        "autoencoder, a mixture of Gaussians fitted to the codes of data.",
        epilog="example: nanoae generate runs/vae-20-1 --count 100 --temperature 0.8 --out drawn.png",
    )
    declare(
        parser,
        f"""
        {MODEL}
        --out FILE!         .png for an image, .npy or .csv for the rows
        --count N=64        number of examples
        --temperature X=1   values below 1 give more typical examples
        --condition LABEL   for a conditional model: the label to sample
        --seed SEED=0       random seed
        --mixture N         first fit N Gaussians to the codes of --data
        {BACKEND}
    """,
    )
    declare(
        parser.add_mutually_exclusive_group(),
        f"""
        --manifold   decode a {SIDE} x {SIDE} grid of codes instead (code size 2)
        --traverse   vary one number of the code at a time instead
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
            f"{args.model}: expected a model with a prior to draw codes from, got {type(model).__name__} without one. "
            "Fit one to the codes of its training rows: --mixture 10 --data NAME."
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
        f"written to {args.out}: {counted(len(drawn), 'example')} sampled from {args.model}",
        args.out,
    )
    return 0


def chosen_condition(model: Configurable, text: str | None) -> dict[str, Any]:
    """--condition as an argument of the model's methods: the matching label, of the model's own type."""
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
    path: Path, model: Autoencoder, args: Namespace, drawn: np.ndarray, trained: TrainingSet | None
) -> None:
    """Draw a grid of images, or curves of the first ten rows if rows are not images."""
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
            title="Effect of each code unit",
        )
    elif len(shape) == 1:
        report.image_rows(
            path,
            {"samples": drawn},
            shape,
            title="Sampled rows",
            columns=data_options.column_names(model),
        )
    else:
        title = "Images decoded from a grid of codes" if args.manifold else "Sampled images"
        report.image_grid(path, drawn, shape, SIDE if args.manifold else None, title)
