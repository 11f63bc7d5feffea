"""The smallest network that shows each layer, for rows of WIDTH numbers: for `nanoae gradcheck`, and for the tests."""

from __future__ import annotations

from collections.abc import Callable

from nanoae.autoencoders.bottleneck import Adversarial, Gaussian, TopK
from nanoae.autoencoders.concat_label import ConcatLabel, ConcatSharedLabel
from nanoae.autoencoders.corruption import GaussianNoise, MaskingNoise, SaltAndPepper
from nanoae.autoencoders.missing import FillMissing
from nanoae.autoencoders.penalty import Contractive, KLSparsity, L1Sparsity
from nanoae.autoencoders.teacher_forcing import TeacherForcing
from nanoae.engine.activations import ACTIVATIONS, ELU, LeakyReLU, Sigmoid
from nanoae.engine.conv import Conv2d, ConvTranspose2d, TiedConvTranspose2d
from nanoae.engine.embedding import Embedding
from nanoae.engine.layers import Dropout, Layer, Linear, TiedLinear
from nanoae.engine.norm import BatchNorm, LayerNorm
from nanoae.engine.pool import AvgPool2d, MaxPool2d, Upsample
from nanoae.engine.recurrent import GRU
from nanoae.engine.sequences import LastTimestep, TimeDistributed
from nanoae.engine.shape import Flatten, Reshape

WIDTH = 5


def tied() -> list[Layer]:
    source = Linear(3)
    return [source, TiedLinear(source)]


def of_images(*layers: Layer) -> list[Layer]:
    """Rows as images (2, 3, 4)."""
    return [Linear(24), Reshape((2, 3, 4)), *layers]


def tied_convolution() -> list[Layer]:
    source = Conv2d(2, 3, 1, 1)
    return of_images(source, TiedConvTranspose2d(source))


def conditional() -> list[Layer]:
    label = ConcatLabel((3,), 2)
    return [label, Linear(4), ConcatSharedLabel(label)]


def contractive() -> list[Layer]:
    source = Linear(3)
    return [source, Sigmoid(), Contractive(0.3, source)]


def behind_words(gru: GRU, layer: Callable[[Embedding], Layer]) -> list[Layer]:
    """Words 0 and 1, by rounding what a Sigmoid gives."""
    source = Embedding(2, 3)
    return [Sigmoid(), source, gru, layer(source)]


LAYERS: dict[str, Callable[[], list[Layer]]] = {  # class -> a network, new layers each time
    **{kind.__name__: lambda kind=kind: [kind()] for kind in ACTIVATIONS.values()},  # type: ignore[misc]
    "LeakyReLU": lambda: [LeakyReLU(0.2)],
    "ELU": lambda: [ELU(0.7)],
    "Linear": lambda: [Linear(3, bias_init="he_normal")],
    "TiedLinear": tied,
    "Dropout": lambda: [Dropout(0.4)],
    "GaussianNoise": lambda: [GaussianNoise(0.5, clip=(-1, 1))],
    "MaskingNoise": lambda: [MaskingNoise(0.4)],
    "SaltAndPepper": lambda: [SaltAndPepper(0.4)],
    "TopK": lambda: [TopK(2)],
    "Adversarial": lambda: [Linear(2), Adversarial(weight=0.7, hidden=(3,))],
    "ConcatLabel": lambda: [ConcatLabel((3,), 2), Linear(2)],
    "ConcatSharedLabel": conditional,
    "Gaussian": lambda: [Linear(6), Gaussian(0.7, warm_up=3, free_bits=0.1)],
    "L1Sparsity": lambda: [L1Sparsity(0.3)],
    "KLSparsity": lambda: [Linear(3), Sigmoid(), KLSparsity(0.2, 0.5)],
    "Contractive": contractive,
    "Flatten": lambda: [Reshape((5, 1)), Flatten()],
    "Reshape": lambda: [Linear(6), Reshape((3, 2))],
    "Conv2d": lambda: of_images(Conv2d(2, 2, 2, 1, bias_init="he_normal")),
    "ConvTranspose2d": lambda: of_images(ConvTranspose2d(2, 2, 3, 1, 1, bias_init="he_normal")),
    "TiedConvTranspose2d": tied_convolution,
    "MaxPool2d": lambda: of_images(MaxPool2d(2, 1)),
    "AvgPool2d": lambda: of_images(AvgPool2d(2, 1)),
    "Upsample": lambda: of_images(Upsample((1, 2))),
    "FillMissing": lambda: [Linear(3), FillMissing()],
    "BatchNorm": lambda: [BatchNorm()],
    "LayerNorm": lambda: [LayerNorm()],
    "GRU": lambda: [Reshape((5, 1)), GRU(2, bias_init="he_normal")],
    "Embedding": lambda: [Sigmoid(), Embedding(2, 3)],
    "TimeDistributed": lambda: [Reshape((5, 1)), TimeDistributed(Linear(3, bias_init="he_normal"))],
    "LastTimestep": lambda: behind_words(GRU(2), LastTimestep),
    "TeacherForcing": lambda: behind_words(
        GRU(2, last=True), lambda source: TeacherForcing(source, 3, 0.3)
    ),
}
