"""Data sets: the embedded digits, MNIST and Fashion-MNIST, synthetic sets, and readers for users' own files."""

from nanoae.data.catalogue import load_data
from nanoae.data.dataset import BadFile, Dataset
from nanoae.data.idx import read_idx
from nanoae.data.synthetic import bars, swiss_roll, written_digits, xor

__all__ = [
    "BadFile",
    "Dataset",
    "bars",
    "load_data",
    "read_idx",
    "swiss_roll",
    "written_digits",
    "xor",
]
