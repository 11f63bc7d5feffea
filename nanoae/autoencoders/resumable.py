"""Resumable: a `fit` that writes checkpoints and can resume from them."""

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
    """Add two arguments to `fit`:

    checkpoint_dir   a folder, or `Checkpoints(folder, steps=100, minutes=5)`, to which a checkpoint is written after
                     each epoch and at the end. None: none are written
                     Ctrl-C, SIGTERM and SIGHUP finish the current step and write a checkpoint
    resume           resume from the last checkpoint in the folder, if there is one: the result is bit-identical to that
                     of an uninterrupted fit. ValueError if data, settings or version have changed

    During the fit, `self.open_checkpoints` holds its checkpoints, or None.

    If `mpiexec` has started several ranks, rank 0 writes the checkpoints.
    """

    @functools.wraps(fit)
    def wrapped(
        self: Any, *args: Any, checkpoint_dir: Any = None, resume: bool = False, **kwargs: Any
    ) -> Any:
        if resume and checkpoint_dir is None:
            raise ValueError(
                f"{type(self).__name__}.fit: expected checkpoint_dir= with resume=True, got none: there is nothing to "
                "resume from."
            )
        group = process_group()
        with ExitStack() as held:
            if group is not None and not group.fitting:
                held.enter_context(group.fit())
            if checkpoint_dir is not None and first_rank():
                checkpoints = checkpoint_dir
                if not isinstance(checkpoints, Checkpoints):
                    checkpoints = Checkpoints(checkpoint_dir)
                if not checkpoints.open:  # else they belong to an enclosing fit
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
