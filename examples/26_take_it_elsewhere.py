"""Export: a detector and an autoencoder as ONNX graphs, run by onnxruntime; weights in the layout of other libraries.

The ONNX file of the detector contains all that it does to a row: scaling, networks, distances to the nearest codes, the
threshold. A server, a browser or a phone that runs it needs neither nanoae nor Python.
Needs: pip install "nanoae[onnx,safetensors]" onnxruntime
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import nanoae

try:
    import onnxruntime
    import safetensors  # noqa: F401
except ImportError as error:
    raise SystemExit(f'{error}: pip install "nanoae[onnx,safetensors]" onnxruntime') from None


def run(path, **inputs):
    """The outputs of an ONNX file, by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def detector(folder, rows):
    train, test = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    odd = np.vstack([test, np.flip(test[:20], axis=1)])  # digits turned upside down
    found = nanoae.AnomalyDetector(contamination=0.01, holdout=0.2, random_state=0).fit(train)
    print(found.export(folder / "detector.onnx"))
    elsewhere = run(folder / "detector.onnx", x=odd.astype(np.float64))
    same = (elsewhere["label"] == found.predict(odd)).all()
    difference = np.abs(elsewhere["score"] + found.score_samples(odd)).max()
    print(f"same labels: {same}; scores differ by at most {difference:.0e}")
    print(f"abnormal: {(elsewhere['label'] < 0)[-20:].sum()} of 20 upside down, {(elsewhere['label'] < 0)[:-20].sum()} "
          f"of {len(test)} upright")  # fmt: skip


def autoencoder(folder, rows, epochs):
    ae = nanoae.Autoencoder(16, (64,), activation="relu", loss="bce", epochs=epochs, random_state=0).fit(rows)
    print(ae.export(folder / "decoder.onnx", what="decoder"))
    codes = ae.transform(rows[:5])
    decoded = run(folder / "decoder.onnx", code=codes)["reconstruction"]
    print(f"decoded by onnxruntime: differs by at most {np.abs(decoded - ae.inverse_transform(codes)).max():.0e}")

    ae.export(folder / "model.safetensors")  # arrays under PyTorch's names, and the configuration
    same = (nanoae.load(folder / "model.safetensors").transform(rows) == ae.transform(rows)).all()
    print(f"from safetensors, bitwise equal: {same}")
    for name, array in nanoae.state_dict(ae).items():
        print(f"    {name:<9} {array.shape}")

    other = nanoae.Autoencoder(16, (64,), activation="relu", loss="bce", random_state=1).build(64)
    nanoae.set_weights(other, nanoae.get_weights(ae))  # W, b, W, b, ...: as in Keras
    print(f"from plain arrays, equal: {(other.transform(rows) == ae.transform(rows)).all()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run, for tests")
    parser.add_argument("--out", help="ignored: this example draws no figure")
    args = parser.parse_args()
    rows = nanoae.load_data("digits").flat()[0]
    with tempfile.TemporaryDirectory() as name:
        detector(Path(name), rows[:200] if args.quick else rows)
        autoencoder(Path(name), rows, epochs=2 if args.quick else 30)


if __name__ == "__main__":
    main()
