"""Extra: import an optional package, or say how to install it."""

from __future__ import annotations

import importlib
from typing import Any


def extra(module: str, name: str = "") -> Any:
    """Import and return a module. Raise ImportError naming the nanoae extra to install if it is missing.

    name   the extra, if it is not called like the package
    """
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'expected the package {package}. pip install "nanoae[{name or package}]"'
        ) from error
