"""TextVAE on slogans: do 200 generated lines keep to their keyword, and are they new? How much does a code tell?

A tenth of the lines that the grammar draws is held out. The 200 lines are said at the command line's temperature, by
keywords in turn. Asked for: 90 % contain their keyword, 70 % are no lines of the training set, 80 % are distinct.
"""

from __future__ import annotations

import sys

from benchmarks.reproduce.claims import Claims, options
from nanoae import TextVAE
from nanoae.data.slogans import PRODUCTS, draw_slogans

COLUMNS = {
    "seed": "d",
    "keyword in line": ".1%",
    "new lines": ".1%",
    "distinct": ".1%",
    "KL": ".2f",
    "units": "d",
    "tokens back": ".1%",
    "lines back": ".1%",
    "ELBO": ".2f",
    "perplexity": ".2f",
    "seconds": ".0f",
}
TEMPERATURE = 0.8
GENERATED = 200


def main(argv: list[str] | None = None) -> int:
    args = options(__doc__).parse_args(argv)
    settings = {"epochs": 1, "state_size": 16} if args.quick else {}
    lines, keywords = draw_slogans(600) if args.quick else draw_slogans()
    held = len(lines) // 10
    claims = Claims("text", COLUMNS)
    said = []
    for seed in range(1 if args.quick else args.seeds):
        model = TextVAE(backend="numpy", random_state=seed, **settings).fit(lines[held:], keywords[held:])
        wanted = [PRODUCTS[i % len(PRODUCTS)] for i in range(GENERATED)]
        said = model.generate(GENERATED, wanted, TEMPERATURE, random_state=seed)
        named = sum(word in line.casefold() for word, line in zip(wanted, said, strict=True)) / GENERATED
        new = sum(line not in set(lines[held:]) for line in said) / GENERATED
        distinct = len(set(said)) / GENERATED
        told = model.evaluate(lines[:held], keywords[:held])
        claims.add(
            seed,
            named,
            new,
            distinct,
            *(told[name] for name in ("kl", "active_units", "token_accuracy", "exact_lines", "elbo", "perplexity")),
            sum(model.history_["seconds"]),
            holds=named >= 0.9 and new >= 0.7 and distinct >= 0.8,
        )
    return claims.finish(
        args,
        f"{len(lines) - held:,} lines learned, by {model}; KL, ELBO (nats a line) and what comes back "
        f"(word after word, from the code's mean) are of {held:,} lines held out.",
        "Some of the last seed's: " + " · ".join(said[:6]),
        said=said,
    )


if __name__ == "__main__":
    sys.exit(main())
