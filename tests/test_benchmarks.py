"""Do the benchmarks measure what they say, and stop where contenders differ?"""

import importlib
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nanoae

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import __main__ as command  # noqa: E402
from benchmarks import contenders, package, scaling, table, whole, worker  # noqa: E402
from benchmarks.cases import CASES, QUICK, A, B, Case  # noqa: E402
from benchmarks.contenders import CONTENDERS  # noqa: E402
from benchmarks.contenders.contender import Contender, Unfit  # noqa: E402
from benchmarks.growth import draw, sweeps  # noqa: E402
from benchmarks.steps import Column, LossMismatch, Result, Settings, check_losses, measure  # noqa: E402
from benchmarks.worker import Bench, Worker, WorkerError  # noqa: E402
from nanoae import BackendError  # noqa: E402

TINY = Case("tiny", (12, 6, 3, 6, 12), "bce", 4, rows=32)
TINIES = [
    TINY,
    replace(TINY, loss="mse", code="identity"),
    replace(TINY, noise=0.5),
    replace(TINY, task="reconstruct", batch=32),
    Case("tiny greedy", (12, 8, 5), "mse", 4, greedy=True, rows=32),
]
FAST = Settings(rounds=2, extra=1, block=0.01, pause=0.0, threads=1)
IDLE = {"others": 0.0}


def quiet(text):
    """No progress in tests."""


def needs(name):
    missing = not CONTENDERS[name].installed
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed"))


def column(contender, *times, blas="", **rest):
    return Column(contender, blas, rounds=[{"us": us, **IDLE} for us in times], **rest)


def bench(contender, case):
    """A worker's end in this process, its case opened."""
    mine = Bench.__new__(Bench)
    mine.contender, mine.done = contender, 0
    return mine, mine.open({**vars(case)})


# ---------------------------------------------------------------- cases


def test_the_cases_are_the_published_ones():
    assert list(CASES)[:4] == ["A", "B", "C", "H"] and set(QUICK) <= set(CASES)
    assert all(
        case.name == name and len(case.activations()) == len(case.widths) - 1
        for name, case in CASES.items()
    )
    assert CASES["B"].activations() == ["relu", "relu", "relu", "identity"]
    assert CASES["H"].activations()[3] == "identity"
    assert str(CASES["B-noise"]) == "B-noise: 784-128-32-128-784 BCE, batch 256, noise 0.5"
    assert str(CASES["conv"]) == "conv: convolutional 784-2-784 MSE, batch 100"
    assert str(CASES["VAE"]) == "VAE: variational 784-400-20-400-784 ELBO, batch 128"
    assert str(CASES["B-infer"]).endswith("reconstruct 10,000 rows")


def test_greedy_stages_are_the_autoencoders_of_neighbouring_widths():
    stages = CASES["greedy"].stages()
    assert [stage.widths for stage in stages] == [
        (784, 1000, 784),
        (1000, 500, 1000),
        (500, 250, 500),
    ]
    assert stages[1].activations() == ["relu", "identity"] and TINY.stages() == [TINY]


def test_data_and_weights_are_the_same_each_time():
    (x, batches), (again, _) = TINY.data(), TINY.data()
    np.testing.assert_array_equal(x, again)
    assert (
        x.shape == (32, 12)
        and x.dtype == np.float32
        and x.ctypes.data % 64 == 0
        and 0 <= x.min() <= x.max() < 1
    )
    assert batches.shape == (8, 4) and sorted(batches.ravel()) == list(range(32))
    for (W, b), (V, _) in zip(TINY.weights(), TINY.weights(), strict=True):
        np.testing.assert_array_equal(W, V)
        assert W.dtype == np.float32 and b.shape == (W.shape[1],)


# ---------------------------------------------------------------- medians, checks, tables


def test_disturbed_blocks_are_left_out_where_three_others_remain():
    mine = column("nanoae", 10.0, 30.0, 20.0)
    mine.rounds.append({"us": 1000.0, "others": 0.5})
    assert mine.us == 20.0 and mine.calm() == [10.0, 30.0, 20.0]
    mine.rounds[0]["others"] = 0.5
    assert mine.us == 25.0, "two calm blocks are too few: all four count"
    assert Column("jax").us is None
    mine.rounds[0]["others"] = None  # a system that cannot tell
    assert mine.us == 20.0


def test_ratios_are_medians_of_each_rounds_and_leave_disturbed_rounds_out():
    mine, theirs = column("nanoae", 1.0, 10.0, 2.0, 1.0), column("jax", 3.0, 20.0, 4.0, 3.0)
    assert theirs.over(mine) == 2.5 and column("jax", 3.0, 20.0, 4.0).over(mine) == 2.0
    theirs.rounds[2]["others"] = 0.5
    assert theirs.over(mine) == 3.0
    mine.rounds[1]["others"] = 0.5
    assert theirs.over(mine) == 2.5, "two calm rounds are too few: all four count"


