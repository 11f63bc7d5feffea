"""Slogans: a variational autoencoder of text, which learns lines and then generates new ones.

A GRU reads a line word by word; its last state becomes a code, a Gaussian in 32 dimensions. A second GRU receives the
code, the keyword and the previous word, and scores all words that may come next. The loss of a VAE makes the codes fill
the space around 0, so that any point of it decodes to a line: a random one, or one between two lines.

Bowman et al. 2016, "Generating sentences from a continuous space".
"""

import argparse

import numpy as np

import nanoae
from nanoae.data.slogans import draw_slogans

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--keyword", default="coffee")
parser.add_argument("--out", help="ignored: this example draws no figure")
parser.add_argument("--quick", action="store_true", help="a short run, for tests; its lines make little sense")
args = parser.parse_args()

# ---- 12,000 lines from a grammar, each with its product as the keyword; the first 600 are held out
lines, keywords = draw_slogans(1000 if args.quick else 12_000)
held, known = slice(0, 600), slice(600, None)
print(f"learning {len(lines[known]):,} lines like: {lines[-1]!r}, about a minute on an idle core")


def log(_, row):
    if row["epoch"] % 4 == 0:
        print(f"  epoch {row['epoch']:2}   loss {row['loss']:.2f} nats per line")


quick = {"state_size": 32, "epochs": 4} if args.quick else {}
model = nanoae.TextVAE(callbacks=(log,), random_state=0, **quick).fit(lines[known], keywords[known])

# ---- new lines: conservative at low temperatures, unusual at high ones
for temperature in (0.3, 0.8, 1.5):
    drawn = model.generate(200, args.keyword, temperature, random_state=0)
    new = np.mean([line not in set(lines) for line in drawn])
    print(f"\nkeyword {args.keyword}, temperature {temperature}, {new:.0%} of 200 lines new:")
    for line in drawn[:4]:
        print(f"  {line}")

# ---- one code, several keywords: the code describes the sentence, the keyword the product
code = model.transform(lines[held][:1], keywords[held][:1])
print(f"\nthe code of {lines[0]!r}, with other keywords:")
for keyword in ("tea", "shoes", "guitars"):
    print(f"  {model.inverse_transform(code, [keyword])[0]}")

# ---- interpolate between two lines
ends = model.transform([lines[1], lines[4]], [args.keyword] * 2)
way = [(1 - t) * ends[0] + t * ends[1] for t in np.linspace(0, 1, 6)]
print(f"\nfrom {lines[1]!r} to {lines[4]!r}, keyword {args.keyword}:")
for line in model.inverse_transform(way, [args.keyword] * 6):
    print(f"  {line}")

# ---- evaluate on the held-out lines
results = model.evaluate(lines[held], keywords[held])
print(
    f"\n600 unseen lines: log p >= {results['elbo']:.1f} nats per line, {results['kl']:.1f} of them through "
    f"{results['active_units']} units of the code;\n"
    f"{results['token_accuracy']:.0%} of the words are reconstructed at their position"
)
