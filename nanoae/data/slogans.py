"""Slogans: a grammar of products, qualities and calls that generates distinct advertising lines.

Each product belongs to a kind, with its own qualities, verbs and occasions; all kinds share the sentences. Each line
names its product, which is its keyword. The grammar generates about 800,000 lines.
"""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import numpy as np

GRAMMAR = ConfigParser(interpolation=None)
GRAMMAR.read(Path(__file__).with_name("slogans.ini"), encoding="utf-8")
KINDS: dict[str, dict[str, str]] = {  # kind -> slot -> words, separated by commas
    kind: {slot: words.replace("\n", " ") for slot, words in GRAMMAR[kind].items()}
    for kind in GRAMMAR.sections()
}
EVERYWHERE = KINDS.pop("everywhere")  # slots shared by all kinds

SENTENCES = (
    "{Verb} {quality} {product} {when}.",
    "{call} {quality} {product} {when}!",
    "{praise} {quality} {product}, {promise}.",
    "{Quality} {product} for {people}: {promise}.",
    "No {worry}, no {worry2}, just {quality} {product} {when}.",
    "{Quality} and {quality2} {product} for {gift}.",
    "{Verb} our {quality} {product} and find {gift} {when}.",
    "{call} {product} for {people}, {promise}!",
    "Looking for {gift}? {Verb} {quality} {product}.",
    "{praise} {product} {when}, say {people}.",
)

PRODUCTS = tuple(product for kind in KINDS.values() for product in kind["product"].split(", "))


def draw_slogans(count: int = 12_000, random_state: int = 0) -> tuple[list[str], list[str]]:
    """Return (lines, keywords): `count` distinct lines of the grammar, and the product each one names.

    count          1 .. 100,000
    random_state   seed of the selection and its order
    """
    if not 1 <= count <= 100_000:
        raise ValueError(f"draw_slogans: expected count in 1 .. 100,000, got {count}.")
    rng = np.random.default_rng(random_state)
    drawn = dict[str, str]()
    kinds = [
        {slot: words.split(", ") for slot, words in (kind | EVERYWHERE).items()}
        for kind in KINDS.values()
    ]
    while len(drawn) < count:
        slots = kinds[rng.integers(len(kinds))]
        words = {slot: some[rng.integers(len(some))] for slot, some in slots.items()}
        for slot in ("quality", "worry"):  # a second, different word
            rest = [word for word in slots[slot] if word != words[slot]]
            words[slot + "2"] = rest[rng.integers(len(rest))]
        words |= {
            slot.capitalize(): words[slot][0].upper() + words[slot][1:]
            for slot in ("quality", "verb")
        }
        line = SENTENCES[rng.integers(len(SENTENCES))].format(**words)
        drawn[line] = words["product"]
    return list(drawn), list(drawn.values())
