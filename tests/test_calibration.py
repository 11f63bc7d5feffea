"""Do alarms keep their promise: p-values, thresholds and false discoveries on rows that no network has learned from?"""

import csv
import itertools
import warnings

import numpy as np
import pytest

import nanoae
from nanoae import AnomalyDetector, Autoencoder, PeaksOverThreshold, Quantile, pyod
from nanoae.anomaly.calibration import (
    Conformal,
    SeenRows,
    benjamini_hochberg,
    deal,
    groups_of_copies,
)
from nanoae.anomaly.surprise import Standing
from nanoae.cli import main

pytestmark = pytest.mark.usefixtures("ten_folds")


def small(**settings):
    return AnomalyDetector(
        Autoencoder(2, (8,), epochs=3, backend="numpy"), **{"random_state": 0, **settings}
    )


# ---------------------------------------------------------------- p-values by their definition


def test_a_standing_of_one_is_at_the_84_percent_quantile():
    logs = np.concatenate([np.linspace(4.9, 5, 50), [5], np.linspace(5, 9, 51)[1:]])
    standing = Standing().fit(np.exp(logs))
    place = np.quantile(logs, 0.8413)
    assert standing(np.exp([5, place])) == pytest.approx([1, (1 + 5**0.5) / 2], rel=1e-3)


def test_a_row_is_compared_with_all_others():
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[1] = X[0]
    found = small(scores="codes").fit(X)
    folds = found.ensemble_.seen.of_folds(X)
    for member, of in zip(found.members_, folds, strict=True):
        codes = member.model.transform(member.scaled(X))
        references = member.scores[0].references_
        # of two equal rows one, where either was kept out
        assert len(references) == 60 - of[:2].any()
        away = np.sqrt(((codes[of == 1][:, None] - codes) ** 2).sum(axis=2))
        away[away < 1e-9] = np.inf  # itself, and the row that is equal to it
        nearest = np.sort(away, axis=1)[:, :3].mean(axis=1)
        np.testing.assert_allclose(found.decision_scores_[of == 1], nearest)


def test_p_values_count_the_row_itself_and_ties():
    p = Conformal(np.array([3.0, 1.0, 2.0, 2.0])).exceeded(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0]))
    np.testing.assert_array_equal(p, np.array([5, 5, 4, 2, 2, 1]) / 5)


@pytest.mark.parametrize(
    "scores", [(1, 2, 3, 4, 5, 6), (1, 1, 2, 2, 2, 9), (7, 7, 7, 7, 7, 7)], ids=str
)
def test_each_of_n_and_a_new_row_as_the_new_one(scores):
    """Of exchangeable rows each is as likely the new one: of all orders a share of a has p <= a at most; a / 1 is met
    where there are no ties. Without the 1 in (1 + number) / (n + 1) a sixth of them would have p = 0."""
    p = np.array(
        [
            Conformal(order[:-1]).exceeded(np.array(order[-1:]))[0]
            for order in itertools.permutations(scores)
        ]
    )
    for rate in (1 / 6, 0.2, 1 / 3, 0.5, 5 / 6, 1):
        assert (p <= rate + 1e-12).mean() <= rate + 1e-12
    if len(set(scores)) == 6:
        assert [(p <= k / 6 + 1e-12).mean() for k in range(7)] == pytest.approx(np.arange(7) / 6)


