"""Do alarms keep their promise? `python -m benchmarks.alarms [--repetitions R] [--rows 20,50] [--save]`.

A detector learns n normal rows of d columns; then 2,000 new normal rows come, of which `predict` at 10, 5 and 1 % and
p < 0.05 may call that share abnormal, and 500 that are shifted by 3 standard deviations in an eighth of their columns,
one at least: the share of these at 5 % is the power. Beside nanoae's default stand scikit-learn's detectors,
calibrated in the same way: 10 folds of up to 100 rows, else 5, each row scored by the model that did not see it, a new
one by the mean over the models; and PyOD's as the package nonconform calibrates them, by as many folds (CV+) and by
bootstrap (jackknife+-after-bootstrap). Every result is kept in JSON as soon as it is measured, and a run that is broken
off goes on where it was: repetition by repetition, so that the table holds what there is.

Of 448 means some lie above what was asked by chance. Cells where one does are measured anew with seeds that took no
part, from 20 on (`--first 20 --repetitions 80`), and reported by themselves.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

import nanoae
from benchmarks.anomaly import Result, Results
from benchmarks.machine import machine
from benchmarks.table import RESULTS, markdown, save, where
from nanoae.anomaly.calibration import Conformal, deal

FIRST = 20  # repetitions of the tables; those after them are follow-ups of single cells
ROWS, COLUMNS = (20, 50, 100, 200, 500, 1000, 5000), (2, 8, 30, 100)
RATES = (0.1, 0.05, 0.01)
NEW, SHIFTED, SHIFT = 2000, 500, 3.0


def gaussian(rng, n, d, world):
    return rng.normal(size=(n, d))


def heavy(rng, n, d, world):
    return rng.standard_t(3, size=(n, d))


def clustered(rng, n, d, world):
    centers = 4 * world.normal(size=(5, d))
    return centers[rng.integers(5, size=n)] + rng.normal(size=(n, d))


def correlated(rng, n, d, world):
    hidden = max(1, d // 4)
    return rng.normal(size=(n, hidden)) @ world.normal(size=(hidden, d)) + 0.3 * rng.normal(
        size=(n, d)
    )


def binary(rng, n, d, world):
    return rng.integers(0, 2, (n, d)).astype(float)


WORLDS: dict[str, Callable] = {f.__name__: f for f in (gaussian, heavy, clustered, correlated)}
TIED = {"binary": binary}  # 2^d kinds of rows, so that many are equal


def draw(kind: str, n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(normal rows to learn, new normal ones, shifted ones)."""
    rng = np.random.default_rng([n, d, seed])
    make = (WORLDS | TIED)[kind]
    parts = [make(rng, m, d, np.random.default_rng([d, seed])) for m in (n, NEW, SHIFTED)]
    step = SHIFT * parts[1].std(axis=0) * rng.choice((-1, 1), size=(SHIFTED, d))
    parts[2] += step * (
        rng.permuted(np.arange(SHIFTED * d).reshape(SHIFTED, d) % d, axis=1) < max(1, d // 8)
    )
    return parts[0], parts[1], parts[2]


def by_nanoae(train, new, shifted, seed) -> Result:
    found = nanoae.AnomalyDetector(random_state=seed).fit(train)
    scores, tested = -found.score_samples(new), found.tested_scores_
    result = {f"at {rate}": 0.0 for rate in RATES}
    for rate in RATES:  # as fit does with contamination=rate
        result[f"at {rate}"] = float((scores > nanoae.Quantile(1 - rate).fit(tested)).mean())
    p = found.calibration_.exceeded(scores)
    power = (-found.score_samples(shifted) > nanoae.Quantile(0.95).fit(tested)).mean()
    return result | {"p < 0.05": float((p < 0.05).mean()), "power": float(power)}


def cross_conformal(fit: Callable) -> Callable[..., Result]:
    """fit(rows, seed) -> score(rows), higher is more abnormal."""

    def measure(train, new, shifted, seed):
        folds = deal(len(train), 0.0, np.random.default_rng(seed))
        tested = np.full(len(train), np.nan)
        models = []
        for fold in range(folds.max() + 1):
            models.append(fit(train[folds != fold], seed))
            tested[folds == fold] = models[-1](train[folds == fold])
        tested = tested[folds >= 0]
        normal, odd = (
            np.mean([model(rows) for model in models], axis=0) for rows in (new, shifted)
        )
        result = {
            f"at {rate}": float((normal > nanoae.Quantile(1 - rate).fit(tested)).mean())
            for rate in RATES
        }
        p = Conformal(tested).exceeded(normal)
        power = float((odd > nanoae.Quantile(0.95).fit(tested)).mean())
        return result | {"p < 0.05": float((p < 0.05).mean()), "power": power}

    return measure


def standardised(make: Callable) -> Callable:
    def fit(rows, seed):
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(rows)
        score = make(scaler.transform(rows), seed)
        return lambda new: score(scaler.transform(new))

    return fit


def forest(Z, seed):
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(random_state=seed).fit(Z)
    return lambda new: -model.score_samples(new)


def lof(Z, seed):
    from sklearn.neighbors import LocalOutlierFactor

    model = LocalOutlierFactor(n_neighbors=min(20, len(Z) - 1), novelty=True).fit(Z)
    return lambda new: -model.score_samples(new)


def knn(Z, seed):
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=min(5, len(Z))).fit(Z)
    return lambda new: model.kneighbors(new)[0].mean(axis=1)


