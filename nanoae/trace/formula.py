"""The formula of an array, taken from the docstring of its layer, loss or optimiser."""

from __future__ import annotations

import inspect
import re


def formula(of: object, name: str) -> str:
    """ "y = x W + b" for the name "y" of a Linear; else the first paragraph of its docstring."""
    text = inspect.getdoc(type(of)) or type(of).__name__
    for line in text.splitlines():
        found = re.search(rf"(?:^|\s){re.escape(name)} [-*]?= .*?(?=[,;]?\s\s|\.\s|\.?$)", line)
        if found:
            return found[0].strip()
    return " ".join(text.split("\n\n")[0].split())
