"""Plans: the settings that "auto" stands for, chosen from the training rows.

    batch_size       rows / 32 rounded down to a power of 2, from 16 to 256; 256 if the user sets epochs
    epochs           50 steps per row, from 1,000 to 20,000 steps, and at least 3 epochs
    activation       relu if the user sets epochs; else elu, or tanh if a thousandth of the rows holds a tenth of the
                     columns' variance: far outside the training data elu is linear and extrapolates without bound, so
                     that a few such rows dominate the error
    biases           for elu drawn from U(-1, 2) if X is a table whose values do not fill [-1, 1] as pixels do: most
                     hidden units are then linear at first, so that the network soon matches PCA and overfits
                     less on few rows or on linearly dependent columns
    learning_rate    a number decays along half a cosine, to 0 after the last step; a schedule is used as it is
    early stopping   with 50 rows or more, a tenth is held out unless the user gives validation data or a fraction;
                     training stops after half of the epochs without a better validation loss, and the best weights
                     are kept

Small sets are soon overfitted, and large ones are not learned in ten passes: so the number of steps follows from the
rows, and the epochs from the steps. Compared with PCA on tables and images: `python -m benchmarks.defaults`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.data.scaling import known_means, moments
from nanoae.spelling import counted
from nanoae.survey import extremes, sample

AUTO = "auto"
TAIL_ROWS = 1000
TAIL_SHARE = 0.1
MOMENT_ROWS = 100_000  # maximum number of rows examined
LOW_CONTRAST = 0.4  # standard deviation of pixels in [-1, 1]; that of digits in [0, 1] is 0.38
NEAR_NORMAL = 0.3  # mean absolute excess kurtosis
MOST_PIXELS = 16_000_000  # maximum number examined
FULL = 0.5  # data in [-1, 1] need no scaling if max |x| is at least this


@dataclass(frozen=True)
class Plan:
    """The rules behind "auto".

    steps          minimum and maximum number of training steps
    steps_a_row    steps per row between these limits
    batch          minimum and maximum batch size
    least_epochs   minimum number of epochs, even beyond the maximum of steps
    watchable      minimum number of rows for holding out the fraction `held_out` for validation
    usual_batch    batch size if the user sets epochs
    activations    of the hidden layers if the user sets epochs, and otherwise
    """

    steps: tuple[int, int] = (1000, 20_000)
    steps_a_row: float = 50.0
    batch: tuple[int, int] = (16, 256)
    least_epochs: int = 3
    watchable: int = 50
    held_out: float = 0.1
    usual_batch: int = 256
    activations: tuple[str, str] = ("relu", "elu")

    def batch_size(self, rows: int) -> int:
        low, high = self.batch
        power = 2 ** max(rows // 32, 1).bit_length() // 2
        return int(min(max(power, low), high))

    def epochs(self, rows: int, batch_size: int) -> int:
        low, high = self.steps
        steps = min(max(self.steps_a_row * rows, low), high)
        steps_an_epoch = math.ceil(rows / batch_size)
        return max(math.ceil(steps / steps_an_epoch), self.least_epochs)

    def activation(self, built: Any) -> Any:
        """Return the activation of the hidden layers for the estimator `built`."""
        if built.activation != AUTO:
            return built.activation
        return self.activations[built.epochs == AUTO]

    def settings(self, built: Any, rows: int, watched: bool) -> dict[str, Any]:
        """Return the values of the "auto" settings of estimator `built`; `watched`: the user gave validation data."""
        found: dict[str, Any] = {}
        if getattr(built, "activation", None) == AUTO:
            found["activation"] = self.activation(built)
        planned = built.epochs == AUTO
        batch_size = built.batch_size
        if batch_size == AUTO:
            batch_size = self.batch_size(rows) if planned else self.usual_batch
            found["batch_size"] = batch_size
        epochs = built.epochs
        if planned:
            epochs = found["epochs"] = self.epochs(rows, batch_size)
        fraction = built.validation_fraction
        if fraction == AUTO:
            spared = planned and not watched and rows >= self.watchable
            fraction = found["validation_fraction"] = self.held_out if spared else 0.0
        if built.patience == AUTO:
            stops_early = planned and (watched or fraction > 0)
            found["patience"] = max(5, epochs // 2) if stops_early else None
        return found


@dataclass(frozen=True)
class LinesPlan(Plan):
    """For lines of text: 216,000 lines in all, at most 300 epochs, and no held-out lines, since with few lines
    each one matters for its words. `warm_up` takes half of the epochs."""

    lines_seen: int = 216_000
    most_epochs: int = 300

    def batch_size(self, rows: int) -> int:
        return min(64, max(8, rows // 20))

    def epochs(self, rows: int, batch_size: int) -> int:
        return min(self.most_epochs, max(1, self.lines_seen // rows))

    def settings(self, built: Any, rows: int, watched: bool) -> dict[str, Any]:
        found = super().settings(built, rows, watched)
        if built.warm_up == AUTO:
            found["warm_up"] = found.get("epochs", built.epochs) / 2
        return found


def hidden_layers(built: Any, X: np.ndarray) -> dict[str, str]:
    """Return the "auto" settings of the hidden layers of estimator `built`, chosen from training rows X (N, ...)."""
    if not (built.activation == built.epochs == AUTO):
        return {}
    if heavy_tailed(X):
        return {"activation": "tanh"}
    if X.ndim > 2 or built.bias_initializer != AUTO or fills_unit(X):
        return {}
    return {"bias_initializer": "shifted_uniform"}


def fills_unit(X: np.ndarray) -> bool:
    """Return True if X (N, ...) lies in [-1, 1] and max |X| is not much smaller than 1, as with pixels."""
    largest = np.fmax.reduce(np.abs(extremes(X)), axis=None)
    return bool(np.isnan(largest) or FULL <= largest <= 1)


def low_contrast(X: np.ndarray) -> bool:
    """Return whether the pixels of images X (N, ...) lie in [-1, 1] and use a small part of it."""
    largest = np.fmax.reduce(np.abs(extremes(X)), axis=None)
    return bool(largest <= 1 and np.std(some_images(X)) < LOW_CONTRAST)


def like_noise(X: np.ndarray) -> bool:
    """Return whether the pixels of images X (N, ...) have nearly the kurtosis of a normal distribution, as in Gaussian
    random fields, which PCA models perfectly."""
    rows = some_images(X)
    center, spread = moments(rows)
    kurtosis = (((rows - center) / np.where(spread > 0, spread, 1)) ** 4).mean(axis=0)
    # sqrt(24 / N): standard deviation of the sample kurtosis of a normal distribution
    return bool(np.abs(kurtosis - 3).mean() < NEAR_NORMAL + math.sqrt(24 / len(rows)))


def some_images(X: np.ndarray) -> np.ndarray:
    """Return up to 1000 of images X (N, ...) as rows in float64; NaN become pixel means."""
    most = max(50, min(1000, MOST_PIXELS // math.prod(X.shape[1:])))
    rows = sample(X[:: -(-len(X) // most)]).astype(np.float64)
    rows = rows.reshape(len(rows), -1)
    return np.where(np.isnan(rows), known_means(rows), rows)


def sample_moments(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (rows, means, standard deviations) of at most MOMENT_ROWS rows of X (N, D); NaN become column means."""
    every = -(-len(X) // MOMENT_ROWS)
    rows = sample(X[::every]).astype(np.float64)
    rows = np.where(np.isnan(rows), known_means(rows), rows)
    return rows, *moments(rows)


def heavy_tailed(X: np.ndarray) -> bool:
    """Return True if a thousandth of the rows of X (N, D) holds a tenth of the standardised columns' variance. False
    for fewer than 1,000 rows."""
    if X.ndim != 2 or len(X) < TAIL_ROWS:
        return False
    rows, center, spread = sample_moments(X)
    unit = np.where(spread > 0, spread, 1)
    standardised = (rows - center) / unit
    squares = np.sort((standardised**2).sum(axis=1))
    tail = len(squares) // TAIL_ROWS
    return bool(squares[-tail:].sum() > TAIL_SHARE * squares.sum())


def settings_text(params: dict[str, Any], left_open: dict[str, Any]) -> str:
    """Describe the training settings as text; `left_open` holds the settings that the user left at "auto"."""
    unknown = [name for name in ("epochs", "batch_size") if params[name] == AUTO]
    if unknown:
        training = f'{" and ".join(unknown)}: "auto", chosen from the number of rows'
    else:
        training = counted(params["epochs"], "epoch")
        training += f" at most of batches of {counted(params['batch_size'], 'row')}"
        # With epochs set by the user, "auto" means none
        if params["validation_fraction"] not in (AUTO, 0):
            training += f", {params['validation_fraction']:.0%} of the rows held out"
        if params["patience"] not in (AUTO, None):
            training += f", until {counted(params['patience'], 'epoch')} without a better loss"
    names = [
        name for name in ("epochs", "batch_size", "activation", "scaling") if name in left_open
    ]
    auto = f' ("auto": {", ".join(names)})' if names else ""
    return f"training  {training}{auto}\nscaling   {params.get('scaling', 'none')}"
