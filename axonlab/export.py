"""Models for other programs: ONNX, and packages for bioimage.io."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor, nn

from axonlab.io import write_bytes
from axonlab.micrograph import (
    CLASS_COLOURS,
    Micrograph,
    classify,
    intensity_range,
    normalise,
    resize,
    shape_at,
)
from axonlab.models import Model, ModelCard, describe

INPUT, OUTPUT = "pixels", "probabilities"

EXAMPLE_SIDE = 256
"""Side in pixels of the example in a package, where the network does not need a larger one."""


def to_onnx(model: Model, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a model to an ONNX file, which runs without axonlab, Python or torch.

    The file takes `pixels`, float32 (batch, 1, height, width), and gives `probabilities`, float32
    (batch, n_classes, height, width): softmax and the card's temperature are part of it.
    Resampling to the card's pixel size and normalisation are not; height and width are multiples
    of the network's stride. The card is in the file's metadata under "card", as JSON.

    Parameters
    ----------
    model : Model
    path : path
    overwrite : bool

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        If onnx or onnxscript is not installed.
    FileExistsError
        If the file exists and `overwrite` is false.
    """
    return write_bytes(path, _onnx(model).SerializeToString(), overwrite=overwrite)


def to_bioimageio(
    model: Model,
    path: str | Path,
    micrograph: Micrograph,
    *,
    authors: Sequence[str],
    overwrite: bool = False,
) -> Path:
    """Write a model to a package (.zip) for bioimage.io, ilastik, deepImageJ and their kin.

    It holds the ONNX file, a piece of the micrograph with its probabilities as test and picture,
    the card as documentation, and the normalisation by percentiles: those of what a program hands
    over, which should be whole images, as in axonlab.

    Parameters
    ----------
    model : Model
        The licence on its card is an SPDX identifier; DOIs in its citation are cited.
    path : path
        Ends in ``.zip``.
    micrograph : Micrograph
        An image the model is made for. A piece of it becomes public with the package.
    authors : sequence of str
        Names, at least one.
    overwrite : bool

    Returns
    -------
    Path

    Raises
    ------
    ImportError
        If bioimageio.spec, onnx or onnxscript is not installed.
    ValueError
        If the licence is not an SPDX identifier, no author is given, or bioimageio.spec finds the
        description invalid.
    FileExistsError
        If the file exists and `overwrite` is false.

    Notes
    -----
    Ouyang et al. 2022, doi:10.1101/2022.06.07.495102; format 0.5 of bioimageio.spec, which
    validates the package before it is written.
    """
    spec = _need("bioimageio.spec", "bioimageio")
    path = Path(path)
    if path.suffix != ".zip":
        raise ValueError(f"{path}: a package for bioimage.io is a .zip file; change the name.")
    _check_licence(model.card)
    if not authors:
        raise ValueError("A package for bioimage.io with no authors: pass authors=['Ada Person'].")
    grey = _example(model, micrograph)
    low, high = intensity_range(grey, model.card.percentiles)
    with torch.inference_mode():
        batch = torch.from_numpy(normalise(grey, low, high))[None, None]
        probabilities = _Probabilities(model)(batch).numpy()
    with TemporaryDirectory() as name:
        folder = Path(name)
        network = _onnx(model)
        (folder / "model.onnx").write_bytes(network.SerializeToString())
        np.save(folder / "input.npy", grey[None, None])
        np.save(folder / "output.npy", probabilities)
        _cover(grey, classify(probabilities[0], model.card.classes)).save(folder / "cover.png")
        (folder / "README.md").write_text(_documentation(model), encoding="utf-8")
        opset = network.opset_import[0].version
        description = _description(spec, model, folder, list(authors), opset)
        package = spec.save_bioimageio_package_to_stream(description).getvalue()
    return write_bytes(path, package, overwrite=overwrite)


