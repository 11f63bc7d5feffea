"""The contenders on a GPU. Data and batch order are in GPU memory; none of them rounds inputs to TF32.

With NANOAE_BENCHMARK_DEVICE=cpu in the environment PyTorch and JAX run on the CPU: to try the benchmark itself.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from benchmarks.cases import Case
from benchmarks.contenders.contender import Contender, Step, Unfit

DEVICE = os.environ.get("NANOAE_BENCHMARK_DEVICE", "cuda")


def nanoae_on(name: str) -> Contender:
    """nanoae's steps on this backend. Nothing of it is imported where PyTorch or JAX is to be timed."""
    from benchmarks.contenders.nanoae import Nanoae

    class OnGpu(Nanoae):
        backend = name

        def train(self, case):
            if case.greedy:
                raise Unfit("greedy cases are the CPU's")
            self.case, self.stages = case, super().train(case)
            return self.stages

        def wait(self, result):
            self.stages[0].trainer.ops.synchronize()

        def facts(self):
            recordings = self.stages[0].trainer.runner.repeated.recordings
            graph, _ = recordings.get(self.case.batch, (None, 0))
            return {"kernels": None if graph is None else graph.kernels()}

    return OnGpu()


def NanoaeCaptured() -> Contender:
    return nanoae_on("cupy")


def NanoaeUncaptured() -> Contender:
    return nanoae_on("cupy:nograph")


class TorchEager(Contender):
    """Eager, with the fused Adam."""

    def start(self, threads):
        self.torch = torch = importlib.import_module("torch")
        if DEVICE == "cuda" and not torch.cuda.is_available():
            raise Unfit("needs PyTorch with CUDA, and a GPU")
        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def compiled(self, function):
        return function

    def train(self, case: Case) -> list[Step]:
        torch, model = self.torch, importlib.import_module("benchmarks.contenders.torch")
        network = model.network(case)
        model.set_weights(network, case)
        network.to(DEVICE)
        x, batches = case.data()
        images, self.rows = torch.from_numpy(x).to(DEVICE), torch.from_numpy(batches).to(DEVICE)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=1e-3, fused=True, capturable=DEVICE == "cuda"
        )
        criterion, noise = model.LOSSES[case.loss], case.noise

        def forward(batch, drawn):
            return criterion(network(batch if drawn is None else batch + drawn), batch)

        forward = self.compiled(forward)

        def step(rows):
            batch = torch.index_select(images, 0, rows)
            drawn = torch.empty_like(batch).normal_(0, noise) if noise else None
            optimizer.zero_grad(set_to_none=True)
            loss = forward(batch, drawn)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return [self.stepping(step)]

    def stepping(self, step) -> Step:
        return lambda i: step(self.rows[i % len(self.rows)])

    def wait(self, result):
        if DEVICE == "cuda":
            self.torch.cuda.synchronize()


class TorchReduced(TorchEager):
    """Forward, loss and their backward compiled with mode="reduce-overhead", which replays them as CUDA graphs."""

    def compiled(self, function):
        return self.torch.compile(function, mode="reduce-overhead", fullgraph=True, dynamic=False)

    def stepping(self, step) -> Step:
        mark = self.torch.compiler.cudagraph_mark_step_begin

        def marked(i):
            mark()
            return step(self.rows[i % len(self.rows)]).clone()

        return marked


class TorchGraph(TorchEager):
    """The whole eager step, gather and Adam included, captured by hand as one CUDA graph; the first steps run eagerly
    on a side stream, as its manual asks."""

    def start(self, threads):
        super().start(threads)
        if DEVICE != "cuda":
            raise Unfit("needs a GPU")

    def stepping(self, step) -> Step:
        torch, rows = self.torch, self.rows
        now, side, graph, done = rows[0].clone(), torch.cuda.Stream(), torch.cuda.CUDAGraph(), 0
        loss: Any = None

        def replayed(i):
            nonlocal loss, done
            now.copy_(rows[i % len(rows)])
            done += 1
            if done <= 3:
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    eager = step(now)
                torch.cuda.current_stream().wait_stream(side)
                return eager
            if loss is None:
                with torch.cuda.graph(graph):
                    loss = step(now)
            graph.replay()
            return loss

        return replayed


class JaxGpu(Contender):
    """The CPU's contender: the whole step in one `jax.jit`, on the device that JAX takes by itself."""

    def start(self, threads):
        jax = importlib.import_module("jax")
        try:
            backend = jax.default_backend()
        except RuntimeError:  # no plugin for CUDA
            backend = "none"
        if DEVICE == "cuda" and backend != "gpu":
            raise Unfit("needs JAX with CUDA, and a GPU")
        jax.config.update("jax_default_matmul_precision", "highest")
        self.one = importlib.import_module("benchmarks.contenders.jax").Jax()

    def train(self, case: Case) -> list[Step]:
        return self.one.train(case)

    def wait(self, result):
        self.one.wait(result)
