"""nanoae: autoencoders on a from-scratch engine: every forward and backward by hand, on NumPy and on CuPy."""

from nanoae.autoencoders.estimator import Autoencoder
from nanoae.autoencoders.model_file import load_model as load
from nanoae.autoencoders.pca import PCA
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
    "Cosine",
    "Dataset",
    "Dropout",
    "GradientReport",
    "Huber",
    "Identity",
    "LeakyReLU",
    "Linear",
    "NotFiniteError",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Softplus",
    "StepDecay",
    "Tanh",
    "TiedLinear",
    "Trainer",
    "WarmUp",
    "check_gradients",
    "get_ops",
    "load",
    "load_data",
]
