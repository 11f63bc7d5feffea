"""nanoae: autoencoders on a from-scratch engine: every forward and backward by hand, on NumPy and on CuPy."""

from nanoae.autoencoders.bottleneck import TopK
from nanoae.autoencoders.corruption import GaussianNoise, MaskingNoise, SaltAndPepper
from nanoae.autoencoders.estimator import Autoencoder
from nanoae.autoencoders.model_file import load_model as load
from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.penalty import Contractive, KLSparsity, L1Sparsity
from nanoae.autoencoders.stacked import StackedAutoencoder, StackedClassifier, StackedRegressor
from nanoae.backend import BackendError, get_ops
from nanoae.data import Dataset, load_data
from nanoae.engine.gradcheck import GradientReport, check_gradients
from nanoae.engine.layers import ELU, Dropout, Identity, LeakyReLU, Linear, ReLU, Sigmoid, Softplus, Tanh, TiedLinear
from nanoae.engine.losses import BCE, L1, MSE, Huber, SoftmaxCrossEntropy
from nanoae.engine.network import Sequential
from nanoae.engine.optim import SGD, Adam, AdamW
from nanoae.training.loop import NotFiniteError, Trainer
from nanoae.training.schedules import Constant, Cosine, StepDecay, WarmUp

__version__ = "0.1.0"

__all__ = [
    "BCE",
    "ELU",
    "L1",
    "MSE",
    "PCA",
    "SGD",
    "Adam",
    "AdamW",
    "Autoencoder",
    "BackendError",
    "Constant",
    "Contractive",
    "Cosine",
    "Dataset",
    "Dropout",
    "GaussianNoise",
    "GradientReport",
    "Huber",
    "Identity",
    "KLSparsity",
    "L1Sparsity",
    "LeakyReLU",
    "Linear",
    "MaskingNoise",
    "NotFiniteError",
    "ReLU",
    "SaltAndPepper",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Softplus",
    "StackedAutoencoder",
    "StackedClassifier",
    "StackedRegressor",
    "StepDecay",
    "Tanh",
    "TiedLinear",
    "TopK",
    "Trainer",
    "WarmUp",
    "check_gradients",
    "get_ops",
    "load",
    "load_data",
]
