"""Slogans: a variational autoencoder of text. It reads lines, and then says what nobody wrote.

A GRU reads a line word by word; its last state becomes a code, a Gaussian in 32 dimensions. A second GRU is given the
code, the keyword and the word before, and gives scores to all the words that may come next. With the loss of a VAE the
codes fill the space around 0, so that any point of it is a line: drawn at random, or on the way between two lines.

Bowman et al. 2016, "Generating sentences from a continuous space".
"""

import argparse

import numpy as np

import nanoae
from nanoae.data.slogans import draw_slogans

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--keyword", default="coffee")
parser.add_argument("--out", help="ignored: this example draws no figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests: it learns to babble")
args = parser.parse_args()

# ---- 12,000 lines of a grammar, each with the product it names; the first 600 are held out
lines, keywords = draw_slogans(1000 if args.quick else 12_000)
held, known = slice(0, 600), slice(600, None)
print(f"learning {len(lines[known]):,} lines like: {lines[-1]!r}, about a minute on an idle core")


def tell(_, row):
    if row["epoch"] % 4 == 0:
        print(f"  epoch {row['epoch']:2}   loss {row['loss']:.2f} nats a line")


quick = {"state_size": 32, "epochs": 4} if args.quick else {}
model = nanoae.TextVAE(callbacks=(tell,), random_state=0, **quick).fit(lines[known], keywords[known])

# ---- new lines: the colder, the safer; the hotter, the stranger
for temperature in (0.3, 0.8, 1.5):
    said = model.generate(200, args.keyword, temperature, random_state=0)
    new = np.mean([line not in set(lines) for line in said])
    print(f"\nabout {args.keyword} at temperature {temperature}, {new:.0%} of 200 lines new:")
    for line in said[:4]:
        print(f"  {line}")

# ---- one code, several keywords: what the code tells is the sentence; the product it need not tell
code = model.transform(lines[held][:1], keywords[held][:1])
print(f"\nthe code of {lines[0]!r}, with other keywords:")
for keyword in ("tea", "shoes", "guitars"):
    print(f"  {model.inverse_transform(code, [keyword])[0]}")

# ---- on the way from one line to another
ends = model.transform([lines[1], lines[4]], [args.keyword] * 2)
way = [(1 - t) * ends[0] + t * ends[1] for t in np.linspace(0, 1, 6)]
print(f"\nfrom {lines[1]!r} to {lines[4]!r}, about {args.keyword}:")
for line in model.inverse_transform(way, [args.keyword] * 6):
    print(f"  {line}")

# ---- is it a good model?
results = model.evaluate(lines[held], keywords[held])
print(
    f"\n600 lines it has not seen: log p >= {results['elbo']:.1f} nats a line, {results['kl']:.1f} of them through "
    f"{results['active_units']} units of the code;\n"
    f"{results['token_accuracy']:.0%} of the words are reconstructed in their place"
)
