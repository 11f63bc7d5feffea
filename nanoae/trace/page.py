"""Page: a trace as one HTML file, whose script draws the recorded step and computes nothing itself."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from nanoae.report.page import embedded, filled
from nanoae.trace.check import EPS
from nanoae.trace.number import Term
from nanoae.trace.step import Entry, Move, Step


def page(title: str, steps: list[Step], curves: list[list[float]], shown: int) -> str:
    """The text of the file: the template with the record inserted."""
    texts: dict[str, int] = {}  # texts of terms, deduplicated
    records = [
        step_record(step, steps[0], curve, texts) for step, curve in zip(steps, curves, strict=True)
    ]
    record = {"title": title, "eps": EPS, "shown": shown, "steps": records, "texts": list(texts)}
    pieces = {"title": html.escape(title), "record": embedded(record)}
    return filled(Path(__file__).with_name("page.html"), pieces)


def step_record(
    step: Step, right: Step, curve: list[float], texts: dict[str, int]
) -> dict[str, Any]:
    breakage = step.breakage

    def sum_record(products: list[Term]) -> list[Any]:
        return [[texts.setdefault(text, len(texts)), *rest] for text, *rest in products]

    def array_record(entry: Entry, of_right: Entry) -> dict[str, Any]:
        facts = {"shape": entry.values.shape, "values": entry.values.ravel()}
        if step is right or entry.sums != of_right.sums:
            facts["sums"] = [sum_record(products) for products in entry.sums]
        return {"name": entry.name, "made": entry.made, **facts}

    return {
        "title": breakage.title if breakage else "nothing, every backward is correct",
        "broken": breakage.layer if breakage else None,
        "caught": step.moves.index(step.caught) if step.caught else None,
        "arrays": list(map(array_record, step.entries, right.entries)),
        "parts": [{"value": value, "sum": sum_record(sum)} for value, sum in step.parts],
        "moves": [move_record(move) for move in step.moves],
        "places": [str(layer) for layer in step.net.layers] + [str(step.loss)],
        "curve": curve,
    }


def move_record(move: Move) -> dict[str, Any]:
    check = vars(move.check) if move.check else {}
    arrays = {name: array.ravel() for name, array in check.items()}
    return {**vars(move), "check": None, **arrays}
