"""Does k-means find what scikit-learn's finds, and does ClusterLabelDetector turn few labels into a detector?"""

import pickle

import numpy as np
import pytest

import nanoae
from nanoae import PCA, ClusterLabelDetector
from nanoae.backend import get_ops
from nanoae.data.kmeans import k_means, move, plus_plus

rng = np.random.default_rng(0)
BLOBS = np.concatenate(
    [rng.standard_normal((60, 3)) + 8 * rng.standard_normal(3) + 50 for _ in range(6)]
)


# ---------------------------------------------------------------- the primitives


def test_squared_distances_are_those_of_the_definition(ops, device, close):
    x, y = rng.standard_normal((7, 4)), rng.standard_normal((5, 4))
    expected = [[sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) for v in y] for u in x]
    close(ops.squared_distances(device(x), device(y)), expected, scale=20)
    assert (ops.to_numpy(ops.squared_distances(device(x), device(x))) >= 0).all()


@pytest.mark.parametrize("n", [1, 7, 3000])
def test_nearest_and_the_sums_of_clusters(ops, device, close, dtype, n):
    x, centers = rng.standard_normal((n, 4)), rng.standard_normal((300, 4))
    labels, distances = ops.empty(n, np.int64), ops.empty(n, dtype)
    ops.nearest(device(x), device(centers), out=labels, distances=distances)
    d = ((x[:, None] - centers) ** 2).sum(axis=2)
    found = ops.to_numpy(labels)
    # a tie within rounding may go either way
    close(d[np.arange(n), found], d.min(axis=1), scale=20)
    close(distances, d.min(axis=1), scale=20)
    sums, counts = device(np.full((300, 4), np.nan)), device(np.full(300, np.nan))
    ops.sum_clusters(device(x), labels, out=sums, counts=counts)
    close(sums, [x[found == k].sum(axis=0) for k in range(300)], scale=100)
    close(counts, np.bincount(found, minlength=300))


def test_rows_are_drawn_in_proportion_to_their_weights(ops, device):
    weights = np.array([0.0, 3.0, 0.0, 1.0, 0.0])
    u = (np.arange(4000) + 0.5) / 4000
    rows = ops.to_numpy(
        ops.draw_rows(device(weights), ops.to_device(u), out=ops.empty(4000, np.int64))
    )
    assert np.bincount(rows, minlength=5).tolist() == [0, 3000, 0, 1000, 0]
    edges = ops.to_device(np.array([0.0, 1 - 2**-53]))
    assert ops.to_numpy(
        ops.draw_rows(device(weights), edges, out=ops.empty(2, np.int64))
    ).tolist() == [1, 3]


# ---------------------------------------------------------------- k-means