def nonconform(module: str, name: str, bootstraps: int = 0) -> Callable[..., Result]:
    """One of PyOD's detectors, calibrated by the package nonconform, on columns as they are: a scaler would have to be
    inside of its folds, and the columns here have like scales."""

    def measure(train, new, shifted, seed):
        from importlib import import_module

        from nonconform import ConformalDetector, CrossValidation, JackknifeBootstrap

        kind = getattr(import_module(f"pyod.models.{module}"), name)
        folds = int(deal(len(train), 0.0, np.random.default_rng(seed)).max()) + 1
        strategy = JackknifeBootstrap(bootstraps) if bootstraps else CrossValidation(folds)
        found = ConformalDetector(kind(), strategy, aggregation="mean", seed=seed).fit(train)
        normal, odd = (np.asarray(found.compute_p_values(rows)) for rows in (new, shifted))
        result = {f"at {rate}": float((normal <= rate).mean()) for rate in RATES}
        below = float((normal < 0.05).mean())
        return result | {"p < 0.05": below, "power": float((odd <= 0.05).mean())}

    return measure


NONCONFORM: dict[str, Callable[..., Result]] = {
    "nonconform kNN": nonconform("knn", "KNN"),
    "nonconform kNN by bootstrap": nonconform("knn", "KNN", 20),
    "nonconform LOF": nonconform("lof", "LOF"),
    "nonconform IForest": nonconform("iforest", "IForest"),
}
DETECTORS: dict[str, Callable[..., Result]] = {
    "nanoae": by_nanoae,
    **{
        name: cross_conformal(standardised(make))
        for name, make in (("kNN", knn), ("LOF", lof), ("IForest", forest))
    },
    **NONCONFORM,
}


# The default until codes stood beside their errors, measured then; its folds and calibration are those of today.
BEFORE = "nanoae before"
FEW = 5  # repetitions, of which a standard error would say little

ASKED = {**{f"at {rate}": rate for rate in RATES}, "p < 0.05": 0.05}
Found = dict[tuple[str, str, int, int], list[Result]]  # (detector, kind, n, d): by repetition


def mean_and_error(results: list[Result], what: str) -> tuple[float, float]:
    """In percent; of one repetition the error is not known, infinity."""
    values = 100 * np.array([result[what] for result in results])
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.inf
    return float(values.mean()), float(error)


def spelled(mean: float, error: float) -> str:
    return f"{mean:.2f} ± {error:.2f}" if np.isfinite(error) else f"{mean:.2f}"


def by_cell(found: Found, mine: str, kinds: Iterable[str]) -> tuple[list[list[str]], str]:
    """The rows of a table of false alarms, for each kind of rows, n and d; and how many means are too high."""
    rows, means, over, most = [], 0, 0, 0.0
    for (name, kind, n, d), results in sorted(
        found.items(), key=lambda item: (item[0][1], *item[0][2:])
    ):
        if name != mine or kind not in kinds:
            continue
        row = [kind, str(n), str(d), str(len(results))]
        for what, rate in ASKED.items():
            mean, error = mean_and_error(results, what)
            row.append(spelled(mean, error))
            if len(results) >= FEW:
                means += 1
                over += mean > 100 * rate + 2 * max(error, 1e-9)
                most = max(most, mean / (100 * rate))
        rows.append(row)
    return rows, (
        f"of {means} means over {FEW} repetitions or more {over} lie more than two standard errors above what was"
        f" asked; the largest is {most:.2f} times of that."
    )


