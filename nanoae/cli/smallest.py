"""The smallest network for each layer, with rows of WIDTH numbers: used by `nanoae gradcheck` and the tests."""

from __future__ import annotations

import copy
import functools
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


dense = Linear(3)
squashed = Linear(3)
kernels = Conv2d(2, 3, 1, 1)
tokens = Embedding(2, 3)
label = ConcatLabel((3,), 2)
images: list[Layer] = [Linear(24), Reshape((2, 3, 4))]  # rows as images (2, 3, 4)
steps = Reshape((5, 1))  # or as sequences
NETWORKS: list[list[Layer]] = [  # each layer is the last one of its network
    *([kind()] for kind in ACTIVATIONS.values()),
    [LeakyReLU(0.2)],
    [ELU(0.7)],
    [Linear(3, bias_init="he_normal")],
    [dense, TiedLinear(dense)],
    [Dropout(0.4)],
    [GaussianNoise(0.5, clip=(-1, 1))],
    [MaskingNoise(0.4)],
    [SaltAndPepper(0.4)],
    [TopK(2)],
    [Linear(2), Adversarial(weight=0.7, hidden=(3,))],
    [ConcatLabel((3,), 2)],
    [label, Linear(4), ConcatSharedLabel(label)],
    [Linear(6), Gaussian(0.7, warm_up=3, free_bits=0.1)],
    [L1Sparsity(0.3)],
    [Linear(3), Sigmoid(), KLSparsity(0.2, 0.5)],
    [squashed, Sigmoid(), Contractive(0.3, squashed)],
    [steps, Flatten()],
    [Linear(6), Reshape((3, 2))],
    [*images, Conv2d(2, 2, 2, 1, bias_init="he_normal")],
    [*images, ConvTranspose2d(2, 2, 3, 1, 1, bias_init="he_normal")],
    [*images, kernels, TiedConvTranspose2d(kernels)],
    [*images, MaxPool2d(2, 1)],
    [*images, AvgPool2d(2, 1)],
    [*images, Upsample((1, 2))],
    [Linear(3), FillMissing()],
    [BatchNorm()],
    [LayerNorm()],
    [steps, GRU(2, bias_init="he_normal")],
    # tokens 0 and 1, by rounding the output of a Sigmoid
    [Sigmoid(), Embedding(2, 3)],
    [steps, TimeDistributed(Linear(3, bias_init="he_normal"))],
    [Sigmoid(), tokens, GRU(2), LastTimestep(tokens)],
    [Sigmoid(), tokens, GRU(2, last=True), TeacherForcing(tokens, 3, 0.3)],
]
# class name -> a function that returns new layers
LAYERS: dict[str, Callable[[], list[Layer]]] = {
    type(layers[-1]).__name__: functools.partial(copy.deepcopy, layers) for layers in NETWORKS
}
