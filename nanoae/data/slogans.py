"""Slogans: a grammar of products, qualities and calls, which draws as many different advertising lines as are wanted.

A product is of a kind, and a kind has its own qualities, verbs and occasions; the sentences are common to all. Every
line names its product, which is its keyword. The grammar knows some 800,000 of them.
"""

from __future__ import annotations

import numpy as np

KINDS: dict[str, dict[str, str]] = {  # kind -> slot -> its words, separated by commas
    "drink": {
        "product": "coffee, tea, cocoa, lemonade, cider, juice, milk, water",
        "quality": "bold, smooth, fresh, golden, honest, sweet, crisp, rich, gentle, mellow, pure, slow",
        "verb": "sip, pour, taste, share, savour, brew, try, enjoy",
        "when": "at sunrise, after the rain, before the first meeting, on a lazy Sunday, between two chapters, "
        "when the day is long, with old friends, under the apple tree",
        "gift": "a calm mind, a warm smile, a bright morning, a little courage, a moment of peace, good company",
    },
    "food": {
        "product": "bread, chocolate, cheese, honey, pasta, soup, pancakes, apples",
        "quality": "crunchy, creamy, warm, tender, rustic, golden, simple, generous, fresh, sunny, spicy, hearty",
        "verb": "bite into, share, taste, unwrap, savour, serve, bring home, try",
        "when": "at noon, by the fire, on the first day of spring, after school, when guests arrive, "
        "at the kitchen table, in the garden, around midnight",
        "gift": "a full table, a happy belly, a taste of home, second helpings, a feast, a reason to stay",
    },
    "clothes": {
        "product": "shoes, boots, socks, hats, scarves, jackets, gloves, jeans",
        "quality": "soft, bold, light, warm, quiet, colourful, sturdy, elegant, playful, timeless, snug, brave",
        "verb": "wear, try on, slip into, dance in, wander in, pack, choose, love",
        "when": "in any weather, on your first day, when it snows, along the river, on the last train, "
        "in the big city, all winter long, from dawn to dusk",
        "gift": "a steady step, a warm heart, a new look, a second skin, a bit of swagger, a long walk",
    },
    "travel": {
        "product": "bicycles, scooters, kayaks, tents, skates, trains, maps, backpacks",
        "quality": "swift, light, fearless, silent, sturdy, nimble, clever, free, tireless, bright, daring, easy",
        "verb": "ride, take, explore with, escape with, follow, discover, wander with, trust",
        "when": "over the hills, across the country, down to the sea, on open roads, far from the office, "
        "under the stars, past the city limits, until the road ends",
        "gift": "a wider world, a fresh breeze, a day off, a new horizon, wild stories, an open road",
    },
    "home": {
        "product": "lamps, pillows, blankets, sofas, candles, plants, clocks, carpets",
        "quality": "cosy, gentle, quiet, glowing, soft, charming, handmade, tidy, peaceful, warm, graceful, modest",
        "verb": "come home to, relax with, light up with, dream with, settle in with, live with, choose, keep",
        "when": "after a long day, on rainy evenings, when the wind howls, in every room, by the window, "
        "on a slow weekend, at the end of the week, all year round",
        "gift": "a softer night, a quiet corner, sweet dreams, a kinder home, a deep breath, a warm welcome",
    },
    "play": {
        "product": "books, puzzles, guitars, drums, cameras, pencils, kites, radios",
        "quality": "curious, lively, clever, loud, magical, honest, vivid, cheerful, wild, patient, bright, mighty",
        "verb": "play with, get lost in, wake up with, grow up with, wonder at, make time for, learn with, celebrate",
        "when": "on long journeys, after homework, in the attic, before bedtime, at full volume, on the roof, "
        "when the lights go out, with your whole family",
        "gift": "a big idea, a loud laugh, an endless summer, a new hobby, a brave thought, a story to tell",
    },
}

EVERYWHERE: dict[str, str] = {  # slots that are the same for all kinds
    "people": "dreamers, early birds, night owls, heroes of the everyday, grown-up children, gentle giants, "
    "busy parents, curious minds, lovers of small things, good neighbours, people in a hurry, people with time",
    "worry": "rush, fuss, noise, worries, excuses, Mondays, drama, hurry",
    "call": "Say yes to, Make room for, Wake up to, Fall in love with, Never settle for less than, Say hello to, "
    "Treat yourself to, Come back to, Believe in, Take a chance on",
    "praise": "Nothing beats, There is always time for, The world needs more, You deserve, Life is better with, "
    "It all begins with, Today calls for, Everyone talks about",
    "promise": "made with love, made for you, worth the wait, better together, simply good, from us to you, "
    "as it should be, no more and no less, one of a kind, always on your side",
}

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
