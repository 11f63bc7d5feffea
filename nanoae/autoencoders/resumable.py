"""Resumable: a `fit` that writes checkpoints and goes on from them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
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
    def whole(
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
        if group is not None and not group.fitting:
            with group.fit():
                return whole(self, *args, checkpoint_dir=checkpoint_dir, resume=resume, **kwargs)
        if checkpoint_dir is None or not first_rank():
            return fit(self, *args, **kwargs)
        given = checkpoint_dir
        if not isinstance(given, Checkpoints):
            given = Checkpoints(given)
        if given.open:  # of a fit that this one is a part of
            self.open_checkpoints = given
            try:
                return fit(self, *args, **kwargs)
            finally:
                self.open_checkpoints = None
        model = {"class": type(self).__name__, **self.get_params(deep=False)}
        with heeded(), given.opened(model, resume):
            return whole(self, *args, checkpoint_dir=given, **kwargs)

    signature = inspect.signature(fit)
    own = inspect.signature(whole, follow_wrapped=False).parameters
    parameters = [*signature.parameters.values(), own["checkpoint_dir"], own["resume"]]
    whole.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return whole
