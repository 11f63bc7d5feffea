"""What every test may ask for: a device, a precision, data, and a comparison that knows both."""

import gc
import importlib
import os
import pkgutil

for library in ("OPENBLAS", "OMP"):  # before NumPy loads: the cores are the other tests'
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# every process that a test starts would compile nanoae anew, for half of its time
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import numpy as np
import pytest
from browser import browser, open_page  # noqa: F401 - fixtures
from cupy_standin import standin_ops

import nanoae.autoencoders
import nanoae.engine
from nanoae.anomaly import calibration, default_autoencoder
from nanoae.backend import BackendError, get_ops, native_ops
from nanoae.cli.smallest import LAYERS

BACKENDS = {  # name -> its primitives; one more line here runs every test on one more device
    "numpy": lambda: get_ops("numpy"),
    "cupy": lambda: get_ops("cupy"),
    "standin": standin_ops,  # CupyOps without a GPU
}
GPU = {"cupy"}
LONG = {  # long trainings and differences of every element: for a real GPU, not for its stand-in
    "test_a_classifier_learns_xor", "test_a_linear_autoencoder_finds_pcas_subspace", "test_codes_and_reconstructions",
    "test_an_autoencoder_beats_pca_on_a_curve", "test_every_element_of_every_layer", "test_gradients_behind_words",
    "test_fifty_steps_as_pytorch_takes_them",
    "test_golden_losses", "test_gradients", "test_gradients_of_every_element",
    "test_gradients_of_networks", "test_gradients_of_the_whole_network",
    "test_gradients_of_the_whole_speaker_with_its_loss",
    "test_large_theta_is_many_small_ones", "test_one_batch_is_learned_by_heart", "test_the_seed_decides_everything",
    "test_the_trainer_takes_targets_of_its_own", "test_training_of_the_published_autoencoder",
}  # fmt: skip


BASES = {"Wrapping"}  # of losses around others
odd_tables = pytest.mark.filterwarnings(  # a test whose tables are odd on purpose
    "ignore:(TableEncoder|AnomalyDetector|Autoencoder|threshold):UserWarning"
)
gc.disable()  # until all tests are collected, which makes millions of objects that stay


def everything(base):
    """All the classes that nanoae derives from `base`."""
    for room in (nanoae.engine, nanoae.autoencoders):
        for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
            importlib.import_module(module.name)
    found, todo = [], [base]
    while todo:
        derived = [
            cls for cls in todo.pop().__subclasses__() if cls.__module__.startswith("nanoae.")
        ]
        found += derived
        todo += derived
    return sorted((cls for cls in found if cls.__name__ not in BASES), key=lambda cls: cls.__name__)


EXAMPLES = {
    kind: LAYERS[kind.__name__] for kind in everything(nanoae.Layer) if kind.__name__ in LAYERS
}


def pytest_collection_modifyitems(config, items):
    """Left out before they are skipped one by one: without a GPU the tests that need one, a quarter of all, and what is
    too long for its stand-in."""
    try:
        get_ops("cupy")
        no_gpu = False
    except BackendError:
        no_gpu = True

    def left_out(item):
        standin = hasattr(item, "callspec") and item.callspec.params.get("ops") == "standin"
        too_long = standin and item.function.__name__ in LONG
        return too_long or (no_gpu and "gpu" in item.keywords)

    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    items[:] = [item for item in items if not left_out(item)]


def pytest_collection_finish():
    """The kernels are there before a test looks at what is printed; no collection of garbage walks what was imported
    and collected."""
    get_ops("numpy")
    gc.freeze()
    gc.enable()


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.gpu if name in GPU else ()) for name in BACKENDS]
)
def ops(request, monkeypatch):
    """The primitives of each device in turn."""
    if request.param == "standin":
        monkeypatch.setattr(nanoae.backend, "_cupy_ops", standin_ops)  # what get_ops("cupy") gives
    try:
        return BACKENDS[request.param]()
    except BackendError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


@pytest.fixture
def device(ops, dtype):
    """device(x): x in the memory of `ops`; floats in `dtype`, integers as they are."""

    def put(x):
        x = np.asarray(x)
        return ops.to_device(x, dtype if x.dtype.kind == "f" else x.dtype)

    return put


@pytest.fixture
def close(ops, dtype):
    """close(actual, expected): equal within the rounding of `dtype`; `scale` is the size of what was added up."""
    tolerance = {"float32": 2e-6, "float64": 1e-13}[dtype.name]

    def compare(actual, expected, scale=1.0):
        np.testing.assert_allclose(
            ops.to_numpy(actual), expected, rtol=10 * tolerance, atol=tolerance * scale
        )

    return compare


@pytest.fixture(scope="module")
def small_arrays_too():
    """The CPU's kernels also for arrays that are small enough for NumPy."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SMALL", "SMALL_PRODUCT"):
            patch.setattr(native_ops, name, 0)
        yield


@pytest.fixture
def rng():
    """A generator of random numbers of the test's own: the same numbers, whichever tests ran before."""
    return np.random.default_rng(1)


@pytest.fixture(scope="session", autouse=True)
def few_steps():
    """The network of a detector that was given none is trained for a tenth as long, and a small table has five folds,
    not ten: most tests ask what becomes of it, not how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default_autoencoder, "STEPS", (30, 100))
        patch.setattr(calibration, "FEW", 0)
        yield


@pytest.fixture
def ten_folds(monkeypatch):
    monkeypatch.setattr(calibration, "FEW", 100)


@pytest.fixture(scope="session")
def digits():
    """(x_train (1437, 64), x_test (360, 64)), float32 in [0, 1]."""
    return nanoae.load_data("digits").flat()
