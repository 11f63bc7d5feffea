"""Do the model files of earlier versions load for ever, and answer as they did?

tests/models.zip holds one small model of each kind, as version 0.1.0 saved it, and what each answered. Files are added
to it, and never replaced.
"""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nanoae
import nanoae.pyod  # its classes are known once they are imported

ROWS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
LINES = ["a red fox", "the old hen"]
TABLE = {"size": [1.0, 2.5, None, 40.0], "colour": ["red", "blue", "red", "green"]}
ASK = {  # file -> what is asked of the model in it
    "autoencoder": lambda m: m.reconstruct(ROWS),
    "own_layers": lambda m: m.reconstruct(ROWS.reshape(4, 1, 1, 3)),
    "parts": lambda m: m.transform(ROWS),
    "masked": lambda m: m.reconstruct(np.where(ROWS > 0.8, np.nan, ROWS)),
    "adversarial": lambda m: m.sample(3, random_state=0),
    "mixture": lambda m: m.sample(3, random_state=0),
    "conv": lambda m: m.transform(np.linspace(-1, 1, 784, dtype=np.float32).reshape(1, 784)),
    "stacked": lambda m: m.reconstruct(ROWS),
    "classifier": lambda m: m.predict_proba(ROWS),
    "regressor": lambda m: m.predict(ROWS),
    "variational": lambda m: m.score_samples(abs(ROWS)),
    "conditional": lambda m: m.transform(ROWS, condition="b"),
    "text": lambda m: [m.generate(3, random_state=0), m.transform(LINES).tolist()],
    "pca": lambda m: m.reconstruct(ROWS),
    "detector": lambda m: m.score_samples(ROWS),
    "detector_of_tables": lambda m: m.score_samples(table()),
    "cluster_labels": lambda m: [m.score_samples(ROWS).tolist(), m.query(2).tolist()],
    "pyod": lambda m: m.predict_proba(ROWS),
    "pyod_vae": lambda m: m.decision_function(ROWS),
}
FILE = Path(__file__).with_name("models.zip")


def table():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(TABLE)


@pytest.mark.parametrize("name", ASK)
def test_a_file_of_before_answers_as_it_did(name, tmp_path):
    with zipfile.ZipFile(FILE) as models:
        path = Path(models.extract(f"{name}.npz", tmp_path))
        then = json.loads(models.read("answers.json"))[name]
    model = nanoae.load(path)
    assert type(model).__name__ == then["class"]
    compare(ASK[name](model), then["answer"])
    model.save(tmp_path / "again.npz")
    compare(ASK[name](nanoae.load(tmp_path / "again.npz")), then["answer"])


def compare(now, then) -> None:
    """Equal texts, and numbers that differ by rounding alone."""
    if isinstance(then[0], (list, str)) and not isinstance(now, np.ndarray):
        assert len(now) == len(then)
        for a, b in zip(now, then, strict=True):
            compare(a, b) if isinstance(b, list) else np.testing.assert_equal(a, b)
        return
    np.testing.assert_allclose(np.asarray(now, float), then, rtol=1e-4, atol=1e-5)


def test_there_is_a_file_of_each_kind():
    with zipfile.ZipFile(FILE) as models:
        answers = json.loads(models.read("answers.json"))
    assert {then["class"] for then in answers.values()} >= {
        name
        for name in nanoae.__all__
        if isinstance(getattr(nanoae, name), type)
        and hasattr(getattr(nanoae, name), "fit")
        and hasattr(getattr(nanoae, name), "save")
    }
    assert set(answers) == set(ASK)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.onnx", "expected a nanoae model (.npz, or .safetensors), got an ONNX graph."),
        ("model.pkl", "expected a valid nanoae model (.npz, or .safetensors), got"),
    ],
)
def test_what_is_no_model_is_told_as_that(name, words, tmp_path):
    (tmp_path / name).write_bytes(b"\x08\x08")
    with pytest.raises(ValueError, match=re.escape(words)):
        nanoae.load(tmp_path / name)