@pytest.mark.parametrize(
    "n, rate", [(9, 0.1), (19, 0.05), (19, 0.1), (20, 0.05), (99, 0.01), (200, 0.3), (7, 0.5)]
)
def test_a_quantile_for_new_rows(n, rate):
    """A threshold from n of n + 1 rows lies below the last one for floor(rate (n + 1)) choices of it."""
    scores = np.random.default_rng(n).normal(size=n + 1)
    above = [scores[i] > Quantile(1 - rate).fit(np.delete(scores, i)) for i in range(n + 1)]
    assert sum(above) == int(rate * (n + 1) + 1e-9) >= 1
    assert (scores[:n] > Quantile(1 - rate).fit(scores[:n])).sum() == sum(above)
    tied = np.repeat([0.0, 1.0], [n // 2, n - n // 2])
    assert not (tied > Quantile(1 - rate).fit(tied)).any() or rate == 0.5


@pytest.mark.parametrize("rule", [Quantile(0.99), PeaksOverThreshold(0.01)], ids=repr)
def test_too_few_rows_for_the_rate_are_told(rule):
    scores = np.random.default_rng(0).chisquare(5, size=20)
    with pytest.warns(UserWarning, match="expected at least 99 rows .* got 20"):
        assert rule.fit(scores) > scores.max()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rule.fit(np.random.default_rng(0).chisquare(5, size=99))


@pytest.mark.parametrize("n", [20, 50])
@pytest.mark.parametrize("draw", ["exponential", "normal", "standard_cauchy"])
def test_what_is_rarer_than_anything_seen_stays_rare(n, draw):
    random = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        draws = [
            (np.abs(getattr(random, draw)(size=size)) for size in (n, 2000)) for _ in range(60)
        ]
        found = [(new > Quantile(0.99).fit(scores)).mean() for scores, new in draws]
    assert np.mean(found) < 0.016


def test_benjamini_hochberg_by_its_definition():
    p = np.array([0.9, 0.01, 0.02, 0.3, 0.03, 0.04])
    found = [set(np.flatnonzero(benjamini_hochberg(p, rate))) for rate in (0.05, 0.06, 0.5)]
    assert found == [set(), {1, 2, 4, 5}, {1, 2, 3, 4, 5}]
    for rate in (0, 1.0, np.nan, True, "0.1"):
        with pytest.raises(ValueError, match="false_discovery_rate: expected"):
            benjamini_hochberg(p, rate)


# ---------------------------------------------------------------- who judges whom


@pytest.mark.parametrize(
    "rows, folds", [(2, 2), (7, 7), (40, 10), (100, 10), (101, 5), (5000, 5), (6000, 1)]
)
def test_each_row_is_kept_out_of_one_fold(rows, folds):
    found = deal(rows, 0.0, np.random.default_rng(0))
    counts = np.bincount(found[found >= 0])
    assert len(counts) == folds and np.ptp(counts) <= 1
    assert (found >= 0).all() if folds > 1 else (found == 0).sum() == 1200
    assert (
        (deal(rows, 0.5, np.random.default_rng(0)) == 0).sum() == round(0.5 * rows)
        if rows > 3
        else True
    )


def test_rows_are_known_again():
    X = np.array([[0.0, np.nan], [1, 2], [1, 2], [3, 4]])
    seen = SeenRows.of(X, np.array([0, 1, 2, 2]))
    weights = seen.of_folds(np.array([[-0.0, -np.nan], [1, 2], [3, 4], [1, 2 + 1e-9]]))
    np.testing.assert_allclose(weights.T, [[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [1 / 3] * 3])


def test_a_row_is_scored_by_networks_that_never_saw_it():
    """Its score does not change with what it was trained on itself: only the other folds' networks are."""
    X = np.random.default_rng(0).normal(size=(60, 4))
    found = small(scores="reconstruction").fit(X)
    folds = deal(60, 0.0, np.random.default_rng(np.random.SeedSequence(0)))
    changed = X.copy()
    changed[folds == 3] *= 5
    again = small(scores="reconstruction").fit(changed)
    own, other = (found.members_[3], again.members_[3]), (found.members_[4], again.members_[4])
    np.testing.assert_array_equal(*(member.raw(X) for member in own))
    assert not np.array_equal(*(member.raw(X) for member in other))
    np.testing.assert_allclose(found.decision_scores_[folds == 3], own[0].raw(X[folds == 3])[0])
    np.testing.assert_allclose(-found.score_samples(X), found.decision_scores_)
    new = X[:5] + 1e-3
    np.testing.assert_allclose(
        -found.score_samples(new), np.mean([m.raw(new)[0] for m in found.members_], axis=0)
    )


def test_new_normal_rows_are_flagged_as_asked():
    """Networks that know their rows by heart: thresholds from these flagged nearly all new ones."""
    random = np.random.default_rng(2)
    shares = []
    for seed in range(4):
        rows, new = random.normal(size=(60, 12)), random.normal(size=(500, 12))
        heart = Autoencoder(
            12, (64,), epochs=120, learning_rate=0.01, batch_size=60, backend="numpy"
        )
        found = AnomalyDetector(
            heart, scores="reconstruction", contamination=0.1, random_state=seed
        ).fit(rows)
        p = found.p_values(new)
        shares.append([(found.predict(new) < 0).mean(), (p <= 0.1).mean(), (p < 0.3).mean()])
        assert p.min() >= 1 / 61
    assert np.all(np.mean(shares, axis=0) < [0.15, 0.15, 0.38])
    assert np.all(np.mean(shares, axis=0) > [0.04, 0.04, 0.2])


def test_new_rows_with_few_twins_are_flagged_as_asked():
    """Of 64 kinds of rows each is there a few times: thresholds from rows scored as new twins flagged 17 %."""
    random = np.random.default_rng(0)
    shares = []
    for seed in range(4):
        rows, new = random.integers(0, 2, (300, 6)), random.integers(0, 2, (2000, 6))
        found = small(scores="codes", random_state=seed).fit(rows)
        shares.append((found.predict(new) < 0).mean())
        np.testing.assert_array_equal(found.predict(rows) < 0, found.labels_ == 1)
    assert 0.02 < np.mean(shares) < 0.12


@pytest.mark.parametrize("rate", [1e-17, 5e-324])
def test_the_rarest_contamination_lies_beyond_all_scores(rate):
    rows = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.warns(UserWarning, match=f"rows for a share of {rate:.3g} of false alarms, got 30"):
        found = small(scores="tails", contamination=rate).fit(rows)
    assert found.threshold_ > 10 * found.tested_scores_.max() and not found.labels_.any()


@pytest.mark.parametrize("way", ["copied", "weighted", "held out"])
def test_copies_are_held_out_together(way):
    """Networks that had learned the copies of their calibration rows flagged 30 to 60 % of new rows for 10 %."""
    random = np.random.default_rng(0)
    shares = []
    for seed in range(4):
        rows, new = np.split(random.normal(size=(1040, 6)), [40])
        found = small(scores="codes", random_state=seed, holdout=0.4 * (way == "held out"))
        with pytest.warns(UserWarning, match="75% of the 160 training rows are copies of others"):
            if way == "weighted":
                found.fit(rows, sample_weight=np.full(40, 4))
            else:
                found.fit(rows.repeat(4, axis=0))
        shares.append((found.predict(new) < 0).mean())
    assert 0.02 < np.mean(shares) < 0.15


def test_rows_of_few_values_are_equal_by_chance(recwarn):
    """Each row is a group: held out together, the commonest kind would be new to the networks that judge it."""
    random = np.random.default_rng(0)
    kinds = np.column_stack([random.integers(0, n, 300) for n in (2, 3, 2)])
    for X in (kinds, kinds[:, :1], np.ones((9, 3)), random.normal(size=(9, 3)), np.eye(12)):
        np.testing.assert_array_equal(groups_of_copies(X), np.arange(len(X)))
    mixed = np.column_stack([random.normal(size=20), random.integers(0, 2, 20)]).repeat(2, axis=0)
    pairs = groups_of_copies(mixed).reshape(20, 2)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])
    assert len(np.unique(pairs)) == 20
    assert not recwarn.list


def test_false_discoveries_are_few():
    random = np.random.default_rng(0)
    rows = random.normal(size=(200, 3))
    new = np.concatenate([random.normal(size=(300, 3)), random.normal(size=(60, 3)) + 8])
    found = small().fit(rows)
    flags = found.predict(new, false_discovery_rate=0.1) == -1
    assert flags[300:].mean() > 0.9 and flags[:300].sum() < 0.2 * flags.sum()
    adapter = pyod.AutoEncoder(found.autoencoder, random_state=0).fit(rows)
    np.testing.assert_array_equal(adapter.predict(new, false_discovery_rate=0.1) == 1, flags)
    assert not (found.predict(new[:300], false_discovery_rate=1e-3) < 0).any()


def test_too_few_rows_for_the_rate_of_false_discoveries_are_told():
    """The least p is 1 / (M + 1): two of 62 rows that nothing normal comes near need 1 / (M + 1) <= 0.1 · 2 / 62."""
    random = np.random.default_rng(0)
    found = small().fit(random.normal(size=(20, 3)))
    new = np.zeros((62, 3))
    new[:2] = 1e3
    with pytest.warns(
        UserWarning, match="2 of 62 rows score above all 20 calibration rows.* expected 309 or more"
    ):
        assert (found.predict(new, false_discovery_rate=0.1) == 1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (found.predict(new[2:], false_discovery_rate=0.1) == 1).all()
        assert (found.predict(new[:20], false_discovery_rate=0.6) == -1).sum() == 2


def test_a_holdout_of_one_row_is_refused():
    with pytest.raises(ValueError, match="expected holdout to leave at least 2 rows"):
        small(holdout=0.05).fit(np.random.default_rng(0).normal(size=(20, 3)))


def test_a_file_of_before_answers_as_before(tmp_path):
    """It has one training, `Surprise` and the Pareto tail, and no folds."""
    random = np.random.default_rng(0)
    X, new = random.normal(size=(80, 4)), random.normal(size=(30, 4))
    scores = ("codes", "whitened", "reconstruction", "tails")
    found = small(holdout=0.5, scores=scores).fit(X)
    raw = found.members_[0].raw(X)
    found.ensemble_.standings = [nanoae.anomaly.surprise.Surprise().fit(each) for each in raw]
    facts, arrays = found.to_file()
    assert {"usual.0", "usual.1"} <= set(arrays) and not any("standing" in name for name in arrays)
    for name in ("folds", "calibration"):
        facts.pop(name)
    found.to_file = lambda: (facts, arrays)
    found.save(tmp_path / "old.npz")
    again = nanoae.load(tmp_path / "old.npz")
    want = np.mean(
        [
            s(each)
            for s, each in zip(found.ensemble_.standings, found.members_[0].raw(new), strict=True)
        ],
        axis=0,
    )
    np.testing.assert_array_equal(-again.score_samples(new), want)
    np.testing.assert_array_equal(
        again.p_values(new), nanoae.anomaly.thresholds.Tail(found.tested_scores_).exceeded(want)
    )
    assert again.threshold_ == found.threshold_


# ---------------------------------------------------------------- the command line


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, rows in (
        ("train", random.normal(size=(40, 3))),
        ("new", random.normal(size=(200, 3))),
    ):
        with open(f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(
                [["a", "b", "c"], *rows.round(4).tolist(), *[[9, -9, 9]] * (name == "new") * 40]
            )
    return ["detect", "--train", "train.csv", "--score", "new.csv", "--out", "out.csv"]


def flags(path="out.csv"):
    with open(path, newline="") as file:
        return np.array([int(row["abnormal"]) for row in csv.DictReader(file)])


def test_detect_keeps_its_rate_and_says_where_rows_are_few(tables, capsys):
    assert main([*tables, "--contamination", "0.05"]) == 0
    assert flags()[:200].mean() < 0.15 and "warning" not in capsys.readouterr().err
    assert main(tables) == 0
    assert flags()[:200].mean() < 0.03
    assert "warning: threshold: expected at least 99 rows" in capsys.readouterr().err


def test_detect_by_false_discoveries(tables, capsys):
    assert main([*tables, "--false-discovery-rate", "0.2", "--save", "model.npz"]) == 0
    found = flags()
    assert found[200:].all() and found[:200].sum() < 40
    assert (
        f"{found.sum()} of them abnormal at a false discovery rate of 0.2"
        in capsys.readouterr().out
    )
    use = [
        "detect",
        "--model",
        "model.npz",
        "--score",
        "new.csv",
        "--out",
        "again.csv",
        "--false-discovery-rate",
        "0.2",
    ]
    assert main(use) == 0 and np.array_equal(flags("again.csv"), found)
    assert main([*use[:-1], "0.01"]) == 0 and not flags("again.csv").any()
    assert "rows score above all 40" in capsys.readouterr().err
    assert main([*tables, "--false-discovery-rate", "1.5"]) == 2
    assert "--false-discovery-rate: expected a number in (0, 1), got 1.5" in capsys.readouterr().err


# ------------------------------------------------------------------------------ nothing known, and nothing different


def test_a_row_of_gaps_alone_has_no_score_and_is_no_normal_one():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    detector = nanoae.AnomalyDetector(
        nanoae.Autoencoder(2, epochs=1), missing="mask", random_state=0
    ).fit(rows)
    new = np.array([rows[0], [np.nan] * 3, [np.nan, 0.1, 0.2]])
    with pytest.warns(
        UserWarning, match=r"row 1 has missing values only \(1 such rows\): its score is NaN"
    ):
        scores = detector.score_samples(new)
    assert np.isnan(scores).tolist() == [False, True, False]
    with pytest.warns(UserWarning, match="missing values only"):
        assert detector.predict(new)[1] == -1
    # left out of what is learned
    with pytest.warns(UserWarning, match="row 3 has missing values only"):
        again = detector.fit(np.vstack([rows[:3], [np.nan] * 3, rows[3:]]))
    assert np.isnan(again.decision_scores_[3]) and again.labels_[3] == 1
    np.testing.assert_array_equal(again.score_samples(rows), detector.fit(rows).score_samples(rows))


@pytest.mark.parametrize(
    "rule, scores",
    [
        (None, "codes"),
        (None, "reconstruction"),
        (None, "mahalanobis"),
        (nanoae.MAD(), ["codes", "reconstruction", "tails"]),
        (nanoae.PeaksOverThreshold(0.01), "reconstruction"),
    ],
)
def test_the_threshold_of_equal_rows_lies_above_rounding(rule, scores):
    rows = np.tile([0.1, 2.3, -5.7], (60, 1))
    detector = nanoae.AnomalyDetector(
        nanoae.Autoencoder(2, epochs=1), scores, threshold=rule, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of few rows
        detector.fit(rows)
    top = detector.tested_scores_.max()
    assert detector.threshold_ > top and detector.threshold_ - top <= 1.01e-6 * max(top, 1e-5)
    assert (detector.predict(rows[:1]) == 1).all() and detector.predict([[0.1, 2.3, 5.0]]) == -1


@pytest.mark.filterwarnings("ignore:AnomalyDetector. 96% of the 300 training rows are copies")
@pytest.mark.parametrize("rule", [None, PeaksOverThreshold(), nanoae.MAD()], ids=str)
def test_a_row_alone_is_what_it_is_among_others(rule):
    """Its score may differ in the last bit: of a table of few different rows a tie holds a tenth of them all."""
    random = np.random.default_rng(0)
    kinds = random.normal(size=(12, 6))
    X = kinds[random.choice(12, 300, p=[0.09] * 11 + [0.01])]
    for seed in range(2):
        detector = small(threshold=rule, contamination=0.1, random_state=seed).fit(X)
        kin = (X[:, None] == kinds).all(axis=2).argmax(axis=1)
        alone = [detector.p_values(row[None])[0] for row in kinds]
        np.testing.assert_array_equal(detector.p_values(X), np.array(alone)[kin])
        alone = [detector.predict(row[None])[0] for row in kinds]
        np.testing.assert_array_equal(detector.predict(X), np.array(alone)[kin])
        np.testing.assert_array_equal(detector.labels_ == 1, detector.predict(X) == -1)