@pytest.mark.parametrize("wrong", [1.0002, 0.9, math.nan])
def test_a_wrong_loss_is_an_error_with_both_numbers(wrong):
    columns = [
        Column("nanoae", losses=[3.0, 1.0]),
        Column("gemm"),
        Column("torch", losses=[3.0, wrong]),
    ]
    with pytest.raises(
        LossMismatch,
        match=rf"case B: .* got 1.0 from nanoae and {wrong} from torch at evaluation 1",
    ):
        check_losses(B, columns)


def test_equal_losses_pass():
    check_losses(B, [Column("nanoae", losses=[3.0, 1.0]), Column("torch", losses=[3.0, 1.00005])])


def result():
    columns = [
        column("nanoae", 100.0, blas="as shipped", peak=2**28),
        column("nanoae", 80.0, blas="best", kernel="openblas 1 Best"),
        column("torch", 200.0),
        column("compile", 160.0),
        column("jax"),
        column("gemm", 60.0, blas="as shipped"),
        column("gemm", 40.0, blas="best"),
    ]
    columns[4].leave("not installed", 'JAX: pip install "nanoae[bench]"')
    return Result(B, columns)


def test_the_table_has_a_row_for_each_case_with_nothing_set_and_a_dash_for_what_is_not_there():
    times, settings, memories, *notes = table.steps_table([result()], list(CONTENDERS))
    (line,) = ([cell.strip() for cell in line.split("|")[2:-1]] for line in times.splitlines()[2:])
    assert line == ["100", "200", "160", "not installed", "-", "60", "1.60x", "-", "60%"]
    (line,) = (
        [cell.strip() for cell in line.split("|")[2:-1]] for line in settings.splitlines()[2:]
    )
    assert line == ["best", "100", "80", "1.25x"]
    assert len({len(line) for line in times.splitlines()}) == 1, "aligned"
    assert "256" in memories and notes == ['JAX: pip install "nanoae[bench]" (B)']
    assert "openblas 1 Best (best)" in table.how([result()], FAST)


def test_one_table_for_each_cpu_and_the_slower_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    machine = {"cpu": "Intel(R) Xeon(R) CPU @ 2.60GHz", "family": "6/143/8", "logical_cpus": 2}
    assert table.kind(machine) == "intel-xeon-cpu-2-60ghz-6-143" and "Xeon" in table.title(machine)
    for name, us in (("steps-amd", 100.0), ("steps-intel", 150.0), ("other-amd", 1000.0)):
        columns = [
            column("nanoae", us, blas="as shipped"),
            column("nanoae", 1.0, blas="best"),
            column("torch", 300.0),
        ]
        table.save(
            name, "text", {"machine": {"cpu": name}, "cases": [Result(B, columns).as_json()]}
        )
    head, _, row = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.quote("steps").splitlines()
    )
    assert row[1:] == ["2.00x", "-"] and head[0] == "the lowest on steps-amd, steps-intel"


def test_a_busy_machine_is_said():
    busy = Column("nanoae", rounds=[{"us": 1.0, "others": 1.5}, {"us": 1.0, "others": 0.0}])
    assert "1 of 2 blocks were disturbed" in table.notes([Result(B, [busy])])[0]


