"""Does a model come back from .safetensors, and do others open the file? To the bit."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_onnx import AUTOENCODERS, SMALL, X, fitted, rows_for

import nanoae
from nanoae.cli import main

safetensors = pytest.importorskip("safetensors")
numpy_loader = pytest.importorskip("safetensors.numpy")


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_a_model_comes_back_to_the_bit(name, tmp_path):
    model = fitted(name)
    model.export(tmp_path / "model.safetensors")
    again, rows = nanoae.load(tmp_path / "model.safetensors"), rows_for(model)
    assert type(again) is type(model) and repr(again) == repr(model)
    np.testing.assert_array_equal(again.transform(rows), model.transform(rows))
    np.testing.assert_array_equal(again.reconstruct(rows), model.reconstruct(rows))
    again.save(tmp_path / "model.npz")  # from here on it is a model as any other
    np.testing.assert_array_equal(
        nanoae.load(tmp_path / "model.npz").transform(rows), model.transform(rows)
    )


MORE = {
    "classifier": lambda: nanoae.StackedClassifier((4,), pretrain_epochs=1, **SMALL).fit(
        X, ["a", "b", "c"] * 20
    ),
    "regressor": lambda: nanoae.StackedRegressor((4,), pretrain_epochs=1, **SMALL).fit(X, X[:, 0]),
    "detector": lambda: nanoae.AnomalyDetector(
        nanoae.Autoencoder(2, **SMALL), holdout=0.5, random_state=0
    ).fit(X),
    "clusters": lambda: nanoae.ClusterLabelDetector(
        nanoae.Autoencoder(2, **SMALL), n_clusters=5
    ).fit(X),
}


@pytest.mark.parametrize("name", MORE)
def test_so_do_the_others(name, tmp_path):
    model = MORE[name]()
    model.export(tmp_path / "model.safetensors")
    again = nanoae.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_the_packages_own_loader_opens_it_and_finds_weights_as_pytorch_has_them(tmp_path):
    model = fitted("dense")
    model.export(tmp_path / "model.safetensors")
    arrays = numpy_loader.load_file(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(arrays["0.weight"], model.network_.layers[0].params["W"].T)
    with safetensors.safe_open(tmp_path / "model.safetensors", "numpy") as file:
        header = json.loads(file.metadata()["nanoae"])
    assert header["class"] == "Autoencoder" and header["params"]["code_size"] == 2


def test_weights_of_others_fill_a_model(tmp_path):
    trained, other = (
        fitted("dense"),
        nanoae.Autoencoder(2, (5,), activation="relu", **SMALL | {"random_state": 7}).build(6),
    )
    numpy_loader.save_file(nanoae.state_dict(trained), tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="got only weights"):
        nanoae.load(tmp_path / "weights.safetensors")
    nanoae.from_safetensors(tmp_path / "weights.safetensors", other)
    np.testing.assert_array_equal(other.transform(X), trained.transform(X))
    nanoae.export(trained.network_, tmp_path / "net.safetensors")
    net = nanoae.from_safetensors(
        tmp_path / "net.safetensors", trained.network_.to(dtype="float32")
    )
    np.testing.assert_array_equal(net.forward(X), trained.network_.forward(X))


@pytest.mark.parametrize("cut", [0, 7, 200, -1])
def test_a_damaged_file_is_told(cut, tmp_path):
    path = tmp_path / "model.safetensors"
    fitted("dense").export(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"expected a valid \.safetensors file"):
        nanoae.load(path)


def test_a_file_that_does_not_fit_together_is_told(tmp_path):
    path = tmp_path / "model.safetensors"
    fitted("dense").export(path)
    with safetensors.safe_open(path, "numpy") as file:
        arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    for wrong in (
        {**arrays, "0.weight": arrays["0.weight"][:2]},
        {name: array for name, array in arrays.items() if name != "2.bias"},
    ):
        numpy_loader.save_file(wrong, path, metadata)
        with pytest.raises(ValueError, match=str(path)):
            nanoae.load(path)
    for header in ("{", "[]", "{}", '{"format": 99}', '{"format": 1, "class": "Popen"}'):
        numpy_loader.save_file(arrays, path, {"nanoae": header})
        with pytest.raises(ValueError, match=str(path)):
            nanoae.load(path)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([np.ones((6, 5))], "expected 8 arrays, got 1"),
        ({"0.wieght": np.ones((5, 6))}, r"unknown \['0.wieght'\]. Did you mean '0.weight'"),
        ([np.full((6, 5), np.nan), *[np.ones(1)] * 7], "expected finite numbers in array 0"),
        (
            [np.ones((6, 5)), np.ones(4), *[np.ones(1)] * 6],
            r"expected array 1 of shape \(5,\), got \(4,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_change_nothing(weights, told):
    model = nanoae.Autoencoder(2, (5,), random_state=0).build(6)
    before = model.network_.theta.copy()
    with pytest.raises(ValueError, match=told):
        nanoae.set_weights(model, weights)
    np.testing.assert_array_equal(model.network_.theta, before)


def test_weights_learned_with_another_activation_are_refused():
    X = np.random.default_rng(0).random((60, 6), np.float32)
    relu = nanoae.Autoencoder(2, (5,), epochs=1, random_state=0).fit(X)
    weights, elu = nanoae.state_dict(relu), nanoae.Autoencoder(2, (5,), random_state=0).build(6)
    with pytest.raises(ValueError, match=r"expected weights learned with ELU\(\).*with ReLU\(\)"):
        nanoae.set_weights(elu, weights)
    with pytest.warns(UserWarning, match=r'activation="auto" means ELU\(\)'):
        nanoae.set_weights(elu, dict(weights))
    same = nanoae.Autoencoder(2, (5,), activation="relu", random_state=1).build(6)
    nanoae.set_weights(same, weights)
    np.testing.assert_array_equal(same.network_.theta, relu.network_.theta)


def test_a_loaded_model_has_the_activation_that_it_had(tmp_path):
    X = np.random.default_rng(0).random((60, 6), np.float32)
    model = nanoae.Autoencoder(2, (5,), epochs=1, random_state=0).fit(X)
    model.set_params(epochs="auto")  # which counts from the next fit on
    for name in ("m.npz", "m.safetensors"):
        model.save(tmp_path / name) if name.endswith("npz") else nanoae.export(
            model, tmp_path / name
        )
        loaded = nanoae.load(tmp_path / name)
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
        assert loaded.get_params()["activation"] == "auto" and "ReLU" in loaded.summary()


@pytest.mark.parametrize("activation", ["logistic", "relu", "tanh", "identity"])
def test_scikit_learns_network_and_pca(activation):
    pytest.importorskip("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    mlp = MLPRegressor(hidden_layer_sizes=(4, 3), activation=activation, max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        mlp.fit(X, X)
    np.testing.assert_allclose(
        nanoae.from_sklearn(mlp).forward(X), mlp.predict(X), rtol=0, atol=1e-5
    )
    pca = PCA(3).fit(X)
    ours = nanoae.from_sklearn(pca)
    np.testing.assert_allclose(ours.transform(X), pca.transform(X), rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        ours.reconstruct(X), pca.inverse_transform(pca.transform(X)), rtol=0, atol=1e-5
    )
    with pytest.raises(ValueError, match="from_sklearn: expected a fitted MLPRegressor, or PCA"):
        nanoae.from_sklearn(PCA(3, whiten=True).fit(X))


def test_the_command_keeps_what_a_model_was_trained_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--epochs", "1", "--out", "run", "--no-figures"]) == 0
    assert main(["export", "run", "--out", "model.safetensors"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--data", "digits"]) == 0
    before = capsys.readouterr().out.splitlines()[1:]
    assert main(["evaluate", "model.safetensors", "--data", "digits"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == before
    assert main(["export", "run", "--out", "model.safetensors", "--what", "encoder"]) == 2


def test_a_missing_package_is_told_by_its_extra():
    lines = {
        "onnx": "nanoae.export(ae, 'a.onnx')",
        "safetensors": "nanoae.export(ae, 'a.safetensors')",
        "torch": "nanoae.to_torch(ae)",
    }
    code = "import sys, nanoae\nae = nanoae.Autoencoder(2).build(3)\n"
    for package, line in lines.items():
        code += f"sys.modules[{package!r}] = None\n"
        code += f"try: {line}\nexcept ImportError as error: print(error)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    told = [f'expected the package {name}. pip install "nanoae[{name}]"' for name in lines]
    assert done.stdout.splitlines() == told
