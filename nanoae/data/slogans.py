"""Slogans: a grammar of products, qualities and calls, which draws as many different advertising lines as are wanted.

A product is of a kind, and a kind has its own qualities, verbs and occasions; the sentences are common to all. Every
line names its product, which is its keyword. The grammar knows some 800,000 of them.
"""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import numpy as np

GRAMMAR = ConfigParser(interpolation=None)
GRAMMAR.read(Path(__file__).with_name("slogans.ini"), encoding="utf-8")
KINDS: dict[str, dict[str, str]] = {  # kind -> slot -> its words, separated by commas
    kind: {slot: words.replace("\n", " ") for slot, words in GRAMMAR[kind].items()}
    for kind in GRAMMAR.sections()
}
EVERYWHERE = KINDS.pop("everywhere")  # slots that are the same for all kinds

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
    """(lines, keywords): `count` different lines of the grammar, each with the product it names.

    count          1 .. 100,000
    random_state   int: which ones, and in which order
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
        for slot in ("quality", "worry"):  # another one of the same
            rest = [word for word in slots[slot] if word != words[slot]]
            words[slot + "2"] = rest[rng.integers(len(rest))]
        words |= {
            slot.capitalize(): words[slot][0].upper() + words[slot][1:]
            for slot in ("quality", "verb")
        }
        line = SENTENCES[rng.integers(len(SENTENCES))].format(**words)
        drawn[line] = words["product"]
    return list(drawn), list(drawn.values())
