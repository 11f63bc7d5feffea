"""Resumable: a `fit` that writes checkpoints and goes on from them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from nanoae.training.checkpoint import Checkpoints
from nanoae.training.process_group import first_rank, process_group
from nanoae.training.stop import heeded

R = TypeVar("R")


def resumable(fit: Callable[..., R]) -> Callable[..., R]:
    """`fit`, which also takes

    checkpoint_dir   a folder, or `Checkpoints(folder, steps=100, minutes=5)`: how things stand is written there after
                     each epoch, and how they ended. None: nothing is written
                     Ctrl-C, SIGTERM and SIGHUP let the step at hand finish and write how things stand
    resume           go on from the last checkpoint there, if there is one: the result is the same, to the bit, as if
                     nothing had been stopped. ValueError where data, settings or version are others than they were

    Within it, `self.open_checkpoints` are those of this fit, or None.

    Of several ranks that `mpiexec` has started, rank 0 writes them.
    """

    @functools.wraps(fit)
    def wrapped(
        self: Any,
        *args: Any,
        checkpoint_dir: Any = None,
        resume: bool = False,
        **kwargs: Any,
    ) -> Any:
        if resume and checkpoint_dir is None:
            raise ValueError(
                f"{type(self).__name__}.fit: expected checkpoint_dir= with resume=True, got none: there is nothing to "
                "go on from."
            )
        group = process_group()
        with ExitStack() as held:
            if group is not None and not group.fitting:
                held.enter_context(group.fit())
            if checkpoint_dir is not None and first_rank():
                checkpoints = checkpoint_dir
                if not isinstance(checkpoints, Checkpoints):
                    checkpoints = Checkpoints(checkpoint_dir)
                if not checkpoints.open:  # else they are those of a fit that this one is a part of
                    model = {"class": type(self).__name__, **self.get_params(deep=False)}
                    held.enter_context(heeded())
                    held.enter_context(checkpoints.opened(model, resume))
                self.open_checkpoints = checkpoints
                held.callback(setattr, self, "open_checkpoints", None)
            return fit(self, *args, **kwargs)

    signature = inspect.signature(fit)
    own = inspect.signature(wrapped, follow_wrapped=False).parameters
    parameters = [*signature.parameters.values(), own["checkpoint_dir"], own["resume"]]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapped
