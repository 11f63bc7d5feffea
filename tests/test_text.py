"""Does TextVAE learn lines, say new ones, and refuse what is no text? Characters of any script, words, keywords."""

import json
import os
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nanoae
from nanoae import TextVAE, check_gradients
from nanoae.autoencoders.choice import sampler
from nanoae.autoencoders.vocabulary import EOS, Vocabulary
from nanoae.cli import main
from nanoae.data import BadFile
from nanoae.data.files import read_lines
from nanoae.data.slogans import KINDS, PRODUCTS, draw_slogans

LINES = [
    "Sip bold coffee at sunrise.",
    "Sip smooth tea at noon.",
    "No fuss, just bold coffee!",
    "No hurry, just smooth tea!",
    "Wake up to fresh bread.",
    "Say yes to warm bread at noon.",
]
KEYWORDS = ["coffee", "tea", "coffee", "tea", "bread", "bread"]
JAPANESE = [
    "朝の珈琲、夜の夢。",
    "珈琲で始まる朝。",
    "お茶の時間、静かな夜。",
    "静かな夜にお茶を。",
    "夢を見る珈琲。",
]
SMALL = {
    "code_size": 4,
    "state_size": 24,
    "embedding_size": 8,
    "epochs": 150,
    "batch_size": 6,
    "learning_rate": 0.01,
    "word_dropout": 0.2,
    "beta": 0.05,
    "warm_up": 50,
    "backend": "numpy",
    "random_state": 0,
}


def small(**settings):
    return TextVAE(**{**SMALL, **settings})


@pytest.fixture(scope="module")
def model():
    """One that has learned LINES by their KEYWORDS."""
    return small().fit(LINES, KEYWORDS)


@pytest.fixture(scope="module")
def plain():
    """One that has learned Japanese, without keywords."""
    return small().fit(JAPANESE)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """command("text", ...) in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        try:
            code = main([str(arg) for arg in argv])
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return run


# ---------------------------------------------------------------- learning


def test_a_few_lines_are_learned_by_heart(model):
    assert model.reconstruct(LINES, KEYWORDS) == LINES
    assert model.history_["loss"][-1] < model.history_["loss"][0] / 4


def test_any_script_will_do(plain):
    assert plain.vocabulary_.unit == "characters"
    assert plain.reconstruct(JAPANESE) == JAPANESE
    letters = set("".join(JAPANESE))
    assert all(line and set(line) <= letters for line in plain.generate(20, random_state=0))


def test_the_code_and_the_keyword_both_speak(model):
    """One code with every keyword, and one keyword with every code."""
    code = model.transform(LINES[:1], KEYWORDS[:1])
    assert code.shape == (1, 4) and code.dtype == np.float32
    told = model.inverse_transform(np.repeat(code, 3, axis=0), ["coffee", "tea", "bread"])
    assert [word in line for word, line in zip(("coffee", "tea", "bread"), told, strict=True)] == [
        True
    ] * 3
    assert len(set(model.generate(40, "coffee", random_state=0))) > 1


def test_one_line_can_be_learned():
    one = small(epochs=60).fit(["Only one."])
    assert one.reconstruct(["Only one."]) == ["Only one."]
    assert one.evaluate(["Only one."])["exact_lines"] == 1


def test_lines_are_composed_and_their_spaces_single():
    lines = ["  Caf\u0065\u0301   noir ", "thé\tvert"]
    assert small(epochs=1).fit(lines).vocabulary_.tokens == (" noir", " vert", "Café", "thé")


def test_the_seed_decides_everything():
    first, same, other = (
        small(epochs=2, random_state=seed).fit(LINES, KEYWORDS) for seed in (0, 0, 1)
    )
    assert (first.transform(LINES, KEYWORDS) == same.transform(LINES, KEYWORDS)).all()
    assert first.history_["loss"] == same.history_["loss"] != other.history_["loss"]


@pytest.mark.parametrize("held", ["given", "a share", "given, without keywords"])
def test_a_validation_loss_is_watched(held):
    keywords = None if "without" in held else KEYWORDS
    data = {"given": (LINES[:2], KEYWORDS[:2]), "given, without keywords": LINES[:2]}.get(held)
    watched = small(epochs=3, validation_fraction=0.3 * (data is None)).fit(
        LINES, keywords, validation_data=data
    )
    assert len(watched.history_["val_loss"]) == 3


def test_the_gradient_of_a_fitted_model(model):
    """Float64, its noise frozen: the code's, and which words the decoder is not told."""
    X = model._inputs(LINES, KEYWORDS)
    report = check_gradients(model, X, X[:, 1:], model.new_loss())
    assert report.ok and sum(row.parameter not in ("dx", "dy") for row in report.rows) == 16, (
        f"\n{report}"
    )


