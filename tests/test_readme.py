"""Does what the README prints run, as printed, and does each of its numbers stand in the table that it links to?"""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

import nanoae
from benchmarks.table import RESULTS, quote
from nanoae.autoencoders import conv as conv_layers
from nanoae.cli import command_line
from nanoae.rows import LARGE, PARTS, PIECES
from nanoae.survey import SAMPLED

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
NEAR = re.findall(
    r'^NEAR = {"float32": (.*?),', Path(__file__).with_name("test_mpi.py").read_text(), re.M
)
CUDA = re.findall(r"cupy-cuda(\d+)x", README.with_name("pyproject.toml").read_text())
WEIGHT = nanoae.state_dict(nanoae.Sequential([nanoae.Linear(32)]).build(64))["0.weight"]
LINK = re.compile(r"\]\(([^)]*)\)")


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert "<- code" in printed and "verdict" in printed and "FAIL" not in printed
    sizes = {name: names[name].shape for name in ("x_train", "x_test", "codes", "again", "sevens")}
    for said in (
        "float32 in [0, 1], {x_train} and {x_test}",
        "the latent codes {codes}, the reconstructions {again}",
        "temperature=0.8) # {sevens}",
    ):
        assert said.format(**sizes) in plain(TEXT)
    table = re.search(r"```\n(layer .*?)```", TEXT, re.DOTALL)[1]
    # Not the numbers: which of a row's three directions is shown, the worst, is a matter of rounding.
    assert [line.split()[:2] for line in table.splitlines()] == [
        line.split()[:2] for line in printed.splitlines()[-len(table.splitlines()) :]
    ]


COMMANDS = [
    shlex.split(re.split(" >>|  +#", line)[0])[1:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("nanoae ") and "--help" not in line
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_one_that_nanoae_takes(words):
    assert command_line().parse_args(words).run


def test_every_option_in_the_text_is_one_of_a_command():
    options = re.findall(r"(?<![^\s`])--[a-z][a-z-]+", " ".join(re.findall("`[^`]+`", TEXT)))
    known = set()
    parsers = [command_line()]
    for parser in parsers:
        known |= set(parser._option_string_actions)
        for action in parser._actions:
            if isinstance(action.choices, dict):  # its commands
                parsers += action.choices.values()
    assert len(options) > 15 and not set(options) - known


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_every_link_leads_somewhere(link):
    assert (README.parent / link).exists()


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([^)]+)\)", TEXT))
def test_every_anchor_is_a_heading(anchor):
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


def test_every_table_says_what_measures_it():
    silent = [
        path.name
        for path in RESULTS.glob("*.md")
        if "`python -m benchmarks" not in path.read_text(encoding="utf-8")
    ]
    assert not silent


# ---------------------------------------------------------------- the numbers


