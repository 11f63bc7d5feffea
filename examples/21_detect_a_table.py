"""A realistic table: numbers and text, missing values, and a few rows that are wrong.

The customers of a telephone company have a plan, minutes, a bill and a country. The bill depends on the minutes, the
minutes depend on the plan; one cell in twenty is empty. The detector learns from 2,000 such rows. Of 200 new rows, the
first eight are wrong in a way that no single column reveals: each value by itself is a common one.

`nanoae detect --train normal.csv --score new.csv --out scores.csv --ignore id --explain` does the same.

21_reason.png   why the first of them is abnormal: each column's share of its score
"""

import argparse
import csv
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nanoae import AnomalyDetector, read_table
from nanoae.report import share_bars

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="folder for the figure and the tables")
parser.add_argument("--quick", action="store_true", help="fewer rows, for tests")
args = parser.parse_args()
if find_spec("matplotlib") is None:
    parser.exit(1, 'the figures need matplotlib: pip install "nanoae[cli]"\n')
args.out.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(0)


def customers(path, n, wrong=0):
    """Write n rows, of which the first `wrong` are wrong, and read them back."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["plan", "minutes", "bill", "country"])
        for i in range(n):
            kind = random.integers(3)
            minutes = (100, 300, 900)[kind] * np.exp(0.2 * random.standard_normal())
            bill = 5 + 0.05 * minutes + random.standard_normal()
            row = [("basic", "plus", "gold")[kind], round(minutes), round(bill, 2), random.choice(["DE", "FR", "IT"])]
            if i < wrong and i % 2:
                row[0] = ("gold", "basic", "basic")[kind]  # not the plan for these minutes
            elif i < wrong:
                row[2] = round(5 + 0.05 * (900, 900, 100)[kind], 2)  # not the bill for these minutes
            table.writerow([cell if i < wrong or random.random() > 0.05 else "" for cell in row])
    return read_table(path)


normal = customers(args.out / "21_normal.csv", 300 if args.quick else 2000)
new = customers(args.out / "21_new.csv", 60 if args.quick else 200, wrong=8)
detector = AnomalyDetector(missing="mask", contamination=0.01, random_state=0).fit(normal)

abnormal, p, shares = detector.predict(new) == -1, detector.p_values(new), detector.explain(new)
print(f"{'row':<5}{'plan':<8}{'minutes':<9}{'bill':<8}{'country':<9}{'p-value':<10}because of")
for i in range(12):
    cells = (cells[i] for cells in new.cells)
    name = new.names[np.abs(shares[i]).argmax()] if abnormal[i] else "-"
    print("{:<5}{:<8}{:<9}{:<8}{:<9}{:<10.2g}{}".format(i, *cells, p[i], name))
print(f"abnormal: {abnormal[:8].sum()} of the 8 wrong rows, {abnormal[8:].sum()} of the {len(new) - 8} others")
print("figure:", share_bars(args.out / "21_reason.png", shares[0], new.names))