def test_saved_results_are_markdown_and_json(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    table.save("name", "text", {"cases": [result().as_json()]})
    assert (tmp_path / "results" / "name.md").read_text().startswith("text\n\nMeasured on 20")
    kept = json.loads((tmp_path / "results" / "name.json").read_text())["cases"][0]
    assert kept["case"]["widths"] == list(B.widths) and kept["columns"][1]["us"] == 80.0


def test_the_growth_figure(tmp_path):
    pytest.importorskip("matplotlib")
    found = sweeps(2)
    every = {
        case.name: Result(case, [column("nanoae", 5.0)])
        for sweep in found
        for case in sweep.cases.values()
    }
    assert found[2].points(every, "nanoae") == {1000: 20.0, 2000: 40.0}, "4 and 8 steps an epoch"
    draw(found, every, ["nanoae", "torch"], tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


# ---------------------------------------------------------------- contenders


@pytest.mark.parametrize("case", TINIES, ids=str)
def test_nanoae_runs_two_steps(case):
    mine, opened = bench(CONTENDERS["nanoae"].load(), case)
    assert mine.run(2) > 0 and mine.done == 2
    stages = len(case.stages())
    assert (
        len(opened["losses"]) == stages * worker.CHECK_STEPS and np.isfinite(opened["losses"]).all()
    )
    if case.task == "train":
        assert len(set(opened["losses"])) == len(opened["losses"]), "every step learns"


@pytest.mark.parametrize("peer", [needs("torch"), needs("jax")])
@pytest.mark.parametrize("case", TINIES[2:], ids=str)
def test_peers_compute_what_nanoae_computes(case, peer):
    losses = [bench(CONTENDERS[name].load(), case)[1]["losses"] for name in ("nanoae", peer)]
    check_losses(
        case,
        [Column(name, losses=found) for name, found in zip(("nanoae", peer), losses, strict=True)],
    )


# JAX takes long to compile it; the benchmark itself checks it
@pytest.mark.parametrize("peer", [needs("torch")])
def test_peers_compute_the_convolutional_case(peer):
    test_peers_compute_what_nanoae_computes(replace(CASES["conv"], rows=160, batch=8), peer)


def test_the_convolutional_case_is_the_same_as_pytorchs_in_float64():
    torch = pytest.importorskip("torch")
    from benchmarks.contenders import nanoae as mine
    from benchmarks.contenders import torch as theirs

    case = replace(CASES["conv"], rows=600)
    x, batches = case.data()
    net = nanoae.Sequential(mine.layers(case)).build(784, "numpy", "float64")
    mine.set_weights(net, case)
    trainer = nanoae.Trainer(
        net, nanoae.MSE(), nanoae.Adam(1e-3), batch_size=case.batch, epochs=1, rows=case.rows
    )
    peer = theirs.network(case)
    theirs.set_weights(peer, case)
    adam = torch.optim.Adam(peer.double().parameters(), lr=1e-3)
    for rows in batches:
        batch = x[rows].astype(np.float64)
        images = torch.from_numpy(batch)
        loss = torch.nn.functional.mse_loss(peer(images), images)
        assert float(trainer.step(batch, batch)) == pytest.approx(loss.item(), rel=1e-9)
        adam.zero_grad()
        loss.backward()
        adam.step()


@pytest.mark.parametrize("peer", [needs("torch"), needs("jax")])
def test_peers_compute_the_variational_case_and_draw_noise_of_their_own(peer):
    case = replace(CASES["VAE"], rows=32, batch=16)
    test_peers_compute_what_nanoae_computes(case, peer)
    quiet_steps, noisy_steps = (
        CONTENDERS[peer].load().build(replace(case, noise=noise))[0] for noise in (0.0, case.noise)
    )
    assert float(quiet_steps(0)) != float(noisy_steps(0))


@pytest.mark.parametrize("name", ["gemm", needs("sklearn")])
def test_what_knows_dense_networks_only_says_so(name):
    with pytest.raises(Unfit, match="dense"):
        CONTENDERS[name].load().build(replace(CASES["conv"], rows=160))


def test_scikit_learn_runs_what_fits():
    pytest.importorskip("sklearn")
    assert bench(CONTENDERS["sklearn"].load(), replace(TINY, loss="mse"))[1]["losses"] is None
    with pytest.raises(Unfit, match="only squared error"):
        bench(CONTENDERS["sklearn"].load(), TINY)


def test_the_floor_is_every_product_of_a_step():
    from benchmarks.contenders.gemm import products

    forward, backward = products(TINY)
    assert len(forward) == 4 and len(backward) == 7, "the first layer needs no dx"
    assert all(
        a.shape == (a @ b).shape[:1] + a.shape[1:] and (a @ b).shape == out.shape
        for a, b, out in backward
    )


def test_a_task_without_a_method_does_not_fit():
    with pytest.raises(Unfit, match="has no convolution"):
        Contender().build(replace(TINY, task="convolution"))


def test_measuring_in_processes_of_their_own(monkeypatch):
    absent = replace(CONTENDERS["sklearn"], package="no_such_package")
    monkeypatch.setitem(contenders.CONTENDERS, "sklearn", absent)
    found = measure(
        TINY,
        ["nanoae", "sklearn", "gemm"],
        {"as shipped": {}, "best": {"A_VARIABLE": "1"}},
        FAST,
        quiet,
    )
    timed = [c for c in found.columns if not c.absent]
    assert [(c.contender, c.blas) for c in timed] == [
        (n, b) for n in ("nanoae", "gemm") for b in ("as shipped", "best")
    ]
    assert all(len(c.rounds) in (2, 3) and c.us > 0 and c.rounds[-1]["steps"] > 0 for c in timed)
    assert timed[0].losses == timed[1].losses and timed[2].losses is None
    assert table.notes([found])[0] == 'scikit-learn: pip install "nanoae[bench]" (tiny)'
    assert table.steps_table([found], ["nanoae", "sklearn"])[0].count("not installed") == 1


def test_a_worker_says_why_it_failed_and_leaves_nothing_behind():
    with Worker("gemm", 1) as mine:
        with pytest.raises(WorkerError, match="has no convolution") as raised:
            mine.ask("open", case=vars(replace(TINY, task="convolution")))
        assert raised.value.unfit
        with pytest.raises(WorkerError, match="AttributeError") as raised:
            mine.ask("no_such_command")
        assert not raised.value.unfit
        mine.process.kill()
        with pytest.raises(WorkerError, match="ended with code"):
            mine.ask("peak")
    assert mine.process.returncode is not None


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cases", "A,Z"], "expected some of A,B,C,H"),
        (["--contenders", "numpy"], "expected some of nanoae,torch"),
        (["--rounds", "0"], "expected a whole number >= 1, got '0'"),
        (["--threads", "two"], "expected a whole number >= 1, got 'two'"),
        (["--json", "no/such/folder/x.json"], "expected a file in an existing folder"),
        (["--save", "../x"], "expected a name of letters"),
        (["--blas", "worst"], "invalid choice"),
        (["import", "--cases", "A"], "unrecognized arguments"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_measured(arguments, said, capsys):
    with pytest.raises(SystemExit) as raised:
        command.main(arguments)
    assert raised.value.code == 2 and said in capsys.readouterr().err


def test_the_command_from_start_to_end(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "pin", lambda threads: None)
    monkeypatch.setitem(command.CASES, "A", replace(TINY, name="A"))
    monkeypatch.setattr(
        command, "Settings", lambda rounds, *rest: replace(FAST, rounds=rounds, extra=0)
    )
    file = tmp_path / "x.json"
    asked = ["--cases", "A", "--contenders", "nanoae,gemm", "--rounds", "1", "--blas", "as-shipped"]
    assert command.main([*asked, "--json", str(file)]) == 0
    assert "| A: 12-6-3-6-12 BCE, batch 4" in capsys.readouterr().out
    facts = json.loads(file.read_text())
    assert (
        facts["machine"]["versions"]["numpy"] == np.__version__ and facts["settings"]["rounds"] == 1
    )
    assert len(facts["cases"][0]["columns"][0]["rounds"]) == 1


def test_a_mismatch_ends_the_command(monkeypatch, capsys):
    def differ(*ignored):
        raise LossMismatch("case A: they differ")

    monkeypatch.setattr(command, "pin", lambda threads: None)
    monkeypatch.setattr(command, "measure", differ)
    assert command.main(["--quick", "--blas", "as-shipped"]) == 1
    assert capsys.readouterr().err == "benchmarks: case A: they differ\n"


def test_a_whole_run_without_data_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("NANOAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)
    with pytest.raises(whole.RunFailed, match="nanoae: load_data: expected the files of mnist"):
        whole.time_run("nanoae", 0.0055, 0, str(tmp_path), 1, {})


def test_import_times_are_of_fresh_processes(monkeypatch):
    monkeypatch.chdir(ROOT)
    times = package.import_times(repeats=1)
    head, rows = package.package_table(times)
    assert len(times["nanoae_ms"]) == 1 and times["nanoae_ms"][0] > 0 and len(rows[0]) == len(head)


def test_the_benchmarks_start_without_their_peers():
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'jax', 'optax', 'sklearn', 'matplotlib')))"
    code = f"{blocked}; sys.argv[1:] = ['--help']; import benchmarks.__main__ as m; m.main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "{steps,run,import,growth,quote}" in done.stdout, done.stderr


def test_every_contender_has_its_module():
    for entry in CONTENDERS.values():
        assert importlib.util.find_spec(f"benchmarks.contenders.{entry.module}") is not None


# ---------------------------------------------------------------- the GPU's


def test_the_gpus_contender_takes_the_same_steps(monkeypatch):
    from cupy_standin import standin_ops

    from benchmarks.contenders.gpu import NanoaeCaptured, NanoaeUncaptured
    from benchmarks.contenders.nanoae import Nanoae

    monkeypatch.setattr("nanoae.backend._cupy_ops", standin_ops)
    try:
        standin_ops()
    except BackendError as error:
        pytest.skip(str(error))
    opened = [bench(contender(), TINY) for contender in (Nanoae, NanoaeCaptured, NanoaeUncaptured)]
    expected, captured, uncaptured = (answer["losses"] for _, answer in opened)
    assert captured == pytest.approx(expected, rel=1e-5) and captured == uncaptured
    assert 10 < opened[1][1]["facts"]["kernels"] < 40 and opened[2][1]["facts"]["kernels"] is None
    assert opened[1][0].run(20) > 0  # into the third epoch


def test_the_command_for_the_gpu_runs_without_one(tmp_path, capsys, monkeypatch):
    from benchmarks import gpu

    options = ["--device", "cpu", "--quick", "--rounds", "1", "--contenders", "nanoae,captured"]
    assert gpu.main([*options, "--json", str(tmp_path / "gpu.json")]) == 0
    told = capsys.readouterr().out
    assert "No GPU" in told and "tiny" in told and "FAILED" not in told
    assert json.loads((tmp_path / "gpu.json").read_text())["cases"][0]["columns"][0]["us"] > 0
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert gpu.main(["--quick"]) == 2 and "CuPy is not installed" in capsys.readouterr().err


def test_the_gpus_tables():
    from benchmarks import gpu

    results = [Result(replace(B, name=f"B/{n}", batch=n), [column("captured", 20.0), column("nanoae", 5.0 * n / 8)])
               for n in (8, 64)]  # fmt: skip
    floor = gpu.Floor.__new__(gpu.Floor)
    floor.flops, floor.bytes = 50e12, 2e12
    told = "\n".join(gpu.tables(results, [{"captured": {"kernels": 21}}, {}], floor))
    assert "from batch 64 on (0.2x at 8, 2.0x at 64)" in told and " 21 " in told
    assert gpu.flops(A) == 2 * 32 * 784 * 64 * 5 and gpu.Floor.us(floor, gpu.CONV) is None
    assert gpu.epoch_of_mnist("numpy", rows=600) > 0 and gpu.agreement("numpy", steps=20) == 0


def test_without_a_word_it_says_what_there_is_and_how_long_it_takes(capsys):
    assert command.main([]) == 0
    assert re.search(r"python -m benchmarks steps --quick +two minutes", capsys.readouterr().out)


def test_the_list_of_what_can_be_measured_again(capsys):
    reproduce = importlib.import_module("benchmarks.reproduce.__main__")
    assert reproduce.main() == 0
    programs, others = capsys.readouterr().out.split("The other tables")
    _, _, *lines = programs.splitlines()
    assert (
        len([*filter(None, lines)]) == len(list((ROOT / "benchmarks/reproduce").glob("*.py"))) - 3
    )
    assert re.search(r"^hinton +about \d+ min +784-1000", programs, re.MULTILINE)
    assert all(len(line.split()) > 5 for line in filter(None, lines))  # each says what it is
    assert re.search(r"^growth +python -m benchmarks growth", others, re.MULTILINE)


def test_results_say_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    monkeypatch.setattr(
        sys, "orig_argv", ["/usr/bin/python3", "-m", "benchmarks", "steps", "--save", "a b"]
    )
    table.save("made-up", "text", {})
    text, origin = (
        (tmp_path / "made-up.md").read_text(),
        json.loads((tmp_path / "made-up.json").read_text())["origin"],
    )
    assert (
        origin["command"] == "python -m benchmarks steps --save 'a b'"
        and origin["commit"] == "unknown"
    )
    assert re.search(
        r"^Measured on \d{4}-\d\d-\d\d, at commit unknown: `python -m", text, re.MULTILINE
    )


def test_ranks_pay_until_the_sum_takes_longer_than_the_rows():
    costs = scaling.Costs(parameters=1_000_000, rows=256, fixed=1e-3, row=1e-4)
    assert costs.step(1, 1e9, 1e-6) == (pytest.approx(26.6e-3), 0.0)
    steps = {ranks: costs.step(ranks, 1e9, 1e-4)[0] for ranks in (1, 2, 8, 1024)}
    assert steps[1] > steps[8] and steps[1024] > steps[8]
    assert costs.step(8, 1e12, 1e-9)[0] == pytest.approx(1e-3 + 32e-4, rel=1e-3)  # all of it hidden


def test_a_timeline_shows_what_a_sum_is_hidden_behind():
    events = [("forward", 0.0, 0.5), ("sum of 4 B", 0.5, 1.0), ("backward", 0.5, 1.0)]
    events.append(("backward", 1.0, 2.0))
    head, forward, travels, backward = scaling.drawn(events)
    assert "2000.0 ms" in head and forward == f"{'forward':16}{'#' * 18}"
    assert travels == f"{'sum of 4 B':16}{' ' * 18}{'=' * 18}"
    assert backward == f"{'backward':16}{' ' * 18}{'#' * 54}"
