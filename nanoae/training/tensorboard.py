"""TensorBoard: a callback that writes logs for TensorBoard with tensorboardX."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.extra import extra
from nanoae.training.callbacks import learning_rate
from nanoae.training.loop import Trainer
from nanoae.training.state import SETTINGS

IMAGES = 10  # number of rows shown as images
POINTS = 1000  # number of codes in the projector


class TensorBoard:
    """Write logs to `logdir` for `tensorboard --logdir LOGDIR`:

    scalars      after each epoch: loss, val_loss, learning_rate, seconds; for pretraining under pretraining/LAYER
    histograms   weights of each layer, and its gradients in the epoch's last batch
    graph        the layers in order
    hparams      the settings of the estimator, or of the trainer
    images       ten rows of `x` and their reconstructions below
    projector    the codes of up to 1,000 rows of `x`, with `labels` and images

    >>> board = nanoae.TensorBoard("logs", x_test, labels=y_test, shape=(28, 28))
    >>> nanoae.Autoencoder(epochs=5, callbacks=[board]).fit(x_train, validation_data=x_test)

    logdir   a folder
    x        rows (N, D) or (N, ...) as the network reads them: for a conditional model, followed by one-hot labels
    labels   (N,) labels of the codes
    shape    image shape of a row: (H, W), (C, H, W) or (H, W, C); by default that of x
    every    epochs between histograms, images and codes; None: ten times in all, and after the last epoch

    Requires the extra nanoae[tensorboard].
    """

    def __init__(
        self,
        logdir: str | Path,
        x: Any = None,
        labels: Any = None,
        shape: tuple[int, ...] = (),
        every: int | None = None,
    ):
        extra("tensorboardX", "tensorboard")
        self.logdir = Path(logdir)
        self.every = every
        self.x: Any = None if x is None else np.asarray(x)[:POINTS]
        self.labels = None if labels is None else [str(label) for label in labels[:POINTS]]
        examples = np.shape(self.x) if self.x is not None else (0,)
        self.shape = tuple(shape or examples[1:])
        if self.labels is not None and len(self.labels) != examples[0]:
            raise ValueError("TensorBoard: expected a label for each row of x.")
        if self.x is not None and math.prod(self.shape) > math.prod(examples[1:]):
            raise ValueError(
                f"TensorBoard: expected a shape for the values of a row, {examples[1:]}, got {self.shape}."
            )
        if every is not None and every < 1:
            raise ValueError(f"TensorBoard: expected every >= 1, got {every}.")
        self.writer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "writer": None}  # a copy writes its own file

    def __call__(self, trainer: Trainer, row: dict[str, float]) -> None:
        epoch = int(row["epoch"])
        if self.writer is None:
            self.writer = extra("tensorboardX").SummaryWriter(str(self.logdir))
        scalars = {**row, "learning_rate": learning_rate(trainer)}
        stage = f"pretraining/{row['layer']}/" if "layer" in row else ""
        for name in scalars.keys() - {"epoch", "layer"}:
            self.writer.add_scalar(stage + name, scalars[name], epoch)
        if not stage:
            last = epoch == trainer.epochs
            if epoch == 1:
                self.add_graph(trainer)
                self.add_settings(trainer, row)
            if last or epoch % (self.every or math.ceil(trainer.epochs / 10)) == 0:
                self.add_histograms(trainer, epoch)
                if self.x is not None:
                    self.add_rows(trainer, epoch)
            if last:
                self.close()
                return
        self.writer.flush()

    def close(self) -> None:
        """Close the file; a later epoch begins a new one."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    # ---------------------------------------------------------------- contents

    def add_histograms(self, trainer: Trainer, epoch: int) -> None:
        for i, layer in enumerate(trainer.network.layers):
            for kind, arrays in (("weights", layer.params), ("gradients", layer.grads)):
                for name, array in arrays.items():
                    tag = f"{kind}/{i}_{type(layer).__name__}/{name}"
                    self.writer.add_histogram(tag, trainer.ops.to_numpy(array), epoch)

    def add_graph(self, trainer: Trainer) -> None:
        """Write a node for each layer, with its output shape and description."""
        from google.protobuf.json_format import ParseDict
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.graph_pb2 import GraphDef

        nodes: list[dict[str, Any]] = []

        def add(name: str, op: str, shape: tuple[int, ...], text: object = "") -> None:
            sizes = [{"size": size} for size in (-1, *shape)]
            attributes = {
                "_output_shapes": {"list": {"shape": [{"dim": sizes}]}},
                "layer": {"s": base64.b64encode(str(text).encode()).decode()},
            }
            before = [node["name"] for node in nodes[-1:]]
            nodes.append({"name": name, "op": op, "input": before, "attr": attributes})

        add("input", "Placeholder", trainer.network.input_shape)
        for i, layer in enumerate(trainer.network.layers):
            kind = type(layer).__name__
            add(f"{i}_{kind}", kind, layer.out_shape, layer)
        add("loss", type(trainer.loss).__name__, ())
        graph = ParseDict({"node": nodes}, GraphDef())
        self.writer.file_writer.add_event(Event(graph_def=graph.SerializeToString()))

    def add_settings(self, trainer: Trainer, row: dict[str, float]) -> None:
        from tensorboardX.summary import hparams

        settings = {name: getattr(trainer, name) for name in SETTINGS}
        if trainer.model is not None:
            settings = trainer.model.get_params(deep=False)
        shown: dict[str, Any] = {}
        for name in settings.keys() - {"callbacks", "verbose"}:
            value = settings[name]
            shown[name] = value if isinstance(value, (bool, int, float, str)) else str(value)
        losses = {name: value for name, value in row.items() if name.endswith("loss")}
        for summary in hparams(shown, losses):
            self.writer.file_writer.add_summary(summary)

    def add_rows(self, trainer: Trainer, epoch: int) -> None:
        """Write images and codes of x."""
        network = trainer.network
        ops = trainer.ops
        model = trainer.model
        x = self.x
        if model is not None and x.shape[1:] == model.input_shape_:
            x = model.scaled(x)
        if x.shape[1:] != network.input_shape:
            raise ValueError(
                f"TensorBoard: expected x of the network's input shape, (N, *{network.input_shape}), "
                f"got {self.x.shape}."
            )
        x = ops.to_device(x, network.dtype)
        images: Any = self.images(self.x) if len(self.shape) in (2, 3) else None
        if images is not None and math.prod(network.output_shape) == math.prod(self.shape):
            y = network.forward(x[:IMAGES])
            memory = ops.empty(y.shape, y.dtype)
            reconstructions = ops.to_numpy(trainer.loss.predict(y, out=memory))
            both = above(images[:IMAGES], self.images(reconstructions))
            self.writer.add_image("reconstructions", both, epoch)
        if model is not None:
            codes = ops.to_numpy(network.forward(x, stop=model.n_code_layers_))
            square = images is not None and images.shape[2] == images.shape[3]
            sprites = unit(images, images) if square else None
            codes = codes.reshape(len(x), -1)
            # tensorboardX fills its sprite sheet with uninitialised memory
            with np.errstate(all="ignore"):
                self.writer.add_embedding(codes, self.labels, sprites, epoch, "codes")

    def images(self, rows: np.ndarray) -> Any:
        """Return rows as images (N, C, H, W) with C = 1 or 3, without the labels of a conditional model's inputs."""
        rows = rows.reshape(len(rows), -1)[:, : math.prod(self.shape)]
        images = rows.reshape(len(rows), *self.shape)
        if len(self.shape) == 2:
            images = images[:, None]
        elif self.shape[2] in (1, 3) and self.shape[0] not in (1, 3):
            images = images.transpose(0, 3, 1, 2)
        if images.shape[1] in (1, 3):
            return images
        return images.mean(axis=1, keepdims=True)


def above(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Return one image (C, 2 H, N W) of images (N, C, H, W) above their reconstructions, on the same scale."""
    upper = np.concatenate(list(unit(images, images)), axis=2)
    lower = np.concatenate(list(unit(reconstructions, images)), axis=2)
    return np.concatenate([upper, lower], axis=1)


def unit(x: np.ndarray, like: Any) -> Any:
    """Scale x so that the minimum of `like` is 0 and its maximum is 1; clip to [0, 1]."""
    span = max(np.ptp(like), 1e-12)
    return np.clip((x - like.min()) / span, 0, 1)