@pytest.mark.parametrize("k", [1, 6, 25])
def test_from_the_same_start_it_ends_where_scikit_learn_ends(ops, device, dtype, k):
    cluster = pytest.importorskip("sklearn.cluster")
    start = BLOBS[:: len(BLOBS) // k][:k]
    theirs = cluster.KMeans(k, init=start, n_init=1, tol=0, algorithm="lloyd").fit(BLOBS)
    mine = k_means(ops, device(BLOBS), k, start=device(start))
    assert mine.inertia == pytest.approx(theirs.inertia_, rel=1e-4 if dtype == np.float32 else 1e-9)
    np.testing.assert_allclose(ops.to_numpy(mine.centers), theirs.cluster_centers_, rtol=1e-4)
    np.testing.assert_array_equal(ops.to_numpy(mine.labels), theirs.labels_)


def test_its_own_start_is_as_good_as_scikit_learns():
    cluster, ops = pytest.importorskip("sklearn.cluster"), get_ops("numpy")
    x = nanoae.load_data("digits").flat()[0]
    theirs = np.mean(
        [cluster.KMeans(20, n_init=1, random_state=seed).fit(x).inertia_ for seed in range(4)]
    )
    mine = [k_means(ops, x, 20, seed) for seed in range(4)]
    assert np.mean([m.inertia for m in mine]) < 1.02 * theirs
    twin = k_means(ops, x, 20, 3)
    assert twin.inertia == mine[3].inertia and (twin.labels == mine[3].labels).all()


def test_the_start_is_spread_out(ops, device):
    start = ops.to_numpy(
        plus_plus(ops, device(BLOBS - BLOBS.mean(axis=0)), 6, np.random.default_rng(0))
    )
    origins = {
        int(np.square(BLOBS - BLOBS.mean(axis=0) - row).sum(axis=1).argmin()) // 60 for row in start
    }
    assert origins == set(range(6))


def test_a_centre_without_rows_goes_to_the_row_that_is_farthest(ops, device, dtype, close):
    x, centers = device(BLOBS), device(np.concatenate([BLOBS[:5], np.full((1, 3), 1e4)]))
    labels, distances = ops.empty(len(BLOBS), np.int64), ops.empty(len(BLOBS), dtype)
    ops.nearest(x, centers, out=labels, distances=distances)
    farthest = BLOBS[ops.to_numpy(distances).argmax()]
    move(ops, x, centers, labels, distances)
    close(ops.to_numpy(centers)[5], farthest, scale=100)
    start = device(np.concatenate([BLOBS[:5], np.full((1, 3), 1e4)]))
    assert len(np.unique(ops.to_numpy(k_means(ops, x, 6, start=start).labels))) == 6


def test_fewer_different_rows_than_clusters(ops, device):
    x = np.repeat(BLOBS[::90], 5, axis=0)
    clusters = k_means(ops, device(x), 9, seed=0)
    assert clusters.inertia == pytest.approx(0, abs=1e-3)
    found, rows = clusters.middles(ops)
    assert len(found) == len(BLOBS[::90]) and (ops.to_numpy(clusters.labels)[rows] == found).all()


@pytest.mark.parametrize("k", [0, len(BLOBS) + 1])
def test_an_impossible_number_of_clusters(k):
    with pytest.raises(ValueError, match=r"expected 1 <= k <= 360"):
        k_means(get_ops("numpy"), BLOBS, k)


# ---------------------------------------------------------------- the detector


@pytest.fixture(scope="module")
def digits():
    """The eights of `digits` are the anomalies: (x, whether it is one) to learn from, and to judge by."""
    data = nanoae.load_data("digits")
    (x, x_test), y, y_test = data.flat(), data.y_train == 8, data.y_test == 8
    keep = ~y | (np.cumsum(y) <= 70)
    return x[keep], y[keep], x_test, y_test


@pytest.fixture(scope="module")
def fitted(digits):
    autoencoder = nanoae.Autoencoder(
        16, (64,), epochs=30, batch_size=32, backend="numpy", random_state=0
    )
    return pickle.dumps(
        ClusterLabelDetector(autoencoder, n_clusters=120, random_state=0).fit(digits[0])
    )


def f1(y, found):
    return 2 * (y & found).sum() / (y.sum() + found.sum())


def ask(detector, y, *steps):
    for n in steps:
        rows = detector.query(n)
        detector.label(rows, y[rows])
    return detector


def test_chosen_labels_tell_more_than_random_ones(fitted, digits):
    _, y, x_test, y_test = digits
    chosen = ask(pickle.loads(fitted), y, 20, 10, 10)
    assert len(chosen.given_) == 40 and sum(chosen.given_.values()) > 2 * 40 * y.mean()
    random = pickle.loads(fitted)
    scores = []
    for seed in range(5):
        rows = np.random.default_rng(seed).choice(len(y), 40, replace=False)
        random.given_ = {}
        scores.append(f1(y_test, random.label(rows, y[rows]).predict(x_test) < 0))
    assert f1(y_test, chosen.predict(x_test) < 0) > np.mean(scores) + 0.1


def test_scores_decision_and_prediction_agree(fitted, digits):
    detector = ask(pickle.loads(fitted), digits[1], 20, 10)
    scores, decision = detector.score_samples(digits[2]), detector.decision_function(digits[2])
    assert scores.min() >= -1 and scores.max() <= 0
    np.testing.assert_array_equal(decision, scores - detector.offset_)
    np.testing.assert_array_equal(detector.predict(digits[2]), np.where(decision < 0, -1, 1))


def test_queries_are_rows_of_clusters_without_a_label(fitted, digits):
    detector, y = pickle.loads(fitted), digits[1]
    seen = set()
    for n in (20, 10, 90):
        rows = detector.query(n)
        np.testing.assert_array_equal(rows, detector.query(n))  # until label() is called
        clusters = set(detector.labels_[rows])
        assert len(clusters) == len(rows) == n and not clusters & seen
        seen |= clusters
        detector.label(rows, y[rows])
    assert len(seen) == 120
    with pytest.raises(ValueError, match="clusters without a label"):
        detector.query(1)


def test_a_label_is_kept_and_its_cluster_follows_it(fitted):
    detector = pickle.loads(fitted)
    row = int(detector.representatives_[7])
    assert (detector.predict(detector.autoencoder_.inverse_transform(detector._centers)) == 1).all()
    detector.label([row], [1])
    assert detector.abnormality_[7] == 1 and detector.given_ == {row: 1}
    detector.label(row, 0)
    assert detector.abnormality_[7] == 0 and detector.given_ == {row: 0}


def test_between_two_labels_the_nearer_one_counts():
    """On a line of rows, labelled at its ends, the abnormality is the mean of the neighbours': it falls steadily."""
    x = np.linspace(0, 1, 21)[:, None] * [1.0, 2.0]
    detector = ClusterLabelDetector(PCA(1), n_clusters=21, n_neighbors=2, random_state=0).fit(x)
    detector.label([0, 20], [1, 0])
    f = detector.abnormality_[detector.labels_]
    np.testing.assert_allclose(f, np.linspace(1, 0, 21), atol=0.1)
    assert (np.diff(f) < 0).all()


def test_a_cluster_that_is_nobodys_nearest_hangs_on_its_own_nearest():
    """On a line whose gaps grow the last one is no one's nearest, and still gets what the one before it has."""
    x = np.array([0.0, 1.0, 2.5, 5.0, 10.0])[:, None] * [1.0, 2.0]
    detector = ClusterLabelDetector(PCA(1), n_clusters=5, n_neighbors=1, random_state=0).fit(x)
    detector.label([0], [1])
    np.testing.assert_allclose(detector.abnormality_, 1, atol=1e-6)


def test_labels_spread_and_rows_score_by_the_formulas():
    """Pairs of rows on a line; one of two rows at its beginning is abnormal, both at its end are normal."""
    places = np.array([0, 1, 2.5, 4, 7, 12])
    x = (places[:, None] + [0, 0.1]).reshape(12, 1) * [1.0, 2.0]
    detector = ClusterLabelDetector(PCA(1), n_clusters=6, n_neighbors=2, random_state=0).fit(x)
    of = detector.labels_
    assert (of[::2] == of[1::2]).all() and len(set(of)) == 6
    detector.label([0, 1, 10, 11], [1, 0, 0, 0])
    codes = detector.transform(x).astype(float)[:, 0]
    centers = codes.reshape(6, 2).mean(axis=1)  # in the order of the line
    d = np.abs(centers[:, None] - centers)
    s = np.sort(d, axis=1)[:, 2]  # to the second nearest
    W = np.zeros((6, 6))
    for i in range(6):
        for j in np.argsort(d[i])[1:3]:
            W[i, j] = W[j, i] = np.exp(-2 * d[i, j] ** 2 / (s[i] * s[j]))
    f = np.array([0.5, 0, 0, 0, 0, 0])
    for _ in range(3000):
        f[1:5] = (W @ f)[1:5] / W.sum(axis=1)[1:5]
    np.testing.assert_allclose(detector.abnormality_[of[::2]], f, rtol=1e-4, atol=1e-6)
    new = np.linspace(-1, 8, 30)[:, None] * [1.0, 2.0]
    spread = ((codes - np.repeat(centers, 2)) ** 2).mean()
    away = (detector.transform(new).astype(float) - centers) ** 2
    logits = -4 * away / spread
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    want = (p / p.sum(axis=1, keepdims=True)) @ f
    np.testing.assert_allclose(-detector.score_samples(new), want, rtol=1e-3, atol=1e-5)
    # as far as float32 goes: of the ends' clusters
    with pytest.warns(UserWarning, match="on the scale"):
        far = detector.score_samples(np.array([[-1e25], [1e25]]) * [1.0, 2.0])
    np.testing.assert_allclose(far, [-0.5, 0], atol=1e-6)


def test_a_cluster_half_abnormal_is_an_anomaly_to_ask_about():
    """So what is asked next lies between it and the normal rows, not farthest from both."""
    x = (np.array([0, 1, 2.5, 4, 7, 12, 20])[:, None] + [0, 0.1]).reshape(14, 1) * [1.0, 2.0]
    detector = ClusterLabelDetector(PCA(1), n_clusters=7, random_state=0).fit(x)
    assert detector.label([0, 1, 10], [1, 0, 0]).query(1) in (8, 9)
    assert detector.label([0, 1, 10], [0, 0, 0]).query(1) in (12, 13)


def test_fewer_kinds_of_rows_than_clusters():
    x = np.repeat([0.0, 1, 5], 10)[:, None] * [1.0, 2.0]
    detector = ClusterLabelDetector(PCA(1), n_clusters=20, random_state=0).fit(x)
    np.testing.assert_array_equal(x[detector.representatives_][detector.labels_], x)
    detector.label([25, 5], [1, 0])
    assert (detector.predict(x) == np.repeat([1, 1, -1], 10)).all()


def test_more_abnormal_than_not_is_abnormal(fitted, digits):
    detector = ask(pickle.loads(fitted), digits[1], 20, 10)
    abnormality = -detector.score_samples(digits[2])
    np.testing.assert_array_equal(detector.predict(digits[2]) == -1, abnormality > 0.5)
    assert (abs(abnormality - 0.375) < 0.125).any()  # some that a lower place would call abnormal


def test_the_same_seed_gives_the_same_detector(digits):
    x, y = digits[0][:300], digits[1][:300]
    autoencoder = nanoae.Autoencoder(4, (16,), epochs=2, backend="numpy", random_state=0)
    twins = [
        ask(ClusterLabelDetector(autoencoder, n_clusters=40, random_state=3).fit(x), y, 5, 5)
        for _ in range(2)
    ]
    assert twins[0].given_ == twins[1].given_
    np.testing.assert_array_equal(*(twin.score_samples(x) for twin in twins))


def test_it_runs_where_its_autoencoder_runs(ops, digits):
    x, y = digits[0][:200], digits[1][:200]
    autoencoder = nanoae.Autoencoder(4, (8,), epochs=1, backend=ops, random_state=0)
    detector = ask(ClusterLabelDetector(autoencoder, n_clusters=20, random_state=0).fit(x), y, 5, 5)
    assert len(detector.given_) == 10 and np.isfinite(detector.score_samples(x)).all()


@pytest.mark.parametrize(
    ("rows", "y", "message"),
    [
        ([0, 1], [1], "expected 2 labels"),
        ([0], [2], "1 .abnormal. or 0 .normal."),
        ([-1], [1], "numbers from 0 to"),
        ([10**6], [1], "numbers from 0 to"),
        ([0.5], [1], "numbers from 0 to"),
        ([1, 0, 1], [0, 0, 1], "one label per row, got 0 and 1 for row 1"),
    ],
)
def test_a_wrong_label_is_told_and_changes_nothing(fitted, rows, y, message):
    detector = pickle.loads(fitted)
    with pytest.raises(ValueError, match=message):
        detector.label(rows, y)
    assert detector.given_ == {} and not detector.abnormality_.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_neighbors": 2.5}, "n_neighbors"),
        ({"autoencoder": "vae"}, "Autoencoder"),
    ],
)
def test_wrong_settings_are_told(settings, message):
    with pytest.raises(ValueError, match=f"ClusterLabelDetector: expected .*{message}"):
        ClusterLabelDetector(**settings).fit(BLOBS)


