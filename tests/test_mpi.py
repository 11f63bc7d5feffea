"""Do the ranks that mpiexec starts train one model, the one that a single process trains?"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import mpi_fits
import numpy as np
import pytest
from cupy_standin import standin_ops

import nanoae.backend
from nanoae.cli import main
from nanoae.training import checkpoint

BESIDE_PYTHON = Path(sys.executable).with_name("mpiexec")  # where a wheel puts it
MPIEXEC = str(BESIDE_PYTHON) if BESIDE_PYTHON.exists() else shutil.which("mpiexec")
with_mpi = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec: pip install mpich")
ROOT = Path(mpi_fits.__file__).parents[1]


ENVIRONMENT = {
    **{"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",  # MPICH: ranks that wait let others have the core
    **{"OMPI_MCA_mpi_yield_when_idle": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"},
    **{"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"},
}  # fmt: skip


def ranks(n, *arguments):
    """What n ranks of `python *arguments` print, and their exit code."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PMI", "OMPI", "NANOAE_MPI"))
    }
    return subprocess.run(
        [MPIEXEC, "-n", str(n), sys.executable, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, env=kept | ENVIRONMENT,
    )  # fmt: skip


NEAR = {"float32": 1e-5, "float64": 1e-12}
WIDE = "wide, watched"  # whose sums are large
SOME = ("dense", WIDE, "clipped", "summed", "sparse", "normed", "gaps", "variational", "kfac")


@with_mpi
@pytest.mark.parametrize(
    "n, dtype, kinds", [(2, "float64", tuple(mpi_fits.KINDS)), (4, "float32", SOME)]
)
def test_ranks_train_what_one_process_does(n, dtype, kinds, tmp_path):
    """Signals to one of them, checkpoints and refusals included: to start ranks takes longer than all that they do."""
    result, folder = tmp_path / "result", tmp_path / "checkpoints"
    done = ranks(n, mpi_fits.__file__, result, "kinds", folder, dtype, *kinds)
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    for kind in kinds:
        assert found[kind] == pytest.approx(mpi_fits.losses(kind, dtype), rel=NEAR[dtype]), kind
    assert found["far"] == pytest.approx(found[WIDE], rel=NEAR[dtype])
    assert found["unseeded"] == 0 and found["diverged"] == mpi_fits.diverged()
    if n == 2:
        early, again, straight = found["interrupted"]
        assert early and again == straight  # to the bit
        assert len(found["refused"]) == 3
        assert 0.49 < found["share"] < 0.6
        assert all("the same network, settings and rows" in said for said in found["refused"])


@with_mpi
def test_each_rank_takes_a_gpu(tmp_path):
    kinds = ("normed", "gaps")
    done = ranks(2, Path(mpi_fits.__file__).with_name("mpi_gpus.py"), tmp_path / "losses", *kinds)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "losses").read_text())
    with mock.patch.object(nanoae.backend, "_cupy_ops", standin_ops):
        alone = {kind: mpi_fits.losses(kind, "float64", "cupy") for kind in kinds}
    for way in ("host", "nccl"):
        for kind in kinds:
            assert np.all(np.isfinite(alone[kind]))
            assert found[way][kind] == pytest.approx(alone[kind], rel=1e-12), (way, kind)


@with_mpi
@pytest.mark.parametrize(
    "how, told", [("error", "the callback of rank 0 broke"), ("killed", "signal 9")]
)
def test_one_ranks_end_is_the_end_of_all(how, told, tmp_path):
    done = ranks(2, mpi_fits.__file__, tmp_path / "result", how, tmp_path / "checkpoints")
    assert done.returncode != 0 and told in done.stdout + done.stderr
    _, header, _ = checkpoint.latest(tmp_path / "checkpoints")
    assert header["trainings"][0]["at"]["epoch"] >= 0
    # One process goes on from there, as if it had been alone from the start.
    settings = {**mpi_fits.DENSE, "epochs": mpi_fits.MANY}
    settings["callbacks"] = [lambda _, row: row["epoch"] == 5]
    straight = nanoae.Autoencoder(**settings).fit(mpi_fits.X)
    again = nanoae.Autoencoder(**settings)
    again.fit(mpi_fits.X, checkpoint_dir=tmp_path / "checkpoints", resume=True)
    assert len(again.history_["loss"]) == 5
    assert again.history_["loss"] == pytest.approx(straight.history_["loss"], rel=NEAR["float32"])


@with_mpi
def test_rank_0_alone_prints_and_writes(tmp_path):
    command = ["train", "--epochs", "1", "--no-figures", "--quiet", "--out", str(tmp_path / "two")]
    usage = "with contextlib.suppress(SystemExit): main(['train', '--epoks', '1'])"
    code = f"print([main(['info']), main({command})], flush=True); main({command})"
    done = ranks(2, "-c", f"import contextlib\nfrom nanoae.cli import main\n{usage}\n{code}")
    assert done.returncode == 2 and done.stdout.count("[2, 0]") == 2, done.stderr
    assert done.stdout.count("test mse") == 1
    assert json.loads((tmp_path / "two" / "config.json").read_text())["ranks"] == 2
    assert done.stderr.count("unrecognized arguments: --epoks") == 1
    assert done.stderr.count("expected one process, got 2") == 1
    assert done.stderr.count("it already contains files") == 1


@pytest.mark.parametrize("size", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_an_mpi_launch_that_is_not_used_is_told(size, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv(size, "3")
    assert main(["info"]) == 2
    assert "3 processes were started by mpiexec" in capsys.readouterr().err
    monkeypatch.setenv("NANOAE_MPI", "0")
    assert main(["info"]) == 0