def test_a_line_said_is_the_likeliest_word_after_word(model):
    """Step by step and all at once: told the reconstruction, each of its words has the highest score."""
    X = model._inputs(model.reconstruct(LINES, KEYWORDS), KEYWORDS)
    z = model.transform(LINES, KEYWORDS)
    model.network_.forward(X)  # the teacher's words
    scores = model.network_.forward(z, start=model._n_encoder)
    assert (scores.argmax(axis=2) == X[:, 1:])[X[:, 1:] > 0].all()


# ---------------------------------------------------------------- words and rows


@pytest.mark.parametrize(
    ("lines", "unit"),
    [
        (LINES, "words"),
        (JAPANESE, "characters"),
        (["one", "two words", "three of them"], "words"),
        (["一 二", "三", "四"], "characters"),
    ],
)
def test_auto_takes_characters_where_most_lines_have_no_space(lines, unit):
    assert Vocabulary.learn(lines, None, "auto", 100).unit == unit


texts = st.lists(
    st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(bool),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=30)
@given(texts, st.sampled_from(["words", "characters"]))
def test_rows_are_lines_and_back(lines, unit):
    vocabulary = Vocabulary.learn(lines, None, unit, 10_000)
    rows = vocabulary.encode(lines, None, max(map(len, lines)) + 2)
    assert vocabulary.decode(rows) == lines
    assert (rows[:, 0] == 2).all() and ((rows == EOS).sum(axis=1) == 1).all()


def test_rare_words_and_new_ones_are_no_words():
    vocabulary = Vocabulary.learn(["a a b", "a b c"], ["x", "y"], "words", 3)
    # the most frequent, then in the order of the alphabet
    assert vocabulary.tokens == (" b", "a", " a")
    rows = vocabulary.encode(["a b zebra"], ["y"], 6)
    # the new word, and the padding
    assert rows[0, 0] == vocabulary.bos_ids["y"] and (rows[0] == 0).sum() == 2
    assert vocabulary.decode(rows) == ["a b"]


def test_a_long_line_is_cut_with_a_warning():
    with pytest.warns(UserWarning, match="a line is longer than 3 words, and truncated"):
        cut = small(epochs=1, max_length=3).fit(["one two three four", "one two"])
        first = cut.vocabulary_.encode(["one two three four"], None, 5)
    assert (
        cut.n_features_in_ == 5
        and cut.vocabulary_.decode(first) == ["one two three"]
        and EOS not in first
    )
    with pytest.warns(UserWarning, match="2 lines are longer"):
        cut.transform(["one " * 5000] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut.transform(["one two three"])


# ---------------------------------------------------------------- saying new lines


def test_the_same_seed_says_the_same_lines(model):
    assert model.generate(8, random_state=3) == model.generate(8, random_state=3)
    assert model.generate(8, random_state=3) != model.generate(8, random_state=4)
    assert model.generate(8) != model.generate(8)


def test_each_line_may_have_its_own_keyword(model):
    lines = model.generate(3, ["bread", "tea", "bread"], temperature=0.3, random_state=0)
    assert [word in line for word, line in zip(["bread", "tea", "bread"], lines, strict=True)] == [
        True
    ] * 3


def test_temperature_goes_from_the_likeliest_word_to_any(model):
    likeliest = model.generate(20, "tea", temperature=0, random_state=0)
    assert model.generate(20, "tea", temperature=1e-300, random_state=0) == likeliest
    known = set(LINES)
    shares = [
        np.mean([line in known for line in model.generate(60, "tea", t, 0)]) for t in (0, 1e6)
    ]
    assert shares[0] > 0.3 > 0.05 > shares[1]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_words_are_drawn_as_often_as_their_scores_say(temperature):
    scores = np.log([1.0, 2.0, 5.0])
    drawn = sampler(temperature, np.random.default_rng(0))(np.tile(scores, (20_000, 1)))
    p = np.exp(scores / temperature)
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), p / p.sum(), atol=0.015)