class _Probabilities(nn.Module):
    """A copy of a model's network, with what turns logits into probabilities."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = copy.deepcopy(model.network).cpu().float()
        self.temperature = model.card.temperature
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        return (self.network(pixels) / self.temperature).softmax(1)


def _need(module: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f'This export needs {module}, which is not installed: pip install "axonlab[{extra}]"'
        ) from error


def _onnx(model: Model) -> Any:
    """Return the ONNX protobuf of a model, with its card."""
    onnx = _need("onnx", "onnx")
    _need("onnxscript", "onnx")
    rows, columns = (2 * step for step in model.network.stride)
    names = ("rows", "columns")
    free = [s * torch.export.Dim(n) for s, n in zip(model.network.stride, names, strict=True)]
    program = torch.onnx.export(
        _Probabilities(model),
        (torch.zeros(2, 1, rows, 2 * columns),),  # sizes alike or 1 would be taken for fixed
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={"pixels": {0: torch.export.Dim("batch"), 2: free[0], 3: free[1]}},
        dynamo=True,
        verbose=False,
    )
    proto = program.model_proto
    facts = {"card": json.dumps(asdict(model.card)), "model_sha256": model.sha256}
    onnx.helper.set_model_props(proto, facts)
    return proto


def _check_licence(card: ModelCard) -> None:
    try:
        import_module("bioimageio.spec.generic.v0_3").LicenseId(card.licence)
    except ValueError as error:
        raise ValueError(
            f"The licence of the model {card.name!r} is {card.licence!r}, expected an identifier "
            "of https://spdx.org/licenses such as MIT or CC-BY-4.0. Put it on the card: "
            "dataclasses.replace(card, licence=...)."
        ) from error


def _smallest_sides(network: nn.Module) -> list[int]:
    return [2 * halo + step for halo, step in zip(network.halo, network.stride, strict=True)]


def _example(model: Model, micrograph: Micrograph) -> NDArray[np.float32]:
    """Return the middle of a micrograph at the model's pixel size, mirrored where too small."""
    shape = shape_at(micrograph.pixels.shape, micrograph.pixel_size, model.card.pixel_size)
    grey = resize(micrograph.pixels, shape)
    for axis, smallest in enumerate(_smallest_sides(model.network)):
        step = model.network.stride[axis]
        side = -(-max(smallest, EXAMPLE_SIDE) // step) * step
        lacking = max(side - grey.shape[axis], 0)
        padding = [(0, lacking if i == axis else 0) for i in range(2)]
        start = (grey.shape[axis] + lacking - side) // 2
        padded = np.pad(grey, padding, mode="symmetric")
        grey = padded.take(range(start, start + side), axis)
    return np.ascontiguousarray(grey)


def _cover(grey: NDArray[np.float32], labels: NDArray[np.uint8]) -> Image.Image:
    """Return an image and its classes side by side, twice as wide as high."""
    left = normalise(grey, *intensity_range(grey)).clip(0, 1) * 255
    colours = np.zeros((256, 3), np.uint8)
    for identifier, colour in CLASS_COLOURS.items():
        colours[identifier] = ImageColor.getrgb(colour)
    both = np.hstack([np.repeat(left.astype(np.uint8)[..., None], 3, 2), colours[labels]])
    return Image.fromarray(both).resize((2 * EXAMPLE_SIDE, EXAMPLE_SIDE))


def _documentation(model: Model) -> str:
    return (
        describe(model)
        + "\n## Validation\n\nCompare the classes, the largest of the probabilities, with labels "
        "drawn by hand on images the model has not seen (under Training: left out), for "
        "example by the Dice coefficient of every class.\n"
    )


def _description(
    spec: ModuleType, model: Model, folder: Path, authors: list[str], opset: int
) -> Any:
    """Return the validated description of a package whose files are in a folder."""
    v0_5 = import_module("bioimageio.spec.model.v0_5")
    card = model.card
    dois = dict.fromkeys(re.findall(r"10\.\d{4,9}/[^\s,;()]*[^\s,;().]", card.citation))
    about = f"{card.description} ({', '.join(card.classes)}; {card.pixel_size:g} µm per pixel)"
    weights = v0_5.OnnxWeightsDescr(source=folder / "model.onnx", opset_version=opset)
    return spec.ModelDescr(
        name=re.sub(r"[^A-Za-z0-9_+\- ()]", " ", f"axonlab {card.name}")[:64],
        description=about[:512],
        authors=[v0_5.Author(name=author) for author in authors],
        license=card.licence,
        cite=[v0_5.CiteEntry(text=card.citation, doi=doi) for doi in dois],
        tags=["axonlab", "semantic-segmentation", "2d", "nerve", "axon", "myelin", "unet"],
        documentation=spec.common.FileDescr(source=folder / "README.md"),
        covers=[spec.common.FileDescr(source=folder / "cover.png")],
        inputs=[_input(spec, v0_5, model, folder)],
        outputs=[_output(spec, v0_5, model, folder)],
        weights=v0_5.WeightsDescr(onnx=weights),
        timestamp=v0_5.Datetime.now(),
    )


def _nanometres(card: ModelCard) -> float:
    """Return the pixel size with so few digits that products with it are exact.

    The format demands that size · scale / scale is the size again, which 0.1 does not hold to.
    """
    return float(np.float32(1000 * card.pixel_size))


def _input(spec: ModuleType, v0_5: ModuleType, model: Model, folder: Path) -> Any:
    low, high = model.card.percentiles
    normalisation = v0_5.ScaleRangeKwargs(
        axes=[v0_5.AxisId("channel"), v0_5.AxisId("y"), v0_5.AxisId("x")],
        min_percentile=low,
        max_percentile=high,
    )
    sides = zip("yx", _smallest_sides(model.network), model.network.stride, strict=True)
    return v0_5.InputTensorDescr(
        id=v0_5.TensorId(INPUT),
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=[v0_5.Identifier("grey")]),
            *(
                v0_5.SpaceInputAxis(
                    id=v0_5.AxisId(axis),
                    size=v0_5.ParameterizedSize(min=smallest, step=step),
                    unit="nanometer",
                    scale=_nanometres(model.card),
                )
                for axis, smallest, step in sides
            ),
        ],
        data=v0_5.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=[v0_5.ScaleRangeDescr(kwargs=normalisation)],
        test_tensor=spec.common.FileDescr(source=folder / "input.npy"),
    )


def _output(spec: ModuleType, v0_5: ModuleType, model: Model, folder: Path) -> Any:
    names = [v0_5.Identifier(name.replace(" ", "_")) for name in model.card.classes]
    return v0_5.OutputTensorDescr(
        id=v0_5.TensorId(OUTPUT),
        axes=[
            v0_5.BatchAxis(),
            v0_5.ChannelAxis(channel_names=names),
            *(
                v0_5.SpaceOutputAxisWithHalo(
                    id=v0_5.AxisId(axis),
                    size=v0_5.SizeReference(
                        tensor_id=v0_5.TensorId(INPUT), axis_id=v0_5.AxisId(axis)
                    ),
                    unit="nanometer",
                    scale=_nanometres(model.card),
                    halo=halo,
                )
                for axis, halo in zip("yx", model.network.halo, strict=True)
            ),
        ],
        data=v0_5.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
        test_tensor=spec.common.FileDescr(source=folder / "output.npy"),
    )
