"""One digit is 5 % of 50,000 MNIST images. How well do 100 labels find it, chosen by ClusterLabelDetector or at random?

F1 on the test images, in which the digit is 5 %, too; the mean over the seeds, for each digit in turn. All four columns
use the same classifier, ClusterLabelDetector with its own settings: on codes or on pixels (its autoencoder replaced by
one that changes nothing), with 100 labels it asked for (40, then 10 at a time) or of 100 random rows.
"""

from __future__ import annotations

import numpy as np

from benchmarks.reproduce.claims import Claims, options
from nanoae import ClusterLabelDetector, Dataset, load_data
from nanoae.autoencoders.estimator import Estimator

LABELS = (40, 10, 10, 10, 10, 10, 10)
SHARE = 0.05
WAYS = ("chosen, codes", "chosen, pixels", "random, codes", "random, pixels")


class Pixels(Estimator):
    """An autoencoder that changes nothing."""

    def __init__(self):
        pass

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


def task(data: Dataset, digit: int, seed: int, rows: int) -> tuple[np.ndarray, ...]:
    """x, y of `rows` training images, SHARE of them the digit; x, y of the test images, thinned to the same share."""
    random = np.random.default_rng(seed)
    (x, x_test), y, y_test = data.flat(), data.y_train == digit, data.y_test == digit
    few = round(rows * SHARE)
    train = np.concatenate(
        [random.permutation(np.flatnonzero(y))[:few], random.permutation(np.flatnonzero(~y))]
    )[:rows]
    normal = np.flatnonzero(~y_test)
    few = round(len(normal) * SHARE / (1 - SHARE))
    test = np.concatenate([random.permutation(np.flatnonzero(y_test))[:few], normal])
    train = random.permutation(train)
    return x[train], y[train], x_test[test], y_test[test]


def f1(y: np.ndarray, found: np.ndarray) -> float:
    """2 true positives / (positives + found)."""
    return 2 * float((y & found).sum()) / float(y.sum() + found.sum())


def measure(x, y, x_test, y_test, seed: int) -> dict[str, float]:
    """F1 of each of the WAYS, and how many of the chosen rows were abnormal."""
    result = {}
    for space in ("codes", "pixels"):
        detector = ClusterLabelDetector(
            Pixels() if space == "pixels" else None, random_state=seed
        ).fit(x)
        rows = np.random.default_rng(seed).choice(len(x), sum(LABELS), replace=False)
        result[f"random, {space}"] = f1(y_test, detector.label(rows, y[rows]).predict(x_test) < 0)
        detector.given_.clear()
        for n in LABELS:
            rows = detector.query(n)
            detector.label(rows, y[rows])
        result[f"chosen, {space}"] = f1(y_test, detector.predict(x_test) < 0)
        if space == "codes":
            result["anomalies among the chosen"] = sum(detector.given_.values())
    return result


def main() -> int:
    parser = options(__doc__, seeds=5)
    parser.add_argument(
        "--digits", default="0123456789", help="those that are abnormal, in turn (0123456789)"
    )
    args = parser.parse_args()
    data = load_data("mnist", args.data_dir)
    digits, seeds, rows = (
        (args.digits, args.seeds, 50_000) if not args.quick else (args.digits[0], 1, 2_000)
    )
    columns = {"digit": "", **dict.fromkeys(WAYS, ".3f"), "anomalies among the chosen": ".1f"}
    claims, runs = Claims("cluster_labels", columns), {}

    def add(name: str, results: list[dict[str, float]]) -> None:
        mean = {
            column: float(np.mean([result[column] for result in results]))
            for column in list(columns)[1:]
        }
        claims.add(name, *mean.values(), holds=mean["chosen, codes"] > mean["random, pixels"])

    for digit in digits:
        runs[digit] = [measure(*task(data, int(digit), seed, rows), seed) for seed in range(seeds)]
        add(digit, runs[digit])
    add("mean", [run for of_digit in runs.values() for run in of_digit])
    return claims.finish(
        args,
        f"F1 on the test images, mean of {seeds} seeds. {rows:,} training images, {SHARE:.0%} of them the digit; "
        f"{sum(LABELS)} labels, among which a random choice has {SHARE * sum(LABELS):g} anomalies on average. The "
        "claim holds if chosen labels on codes are better than random ones on pixels.",
        runs=runs,
    )


if __name__ == "__main__":
    raise SystemExit(main())