@pytest.mark.parametrize("temperature", [-1, np.nan, np.inf, "hot", None])
def test_a_temperature_that_is_none_is_refused(model, temperature):
    with pytest.raises(ValueError, match="TextVAE: expected temperature to be a number >= 0, got"):
        model.generate(2, "tea", temperature)


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("cofee", "Did you mean 'coffee'?"),
        ("TEA", "Did you mean 'tea'?"),
        ("xyzzy", "Known keywords: bread, c"),
    ],
)
def test_an_unseen_keyword_says_so_and_offers_the_nearest(model, keyword, hint):
    with pytest.raises(
        ValueError, match=f"keyword seen by fit, got '{keyword}'. {re.escape(hint)}"
    ):
        model.generate(2, keyword)


REFUSED = {
    "expected lines, a list of one text or more, got": lambda m, p: small().fit([]),
    "expected lines, a list of one text or more, got 'one": lambda m, p: small().fit("one line"),
    "expected lines that are non-empty strings, got 3 at index 1": lambda m, p: small().fit(
        ["a", 3]
    ),
    "expected lines that are non-empty strings, got a ndarray at index 0": lambda m, p: p.transform(
        np.ones((2, 3))
    ),
    "expected lines that are non-empty strings, got '  ' at index 0": lambda m, p: small().fit(
        ["  "]
    ),
    "expected a keyword for each line, got 1 for 2 lines": lambda m, p: small().fit(
        ["a", "b"], ["k"]
    ),
    "expected keywords that are non-empty strings, got ''": lambda m, p: small().fit(["a"], [""]),
    "expected keywords, as in fit: bread, coffee, tea; got none": lambda m, p: m.transform(LINES),
    "expected no keywords, as in fit, got x": lambda m, p: p.transform(JAPANESE[:1], ["x"]),
    "expected no keywords, as in fit, got tea": lambda m, p: p.generate(1, "tea"),
    "expected keywords, a list of one text or more, got 5": lambda m, p: m.generate(1, 5),
    "expected keywords, a list of one text or more, got 'tea'": lambda m, p: m.inverse_transform(
        np.ones((1, 4)), "tea"
    ),
    "expected one keyword, or 3, got 2": lambda m, p: m.generate(3, ["tea", "tea"]),
    "expected count to be a whole number >= 1, got 0": lambda m, p: m.generate(0),
    r"expected codes of shape \(N, 4\), got \(2, 3\)": lambda m, p: p.inverse_transform(
        np.ones((2, 3))
    ),
    "expected as many keywords as codes, got 1 and 2": lambda m, p: m.inverse_transform(
        np.ones((2, 4)), ["tea"]
    ),
    "tokens: expected one of auto, words, characters, got 'letters'": lambda m, p: small(
        tokens="letters"
    ).fit(LINES),
    r"expected word_dropout in \[0, 1\), got 1": lambda m, p: small(word_dropout=1).fit(LINES),
    "TextVAE: expected beta to be a number >= 0, got -1": lambda m, p: small(beta=-1).fit(LINES),
    "expected state_size to be a whole number >= 1, got 0": lambda m, p: small(state_size=0).fit(
        LINES
    ),
    "not fitted yet": lambda m, p: small().generate(),
}