def read(name: str) -> str:
    return (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def rows(name: str, head: str = "") -> list[dict[str, str]]:
    """The first table of results/NAME.md, or the one whose first head is `head`: a dict a row, column -> cell."""
    for block in re.findall(r"(?:^\|.*\n)+", read(name), re.MULTILINE):
        lines = [
            [cell.strip(" *") for cell in line.strip("|\n").split("|")]
            for line in block.splitlines()
        ]
        if head in ("", lines[0][0]):
            return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    raise AssertionError(f"{name}.md has no table {head!r}")


def column(name: str, head: str, table: str = "", /, **where: str) -> list[str]:
    """The cells of a column, in the rows whose columns are as `where` says."""
    found = [
        row[head]
        for row in rows(name, table)
        if all(row[key] == value for key, value in where.items())
    ]
    assert found, f"{name}.md has no row where {where}"
    return found


def cell(name: str, head: str, table: str = "", /, **where: str) -> str:
    (found,) = column(name, head, table, **where)
    return found


def least_and_most(name: str, head: str, form: str, /, **where: str) -> tuple[str, str]:
    numbers = [float(text.strip("%-")) for text in column(name, head, **where)]
    return format(min(numbers), form), format(max(numbers), form)


def auroc(name: str, peer: str, row: str = "mean") -> str:
    return cell(name, peer, "AUROC, %", **{"AUROC, %": row})


def digits_f1(kind: str) -> str:
    return cell("cluster_labels", kind, digit="mean")


def preset(name: str, head: str, measure: str = "MSE") -> str:
    return cell("presets", head, preset=name, measure=measure, seed="0")


def conv(name: str) -> str:
    return cell("conv", "test MSE", preset=name, seed="0")


def deep(start: str, training: str) -> str:
    return cell("deep_sigmoid", "squared error an image", start=start, training=training)


def hinton(
    recipe: str, head: str = "squared error an image", activation: str = "relu", **where: str
) -> str:
    return cell("hinton", head, recipe=recipe, activation=activation, **where)


def rounded(text: str, form: str) -> str:
    return format(float(text), form)


def stops(head: str) -> int:
    return sum(int(text) for text in column("stops", head))


def of_defaults(table: str = "defaults") -> tuple[str, ...]:
    return re.search(r"Of (\d+) fits (\d+) .* and (\d+) ", read(table)).groups()  # type: ignore[union-attr]


def word(number: int) -> str:
    return {3: "three", 8: "eight", 12: "twelve", 14: "fourteen", 16: "sixteen"}[number]


def counts(name: str) -> tuple[int, int]:
    """How many tables and how many detectors results/NAME.md has."""
    found = rows(name, "AUROC, %")
    tables = [row for row in found if not row["AUROC, %"].startswith("mean")]
    return len(tables), len(found[0]) - 1


TRAINED = "corruption in training"
HELD, TEST = {"measured on": "held out"}, {"measured on": "test"}
Numbers = Callable[[], tuple]
CLAIMS: dict[
    str, Numbers
] = {  # what the README says -> the numbers that go into it, from their table
    "Of {} default fits to tables and images, {} have a held-out error below PCA's, and {} are within 2 % of it or "
    "below": of_defaults,
    "Of {} fits of `ConvAutoencoder` to small image sets, smooth random fields among them, which follow PCA's own "
    "linear model, {} and {} are": (lambda: of_defaults("defaults-conv")),
    "On MNIST with noise of standard deviation 0.5, the mean squared error of the noisy images is {}; a network "
    "trained on noise reduces it to {}, the same network trained without noise to {}": lambda: (
        rounded(cell("denoising", "noisy, MSE", **{TRAINED: "none, for noise not cut"}), ".3f"),
        rounded(
            cell(
                "denoising",
                "cleaned, MSE",
                **{"corruption in training": "GaussianNoise(std=0.5), for noise not cut"},
            ),
            ".3f",
        ),
        rounded(cell("denoising", "cleaned, MSE", **{TRAINED: "none, for noise not cut"}), ".3f"),
    ),
    "The preset `vae-20` reaches a negative ELBO of {} to {} nats per image on MNIST, over {} seeds": lambda: (
        *least_and_most("variational", "value", ".1f", what="-ELBO, nats"),
        word(len(column("variational", "value", what="-ELBO, nats"))),
    ),
    "A classifier recognises {} % of the digits that a conditional model with a code of 5 samples as the digit asked "
    "for, and {} % of real ones": lambda: (
        rounded(cell("variational", "value", what="drawn digits read as asked, %"), ".1f"),
        rounded(cell("variational", "value", what="real test digits read right, %"), ".1f"),
    ),
    "Of 200 lines generated by keyword, {} to {} % contain it, {} to {} % are not training lines, and {} to {} % "
    "follow the grammar; of held-out lines, {} to {} % of the words and {} to {} % of the whole lines are "
    "reconstructed": lambda: (
        *least_and_most("text", "keyword in line", ".1f"),
        *least_and_most("text", "new lines", ".1f"),
        *least_and_most("text", "by the grammar", ".1f"),
        *least_and_most("text", "tokens back", ".1f"),
        *least_and_most("text", "lines back", ".1f"),
    ),
    "the normal rows of {} public tables": lambda: (word(counts("anomaly")[0]),),
    "against {} other detectors": lambda: (word(counts("anomaly")[1] - 1),),
    "[{} threads](benchmarks/results/threads.md)": lambda: (
        word(max(int(by.split()[0]) for by in column("threads", "by") if by != "dask")),
    ),
    "its mean AUROC is {} %, that of k nearest neighbours {} %; without Wilt, one of the twelve, {} and {} %": lambda: (
        auroc("anomaly", "nanoae"),
        auroc("anomaly", "kNN"),
        auroc("anomaly", "nanoae", "mean without Wilt"),
        auroc("anomaly", "kNN", "mean without Wilt"),
    ),
    "Trained on all rows, anomalies included, the mean AUROC is {} %, that of k nearest neighbours {} %, and that of "
    "an isolation forest {} %": lambda: (
        auroc("anomaly-all", "nanoae"),
        auroc("anomaly-all", "kNN"),
        auroc("anomaly-all", "IForest"),
    ),
    "With 1,000 labels of MNIST, pretraining lowers the test error from {} to {} %, a relative reduction of {} "
    "%": lambda: tuple(
        cell("few_labels", head, seed="mean")
        for head in ("labelled alone, test error, %", "with pretraining, %", "fewer by, %")
    ),
    "with all labels it makes no difference: {} % with pretraining, {} % without": lambda: tuple(
        cell("stacked_classifier", "test error, %", pretraining=how, seed="mean")
        for how in ("stacked, denoising", "none")
    ),
    "With 100 labels on MNIST, the mean F1 of a rare digit is {} for chosen labels, {} for labels chosen at random, "
    "and on pixels instead of codes {} and {}": lambda: tuple(
        map(digits_f1, ("chosen, codes", "random, codes", "chosen, pixels", "random, pixels"))
    ),
    "of {} fits of every kind that were killed or interrupted by a signal, {} ended with them": lambda: (
        stops("fits"),
        stops("equal bytes"),
    ),
    "The outputs of {} random networks differ from nanoae's by at most {}": lambda: tuple(
        cell("interchange", head, layer="all networks")
        for head in ("networks", "largest difference")
    ),
    "published with a squared error of {} per test image": lambda: (
        hinton("K-FAC, shifts", "published", **TEST),
    ),
    "a network trained from random weights reaches {}, in {} minutes on one core": lambda: (
        hinton("K-FAC, shifts", **TEST),
        hinton("K-FAC, shifts", "CPU minutes", **TEST),
    ),
    "on held-out images, after {} epochs, the error is {} with them and {} without, and Adam has {} after {}": lambda: (
        hinton("K-FAC", "epochs"),
        hinton("K-FAC, shifts", **HELD),
        hinton("K-FAC", **HELD),
        hinton("Adam", **HELD),
        hinton("Adam", "epochs"),
    ),
    "| random, N(0, 0.01²) | {} | {} | | pretrained layer by layer | {} | {} |": lambda: (
        deep("small random weights", "plain"),
        deep("small random weights", "Adam"),
        deep("pretrained", "plain"),
        deep("pretrained", "Adam"),
    ),
    "the mean image has {}, PCA with 30 components {}": lambda: (
        deep("the mean image", "-"),
        deep("PCA-30", "-"),
    ),
    "| `dense-64` | 784-64-784 | MSE {} | {} |": lambda: (
        preset("dense-64", "test"),
        preset("dense-64", "PCA"),
    ),
    "| `deep-32` | 784-128-32-128-784 | BCE {}, MSE {} | {} |": lambda: (
        preset("deep-32", "test", "BCE"),
        preset("deep-32", "test"),
        preset("deep-32", "PCA"),
    ),
    "| `tf1-20` | 784-500-300-20-300-500-784 | MSE {} | {} |": lambda: (
        preset("tf1-20", "test"),
        preset("tf1-20", "PCA"),
    ),
    "| `vae-20` | variational, 784-400-20-400-784 | ELBO {} nats | |": lambda: (
        rounded(preset("vae-20", "test", "ELBO"), ".1f"),
    ),
    "| `conv-2d` | convolutional, pixels in [-1, 1] | MSE {} | |": lambda: (conv("conv-2d"),),
    "| `conv-3d` | the same | MSE {} | |": lambda: (conv("conv-3d"),),
    "{}": lambda: (quote("cpu-steps"),),
}
SETTINGS = (  # numbers that are no results
    "Python 3.10 or later", "CC BY 4.0", "(2006; 784-1000-500-250-30 and back)", "under 8 minutes", "40 epochs,",
)  # fmt: skip
TWO_PROCESSES = "measured with the two processes of the last version"


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_number_is_that_of_its_table(claim):
    said = plain(claim.format(*CLAIMS[claim]()))
    assert said in plain(TEXT), f"README.md: write this, as benchmarks/results has it:\n\n{said}"


def test_every_number_beside_a_table_is_a_claim():
    """Settings stand in code, or in a claim's own words; a paragraph that links to results has no other numbers."""
    text = plain(re.sub(r"```.*?```", "¶", TEXT.replace("\n\n", " ¶ "), flags=re.DOTALL))
    for claim, numbers in CLAIMS.items():
        text = text.replace(plain(claim.format(*numbers())), "")
    for setting in SETTINGS:
        text = text.replace(setting, "")
    for paragraph in text.split("¶"):
        says = re.sub(r"`[^`]*`|<!--.*?-->", "", LINK.sub("]", paragraph))
        number = re.search(
            r"\d" if "benchmarks/results" in paragraph else r"\d\.\d|\d ?%|\d (times|seconds)", says
        )
        assert not number, (
            f"README.md: a number that no claim in tests/test_readme.py reads from a table: {paragraph}"
        )


def test_the_steps_are_those_of_the_tables_that_are_linked_to():
    """`quote` reads the .json beside them."""
    found: dict[str, list[list[str]]] = {}
    for path in sorted(RESULTS.glob("cpu-steps*.md")):
        for row in rows(path.stem):
            case, *_ = row.values()
            found.setdefault(case, []).append([row["PyTorch / nanoae"], row["JAX / nanoae"]])
    assert len(found) == 9
    for case, ratios in found.items():
        lowest = " | ".join(min(column) for column in zip(*ratios, strict=True))
        assert f"| {case} | {lowest} |" in plain(TEXT)
    assert {path.name for path in RESULTS.glob("cpu-steps*.md")} == set(
        re.findall(r"cpu-steps[^)]*[.]md", TEXT)
    )


@pytest.mark.parametrize(
    ("said", "numbers"),
    [
        ("images of {} to {} pixels", conv_layers.SIDES),
        ("{} to {} pixels wide", conv_layers.SIDES),
        ("A memory-mapped array of {} MB or more", (LARGE >> 20,)),
        ("a random sample of up to {:,} rows", (SAMPLED,)),
        ("the losses agree to {}", NEAR),
        ("fits in an {}h of the memory limit", (word(PARTS),)),
        ("windows of an {}h of the limit, each made of {} pieces", (word(PARTS), word(PIECES))),
        ("other layers for more than {} pixels", (conv_layers.LARGE,)),
        ("note = {{Version {}}}", (nanoae.__version__,)),
        ('CuPy with the CUDA {} libraries; ".[gpu12]" for CUDA {}', CUDA),
        ('{{"0.weight": {}, ...}}', (WEIGHT.shape,)),
    ],
)
def test_a_number_is_that_of_the_code(said, numbers):
    assert said.format(*numbers) in plain(TEXT)


def test_the_values_that_may_mark_a_gap_are_reported():
    lists = re.findall(r"`?(-?\d+)`?, `?(\d+)`?(?: or|,) `?(1e20)`?", plain(TEXT))
    assert len(lists) == 2
    for value in sum(lists, ()):
        column = np.append(np.arange(20.0), [float(value)] * 2)
        told = re.escape(f"holds {float(value):.6g} in ") + ".*marks missing values"
        with pytest.warns(UserWarning, match=told):
            nanoae.TableEncoder().fit(column[:, None])


def test_the_steps_say_with_what_they_were_measured():
    old = any(
        "second process" in path.read_text(encoding="utf-8")
        for path in RESULTS.glob("cpu-steps*.md")
    )
    assert (TWO_PROCESSES in plain(TEXT)) == old, (
        f"README.md: {'write' if old else 'leave out'}: {TWO_PROCESSES}"
    )
