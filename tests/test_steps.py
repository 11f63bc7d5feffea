"""Do the layers of sequences compute their definition, and does padding count for nothing?"""

import numpy as np
import pytest
import reference

import nanoae
from nanoae import (
    GRU,
    Dropout,
    Embedding,
    Linear,
    Sequential,
    SoftmaxCrossEntropy,
    Tanh,
    check_gradients,
)
from nanoae.autoencoders.elbo import costs_of_rows
from nanoae.autoencoders.teacher_forcing import TeacherForcing
from nanoae.engine.sequences import LastTimestep, TimeDistributed

rng = np.random.default_rng(0)
# 0 is padding, and a word not known
LINES = np.array([[2, 3, 4, 1, 0, 0], [2, 5, 1, 0, 0, 0], [3, 0, 4, 5, 3, 1]])


def build(layers, shape, ops="numpy", dtype="float64"):
    return Sequential(layers).build(shape, ops, dtype, random_state=1)


def speaker(dropout=0.0, steps=6):
    """Lines -> code -> scores over six words, as a TextVAE without its bottleneck."""
    source = Embedding(6, 3)
    encoder = [source, GRU(5, bias_init="he_normal"), LastTimestep(source), Linear(2), Tanh()]
    return [*encoder, TeacherForcing(source, 4, dropout), GRU(5), TimeDistributed(Linear(6))], (
        steps,
    )


# ---------------------------------------------------------------- forward is the mathematics


def test_a_penalty_counts_at_each_step():
    x = rng.standard_normal((3, 4, 5))
    net, alone = (
        build([TimeDistributed(nanoae.L1Sparsity(0.1))], (4, 5)),
        build([nanoae.L1Sparsity(0.1)], (5,)),
    )
    net.forward(x, train=True), alone.forward(x.reshape(12, 5), train=True)
    assert float(net.penalty()) == float(alone.penalty()) > 0


def test_each_step_is_the_layer_at_each_step(ops, dtype, device, close):
    x, dy = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 4, 2))
    net, alone = (
        build([TimeDistributed(Linear(2))], (4, 5), ops, dtype),
        build([Linear(2)], (5,), ops, dtype),
    )
    net.layers[0].need_dx = alone.layers[0].need_dx = True
    y, dx = net.forward(device(x), train=True), net.backward(device(dy))
    total = np.zeros(alone.grad.shape)
    for t in range(4):
        close(
            ops.to_numpy(y)[:, t], ops.to_numpy(alone.forward(device(x[:, t]), train=True)), scale=5
        )
        close(ops.to_numpy(dx)[:, t], ops.to_numpy(alone.backward(device(dy[:, t]))), scale=5)
        total += ops.to_numpy(alone.grad)
    close(net.grad, total, scale=10)


def test_the_last_step_is_the_last_that_is_a_word(ops, dtype, device, close):
    source = Embedding(6, 6)
    net = build([source, LastTimestep(source)], (6,), ops, dtype)
    # a word's vector tells which word it is
    ops.copy(ops.to_device(np.eye(6), dtype), out=source.params["W"])
    close(net.forward(ops.to_device(LINES)), np.eye(6)[[1, 1, 1]])
    close(net.forward(ops.to_device(LINES[:, :3])), np.eye(6)[[4, 1, 4]])


def test_the_teacher_tells_the_word_before_the_first_word_and_the_code(ops, dtype, device, close):
    source = Embedding(6, 3)
    net = build([source, GRU(2, last=True), TeacherForcing(source, 4)], (6,), ops, dtype)
    y = ops.to_numpy(net.forward(ops.to_device(LINES))).copy()
    W, z = (
        ops.to_numpy(net.layers[2].params["W"]),
        ops.to_numpy(net.forward(ops.to_device(LINES), stop=2)),
    )
    assert y.shape == (3, 5, 10)
    for n in range(3):
        for t in range(5):
            close(y[n, t], np.concatenate([W[LINES[n, t]], W[LINES[n, 0]], z[n]]))


def test_word_dropout_drops_its_share_of_words_in_training_alone(ops):
    source = Embedding(6, 3)
    teacher = TeacherForcing(source, 4, dropout=0.3)
    net = build([source, GRU(2, last=True), teacher], (101,), ops)
    words = ops.to_device(rng.integers(1, 6, (200, 101)))
    net.forward(words)
    assert (ops.to_numpy(teacher.ids[:, :-1]) == ops.to_numpy(words[:, :-1])).all()
    net.forward(words, train=True)
    used = ops.to_numpy(teacher.ids)
    # 20,000 draws: a standard deviation of 0.003
    assert (used[:, :-1] == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert (used[:, -1] == ops.to_numpy(words[:, 0])).all()  # the keyword is told all the same


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1 / 9), ("batch", 1 / 3), ("sum", 1)])
def test_cross_entropy_of_sequences_leaves_the_padding_out(
    ops, dtype, device, close, reduction, factor
):
    z, targets = rng.standard_normal((3, 5, 6)), LINES[:, 1:]
    loss = SoftmaxCrossEntropy(reduction, ignore=0).build(ops, dtype)
    total, dz = reference.cross_entropy(z.reshape(-1, 6), targets.ravel())
    words = targets.ravel() != 0  # nine of them
    kept, _ = reference.cross_entropy(z.reshape(-1, 6)[words], targets.ravel()[words])
    close(loss.forward(device(z), device(targets)), factor * kept, scale=total)
    close(loss.backward(), factor * (dz * words[:, None]).reshape(z.shape))