# ---------------------------------------------------------------- keeping


LAYER = nanoae.Linear(6)
CODERS = {
    "default": None,
    "autoencoder": nanoae.Autoencoder(4, (16,), epochs=2, random_state=0),
    "tied layers": nanoae.Autoencoder(
        encoder=[LAYER], decoder=[nanoae.TiedLinear(LAYER)], epochs=1, random_state=0
    ),
    "a device and a type": nanoae.Autoencoder(
        4, (8,), epochs=1, backend=get_ops("numpy"), dtype=np.float64
    ),
    "variational": nanoae.VariationalAutoencoder(4, (8,), epochs=1, random_state=0),
    "pca": PCA(4),
}


@pytest.mark.parametrize("coder", CODERS.values(), ids=CODERS)
def test_what_was_saved_goes_on_as_the_first_would(digits, tmp_path, coder):
    x, y, new, _ = digits
    x, y = x[:300], y[:300]
    first = ask(
        ClusterLabelDetector(coder, n_clusters=40, n_neighbors=7, random_state=3).fit(x), y, 6, 5
    )
    first.save(tmp_path / "detector.npz")
    again = nanoae.load(tmp_path / "detector.npz")
    assert (
        isinstance(again, ClusterLabelDetector)
        and again.given_ == first.given_
        and len(again.given_) == 11
    )
    for _ in range(2):
        for method in ("transform", "score_samples", "decision_function", "predict"):
            np.testing.assert_array_equal(getattr(again, method)(new), getattr(first, method)(new))
        np.testing.assert_array_equal(again.query(7), first.query(7))
        ask(first, y, 7)
        ask(again, y, 7)  # and then once more, with these labels
    assert again.given_ == first.given_ and len(first.given_) == 18 + 7
    np.testing.assert_array_equal(again.abnormality_, first.abnormality_)
    assert repr(again) == repr(first) and again.n_features_in_ == 64
    with pytest.raises(ValueError, match="expecting 64 features"):
        again.predict(new[:, :9])


def test_before_fit_there_is_nothing_to_save(tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        ClusterLabelDetector().save(tmp_path / "detector.npz")
