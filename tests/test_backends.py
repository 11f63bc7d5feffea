"""Do the devices agree, and do their signatures? Most of this runs without CuPy: its room is read, not imported."""

import ast
import inspect
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nanoae
from nanoae import (
    MSE,
    Adam,
    BackendError,
    Dropout,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    Trainer,
    get_ops,
)
from nanoae.backend import Ops, blas
from nanoae.engine import losses, optim

PACKAGE = Path(nanoae.__file__).parent
PRIMITIVES = {
    name: function
    for name, function in inspect.getmembers(Ops, inspect.isfunction)
    if not name.startswith("_")
}
FILLS_NOTHING = {  # primitives with neither `out=` nor `_inplace`: they hand out memory, look, or give a 0-d array
    "empty", "zeros", "ones", "zeros_row", "scratch", "memory", "to_device", "to_numpy", "check_device", "synchronize",
    "peek", "describe", "generator", "permutation", "dataset", "repeated", "record", "training_stream", "threads_for",
    "identity", "call", "generator_state", "set_generator_state", "start_sum", "shared_memory",
    "check_numbers", "next_batch", "share_of", "sum", "sum_squares", "sum_products",
}  # fmt: skip


def methods(file: str, name: str) -> dict[str, ast.FunctionDef]:
    """The methods of a class, from its source."""
    tree = ast.parse((PACKAGE / "backend" / file).read_text(encoding="utf-8"))
    body = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name
    )
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


OVERRIDES = {"kernels.py": "Kernels", "kernel_ops.py": "KernelOps", "cupy_ops.py": "CupyOps"}
OF_THE_CPU = {"np", "address", "openblas", "Steps"}


def numpys() -> dict[str, ast.FunctionDef]:
    """The primitives of Ops, from the sources of the classes that it is made of."""
    classes = [cls for cls in Ops.__mro__ if cls.__name__.endswith("Ops")]
    files = [(Path(inspect.getfile(cls)).name, cls.__name__) for cls in reversed(classes)]
    return {name: function for file, cls in files for name, function in methods(file, cls).items()}


# ---------------------------------------------------------------- signatures, and who may import what


def test_cupy_ops_has_the_signatures_of_ops():
    def signature(function: ast.FunctionDef):
        arguments = function.args
        names = [
            argument.arg
            for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs
        ]
        return names, [ast.unparse(default) for default in arguments.defaults]

    base = numpys()
    for file, cls in OVERRIDES.items():
        for name, function in methods(file, cls).items():
            if not name.startswith("_"):
                assert name in base, (
                    f"{cls}.{name} is no primitive of Ops: the engine cannot call it on both devices"
                )
                assert signature(function) == signature(base[name]), f"{cls}.{name}"


def test_what_is_of_the_cpu_is_overridden_for_cupy():
    """A primitive that uses `np.`, addresses or threads instead of `self.xp.` cannot run on GPU arrays."""
    overridden = {name for file, cls in OVERRIDES.items() for name in methods(file, cls)}
    for name, function in numpys().items():
        body = ast.Module(function.body, [])  # without the annotations
        used = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)} & OF_THE_CPU
        assert not used or name in overridden or name.startswith("_"), (
            f"Ops.{name} uses {used}: override it in CupyOps"
        )


@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - FILLS_NOTHING))
def test_every_primitive_fills_out_or_is_named_inplace(name):
    parameters = inspect.signature(PRIMITIVES[name]).parameters
    assert ("out" in parameters) != name.endswith("_inplace"), (
        f"Ops.{name}{inspect.signature(PRIMITIVES[name])}"
    )


def test_the_exceptions_exist():
    assert PRIMITIVES.keys() >= FILLS_NOTHING


def test_only_the_backend_imports_cupy():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "cupy" for name in names):
                assert path.parent.name == "backend", f"{path.name} imports cupy"


# ---------------------------------------------------------------- choosing one


def fake_cupy(devices):
    """A module `cupy` that finds `devices` GPUs, or raises what it is given."""

    def count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    module = types.ModuleType("cupy")
    module.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=count))
    return module


NO_CUPY = [  # what `import cupy` meets, and what the error must say
    (None, r"CuPy is not installed.*pip install.*nanoae\[gpu\].*nanoae\[gpu12\]"),
    (fake_cupy(0), "no CUDA device"),
    (fake_cupy(RuntimeError("driver too old")), "no usable GPU.*driver too old"),
    # a driver, and no toolkit
    (fake_cupy(1), r"no cuBLAS or NVRTC.*toolkit.*nanoae\[gpu\].*nanoae\[gpu12\]"),
]


@pytest.mark.parametrize(
    ("cupy", "message"), NO_CUPY, ids=["not installed", "no device", "bad driver", "no toolkit"]
)
def test_without_a_gpu(monkeypatch, cupy, message):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delenv("NANOAE_BACKEND", raising=False)
    with pytest.raises(BackendError, match=message) as error:
        get_ops("cupy")
    assert 'backend="numpy"' in str(error.value)  # the way out
    assert get_ops("auto").name == "numpy"
    assert nanoae.Autoencoder(2, (3,), epochs=1).fit(np.eye(4)).network_.ops.name == "numpy"


