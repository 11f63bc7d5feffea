"""Reports: figures as files, and HTML pages that show what a model has learned."""

from nanoae.report.detector import write_detector_report
from nanoae.report.figures import (
    code_histogram,
    code_scatter,
    error_maps,
    image_grid,
    image_rows,
    loss_curves,
    panels,
    roc_curves,
    share_bars,
    weight_images,
)
from nanoae.report.lines import write_text_report
from nanoae.report.report import write_report

__all__ = [
    "code_histogram",
    "code_scatter",
    "error_maps",
    "image_grid",
    "image_rows",
    "loss_curves",
    "panels",
    "roc_curves",
    "share_bars",
    "weight_images",
    "write_detector_report",
    "write_report",
    "write_text_report",
]
