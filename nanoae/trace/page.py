"""Page: a trace as one HTML file. Its script draws what was recorded, and computes no step of its own."""

from __future__ import annotations

import html
import json
from importlib import resources
from typing import Any

from nanoae.trace.check import EPS
from nanoae.trace.step import Entry, Move, Step
from nanoae.trace.sums import Factor


def page(title: str, steps: list[Step], curves: list[list[float]], shown: int) -> str:
    """The file's text: the template with the record in it."""
    record = {
        "title": title,
        "eps": EPS,
        "shown": shown,
        "steps": [step_record(step, curve) for step, curve in zip(steps, curves, strict=True)],
    }
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c")
    file = resources.files("nanoae.trace").joinpath("page.html")
    template = file.read_text(encoding="utf-8")
    titled = template.replace("{{title}}", html.escape(title))
    return titled.replace("{{record}}", text)


def step_record(step: Step, curve: list[float]) -> dict[str, Any]:
    breakage = step.breakage
    return {
        "title": breakage.title if breakage else "nothing: every backward is right",
        "broken": breakage.layer if breakage else None,
        "caught": step.moves.index(step.caught) if step.caught else None,
        "arrays": [entry_record(entry) for entry in step.entries],
        "moves": [move_record(move) for move in step.moves],
        "places": [str(layer) for layer in step.net.layers] + [str(step.loss)],
        "curve": curve,
    }


def entry_record(entry: Entry) -> dict[str, Any]:
    numbers = entry.values.ravel().tolist()
    return {"name": entry.name, "shape": entry.values.shape, "values": numbers, "made": entry.made}


def move_record(move: Move) -> dict[str, Any]:
    check = move.check
    return {
        "phase": move.phase,
        "layer": move.layer,
        "where": move.where,
        "formula": move.formula,
        "result": move.result,
        "letters": move.sum.letters,
        "sizes": move.sum.sizes(),
        "products": [
            [factor_record(factor) for factor in product] for product in move.sum.products
        ],
        "numeric": check and check.numeric.ravel().tolist(),
        "kink": check and check.kink.ravel().tolist(),
        "ok": check and check.ok.ravel().tolist(),
    }


def factor_record(factor: Factor) -> dict[str, Any]:
    return {
        "text": factor.text,
        "letters": factor.letters,
        "shape": factor.values.shape,
        "values": factor.values.ravel().tolist(),
        "sources": factor.sources,
    }