def test_names(monkeypatch):
    assert get_ops("numpy").name == "numpy"
    own = Ops()
    assert get_ops(own) is own
    monkeypatch.setenv("NANOAE_BACKEND", "numpy")
    assert get_ops("auto").name == "numpy" and get_ops().name == "numpy"
    monkeypatch.setenv("NANOAE_BACKEND", "cupy")
    assert get_ops("numpy").name == "numpy"  # only "auto" asks the environment
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError):
        get_ops("auto")
    monkeypatch.setenv("NANOAE_BACKEND", "tpu")
    with pytest.raises(
        ValueError, match="NANOAE_BACKEND: expected one of numpy, cupy, auto, got 'tpu'"
    ):
        get_ops("auto")
    with pytest.raises(ValueError, match=r"backend: expected .* got 'torch'"):
        get_ops("torch")


# ---------------------------------------------------------------- arrays of the wrong device


class Elsewhere:
    """An array in some other memory: like CuPy's, it refuses to become a NumPy array by itself."""

    shape, ndim, dtype = (2, 5), 2, np.dtype("float32")

    def __len__(self):
        return 2

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


WRONG = {
    "list": lambda ops: [[1.0] * 5] * 2,
    "Elsewhere": lambda ops: Elsewhere(),
    "Tensor": lambda ops: pytest.importorskip("torch").ones(2, 5),
    "ndarray": lambda ops: (
        np.ones((2, 5)) if ops.name != "numpy" else pytest.skip("at home on the CPU")
    ),
}


@pytest.mark.parametrize("wrong", WRONG, ids=["list", "elsewhere", "torch", "ndarray"])
def test_an_array_of_the_wrong_device_is_refused_with_the_remedy(ops, wrong):
    net = Sequential([Linear(5), Tanh()]).build(5, ops, random_state=0)
    trainer = Trainer(net, MSE(), Adam(), batch_size=2, epochs=1, rows=2)
    net.forward(ops.zeros((2, 5), net.dtype), train=True)
    for entry in (net.forward, net.backward, trainer.epoch, trainer.fit):
        with pytest.raises(
            TypeError, match=rf"{ops.name}.*expected .*ndarray, got .*{wrong}.* first"
        ):
            entry(WRONG[wrong](ops))


# ---------------------------------------------------------------- NumPy and every other device agree


@pytest.fixture
def both(ops, dtype):
    """both(function): what function(ops) gives on NumPy and on the other device, on the host."""
    rtol = {"float32": 2e-4, "float64": 1e-10}[dtype.name]

    def compare(function):
        for mine, other in zip(function(get_ops("numpy")), function(ops), strict=True):
            np.testing.assert_allclose(ops.to_numpy(other), mine, rtol=rtol, atol=rtol)

    return compare


LAYERS = {"activations": lambda: [Linear(7), ReLU(), Linear(6), Sigmoid(), Linear(5), Softplus(), Linear(8), Tanh()],
          "dropout of nothing": lambda: [Linear(8), Dropout(0.0)]}  # fmt: skip
OPTIMIZERS = [
    optim.SGD(0.1, 0.9, nesterov=True),
    Adam(weight_decay=0.1),
    optim.AdamW(clip_norm=0.1),
]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize(
    "loss", [name for name in losses.LOSSES if name != "softmax_cross_entropy"]
)
def test_devices_agree_on_forward_backward_and_the_loss(both, dtype, loss, layers):
    x, t = np.random.default_rng(0).random((2, 33, 8))

    def once(ops):
        net = Sequential(LAYERS[layers]()).build(8, ops, dtype, random_state=0)
        criterion = losses.get(loss).build(ops, dtype)
        y = net.forward(ops.to_device(x, dtype), train=True)
        value = criterion.forward(y, ops.to_device(t, dtype))
        net.backward(criterion.backward())
        return y, value, net.grad

    both(once)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_devices_agree_after_training(both, dtype, optimizer):
    """The same seed starts the same weights and the same order of the examples on every device."""
    x = np.random.default_rng(0).random((50, 8))

    def train(ops):
        net = Sequential([Linear(12), Tanh(), Linear(8)]).build(8, ops, dtype, random_state=0)
        trainer = Trainer(net, MSE(), optimizer, batch_size=16, epochs=3, rows=50, seed=1)
        device = ops.to_device(x, dtype)
        return np.array(trainer.fit(device)["loss"]), net.theta, np.array(trainer.evaluate(device))

    both(train)


def test_a_model_moves_between_devices(ops, digits):
    ae = nanoae.Autoencoder(4, (16,), epochs=1, backend=ops, random_state=0).fit(digits[0])
    twin = ae.network_.to("numpy", "float32")
    y = twin.forward(digits[1])
    np.testing.assert_allclose(ae.reconstruct(digits[1]), y, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- the BLAS under NumPy


@pytest.mark.parametrize(
    ("kernel", "flags", "environment", "better"),
    [
        ("Haswell", blas.AVX512_FLAGS | {"avx2"}, {}, {"OPENBLAS_CORETYPE": "SkylakeX"}),
        ("Haswell", {"avx2"}, {}, {}),
        ("SkylakeX", blas.AVX512_FLAGS, {}, {}),
        ("Haswell", blas.AVX512_FLAGS, {"OPENBLAS_CORETYPE": "Haswell"}, {}),
    ],
)
def test_a_slower_kernel_than_the_cpu_has_is_told(monkeypatch, kernel, flags, environment, better):
    monkeypatch.setattr(blas, "openblas", lambda: SimpleNamespace(kernel=kernel))
    monkeypatch.setattr(blas, "cpu_flags", lambda: flags)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert blas.best_environment() == better


def test_importing_nanoae_leaves_the_environment_alone():
    code = "import os; before = dict(os.environ); import nanoae; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], check=True)
