"""Do the ranks that mpiexec starts train one model, the one that a single process trains?"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import mpi_fits
import numpy as np
import pytest
from cupy_standin import standin_ops

import nanoae.backend
from nanoae.training import checkpoint

BESIDE_PYTHON = Path(sys.executable).with_name("mpiexec")  # where a wheel puts it
MPIEXEC = str(BESIDE_PYTHON) if BESIDE_PYTHON.exists() else shutil.which("mpiexec")
with_mpi = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: pip install mpich")
ROOT = Path(mpi_fits.__file__).parents[1]


def environment(**more):
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PMI", "OMPI", "NANOAE_MPI"))
    }
    return (
        kept | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | more
    )


def run(command, **more):
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment(**more)
    )


def ranks(n, *arguments):
    return run([MPIEXEC, "-n", str(n), sys.executable, *map(str, arguments)])


NEAR = {"float32": 1e-5, "float64": 1e-12}
SOME = ("dense", "summed", "sparse", "normed", "gaps", "variational", "kfac")


@with_mpi
@pytest.mark.parametrize(
    "n, dtype, kinds", [(2, "float64", tuple(mpi_fits.KINDS)), (4, "float32", SOME)]
)
def test_ranks_train_what_one_process_does(n, dtype, kinds, tmp_path):
    done = ranks(n, mpi_fits.__file__, tmp_path / "losses", "kinds", dtype, *kinds)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "losses").read_text())
    for kind in kinds:
        assert found[kind] == pytest.approx(mpi_fits.losses(kind, dtype), rel=NEAR[dtype]), kind
    assert found["unseeded"] == 0


@with_mpi
@pytest.mark.parametrize("way", ["nccl", "host"])
def test_each_rank_takes_a_gpu(way, tmp_path):
    kinds = ("normed", "gaps") if way == "nccl" else ("normed",)
    done = ranks(2, mpi_fits.__file__, tmp_path / "losses", "gpus", way, "float64", *kinds)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "losses").read_text())
    for kind in kinds:
        assert np.all(np.isfinite(found[kind]))
        assert found[kind] == pytest.approx(alone(kind), rel=1e-12)


def alone(kind):
    """The losses on one stand-in."""
    with mock.patch.object(nanoae.backend, "_cupy_ops", standin_ops):
        return mpi_fits.losses(kind, "float64", "cupy")


@with_mpi
@pytest.mark.parametrize(
    "how, told",
    [
        ("error", "the callback of rank 0 broke"),
        ("rows", "expected the same network, settings and rows"),
    ],
)
def test_an_error_ends_all_ranks(how, told, tmp_path):
    done = ranks(2, mpi_fits.__file__, tmp_path / "result", how, tmp_path / "checkpoints")
    assert done.returncode == 1 and told in done.stderr


@with_mpi
def test_a_killed_rank_ends_all(tmp_path):
    started = time.monotonic()
    done = ranks(2, mpi_fits.__file__, tmp_path / "result", "SIGKILL", tmp_path / "checkpoints")
    assert done.returncode != 0 and "signal 9" in done.stdout + done.stderr
    assert time.monotonic() - started < 60  # and no hang: it takes about two
    _, header, _ = checkpoint.latest(tmp_path / "checkpoints")
    assert header["trainings"][0]["at"]["epoch"] >= 0


@with_mpi
def test_a_signal_to_one_rank_stops_all_between_two_steps(tmp_path):
    done = ranks(2, mpi_fits.__file__, tmp_path / "result", "SIGINT", tmp_path / "checkpoints")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "result").read_text()) is True


@with_mpi
def test_rank_0_alone_prints_and_writes(tmp_path):
    command = ["-m", "nanoae", "train", "--epochs", "1", "--no-figures", "--quiet", "--out"]
    done = ranks(2, *command, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test mse") == 1
    assert json.loads((tmp_path / "two" / "config.json").read_text())["ranks"] == 2
    again = ranks(2, *command, tmp_path / "two")
    assert again.returncode == 2 and again.stderr.count("it holds files already") == 1
    info = ranks(2, "-m", "nanoae", "info")
    assert info.returncode == 2 and info.stderr.count("expected one process, got 2") == 1


@pytest.mark.parametrize("size", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_an_mpi_launch_that_is_not_used_is_told(size):
    script = "import sys; sys.modules['mpi4py'] = None; import nanoae.cli; sys.exit(nanoae.cli.main(['info']))"
    done = run([sys.executable, "-c", script], **{size: "3"})
    assert done.returncode == 2 and "as 3 processes were started by mpiexec" in done.stderr
    alone = run([sys.executable, "-c", script], **{size: "3", "NANOAE_MPI": "0"})
    assert alone.returncode == 0, alone.stderr
