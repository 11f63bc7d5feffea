"""Reports: what an autoencoder has learned, as pictures."""

from nanoae.report.figures import (
    code_histogram,
    code_scatter,
    image_grid,
    image_rows,
    loss_curves,
    panels,
    weight_images,
)

__all__ = [
    "code_histogram",
    "code_scatter",
    "image_grid",
    "image_rows",
    "loss_curves",
    "panels",
    "weight_images",
]
