"""Do categories, rare ones, many ones and missing ones, leave to be seen what is abnormal, in numbers and in them?"""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import odd_tables

import nanoae
from nanoae import AnomalyDetector, Mixed
from nanoae.anomaly.scores import ColumnTails, NearestCodes, ReconstructionError, StandardisedError
from nanoae.data.table import Table

ROWS = 200
VALUES = {
    "zipf": lambda random, n: random.zipf(1.5, n),
    "of about six rows each": lambda random, n: random.integers(0, ROWS // 6, n),
}


def table(**columns):
    cells = [
        np.array(column, object if np.asarray(column).dtype.kind in "UO" else float)
        for column in columns.values()
    ]
    return Table(list(columns), cells, range(len(cells[0])))


def bills(n, seed, draw, shift=0.0, gaps=0.0):
    """Bills that go with minutes, but for the shift, of customers of plans and shops."""
    random = np.random.default_rng(seed)
    minutes, shops = random.normal(size=n), [f"shop {i}" for i in draw(random, n)]
    bill = 2 * minutes + random.normal(0, 0.1, n) + shift
    shops = np.where(random.random(n) < gaps, None, np.array(shops, object))
    return table(minutes=minutes, bill=bill, plan=random.choice(["x", "y", "z"], n), shop=shops)


@pytest.mark.parametrize("values", VALUES)
def test_categories_hide_no_number(values):
    found = AnomalyDetector(contamination=0.05, random_state=0).fit(bills(ROWS, 1, VALUES[values]))
    normal, broken = bills(ROWS, 2, VALUES[values]), bills(100, 3, VALUES[values], shift=3)
    assert (found.predict(normal) < 0).mean() < 0.1
    assert (found.predict(broken) < 0).mean() >= 0.95
    few = bills(20, 3, VALUES[values], shift=3)
    why = np.abs(found.explain(few))
    np.testing.assert_allclose(why.sum(axis=1), -found.score_samples(few))
    assert np.isin(why.argmax(axis=1), [0, 1]).mean() > 0.8


def test_a_gap_in_a_column_of_many_values_is_one_gap():
    """As so many gaps as the column has values it made the row's numbers count fifteen times."""
    draw = VALUES["of about six rows each"]
    found = AnomalyDetector(contamination=0.1, missing="mask", random_state=0).fit(
        bills(ROWS, 1, draw, gaps=0.1)
    )
    assert (found.predict(bills(ROWS, 2, draw, gaps=1.0)) < 0).mean() < 0.3


@odd_tables
def test_what_is_abnormal_in_the_categories_is_found_and_named(tmp_path):
    random = np.random.default_rng(0)

    def phones(n, **changed):
        model = random.integers(6, size=n)
        numbers = {name: random.normal(size=n) for name in "ab"}
        names = {
            "maker": [f"maker {m // 2}" for m in model],
            "model": [f"model {m}" for m in model],
        }
        return table(**{**numbers, **names, **changed})

    found = AnomalyDetector(contamination=0.05, random_state=0).fit(phones(300))
    unseen, impossible = (
        phones(20, model=["new"] * 20),
        phones(20, maker=["maker 0"] * 20, model=["model 5"] * 20),
    )
    assert (found.predict(phones(300)) < 0).mean() < 0.1
    for odd in (unseen, impossible):
        assert (found.predict(odd) < 0).mean() > 0.95
        why = found.explain(odd)
        np.testing.assert_allclose(np.abs(why).sum(axis=1), -found.score_samples(odd))
        assert np.isin(np.abs(why).argmax(axis=1), [2, 3]).mean() > 0.9
    found.save(tmp_path / "detector.npz")
    again = nanoae.load(tmp_path / "detector.npz", backend="numpy")
    np.testing.assert_array_equal(again.score_samples(impossible), found.score_samples(impossible))


# ---------------------------------------------------------------- the scores by their definitions

SAME = SimpleNamespace(  # gives back 0, and its codes are its rows
    as_built=SimpleNamespace(loss=Mixed((1, 4))), transform=np.array, reconstruct=np.zeros_like
)
# 4, 2, 2 and none of 8 rows
ONE_HOT = np.column_stack([np.arange(8.0), np.eye(4)[[0, 0, 0, 0, 1, 1, 2, 2]]])


def test_the_surprise_of_a_category():
    score = ColumnTails().fit(SAME, ONE_HOT)
    middle = np.column_stack([np.full(4, 3.5), np.eye(4)])
    np.testing.assert_allclose(
        score.score(SAME, middle) * 5, -np.log(np.array([9, 5, 5, 1]) / 9), atol=1e-15
    )
    gap = np.array([[9.0, *[np.nan] * 4], [np.nan, 0, 1, 0, 0]])
    np.testing.assert_allclose(score.score(SAME, gap) * 5, [-2 * np.log(2 / 9), -2 * np.log(5 / 9)])


def test_the_distance_of_categories():
    score = NearestCodes(1).fit(SAME, ONE_HOT[[0, 0, 0, 0, 4, 4, 4, 4]])  # rows of two kinds
    new = np.column_stack([[0, 4, 4, 4], np.eye(4)[[1, 0, 1, 3]]])
    np.testing.assert_allclose(score.score(SAME, new), [1, 1, 0, np.sqrt(1.5)])


@pytest.mark.parametrize("kind", [ReconstructionError, StandardisedError])
def test_a_gap_of_a_category_is_half_of_two_columns(kind):
    score = kind().fit(SAME, ONE_HOT)
    whole, gap = np.array([[2.0, 0, 0, 0, 0]]), np.array([[2.0, *[np.nan] * 4]])
    np.testing.assert_allclose(score.score(SAME, gap), 2 * score.score(SAME, whole))
