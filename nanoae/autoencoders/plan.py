"""Plans: the settings that "auto" stands for, chosen from the training rows.

    batch_size       rows / 32 rounded down to a power of 2, from 16 to 256; 256 if the user sets epochs
    epochs           50 steps per row, from 1,000 to 20,000 steps; at most 1.2e9 numbers read, rows of all epochs times
                     columns; and at least 3 epochs
    activation       relu if the user sets epochs; else elu, or tanh if a thousandth of the rows holds a tenth of the
                     columns' variance: far outside the training data elu is linear and extrapolates without bound, so
                     that a few such rows dominate the error
    biases           for elu drawn from U(-1, 2) if X is a table whose values do not fill [-1, 1] as pixels do: most
                     hidden units are then linear at first, so that the network soon matches PCA and overfits
                     less on few rows or on linearly dependent columns
    learning_rate    a number decays along half a cosine to 0 after the last step; the default number is doubled with
                     4,000 training rows or more, which then need fewer steps, except for convolutions and text; a
                     schedule is used as it is
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
MOMENT_ROWS = 100_000  # maximum number of rows examined
LOW_CONTRAST = 0.4  # standard deviation of pixels in [-1, 1]; that of digits in [0, 1] is 0.38
NEAR_NORMAL = 0.3  # mean absolute excess kurtosis
MOST_PIXELS = 16_000_000  # maximum number examined


@dataclass(frozen=True)
class Plan:
    """The rules behind "auto".

    steps          minimum and maximum number of training steps
    numbers        maximum of rows times epochs times columns, which bounds the time
    many           number of training rows from which the default learning rate is doubled
    usual_batch    batch size if the user sets epochs
    watchable      minimum number of rows for holding out a tenth for validation
    activations    of the hidden layers if the user sets epochs, and otherwise
    """

    steps: tuple[int, int] = (1000, 20_000)
    numbers: float = 1.2e9
    many: float = 4000
    usual_batch: int = 256
    watchable: int = 50
    activations: tuple[str, str] = ("relu", "elu")

    def batch_size(self, rows: int) -> int:
        power = 2 ** max(rows // 32, 1).bit_length() // 2
        return min(max(power, 16), 256)  # type: ignore[no-any-return]

    def epochs(self, rows: int, columns: int, batch_size: int) -> int:
        steps = np.clip(50 * rows, *self.steps)
        by_steps = math.ceil(steps / math.ceil(rows / batch_size))
        by_time = self.numbers / (rows * columns)
        return max(int(min(by_steps, by_time)), 3)

    def activation(self, built: Any) -> Any:
        """Return the activation of the hidden layers for the estimator `built`."""
        if built.activation != AUTO:
            return built.activation
        return self.activations[built.epochs == AUTO]

    def settings(self, built: Any, rows: int, columns: int, watched: bool) -> dict[str, Any]:
        """Return the values of the "auto" settings of estimator `built`; `watched`: the user gave validation data."""
        found: dict[str, Any] = {}
        if getattr(built, "activation", None) == AUTO:
            found["activation"] = self.activation(built)
        planned = built.epochs == AUTO
        batch_size = built.batch_size
        if batch_size == AUTO:
            batch_size = self.batch_size(rows) if planned else self.usual_batch
            found["batch_size"] = batch_size
        if planned:
            found["epochs"] = self.epochs(rows, columns, batch_size)
        fraction = built.validation_fraction
        if fraction == AUTO:
            spared = planned and not watched and rows >= self.watchable
            fraction = found["validation_fraction"] = 0.1 if spared else 0.0
        if built.patience == AUTO:
            early = planned and (watched or fraction > 0)
            found["patience"] = max(5, found["epochs"] // 2) if early else None
        return found


@dataclass(frozen=True)
class LinesPlan(Plan):
    """For lines of text: 216,000 lines in all, at most 300 epochs, and no held-out lines, since with few lines
    each one matters for its words. `warm_up` takes half of the epochs."""

    def batch_size(self, rows: int) -> int:
        return min(64, max(8, rows // 20))

    def epochs(self, rows: int, columns: int, batch_size: int) -> int:
        return min(300, max(1, 216_000 // rows))

    def settings(self, built: Any, rows: int, columns: int, watched: bool) -> dict[str, Any]:
        found = super().settings(built, rows, columns, watched)
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
    return bool(np.isnan(largest) or 0.5 <= largest <= 1)


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
    rows = sample(X[:: -(-len(X) // MOMENT_ROWS)]).astype(np.float64)
    rows = np.where(np.isnan(rows), known_means(rows), rows)
    return rows, *moments(rows)


def heavy_tailed(X: np.ndarray) -> bool:
    """Return True if a thousandth of the rows of X (N, D) holds a tenth of the standardised columns' variance. False
    for fewer than 1,000 rows."""
    if X.ndim != 2 or len(X) < TAIL_ROWS:
        return False
    rows, center, spread = sample_moments(X)
    standardised = (rows - center) / np.where(spread > 0, spread, 1)
    squares = np.sort((standardised**2).sum(axis=1))
    return squares[-(len(squares) // TAIL_ROWS) :].sum() > 0.1 * squares.sum()  # type: ignore[no-any-return]


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
