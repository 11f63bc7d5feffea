"""Check the exercises, one line each: python examples/exercises/check.py [NUMBER ...]"""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def load(path):
    """Import the file as a module."""
    spec = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECKS = load(FOLDER / "checks.py").CHECKS


def check(number, folder=FOLDER):
    """Return None if exercise `number` in that folder is solved, else a hint at what is missing."""
    examine = CHECKS[number - 1]
    try:
        examine(load(Path(folder) / f"{number:02}_{examine.__name__}.py"))
    except Exception as error:  # any exception of the reader's code
        return f"{type(error).__name__}: {error}".removeprefix("AssertionError: ")
    return None


def main(arguments):
    every = [str(number) for number in range(1, len(CHECKS) + 1)]
    if not set(arguments) <= set(every):
        print(
            f"check.py: expected exercise numbers from 1 to {len(CHECKS)}, got {' '.join(arguments)}", file=sys.stderr
        )
        return 2
    code = 0
    for number in map(int, arguments or every):
        hint = check(number)
        print(f"{number}  {CHECKS[number - 1].__name__:<26}{f'not yet: {hint}' if hint else 'solved'}", flush=True)
        code = 1 if hint else code
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
