"""Does a detector say why in the units of the table, and do the parts add up?"""

import numpy as np
import pytest

import nanoae
from nanoae.anomaly.explanation import Explanation
from nanoae.anomaly.neighbours import distances_in_cells, distances_to_nearest, into_cells
from nanoae.anomaly.scores import ColumnTails, NearestCodes, NearestJointCodes
from nanoae.data import scaling
from nanoae.data.table import Table

RANDOM = np.random.default_rng(0)
MINUTES = RANDOM.uniform(50, 500, 400)
ROWS = np.stack(
    [MINUTES, 5 + 0.05 * MINUTES + 0.3 * RANDOM.normal(size=400), RANDOM.normal(1e6, 1e4, 400)],
    axis=1,
)
SMALL = nanoae.Autoencoder(8, (32,), epochs=60, learning_rate=0.01, batch_size=64, backend="numpy")


def test_observed_expected_and_unusual_are_in_the_units_of_the_table(tmp_path):
    found = nanoae.AnomalyDetector(SMALL, random_state=0).fit(ROWS)
    new = np.array([[300, 20.0, 1e6], [300, 80.0, 1e6]])  # a bill of 20 goes with 300 minutes
    why = found.explanation(new)
    np.testing.assert_array_equal(why.observed, new)
    np.testing.assert_allclose(why.expected[0], new[0], rtol=0.25)
    np.testing.assert_allclose(np.abs(why.shares).sum(axis=1), -found.score_samples(new))
    assert np.abs(why.unusual[0]).max() < 8 < why.unusual[1, 1]
    assert (
        why.reasons(1)[0].startswith("column 1 high (") and ": 80, expected " in why.reasons(1)[0]
    )
    found.save(tmp_path / "detector.npz")
    again = nanoae.load(tmp_path / "detector.npz", backend="numpy").explanation(new)
    for mine, kept in zip(why[1:], again[1:], strict=True):
        np.testing.assert_array_equal(mine, kept)


def test_of_rows_that_were_learned_from_too():
    found = nanoae.AnomalyDetector(SMALL, random_state=0).fit(ROWS)
    why = found.explanation(ROWS)
    np.testing.assert_allclose(np.abs(why.shares).sum(axis=1), found.decision_scores_)
    weights = found.ensemble_.weights(ROWS)
    for fold, member in enumerate(found.members_):
        np.testing.assert_allclose(
            why.expected[weights[fold] == 1], member.expected(ROWS[weights[fold] == 1]), rtol=1e-5
        )
    z = np.abs(why.unusual)
    assert (
        (np.median(z, axis=0) > 0.5) & (np.median(z, axis=0) < 0.9)
    ).all()  # 0.67 of a standard normal variable


def test_categories_are_told_by_name():
    colours = np.array([["red", "green"][i % 2] for i in range(200)], dtype=object)
    size = np.where(colours == "red", 10.0, 90.0) + RANDOM.normal(size=200)
    table = Table(["colour", "size"], [colours, size], range(200))
    found = nanoae.AnomalyDetector(SMALL, random_state=0).fit(table)
    odd = Table(["colour", "size"], [np.array(["red"], object), np.array([90.0])], range(1))
    why = found.explanation(odd)
    assert why.observed[0, 0] == "red" and why.observed[0, 1] == pytest.approx(90, rel=1e-5)
    assert (
        why.expected[0, 0] in ("red", "green")
        and why.unusual.shape == (1, 2)
        and (why.unusual[:, 0] >= 0).all()
    )
    np.testing.assert_allclose(np.abs(why.shares).sum(), -found.score_samples(odd)[0])
    Z = found.encoder_.transform(odd).astype(float)
    place = Z[0].tolist().index(1)  # of red
    p = found.ensemble_.expected(Z)[0, place]
    assert why.unusual[0, 0] == pytest.approx(np.sqrt(-2 * np.log(p)), rel=1e-6)


