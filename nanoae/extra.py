"""Extra: a package that not everybody needs, or what to install where it is missing."""

from __future__ import annotations

import importlib
from typing import Any


def extra(module: str, name: str = "") -> Any:
    """The module, imported; ImportError, which names the extra of nanoae, without it. name: of the extra, if another
    than the package."""
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'expected the package {package}. pip install "nanoae[{name or package}]"'
        ) from error