def test_the_cross_entropy_of_each_line(ops, dtype, device, close):
    z, targets = rng.standard_normal((3, 5, 6)), LINES[:, 1:]
    nats = costs_of_rows(
        SoftmaxCrossEntropy(ignore=0).build(ops, dtype), device(z), device(targets)
    )
    close(
        nats,
        [
            reference.cross_entropy(row[t != 0], t[t != 0])[0]
            for row, t in zip(z, targets, strict=True)
        ],
        5,
    )


@pytest.mark.parametrize("reduction", ["mean", "batch", "sum"])
def test_targets_that_are_all_padding_cost_nothing(ops, dtype, device, reduction):
    loss = SoftmaxCrossEntropy(reduction, ignore=0).build(ops, dtype)
    assert (
        float(loss.forward(device(rng.standard_normal((2, 3, 4))), device(np.zeros((2, 3), int))))
        == 0
    )
    assert not ops.to_numpy(loss.backward()).any()


# ---------------------------------------------------------------- backward is its derivative


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_of_the_whole_speaker_with_its_loss(ops, dropout):
    layers, shape = speaker(dropout)
    net = build(layers, shape, ops)
    report = check_gradients(net, LINES, LINES[:, 1:], SoftmaxCrossEntropy("batch", ignore=0))
    assert (
        report.ok
        and sum(row.layer != "network" and row.parameter not in ("dx", "dy") for row in report.rows)
        == 14
    ), f"\n{report}"


def test_a_gradient_that_forgets_the_first_words_is_caught(monkeypatch):
    monkeypatch.setattr(
        nanoae.get_ops("numpy").__class__, "sum_steps", lambda self, x, out: self.copy(0, out=out)
    )
    layers, shape = speaker()
    report = check_gradients(
        build(layers, shape), LINES, LINES[:, 1:], SoftmaxCrossEntropy("batch", ignore=0)
    )
    assert not report.ok


# ---------------------------------------------------------------- padding


def test_longer_padding_changes_neither_code_nor_loss_nor_gradient(ops, dtype, device, close):
    results = []
    for steps in (6, 9):
        layers, shape = speaker(steps=steps)
        net, loss = (
            build(layers, shape, ops, dtype),
            SoftmaxCrossEntropy("mean", ignore=0).build(ops, dtype),
        )
        lines = ops.to_device(np.pad(LINES, ((0, 0), (0, steps - 6))))
        code = ops.to_numpy(net.forward(lines, stop=5)).copy()
        value = float(loss.forward(net.forward(lines, train=True), lines[:, 1:]))
        net.backward(loss.backward())
        results.append((code, value, ops.to_numpy(net.grad).copy()))
    for short, long in zip(*results, strict=True):
        close(long, short, scale=10)


def test_a_short_batch_gives_what_it_would_give_alone(ops, dtype, device, close):
    layers, shape = speaker()
    used = build(layers, shape, ops, dtype)
    for n in (3, 1, 2, 3):
        fresh, dy, results = build(*speaker(), ops, dtype), rng.standard_normal((n, 5, 6)), []
        for net in (used, fresh):
            y = ops.to_numpy(net.forward(ops.to_device(LINES[:n]), train=True)).copy()
            net.backward(device(dy))
            results.append((y, ops.to_numpy(net.grad).copy()))
        for mine, alone in zip(*results, strict=True):
            close(mine, alone, scale=20)


# ---------------------------------------------------------------- errors

REFUSED = {
    r"SoftmaxCrossEntropy\(\): expected classes 0 \.\. 5, got -1 \.\. 3": lambda: (
        SoftmaxCrossEntropy()
        .build(nanoae.backend.get_ops("numpy"), np.float64)
        .forward(np.zeros((2, 6)), np.array([-1, 3]))
    ),
    r"TimeDistributed: expected a layer without noise, got Dropout": lambda: TimeDistributed(
        Dropout(0.1)
    ),
    r"TimeDistributed\(.*\): expected sequences \(N, T, \.\.\.\), got \(N, 5\)": lambda: build(
        [TimeDistributed(Linear(2))], (5,)
    ),
    r"LastTimestep\(.*\): expected sequences .* of an Embedding before it": lambda: build(
        [LastTimestep(Embedding(2, 3))], (4, 3)
    ),
    r"TeacherForcing: expected dropout in \[0, 1\), got 1": lambda: TeacherForcing(
        Embedding(2, 3), 2, 1
    ),
    r"TeacherForcing\(.*\): expected codes \(N, K\) of lines of two tokens": lambda: build(
        [TeacherForcing(Embedding(2, 3), 2)], (4,)
    ),
    r"SoftmaxCrossEntropy\(.*\): expected logits": lambda: SoftmaxCrossEntropy(ignore=0).forward(
        np.ones((2, 3, 4)), np.ones((2, 4), int)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_is_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()