def test_nothing_comes_back_as_nothing_and_not_less():
    columns = np.random.default_rng(0).normal(50, 5, (40, 200))
    names = [str(i) for i in range(200)]
    table = Table(names, list(columns.T), range(40))
    encoder = nanoae.data.encoder.TableEncoder().fit(table)
    Z = encoder.transform(Table(names, list(np.zeros((200, 1))), range(1)))
    back = encoder.inverse_transform(Z).astype(float)
    assert (back == 0).all() and not np.signbit(back).any()


@pytest.mark.parametrize("name", ["standard", "robust", "gaussian", "none"])
def test_scalers_go_back(name):
    rows = np.concatenate([ROWS, ROWS[:1] + ROWS.std(axis=0) * 500])
    scaler = scaling.get(name).fit(ROWS)
    again = scaler.inverse_transform(scaler.transform(rows))
    np.testing.assert_allclose(again, rows, rtol=2e-2 if name == "gaussian" else 1e-4)


# ---------------------------------------------------------------- the scores of the default, by their definitions


class Same:
    def transform(self, Z):
        return np.asarray(Z, np.float64)


def test_column_tails():
    Z = np.array([[1.0, 0], [2, 0], [3, 0], [4, np.nan]])
    score = ColumnTails().fit(None, Z)
    new = np.array([[9.0, 0], [2.5, 0], [0, 1], [9, np.nan]])
    tail = -np.log([[2 / 5, 1], [1, 1], [2 / 5, 2 / 4], [2 / 5, 1]])
    tail[3, 0] *= 2  # what is there counts for what is not
    np.testing.assert_allclose(score.terms(None, new), tail / 2)


@pytest.mark.parametrize("whiten", [0.5, 1.0])
def test_whitened_codes(whiten):
    codes, new = ROWS / ROWS.std(axis=0), ROWS[:9] / ROWS.std(axis=0) + 0.1
    covariance = np.cov(codes.T)
    variance, axes = np.linalg.eigh(covariance + 0.05 * np.trace(covariance) / 3 * np.eye(3))
    metric = (axes * variance**-whiten) @ axes.T
    away = new[:, None] - codes
    want = np.sort(np.sqrt(np.einsum("nri,ij,nrj->nr", away, metric, away)), axis=1)[:, :3].mean(
        axis=1
    )
    np.testing.assert_allclose(
        NearestCodes(3, whiten=whiten).fit(Same(), codes).score(Same(), new), want
    )


class Lossy:
    """Gives back half of the second column."""

    def transform(self, Z):
        return Z

    def reconstruct(self, Z):
        return Z * [1, 0.5, 1]


def test_joint_codes():
    rows = ROWS / ROWS.std(axis=0)
    new = rows[:9] + 0.1
    errors = rows * [0, 0.5, 0]
    factor = 0.1 * np.sqrt(rows.var(axis=0).mean() / (errors**2).mean())
    places, of_new = (np.column_stack([each, factor * each[:, 1] / 2]) for each in (rows, new))
    away = np.sqrt(((of_new[:, None] - places) ** 2).sum(axis=2))
    want = np.sort(away, axis=1)[:, :2].mean(axis=1)
    found = NearestJointCodes().fit(Lossy(), rows).score(Lossy(), new)
    np.testing.assert_allclose(found, want)


def test_cells_find_nearly_all_nearest():
    random = np.random.default_rng(1)
    centers = 5 * random.normal(size=(50, 6))
    references, new = (
        centers[random.integers(50, size=n)] + random.normal(size=(n, 6)) for n in (5000, 300)
    )
    placed = into_cells(references)
    exact, found = distances_to_nearest(new, references, 4), distances_in_cells(new, *placed, 4)
    assert (found >= exact - 1e-9).all() and (found < exact * 1.001 + 1e-9).mean() > 0.95
    np.testing.assert_allclose(distances_in_cells(new[7:8], *placed, 4), found[7:8], rtol=1e-9)


def test_a_reason_names_a_category_once_where_it_was_expected():
    why = Explanation(
        ["day", "meal"],
        np.array([["Sat", "lunch"]], dtype=object),
        np.array([["Sat", "dinner"]], dtype=object),
        np.zeros((1, 2)),
        np.array([[3.0, 1.0]]),
    )
    assert why.reasons(0) == ["day (75%: Sat)", "meal (25%: lunch, expected dinner)"]
