"""Networks and model files. A model file is one safetensors file that carries its own card."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from axonlab.io import write_bytes
from axonlab.micrograph import CLASSES, PERCENTILES, check_pixel_size

WEIGHTS = Path(__file__).parent / "weights"
FEATURES = (32, 64, 128, 192, 256)


class UNet(nn.Module):
    """U-Net in two or three dimensions whose receptive field is known exactly.

    Every level has two convolutions with batch norm and ReLU; going down is max-pooling by the
    level's stride, coming up is a 1×1 convolution and nearest-neighbour repetition. All padding
    keeps the size, so an input whose sides are multiples of `stride` comes out unchanged in size.

    Parameters
    ----------
    n_classes : int
    in_channels : int
    features : sequence of int
        Channels per level, finest first.
    strides : sequence of sequence of int, optional
        Pooling step per axis between levels, one entry fewer than `features`; its length sets
        the number of dimensions. 2 along y and x by default. Along an axis that is not pooled
        below a level, that level's kernels are 1 wide: anisotropic volumes are mixed
        along z only where their voxels have become as long as they are wide.

    Attributes
    ----------
    stride : tuple of int
        Total pooling step per axis: tiles start at its multiples.
    halo : tuple of int
        Context per axis, in input pixels and a multiple of `stride`, beyond which nothing
        influences an aligned tile.

    Notes
    -----
    Ronneberger, Fischer & Brox 2015, arXiv:1505.04597.
    """

    def __init__(
        self,
        n_classes: int,
        in_channels: int = 1,
        features: Sequence[int] = FEATURES,
        strides: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        steps = [tuple(s) for s in strides or [(2, 2)] * (len(features) - 1)]
        axes = len(steps[0]) if steps else 0
        if axes not in (2, 3) or len(steps) != len(features) - 1:
            raise ValueError(
                f"UNet: {len(features)} levels need {len(features) - 1} strides of 2 or 3 axes "
                f"each, got {steps}."
            )
        self.steps = steps
        # the coarsest level convolves like the one above it
        self.kernels = [tuple(3 if s > 1 else 1 for s in step) for step in [*steps, steps[-1]]]
        conv = nn.Conv2d if axes == 2 else nn.Conv3d
        pool = nn.MaxPool2d if axes == 2 else nn.MaxPool3d

        inputs = [in_channels, *features[:-1]]
        self.down = nn.ModuleList(
            _two_convolutions(*io, k) for *io, k in zip(inputs, features, self.kernels, strict=True)
        )
        self.pool = nn.ModuleList(pool(step) for step in steps)
        self.narrow = nn.ModuleList(conv(low, high, 1) for high, low in pairwise(features))
        self.up = nn.ModuleList(
            _two_convolutions(2 * f, f, k)
            for f, k in zip(features[:-1], self.kernels[:-1], strict=True)
        )
        self.head = conv(features[0], n_classes, 1)

        self.stride = tuple(math.prod(s) for s in zip(*steps, strict=True))
        self.halo = tuple(self._axis_halo(axis) for axis in range(axes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes, …) for images (batch, in_channels, …)."""
        skips = []
        for down, pool in zip(self.down, self.pool, strict=False):
            x = down(x)
            skips.append(x)
            x = pool(x)
        x = self.down[-1](x)
        for i in reversed(range(len(skips))):
            x = _repeat(self.narrow[i](x), self.steps[i])
            x = self.up[i](torch.cat([skips[i], x], dim=1))
        return self.head(x)

    def _axis_halo(self, axis: int) -> int:
        """Follow an aligned block of outputs back to the interval of inputs it depends on."""
        reach = [2 * (kernel[axis] // 2) for kernel in self.kernels]  # of a level's two kernels

        def encoder_interval(level: int, low: int, high: int) -> tuple[int, int]:
            if level == len(self.steps):
                return low, high
            low, high = low - reach[level], high + reach[level]  # the decoder's kernels
            step = self.steps[level][axis]
            deep_low, deep_high = encoder_interval(level + 1, low // step, high // step)
            deep_low -= reach[level + 1]
            deep_high += reach[level + 1]
            return min(low, deep_low * step), max(high, deep_high * step + step - 1)

        stride = self.stride[axis]
        low, high = encoder_interval(0, 0, stride - 1)
        context = max(-low, high - (stride - 1)) + reach[0]
        return -(-context // stride) * stride


def _two_convolutions(inputs: int, outputs: int, kernel: tuple[int, ...]) -> nn.Sequential:
    conv = nn.Conv2d if len(kernel) == 2 else nn.Conv3d
    norm = nn.BatchNorm2d if len(kernel) == 2 else nn.BatchNorm3d
    padding = tuple(k // 2 for k in kernel)
    layers: list[nn.Module] = []
    for n in (inputs, outputs):
        layers += [
            conv(n, outputs, kernel, padding=padding, bias=False),  # type: ignore[arg-type]
            norm(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _repeat(x: Tensor, step: tuple[int, ...]) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=[float(s) for s in step], mode="nearest")


ARCHITECTURES = {"UNet": UNet}


SIZES = {"small": (16, 32, 64, 96, 128), "default": FEATURES}


def architecture(size: str, n_classes: int) -> dict[str, Any]:
    return {"class": "UNet", "n_classes": n_classes, "features": SIZES[size]}


# what a damaged or hostile file can make the parser and the network raise
_DAMAGE = (
    SafetensorError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("axonlab", "torch", "fastai")}


@dataclass(frozen=True)
class ModelCard:
    """What one must know to use a model, and to judge it.

    Parameters
    ----------
    name : str
    classes : list of str
        Names from `axonlab.io.CLASSES`, in the order of the network's outputs.
    pixel_size : float
        Pixel size in µm at which the network works; images are resampled to it.
    architecture : dict
        ``{"class": "UNet", …}`` and the keyword arguments that rebuild the network.
    percentiles : pair of float
        Percentiles of each whole image that become 0 and 1 before the network sees it.
    description, licence, citation : str
    training, scores, versions : dict
        Data and split, measured scores, and the software it was made with.
    """

    name: str
    classes: list[str]
    pixel_size: float
    architecture: dict[str, Any]
    percentiles: tuple[float, float] = PERCENTILES
    description: str = ""
    licence: str = ""
    citation: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=_versions)

    def __post_init__(self) -> None:
        # As it is read back from a file: what JSON cannot hold fails now, not after a training.
        for name in ("classes", "architecture", "training", "scores", "versions"):
            object.__setattr__(self, name, json.loads(json.dumps(getattr(self, name))))
        low, high = map(float, self.percentiles)
        object.__setattr__(self, "percentiles", (low, high))
        if not 0 <= low < high <= 100:
            raise ValueError(f"Model card: percentiles {low:g} and {high:g}, expected 0 to 100.")
        check_pixel_size(self.pixel_size, "Model card")
        unknown = [c for c in self.classes if c not in CLASSES]
        if unknown:
            raise ValueError(f"Model card: unknown classes {unknown}, known are {list(CLASSES)}.")
        if self.architecture.get("class") not in ARCHITECTURES:
            raise ValueError(
                f"Model card: unknown architecture {self.architecture.get('class')!r}, "
                f"known are {list(ARCHITECTURES)}."
            )
        if self.architecture.get("n_classes") != len(self.classes):
            raise ValueError(
                f"Model card: {len(self.classes)} classes {self.classes}, but the network has "
                f"n_classes={self.architecture.get('n_classes')!r}."
            )

    def build(self) -> nn.Module:
        """Return the card's network with fresh weights."""
        arguments = {k: v for k, v in self.architecture.items() if k != "class"}
        return ARCHITECTURES[self.architecture["class"]](**arguments)


@dataclass(frozen=True)
class Model:
    """A network with its card; `sha256` is that of the file it was read from."""

    network: nn.Module
    card: ModelCard
    sha256: str


def fast_dtype(device: str) -> torch.dtype:
    """Return bfloat16 where a device ("cpu" or "cuda") has instructions for it, else float32."""
    if device == "cpu":
        # older versions of torch cannot tell, and are answered with the safe choice
        features = getattr(torch.cpu, "get_capabilities", dict)()
        has_bfloat16 = bool(features.get("avx512_bf16"))
    else:
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bfloat16 else torch.float32


def names() -> list[str]:
    """Return the names of the models that come with axonlab."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def save_model(
    path: str | Path, network: nn.Module, card: ModelCard, *, overwrite: bool = False
) -> Path:
    """Write weights and card to one ``.safetensors`` file, atomically.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is false.
    """
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    content = save_tensors(weights, metadata={"card": json.dumps(asdict(card))})
    return write_bytes(path, content, overwrite=overwrite)


def load_model(name_or_path: str | Path) -> Model:
    """Read a model that comes with axonlab, by name, or a model file, by path.

    Nothing in the file is executed: weights are plain arrays, the card is JSON.

    Raises
    ------
    FileNotFoundError
        If there is no such model or file.
    ValueError
        If the file is not a model of axonlab, or its weights do not fit its card.
    """
    path = Path(name_or_path)
    if str(name_or_path) in names():
        path = WEIGHTS / f"{name_or_path}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"No model {str(name_or_path)!r}: expected a .safetensors file or one of {names()}."
        )
    content = path.read_bytes()
    card, weights = _parse(path, content)
    try:
        with torch.device("meta"):  # takes no memory, whatever sizes the card claims
            network = card.build()
        network.load_state_dict(weights, assign=True)
    except _DAMAGE as error:
        raise ValueError(f"{path}: the weights do not fit the model card. {error}") from error
    return Model(network.float().eval(), card, hashlib.sha256(content).hexdigest())


def _parse(path: Path, content: bytes) -> tuple[ModelCard, dict[str, Tensor]]:
    try:
        weights = load_tensors(content)  # checks every offset, before anything is believed
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        card = json.loads(header["__metadata__"]["card"])
        known = {f.name: card[f.name] for f in fields(ModelCard) if f.name in card}
        return ModelCard(**{"versions": {}} | known), weights  # what is not told stays untold
    except _DAMAGE as error:
        raise ValueError(
            f"{path}: not a model file of axonlab ({type(error).__name__}: {error}). Expected "
            ".safetensors with a model card; pickled models (.pkl, .pth) are never opened, "
            "because opening one can run any code."
        ) from error
