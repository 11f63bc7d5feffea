"""nanoae: autoencoders on an engine written from scratch, with every gradient derived by hand, on NumPy and CuPy."""

from typing import TYPE_CHECKING

from nanoae.anomaly.cluster_labels import ClusterLabelDetector
from nanoae.anomaly.detector import AnomalyDetector
from nanoae.anomaly.scores import (
    ColumnTails,
    FeatureScore,
    Mahalanobis,
    NearestCodes,
    NearestJointCodes,
    NearestWhitenedCodes,
    NegativeELBO,
    ReconstructionError,
    Score,
    StandardisedError,
)
from nanoae.anomaly.thresholds import MAD, PeaksOverThreshold, Quantile, Threshold
from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.bottleneck import Adversarial, Gaussian, TopK
from nanoae.autoencoders.classifier import StackedClassifier
from nanoae.autoencoders.conv import ConvAutoencoder
from nanoae.autoencoders.corruption import GaussianNoise, MaskingNoise, SaltAndPepper
from nanoae.autoencoders.missing import FillMissing
from nanoae.autoencoders.mixture import Mixture
from nanoae.autoencoders.model_file import load_model as load
from nanoae.autoencoders.pca import PCA
from nanoae.autoencoders.penalty import Contractive, KLSparsity, L1Sparsity
from nanoae.autoencoders.regressor import StackedRegressor
from nanoae.autoencoders.stacked import StackedAutoencoder
from nanoae.autoencoders.table_losses import Masked, Mixed, Weighted
from nanoae.autoencoders.text import TextVAE
from nanoae.autoencoders.underfit import UnderfitWarning
from nanoae.autoencoders.variational import VariationalAutoencoder
from nanoae.backend import BackendError, get_ops
from nanoae.data import Dataset, load_data
from nanoae.data.encoder import TableEncoder
from nanoae.data.rows_file import open_rows
from nanoae.data.scaling import GaussianScaler, MinMaxScaler, RobustScaler, Scaler, StandardScaler
from nanoae.data.table import read_table
from nanoae.engine.activations import (
    ELU,
    GELU,
    Elementwise,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from nanoae.engine.conv import Conv2d, ConvTranspose2d, TiedConvTranspose2d
from nanoae.engine.embedding import Embedding
from nanoae.engine.layers import Dropout, Layer, Linear, TiedLinear
from nanoae.engine.losses import BCE, L1, MSE, GaussianNLL, Huber, SoftmaxCrossEntropy
from nanoae.engine.network import Sequential
from nanoae.engine.norm import BatchNorm, LayerNorm
from nanoae.engine.optim import SGD, Adam, AdamW, RMSprop
from nanoae.engine.pool import AvgPool2d, MaxPool2d, Upsample
from nanoae.engine.recurrent import GRU
from nanoae.engine.sequences import LastTimestep, TimeDistributed
from nanoae.engine.shape import Flatten, Reshape
from nanoae.former import CLASSES, warn_former
from nanoae.training.checkpoint import Checkpoints
from nanoae.training.kfac import KFAC
from nanoae.training.loop import NotFiniteError, Trainer
from nanoae.training.schedules import Constant, Cosine, StepDecay, WarmUp

if TYPE_CHECKING:
    from nanoae import plot
    from nanoae.interchange.export import export
    from nanoae.interchange.pytorch import from_torch, to_torch
    from nanoae.interchange.safetensors import from_safetensors
    from nanoae.interchange.weights import from_sklearn, get_weights, set_weights, state_dict
    from nanoae.report import write_detector_report, write_report, write_text_report
    from nanoae.trace.gradcheck import GradientReport, check_gradients
    from nanoae.trace.trace import Trace
    from nanoae.training.callbacks import BestCheckpoint, CSVLog, ReduceOnPlateau
    from nanoae.training.tensorboard import TensorBoard

__version__ = "0.1.0"

__all__ = [
    "BCE",
    "ELU",
    "GELU",
    "GRU",
    "KFAC",
    "L1",
    "MAD",
    "MSE",
    "PCA",
    "SGD",
    "Adam",
    "AdamW",
    "Adversarial",
    "AnomalyDetector",
    "Autoencoder",
    "AvgPool2d",
    "BackendError",
    "BatchNorm",
    "BestCheckpoint",
    "CSVLog",
    "Checkpoints",
    "ClusterLabelDetector",
    "ColumnTails",
    "Constant",
    "Contractive",
    "Conv2d",
    "ConvAutoencoder",
    "ConvTranspose2d",
    "Cosine",
    "Dataset",
    "Dropout",
    "Elementwise",
    "Embedding",
    "FeatureScore",
    "FillMissing",
    "Flatten",
    "Gaussian",
    "GaussianNLL",
    "GaussianNoise",
    "GaussianScaler",
    "GradientReport",
    "Huber",
    "Identity",
    "KLSparsity",
    "L1Sparsity",
    "LastTimestep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Mahalanobis",
    "Masked",
    "MaskingNoise",
    "MaxPool2d",
    "MinMaxScaler",
    "Mixed",
    "Mixture",
    "NearestCodes",
    "NearestJointCodes",
    "NearestWhitenedCodes",
    "NegativeELBO",
    "NotFiniteError",
    "PeaksOverThreshold",
    "Quantile",
    "RMSprop",
    "ReLU",
    "ReconstructionError",
    "ReduceOnPlateau",
    "Reshape",
    "RobustScaler",
    "SaltAndPepper",
    "Scaler",
    "Score",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Softplus",
    "StackedAutoencoder",
    "StackedClassifier",
    "StackedRegressor",
    "StandardScaler",
    "StandardisedError",
    "StepDecay",
    "TableEncoder",
    "Tanh",
    "TensorBoard",
    "TextVAE",
    "Threshold",
    "TiedConvTranspose2d",
    "TiedLinear",
    "TimeDistributed",
    "TopK",
    "Trace",
    "Trainer",
    "UnderfitWarning",
    "Upsample",
    "VariationalAutoencoder",
    "WarmUp",
    "Weighted",
    "check_gradients",
    "export",
    "from_safetensors",
    "from_sklearn",
    "from_torch",
    "get_ops",
    "get_weights",
    "load",
    "load_data",
    "open_rows",
    "plot",
    "read_table",
    "set_weights",
    "state_dict",
    "to_torch",
    "write_detector_report",
    "write_report",
    "write_text_report",
]


LATER = {  # imported on first access: most programs do not need them
    "BestCheckpoint": "nanoae.training.callbacks:BestCheckpoint",
    "CSVLog": "nanoae.training.callbacks:CSVLog",
    "GradientReport": "nanoae.trace.gradcheck:GradientReport",
    "ReduceOnPlateau": "nanoae.training.callbacks:ReduceOnPlateau",
    "Trace": "nanoae.trace.trace:Trace",
    "TensorBoard": "nanoae.training.tensorboard:TensorBoard",
    "check_gradients": "nanoae.trace.gradcheck:check_gradients",
    "export": "nanoae.interchange.export:export",
    "from_safetensors": "nanoae.interchange.safetensors:from_safetensors",
    "from_sklearn": "nanoae.interchange.weights:from_sklearn",
    "from_torch": "nanoae.interchange.pytorch:from_torch",
    "get_weights": "nanoae.interchange.weights:get_weights",
    "plot": "nanoae.plot",
    "pyod": "nanoae.pyod",
    "set_weights": "nanoae.interchange.weights:set_weights",
    "state_dict": "nanoae.interchange.weights:state_dict",
    "to_torch": "nanoae.interchange.pytorch:to_torch",
    "write_detector_report": "nanoae.report:write_detector_report",
    "write_report": "nanoae.report:write_report",
    "write_text_report": "nanoae.report:write_text_report",
}


def __getattr__(name: str):
    if name in LATER:
        import pkgutil  # imported here to keep `import nanoae` fast

        return pkgutil.resolve_name(LATER[name])
    if name not in CLASSES or CLASSES[name] not in __all__:
        raise AttributeError(f"module 'nanoae' has no attribute {name!r}")
    warn_former(f"nanoae.{name}", CLASSES[name])
    return globals()[CLASSES[name]]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
