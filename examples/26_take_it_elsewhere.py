"""Take it elsewhere: a detector and an autoencoder as ONNX graphs, run by onnxruntime; weights as others have them.

The ONNX file of the detector holds all that it does to a row: scaling, networks, distances to the nearest codes, the
threshold. Whatever runs it, a server, a browser, a phone, needs neither nanoae nor Python.
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
    odd = np.vstack([test, np.flip(test[:20], axis=1)])  # digits that are upside down
    found = nanoae.AnomalyDetector(contamination=0.01, holdout=0.2, random_state=0).fit(train)
    print(found.export(folder / "detector.onnx"))
    elsewhere = run(folder / "detector.onnx", x=odd.astype(np.float64))
    same = (elsewhere["label"] == found.predict(odd)).all()
    difference = np.abs(elsewhere["score"] + found.score_samples(odd)).max()
    print(f"labels are the same: {same}; scores differ by {difference:.0e} at most")
    print(f"abnormal: {(elsewhere['label'] < 0)[-20:].sum()} of 20 upside down, {(elsewhere['label'] < 0)[:-20].sum()} "
          f"of {len(test)} upright")  # fmt: skip


def autoencoder(folder, rows, epochs):
    ae = nanoae.Autoencoder(16, (64,), activation="relu", loss="bce", epochs=epochs, random_state=0).fit(rows)
    print(ae.export(folder / "decoder.onnx", what="decoder"))
    codes = ae.transform(rows[:5])
    again = run(folder / "decoder.onnx", code=codes)["reconstruction"]
    print(f"decoded elsewhere: {np.abs(again - ae.inverse_transform(codes)).max():.0e} apart at most")

    ae.export(folder / "model.safetensors")  # arrays by PyTorch's names; the configuration is beside them
    same = (nanoae.load(folder / "model.safetensors").transform(rows) == ae.transform(rows)).all()
    print(f"from safetensors to the bit: {same}")
    for name, array in nanoae.state_dict(ae).items():
        print(f"    {name:<9} {array.shape}")

    other = nanoae.Autoencoder(16, (64,), activation="relu", loss="bce", random_state=1).build(64)
    nanoae.set_weights(other, nanoae.get_weights(ae))  # W, b, W, b, ...: as Keras has them
    print(f"from plain arrays: {(other.transform(rows) == ae.transform(rows)).all()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="on small settings")
    parser.add_argument("--out", help="ignored: this example draws nothing")
    args = parser.parse_args()
    rows = nanoae.load_data("digits").flat()[0]
    with tempfile.TemporaryDirectory() as name:
        detector(Path(name), rows[:200] if args.quick else rows)
        autoencoder(Path(name), rows, epochs=2 if args.quick else 30)


if __name__ == "__main__":
    main()
