"""Reading: how much of a file larger than memory each rank reads from disk, for `scaling.py`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import nanoae
from nanoae.autoencoders.underfit import part_of_another
from nanoae.training.loop import Trainer
from nanoae.training.process_group import process_group

SHAPE = (2_000_000, 20)  # of the file: rows, columns
MEMORY = "64MB"


def measure_reading() -> float:
    """The share of a file that is read from the disk for an epoch, by the rank that reads the most. Each has a copy, so
    that what one of them has read is not in the memory of the others."""
    read: list[int] = []
    plain = Trainer.epoch
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        X = np.random.default_rng(0).random(SHAPE, np.float32)
        np.save(file, X)
        file.flush()
        os.fsync(file.fileno())

        def epoch(*arguments: Any) -> float:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            before = bytes_read()
            loss = plain(*arguments)
            read.append(bytes_read() - before)
            return loss

        model = nanoae.Autoencoder(8, (), epochs=2, batch_size=1000, random_state=0)
        with mock.patch.object(Trainer, "epoch", epoch), part_of_another():
            model.fit(nanoae.open_rows(file.name, MEMORY))
    group = process_group()
    return max(group.gather(max(read)) if group else read) / X.nbytes


def bytes_read() -> int:
    """From the disk, by this process so far."""
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(facts["read_bytes"])
