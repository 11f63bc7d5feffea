"""Contender: the implementation of each task in one library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cases import Case

Step = Callable[[int], Any]  # the number of the step -> its loss, or the reconstructions


class Unfit(Exception):
    """This contender cannot run this case; the message says why."""


class Contender:
    """The base. A subclass has a method for each task it can do, named like it (`train`, `reconstruct`).

    Such a method takes the case and gives a list of steps, one for each stage of the case; the stages are run one after
    the other. The batch of step number i is row i of the case's batches, beginning again after the last.
    """

    same_loss = True  # its losses are the case's, so they are checked

    def start(self, threads: int) -> None:
        """Set the threads, where the environment does not; once, before anything else."""

    def run(self, step: Step, first: int, count: int) -> Any:
        """Steps number first, first + 1, ...; what the last one gave."""
        result = None
        for i in range(first, first + count):
            result = step(i)
        return result

    def wait(self, result: Any) -> None:
        """Return once `result` is computed."""

    def facts(self) -> dict[str, Any]:
        """What else is to be told about the steps that were built and have run."""
        return {}

    def build(self, case: Case) -> list[Step]:
        """The steps of the case, or Unfit."""
        method = getattr(self, case.task, None)
        if method is None:
            raise Unfit(f"has no {case.task}")
        return method(case)
