"""Page: a trace as one HTML file. Its script draws what was recorded, and computes no step of its own."""

from __future__ import annotations

import html
import json
from importlib import resources
from typing import Any

from nanoae.trace.check import EPS
from nanoae.trace.number import Term
from nanoae.trace.step import Entry, Move, Step


def page(title: str, steps: list[Step], curves: list[list[float]], shown: int) -> str:
    """The file's text: the template with the record in it."""
    texts: dict[str, int] = {}  # of terms, each once
    told = [
        step_record(step, steps[0], curve, texts) for step, curve in zip(steps, curves, strict=True)
    ]
    record = {"title": title, "eps": EPS, "shown": shown, "steps": told, "texts": list(texts)}
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c")
    file = resources.files("nanoae.trace").joinpath("page.html")
    template = file.read_text(encoding="utf-8")
    titled = template.replace("{{title}}", html.escape(title))
    return titled.replace("{{record}}", text)


def step_record(
    step: Step, right: Step, curve: list[float], texts: dict[str, int]
) -> dict[str, Any]:
    breakage = step.breakage

    def sum_record(products: list[Term]) -> list[Any]:
        return [[texts.setdefault(text, len(texts)), *rest] for text, *rest in products]

    def array_record(entry: Entry, of_right: Entry) -> dict[str, Any]:
        facts = {"shape": entry.values.shape, "values": entry.values.ravel().tolist()}
        if step is right or entry.sums != of_right.sums:
            facts["sums"] = [sum_record(products) for products in entry.sums]
        return {"name": entry.name, "made": entry.made, **facts}

    return {
        "title": breakage.title if breakage else "nothing: every backward is right",
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
    return {**vars(move), "check": None} | {k: array.ravel().tolist() for k, array in check.items()}
