"""Quantitative microscopy of nerve tissue, in notebooks.

``import axonlab as al`` is cheap: a module is imported when it is first used, ``al.io``.
"""

import warnings
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axonlab.installation import Report

# fastai's way to use torch, which nobody in front of a notebook can change
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

__version__ = version("axonlab")
__all__ = [
    "affinities",
    "agreement",
    "autosave",
    "axondeepseg",
    "batch",
    "blank",
    "calibration",
    "cells",
    "convert",
    "correct",
    "cross_section",
    "data",
    "dataset",
    "estimate",
    "evaluate",
    "exchange",
    "exercises",
    "explore",
    "export",
    "faults",
    "fit",
    "groups",
    "image_trial",
    "installation",
    "io",
    "job",
    "labelling",
    "learn",
    "literature",
    "losses",
    "machine",
    "manual",
    "maps",
    "measure",
    "membrane_scores",
    "membrane_training",
    "membranes",
    "micrograph",
    "models",
    "networks",
    "neurite_blocks",
    "neurite_correct",
    "neurite_mesh",
    "neurite_objects",
    "neurite_scores",
    "neurites",
    "neuropil",
    "object_scores",
    "objects",
    "omezarr",
    "pairs",
    "partition_scores",
    "phantom",
    "pixel_effects",
    "plot",
    "plot_agreement",
    "plot_cells",
    "plot_fibres",
    "plot_maps",
    "plot_measuring",
    "plot_membranes",
    "plot_neurites",
    "plot_power",
    "plot_sampling",
    "plot_scores",
    "plot_slide",
    "posterior",
    "power",
    "pretrained",
    "propose",
    "publish",
    "recover",
    "region_graph",
    "regions",
    "report",
    "results",
    "samples",
    "sampling",
    "scale",
    "score",
    "segment",
    "slide",
    "slide_correct",
    "slide_view",
    "source",
    "spread",
    "strokes",
    "summary",
    "tables",
    "training",
    "validity",
    "volume",
    "volume_blocks",
    "volume_files",
    "volume_learn",
    "volume_predict",
    "volume_training",
    "warping",
    "widgets",
    "window_net",
]


def doctor() -> "Report":
    """Look at this installation: versions, device, memory, data, what is wrong, how to mend it.

    Needs no network and changes nothing. A cell that ends in it shows the report, `print` tells it.
    """
    from axonlab.installation import examine

    return examine()


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"axonlab has no module {name!r}; it has {', '.join(__all__)}.")
    return import_module(f"axonlab.{name}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