def test_a_keyword_is_read_as_fit_read_it():
    """Decomposed letters, as some file systems and keyboards write them, and spaces around it."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    cafe = small(epochs=1).fit(["one", "two"], [decomposed, "tea"])
    said = [
        cafe.generate(2, keyword, random_state=0) for keyword in (composed, decomposed, " café ")
    ]
    assert said[0] == said[1] == said[2] and cafe.keywords_ == (composed, "tea")


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_text_is_refused(model, plain, message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message](model, plain)


def test_a_refused_fit_leaves_the_old_model(model):
    before = model.generate(3, "tea", random_state=0)
    with pytest.raises(ValueError):
        model.fit(["a"], ["b", "c"])
    assert model.generate(3, "tea", random_state=0) == before and model.keywords_ == (
        "bread",
        "coffee",
        "tea",
    )


# ---------------------------------------------------------------- how good it is


def test_the_bound_is_minus_cross_entropy_minus_kl(model):
    result, elbo = model.evaluate(LINES, KEYWORDS), model.score_samples(LINES, KEYWORDS)
    tokens = (model._inputs(LINES, KEYWORDS)[:, 1:] != 0).sum()
    assert elbo.shape == (6,) and (elbo < 0).all()
    assert (
        result["elbo"] == pytest.approx(elbo.mean()) == pytest.approx(model.score(LINES, KEYWORDS))
    )
    assert -6 * result["elbo"] == pytest.approx(result["cross_entropy"] * tokens + 6 * result["kl"])
    assert result["perplexity"] == pytest.approx(np.exp(-elbo.sum() / tokens))
    assert result == model.evaluate(LINES, KEYWORDS)


def test_more_importance_samples_tighten_the_bound(model):
    bounds = [model.score_samples(LINES, KEYWORDS, samples).mean() for samples in (None, 1, 50)]
    assert bounds[0] < bounds[2] and bounds[1] < bounds[2]
    with pytest.raises(ValueError, match="TextVAE: expected importance_samples"):
        model.score_samples(LINES, KEYWORDS, 0)


def test_a_line_scores_the_same_in_any_company(model):
    alone = [
        model.score_samples([line], [word])[0] for line, word in zip(LINES, KEYWORDS, strict=True)
    ]
    np.testing.assert_allclose(alone, model.score_samples(LINES, KEYWORDS), rtol=1e-4)


def test_the_cross_entropy_is_the_loss_at_the_same_codes():
    """Where the code is certain, logvar = -100, the cross-entropy is the loss that the network is trained on."""
    model = small(dtype="float64", epochs=2).fit(LINES)
    X, net = model._inputs(LINES), model.network_
    net.layers[3].params["W"][:, 4:], net.layers[3].params["b"][4:] = 0, -100
    loss = float(model._loss.forward(net.forward(X), X[:, 1:]))
    tokens = (X[:, 1:] != 0).sum()
    assert model.evaluate(LINES)["cross_entropy"] * tokens / 6 == pytest.approx(loss, rel=1e-12)
    mu = model.transform(LINES)
    kl = 0.5 * (mu**2 + np.exp(-100) - 1 + 100).sum(axis=1).mean()
    assert model.evaluate(LINES)["kl"] == pytest.approx(kl, rel=1e-12)


# ---------------------------------------------------------------- keeping


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_says_the_same(tmp_path, dtype):
    model = small(epochs=3, dtype=dtype).fit(LINES, KEYWORDS)
    model.save(tmp_path / "m.npz")
    again = nanoae.load(tmp_path / "m.npz")
    assert (again.transform(LINES, KEYWORDS) == model.transform(LINES, KEYWORDS)).all()
    assert again.generate(5, "tea", random_state=1) == model.generate(5, "tea", random_state=1)
    assert (again.keywords_, again.history_) == (model.keywords_, model.history_)
    assert again.evaluate(LINES, KEYWORDS) == model.evaluate(LINES, KEYWORDS)


@pytest.mark.parametrize("spoil", [lambda v: v["words"].pop(), lambda v: v.update(unit="letters"), lambda v: v.clear(),
                                   lambda v: v.update(words=3), lambda v: v.update(starts=[1, 2, 3])])  # fmt: skip
def test_a_file_whose_vocabulary_does_not_fit_is_refused(tmp_path, model, spoil):
    model.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        arrays = dict(file)
    header = json.loads(bytes(arrays["header"]))
    spoil(header["vocabulary"])
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(ValueError, match=r"m.npz: expected a whole nanoae model"):
        nanoae.load(tmp_path / "m.npz")


# ---------------------------------------------------------------- slogans


def test_the_grammar_draws_different_lines_that_name_their_product():
    lines, keywords = draw_slogans(5000)
    assert len(set(lines)) == len(lines) == 5000 and set(keywords) == set(PRODUCTS)
    assert all(keyword in line.casefold() for line, keyword in zip(lines, keywords, strict=True))
    assert not any(mark in line for line in lines for mark in "{}\n\t")
    assert draw_slogans(50, 3) == draw_slogans(50, 3) != draw_slogans(50, 4)
    assert len(PRODUCTS) == len(set(PRODUCTS)) == 8 * len(KINDS)


@pytest.mark.parametrize("count", [0, 100_001])
def test_how_many_slogans_is_bounded(count):
    with pytest.raises(ValueError, match=r"expected count in 1 .. 100,000"):
        draw_slogans(count)


# ---------------------------------------------------------------- files

FILES = {
    "one line a slogan": (b"One.\nTwo.\n", (["One.", "Two."], None)),
    "no newline at the end": (b"One.\nTwo.", (["One.", "Two."], None)),
    "CRLF and a byte order mark": (b"\xef\xbb\xbfOne.\r\nTwo.\r\n", (["One.", "Two."], None)),
    "old Mac": (b"One.\rTwo.\r", (["One.", "Two."], None)),
    "empty lines": (b"\n\nOne.\n  \n\nTwo.\n\n", (["One.", "Two."], None)),
    "keywords": (
        b"tea\tSip tea.\nbread\tEat bread.\n",
        (["Sip tea.", "Eat bread."], ["tea", "bread"]),
    ),
    "further tabs": (b"tea\tSip\ttea.\n", (["Sip\ttea."], ["tea"])),
    "Japanese": ("茶\tお茶を。\n".encode(), (["お茶を。"], ["茶"])),
    "one line": (b"Alone", (["Alone"], None)),
    "UTF-16": ("tea\r\ncafé\r\n".encode("utf-16"), (["tea", "café"], None)),
}
BAD_FILES = {
    "empty": (b"", "expected lines of text, got none"),
    "blank": (b"\n \n\t\n", "expected lines of text, got none"),
    "mixed": (
        b"tea\tSip tea.\n\nEat bread.\n",
        "expected a keyword, a tab and a line in line 3, got 'Eat bread.'",
    ),
    "mixed the other way": (b"Eat bread.\ntea\tSip tea.\n", "in line 2, got 'tea"),
    "a keyword without a line": (
        b"tea\tSip.\nbread\t \n",
        "expected a keyword, a tab and a line in line 2",
    ),
    "a line without its keyword": (
        b"\tSip tea.\n",
        "expected a keyword, a tab and a line in line 1",
    ),
    "Latin-1": ("café".encode("latin-1"), "expected a valid text file in UTF-8"),
    "UTF-16 without a mark": ("tea".encode("utf-16-le"), "got NUL characters. Save it as UTF-8"),
    "no end of a line": (
        b"a" * (1 << 24) + b"bc",
        "expected lines of at most 16,777,216 characters",
    ),
    "an image": (b"\x89PNG\r\n\x1a\n\x00\x00", "expected a valid text file in UTF-8"),
}


@pytest.mark.parametrize("name", FILES)
def test_text_files_are_read(tmp_path, name):
    content, expected = FILES[name]
    (tmp_path / "lines.txt").write_bytes(content)
    lines, keywords = read_lines(tmp_path / "lines.txt")
    assert ([line.strip() for line in lines], keywords) == expected


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_text_file_is_refused(tmp_path, name):
    content, message = BAD_FILES[name]
    (tmp_path / "lines.txt").write_bytes(content)
    with pytest.raises(BadFile, match=re.escape(message)):
        read_lines(tmp_path / "lines.txt")


# ---------------------------------------------------------------- the command

QUICK = ("--epochs", 2, "--state-size", 8)


def test_train_then_generate(command, tmp_path):
    (tmp_path / "lines.tsv").write_text(
        "".join(f"{k}\t{line}\n" for k, line in zip(KEYWORDS, LINES, strict=True)) * 4
    )
    code, out, err = command("text", "train", "lines.tsv", *QUICK)
    assert (
        (code, err) == (0, "")
        and "3 keywords: bread, coffee, tea" in out
        and "held-out lines: ELBO" in out
    )
    assert "epoch   2 of 2" in out and "\x1b" not in out
    assert {path.name for path in (tmp_path / "runs" / "text-1").iterdir()} == {
        "model.npz",
        "metrics.csv",
        "config.json",
    }
    told = json.loads((tmp_path / "runs" / "text-1" / "config.json").read_text())
    assert told["settings"]["epochs"] == 2 and "kl" in told["results"]["2 held-out lines"]
    code, out, err = command("text", "generate", "--keyword", "tea", "--count", 3, "--seed", 1)
    assert (code, err) == (0, "") and len(out.splitlines()) == 3
    assert (
        command("text", "generate", "runs/text-1", "--keyword", "tea", "--count", 3, "--seed", 1)[1]
        == out
    )
    code, out, err = command("text", "generate", "--keyword", "te")
    assert (code, out) == (2, "") and "Did you mean 'tea'?" in err and err.count("\n") == 1


def test_generate_takes_the_newest_model(command, tmp_path):
    for number, time in ((1, 200), (2, 100)):
        (tmp_path / "lines.txt").write_text(f"a b {number}\nb a {number}\n")
        command("text", "train", "lines.txt", *QUICK)
        os.utime(tmp_path / "runs" / f"text-{number}" / "model.npz", (time, time))
    newest, first, second = (command("text", "generate", *which, "--seed", 0, "--temperature", 9)[1] for which in
                             ((), ("runs/text-1",), ("runs/text-2",)))  # fmt: skip
    assert newest == first != second


@pytest.mark.parametrize(
    "argv", [("text", "--help"), ("text", "train", "--help"), ("text", "generate", "--help")]
)
def test_help_has_examples(command, argv):
    code, out, _ = command(*argv)
    assert code == 0 and "nanoae text generate --keyword coffee --count 10 --temperature 0.8" in out


def test_text_alone_tells_its_actions(command):
    code, out, _ = command("text")
    assert code == 2 and "train" in out and "generate" in out


def test_the_gradients_of_a_saved_model_are_checked(command, plain, tmp_path):
    plain.save(tmp_path / "text.npz")
    code, out, _ = command("gradcheck", "--model", "text.npz")
    assert code == 0 and "TeacherForcing" in out and out.endswith("all ok\n")


def test_one_line_is_learned_and_said_to_be_few(command, tmp_path):
    (tmp_path / "one.txt").write_text("Alone at last")
    code, out, err = command("text", "train", "one.txt", *QUICK, "--out", "mine", "--quiet")
    assert (code, err) == (0, "") and out.startswith(
        "the training lines, since there are too few to hold any out: ELBO"
    )
    assert (tmp_path / "mine" / "model.npz").is_file()


def test_a_long_line_is_warned_of(command, tmp_path):
    (tmp_path / "long.txt").write_text("word " * 3000 + "\nshort one\n")
    code, _, err = command("text", "train", "long.txt", *QUICK, "--quiet")
    assert code == 0 and err == "nanoae: warning: a line is longer than 100 words, and truncated\n"


MISTAKES = {
    "empty.txt: expected lines of text, got none": ("train", "empty.txt"),
    "nowhere.txt: No such file": ("train", "nowhere.txt"),
    "tokens: expected one of auto, words, characters, got 'letters'": (
        "train",
        "a.txt",
        "--tokens",
        "letters",
    ),
    "expected epochs to be a whole number >= 1, got 0": ("train", "a.txt", "--epochs", 0),
    "got none. Run `nanoae text train` first": ("generate",),
    "digits.npz: expected a TextVAE, got PCA": ("generate", "digits.npz"),
    "a.txt: expected": ("generate", "a.txt"),
    "expected count to be a whole number >= 1, got 0": ("generate", "text.npz", "--count", 0),
    "expected temperature to be a number >= 0, got nan": (
        "generate",
        "text.npz",
        "--temperature",
        "nan",
    ),
    "expected no keywords, as in fit": ("generate", "text.npz", "--keyword", "tea"),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_is_told_in_one_line_and_leaves_nothing(command, tmp_path, plain, message):
    (tmp_path / "a.txt").write_text("a b\nb a\n")
    (tmp_path / "empty.txt").write_text("")
    plain.save(tmp_path / "text.npz")
    nanoae.PCA(2).fit(np.random.default_rng(0).standard_normal((9, 4))).save(
        tmp_path / "digits.npz"
    )
    code, out, err = command("text", *MISTAKES[message])
    assert (code, out) == (2, "") and err.count("\n") == 1 and message in err
    assert not (tmp_path / "runs").exists()