def false_alarms(found: Found, follow_ups: Found) -> list[str]:
    """nanoae's, for each kind of rows, n and d; then each detector's, over all d and kinds."""
    heads = [f"{what}, %" for what in ASKED]
    told = []
    for mine in ("nanoae", BEFORE):
        rows, summary = by_cell(found, mine, WORLDS)
        if rows:
            told += [
                f"{mine}: {summary}",
                markdown(["rows", "n", "d", "repetitions", *heads], rows),
            ]
    again, summary = by_cell(follow_ups, "nanoae", WORLDS)
    if again:
        told += [
            "Measured anew with seeds that took no part above, where a mean lay more than two standard errors above"
            f" what was asked: {summary}",
            markdown(["rows", "n", "d", "repetitions", *heads], again),
        ]
    tied, summary = by_cell(found, "nanoae", TIED)
    if tied:
        told += [
            f"Binary columns, with 2^d kinds of rows, of which many are equal: {summary}",
            markdown(["rows", "n", "d", "repetitions", *heads], tied),
        ]
    return [
        "nanoae before is the default until codes stood beside their errors; folds and calibration are the same.",
        *told,
        "Every detector's, means over d, kinds and repetitions.",
        markdown(["detector", "n", "fits", *heads], over_all(found)),
    ]


def over_all(found: Found) -> list[list[str]]:
    rows = []
    for name in [*DETECTORS, BEFORE]:
        for n in sorted({key[2] for key in found if key[0] == name and key[1] in WORLDS}):
            cells = [
                each
                for key, each in found.items()
                if key[0] == name and key[2] == n and key[1] in WORLDS
            ]
            results = [result for each in cells for result in each]
            told = [mean_and_error(results, what) for what in ASKED]
            rows.append([name, str(n), str(len(results)), *(spelled(*each) for each in told)])
    return rows


def power(found: Found, names: list[str]) -> str:
    """The share of shifted rows found at 5 %, by kind of rows and n: means over the d that all detectors there have."""
    names = [name for name in names if any(key[0] == name for key in found)]
    rows, columns = [], []
    for kind in WORLDS:
        for n in sorted({key[2] for key in found}):
            there = [name for name in names if (name, kind, n, COLUMNS[0]) in found]
            shared = [d for d in COLUMNS if all((name, kind, n, d) in found for name in there)]
            means = {
                name: np.mean([r["power"] for d in shared for r in found[name, kind, n, d]])
                for name in there
                if shared
            }
            if means:
                rows.append(
                    [kind, str(n), *(f"{100 * means[x]:.1f}" if x in means else "" for x in names)]
                )
            if len(means) == len(names):
                columns.append([100 * means[name] for name in names])
    if columns:
        rows.append(
            ["mean of the full rows", "", *(f"{m:.1f}" for m in np.mean(columns, axis=0).tolist())]
        )
    return markdown(["rows", "n", *names], rows)


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.alarms", description=(__doc__ or "")
    )
    parser.add_argument("--repetitions", type=int, default=FIRST)
    parser.add_argument(
        "--first", type=int, default=0, help=f"seed of the first; from {FIRST} on a follow-up"
    )
    parser.add_argument("--rows", type=numbers, default=ROWS)
    parser.add_argument("--columns", type=numbers, default=COLUMNS)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(WORLDS))
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(DETECTORS))
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--table", action="store_true", help="only the table of what has been measured so far"
    )
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    options = parser.parse_args()
    results = Results(
        options.json or (RESULTS / "alarms.json" if options.save else Path("alarms.json"))
    )
    found: Found = {}
    follow_ups: Found = {}
    warnings.simplefilter("ignore")
    if options.table:
        for key, result in results.found.items():
            name, kind, n, d, seed = key.split(" | ")
            into = found if int(seed) < FIRST else follow_ups
            into.setdefault((name, kind, int(n), int(d)), []).append(result)
    last = options.first if options.table else options.first + options.repetitions
    for seed in range(options.first, last):
        for n in options.rows:
            for d in options.columns:
                for kind in options.kinds:
                    drawn = draw(kind, n, d, seed)
                    for name in options.only:
                        work = DETECTORS[name]
                        key = (name, kind, n, d)
                        one = results.get((*key, seed), lambda: work(*drawn, seed))  # noqa: B023
                        (found if seed < FIRST else follow_ups).setdefault(key, []).append(one)
    paragraphs = [
        "# False alarms and power",
        *false_alarms(found, follow_ups),
        "Power: the share of shifted rows called abnormal at 5 %, in percent, means over d.",
        power(found, [BEFORE, *(name for name in DETECTORS if name not in NONCONFORM)]),
        "The same of nonconform's strategies, over fewer repetitions.",
        power(found, ["nanoae", *NONCONFORM]),
        where(machine()),
    ]
    text = "\n\n".join(paragraphs)
    if options.save:
        save("alarms", text)
    print(text)


if __name__ == "__main__":
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        sys.exit("benchmarks.alarms: threadpoolctl is missing: pip install '.[bench]'")
    with threadpool_limits(1):
        main()
