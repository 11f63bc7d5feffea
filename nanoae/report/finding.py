"""Findings: what looks wrong in a trained model, and what to try next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nanoae.engine.activations import ReLU

CONSTANT = 1e-6  # times the largest standard deviation: a unit that varies less is constant
ACTIVE = 0.01  # variance of a variational unit's mean above which it is active (Burda 2016)
TURNED = 1.02  # last / best validation loss above which the model overfits
HARDLY = 0.97  # error / PCA's error above which the model is hardly better
SILENT = 0.1  # share of a layer's ReLUs that may be silent without a finding
MEASURES = ("scaled_mse", "mse", "error", "loss")  # a model's error is the first that it has
FALLING = 0.01  # decrease of the loss per epoch above which training stopped early


class Finding(NamedTuple):
    title: str
    text: str
    fine: bool = False


def dead_units(codes: np.ndarray, variational: bool) -> list[int]:
    """The units of codes (N, K) that do not depend on the row; [] for fewer than two rows."""
    if len(codes) < 2:
        return []
    deviation = codes.std(axis=0, dtype=np.float64)
    if variational:
        least = math.sqrt(ACTIVE)
    else:
        least = CONSTANT * max(deviation.max(), np.finfo(np.float32).tiny)
    return np.flatnonzero(~(deviation > least)).tolist()


def findings(
    model: Any,
    codes: np.ndarray,
    results: Mapping[str, float],
    pca: float | None,
    hidden: Mapping[str, float],
    spread: float | None = None,
) -> list[Finding]:
    """List what to look at, given codes (N, K) and results (`evaluate`) of held-out rows; pca: its MSE on them; hidden:
    the share of units that never fire, for each layer of ReLUs; spread: the error of a constant prediction."""
    history = {name: np.array(values, float) for name, values in model.history_.items()}
    found = [
        *of_results(results, pca, spread),
        *of_codes(codes, results),
        *of_hidden(hidden),
        *of_curves(history, model.best_epoch_ is not None),
    ]
    if getattr(model, "interrupted_", False):
        found.append(
            Finding(
                "Training was interrupted.",
                "These are the weights at that moment: continue the training, or repeat it.",
            )
        )
    return found or [
        Finding(
            "Nothing looks wrong.", "Codes, curves and errors are as they should be.", fine=True
        )
    ]


def of_results(
    results: Mapping[str, float], pca: float | None, spread: float | None
) -> list[Finding]:
    error = next((results[name] for name in MEASURES if name in results), None)
    if not all(math.isfinite(value) for value in results.values()):
        return [Finding("The error is not finite.", "Scale the columns, or lower learning_rate.")]
    if error is not None and spread and error > HARDLY * spread:
        what = "reconstructs no better than the mean of the rows"
        if "error" in results or "r2" in results:
            what = "predicts no better than a constant"
        title = f"The model {what}: {error:.4g} against {spread:.4g}."
        return [Finding(title, "Try more epochs, another learning_rate, or scaled columns.")]
    if error is None or pca is None or error < HARDLY * pca:
        return []
    better = "is better" if error > pca else "is nearly as good"
    return [
        Finding(
            f"PCA with as many components {better}: {pca:.4g} against {error:.4g}.",
            "Try more epochs, a wider hidden layer, another learning_rate, or scaled columns.",
        )
    ]


def of_codes(codes: np.ndarray, results: Mapping[str, float]) -> list[Finding]:
    variational = "kl" in results
    dead = dead_units(codes, variational)
    k = codes.shape[1]
    if variational and results["kl"] < 0.1:
        return [
            Finding(
                f"The KL divergence collapsed to {results['kl']:.2g} nats: the decoder ignores the code.",
                "Try a smaller beta, warm_up over half of the epochs, free_bits of about 0.1, or a weaker decoder.",
            )
        ]
    if not dead:
        return []
    which = ", ".join(str(unit + 1) for unit in dead[:8])
    if len(dead) > 8:
        which += ", ..."
    if variational:
        text = (
            "They stay at the prior, which does no harm; "
            "for more active units, try a smaller beta, warm_up or free_bits."
        )
        return [
            Finding(
                f"{len(dead)} of {k} code units are unused ({which}).", text, fine=len(dead) < k / 2
            )
        ]
    return [
        Finding(
            f"{len(dead)} of {k} code units are constant ({which}).",
            'They carry no information: try code_activation="identity" or "leaky_relu", a smaller learning_rate, '
            "or a smaller code_size.",
        )
    ]


def of_hidden(hidden: Mapping[str, float]) -> list[Finding]:
    bad = [f"{share:.0%} of {name}" for name, share in hidden.items() if share > SILENT]
    if not bad:
        return []
    text = 'Try activation="leaky_relu", a smaller learning_rate, or another initializer.'
    return [Finding(f"Hidden units never fire: {', '.join(bad)}.", text)]


def of_curves(history: Mapping[str, np.ndarray], best_kept: bool) -> list[Finding]:
    loss = history.get("loss", np.empty(0))
    watched = history.get("val_loss", np.empty(0))
    found = []
    wild = (~np.isfinite(loss)).sum()
    if wild:
        title = f"The loss was not finite in {wild} of {len(loss)} epochs."
        found.append(Finding(title, "Scale the columns, or lower learning_rate."))
    if has_turned(watched):
        epoch = int(np.nanargmin(watched)) + 1
        best = watched[epoch - 1]
        text = "The last weights were kept; set patience to keep the best ones. "
        if best_kept:
            text = f"The weights of epoch {epoch} were kept. "
        text += (
            "The model overfits: try more rows, a corruption, weight_decay or a smaller network."
        )
        title = (
            f"The validation loss rose after epoch {epoch}, from {best:.4g} to {watched[-1]:.4g}."
        )
        found.append(Finding(title, text, fine=best_kept))
    elif still_falls(loss):
        text = "Try more epochs, or a larger learning_rate."
        found.append(
            Finding(
                f"The loss was still falling, by {1 - loss[-1] / loss[-2]:.1%} in the last epoch.",
                text,
            )
        )
    if len(loss) and loss[-1] > loss[0]:
        found.append(
            Finding(
                "The loss rose during training.", "Try a smaller learning_rate, or scaled columns."
            )
        )
    return found


def has_turned(watched: np.ndarray) -> bool:
    """Return True if the validation loss ends clearly above its minimum."""
    known = watched[np.isfinite(watched)]
    return len(known) > 2 and 0 < TURNED * known.min() < watched[-1]


def still_falls(loss: np.ndarray) -> bool:
    """Return True if the loss fell by more than FALLING in each of the last two epochs."""
    if len(loss) < 3:
        return False
    before, middle, last = loss[-3:]
    left = 1 - FALLING
    return bool(0 < last < left * middle < left**2 * before)


def silent_units(model: Any, x: np.ndarray) -> dict[str, float]:
    """For each layer of ReLUs, the share of units that output 0 for all rows of x, the network's inputs."""
    net = model.network_
    found = {}
    y = net.ops.to_device(x, net.dtype)
    for i, layer in enumerate(net.layers):
        y = net.forward(y, start=i, stop=i + 1)
        if isinstance(layer, ReLU) and i + 1 != model.n_code_layers_:
            values = net.ops.to_numpy(y)
            fires = (values > 0).any(axis=(0, *range(2, values.ndim)))
            found[f"layer {i + 1}'s {len(fires)} ReLUs"] = float(np.mean(~fires))
    return found
