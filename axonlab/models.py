"""Model files: one safetensors file holds the weights and the card. Ensembles, descriptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from axonlab import markdown
from axonlab.affinities import BOUNDARY, offsets_of
from axonlab.io import write_bytes
from axonlab.micrograph import CLASSES, MEMBRANE_CLASSES, PERCENTILES, check_pixel_size
from axonlab.networks import (
    ARCHITECTURES,
    FEATURES,
    SIZES,
    Ensemble,
    ResNetUNet,
    UNet,
    WindowNet,
    architecture,
    build,
)

__all__ = [
    "FEATURES",
    "SIZES",
    "Ensemble",
    "Model",
    "ModelCard",
    "ResNetUNet",
    "UNet",
    "WindowNet",
    "architecture",
    "describe",
    "ensemble",
    "fast_dtype",
    "load_model",
    "names",
    "save_model",
]

WEIGHTS = Path(__file__).parent / "weights"

TEMPERATURE_RANGE = (1e-3, 1e3)
"""Temperatures outside are mistakes, and could overflow."""

MAX_TABLES = 10
"""Of scores in a description; a card has few."""

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


_KINDS = {
    **dict.fromkeys(("name", "description", "licence", "citation"), str),
    "classes": list,
    **dict.fromkeys(("architecture", "training", "scores", "versions"), dict),
}
"""What the entries of a model card are in JSON, but for its numbers."""


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("axonlab", "torch", "fastai")}


@dataclass(frozen=True)
class ModelCard:
    """What one must know to use a model, and to judge it.

    Parameters
    ----------
    name : str
    classes : list of str
        Names from `axonlab.io.CLASSES`, in the order of the network's outputs; those of
        `axonlab.micrograph.MEMBRANE_CLASSES`, in their order, for a network of membranes. Those of
        a network for volumes are "boundary", or as `axonlab.affinities.channel_name` makes them.
    pixel_size : float
        Pixel size in µm at which the network works; images are resampled to it.
    section_distance : float or None
        In µm, for a network that sees several sections.
    architecture : dict
        ``{"class": "UNet", …}`` and the keyword arguments that rebuild the network.
    percentiles : pair of float
        Percentiles of each whole image that become 0 and 1 before the network sees it.
    temperature : float
        Logits are divided by it, so that probabilities say how often the network is right
        (Guo et al. 2017, arXiv:1706.04599). At 1 they are as the network gives them.
    description, licence, citation : str
    training, scores, versions : dict
        Data and split, measured scores, and the software it was made with.
    """

    name: str
    classes: list[str]
    pixel_size: float
    architecture: dict[str, Any]
    section_distance: float | None = None
    percentiles: tuple[float, float] = PERCENTILES
    temperature: float = 1.0
    description: str = ""
    licence: str = ""
    citation: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=_versions)

    def __post_init__(self) -> None:
        # As it is read back from a file: what JSON cannot hold fails now, not after a training.
        for name, kind in _KINDS.items():
            value = json.loads(json.dumps(getattr(self, name)))
            if not isinstance(value, kind):
                raise ValueError(
                    f"Model card: {name} is a {type(value).__name__}, expected a {kind.__name__}."
                )
            object.__setattr__(self, name, value)
        low, high = map(float, self.percentiles)
        object.__setattr__(self, "percentiles", (low, high))
        if not 0 <= low < high <= 100:
            raise ValueError(f"Model card: percentiles {low:g} and {high:g}, expected 0 to 100.")
        pixel_size = check_pixel_size(self.pixel_size, "Model card")
        object.__setattr__(self, "pixel_size", pixel_size)
        object.__setattr__(self, "temperature", check_temperature(self.temperature, "Model card"))
        if self.section_distance is not None:
            distance = check_pixel_size(self.section_distance, "Model card")
            object.__setattr__(self, "section_distance", distance)
        _check_classes(self.classes)
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
        return build(self.architecture)


def _check_classes(classes: list[str]) -> None:
    """Raise ValueError unless they are those of micrographs, of membranes or of volumes."""
    unknown = [c for c in classes if c not in CLASSES]
    if not unknown or classes in (list(MEMBRANE_CLASSES), [BOUNDARY]):
        return
    try:
        offsets_of(classes)
    except ValueError as error:
        raise ValueError(
            f"Model card: unknown classes {unknown}, known are {list(CLASSES)}, for membranes "
            f"{list(MEMBRANE_CLASSES)}, and for volumes {[BOUNDARY]} or affinities."
        ) from error


@dataclass(frozen=True)
class Model:
    """A network with its card; `sha256` is that of the file it was read from, "" if of none."""

    network: nn.Module
    card: ModelCard
    sha256: str


def check_temperature(temperature: float, name: str) -> float:
    """Return a temperature as float, or raise ValueError when it is absurd."""
    low, high = TEMPERATURE_RANGE
    value = float(temperature)
    if not low <= value <= high:
        raise ValueError(
            f"{name}: a temperature of {value:g}, expected {low:g} to {high:g}. At 1, "
            "probabilities are as the network gives them."
        )
    return value


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
    """Return the names of the models of micrographs that come with axonlab."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def volume_names() -> list[str]:
    """Return the names of the models of volumes that come with axonlab."""
    return sorted(path.stem for path in (WEIGHTS / "volumes").glob("*.safetensors"))


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
    path, name = Path(name_or_path), str(name_or_path)
    if name in names():
        path = WEIGHTS / f"{name}.safetensors"
    elif name in volume_names():
        path = WEIGHTS / "volumes" / f"{name}.safetensors"
    if not path.is_file():
        known = [*names(), *volume_names()]
        raise FileNotFoundError(
            f"No model {name!r}: expected a .safetensors file or one of {known}."
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


def ensemble(members: Sequence[Model], name: str) -> Model:
    """Join models into one whose probabilities are the mean of theirs.

    The temperatures of the members are not taken over: their mean is sharper or softer than each
    of them, so calibrate the ensemble itself (Rahaman & Thiery 2021, arXiv:2007.08792).

    Parameters
    ----------
    members : sequence of Model
        At least two, of the same classes, pixel size, percentiles and channels.
    name : str

    Returns
    -------
    Model
        With copies of the members' weights; `save_model` writes it as any other. Its card names
        the members and, as left out, the animals that none of them has seen.

    Raises
    ------
    ValueError
        If the members do not go together.
    """
    if not members:
        raise ValueError(f"Ensemble {name!r}: no members, expected at least 2 models.")
    cards = [member.card for member in members]
    agreed = ("classes", "pixel_size", "percentiles")
    given = {what: [getattr(card, what) for card in cards] for what in agreed}
    given["in_channels"] = [card.architecture.get("in_channels", 1) for card in cards]
    for what, values in given.items():
        if any(value != values[0] for value in values):
            raise ValueError(
                f"Ensemble {name!r}: its members differ in {what}, {values}. Take models that "
                "were trained for the same images and classes."
            )
    card = replace(
        cards[0],
        name=name,
        architecture={
            "class": "Ensemble",
            "n_classes": len(cards[0].classes),
            "members": [card.architecture for card in cards],
        },
        temperature=1.0,
        description=" ".join(
            [f"Ensemble of {len(cards)} models.", *_distinct(cards, "description")]
        ),
        licence="; ".join(_distinct(cards, "licence")),
        citation="; ".join(_distinct(cards, "citation")),
        training=_training_of_all(members),
        scores={},
        versions=_versions(),
    )
    network = card.build()
    for own, member in zip(network.members, members, strict=True):
        own.load_state_dict(member.network.state_dict())
    return Model(network.eval(), card, sha256="")


def _distinct(cards: Sequence[ModelCard], entry: str) -> list[str]:
    """Return what the cards say under an entry, each text once."""
    return list(dict.fromkeys(text for card in cards if (text := getattr(card, entry))))


def _training_of_all(members: Sequence[Model]) -> dict[str, Any]:
    def animals(member: Model, entry: str) -> list[str]:
        found = member.card.training.get(entry, [])
        return [str(animal) for animal in found] if isinstance(found, list) else []

    left_out = [animals(member, "left_out") for member in members]
    seen = {animal for member in members for animal in animals(member, "animals")}
    return {
        "members": [
            {"name": member.card.name, "sha256": member.sha256, "left_out": out}
            for member, out in zip(members, left_out, strict=True)
        ],
        "animals": sorted(seen),
        "left_out": sorted(set.intersection(*map(set, left_out)) - seen),
    }


def describe(model: str | Path | Model) -> str:
    """Return a model's card as Markdown, for people: ``IPython.display.Markdown(describe("sem"))``.

    Cards can come from strangers: what they say is shown as plain text, never as markup.

    Parameters
    ----------
    model : str, path or Model
        Name of a model that comes with axonlab, a model file, or a loaded model.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    card = model.card
    low, high = card.percentiles
    facts = {
        "Classes": card.classes,
        "Pixel size": f"{card.pixel_size:g} µm",
        "Distance of sections": f"{card.section_distance:g} µm" if card.section_distance else "",
        "Grey values": f"percentiles {low:g} and {high:g} of the image become 0 and 1",
        "Network": _network_text(model),
        "Temperature": card.temperature,
        "Licence": card.licence,
        "Citation": card.citation,
        "Versions": card.versions,
        "SHA-256 of the file": model.sha256,
    }
    sections = {
        f"# {markdown.plain(card.name)}": [
            markdown.plain(card.description),
            markdown.bullets(facts),
        ],
        "## Scores": _score_parts(card.scores),
        "## Training": [markdown.bullets(_with_end_of_curve(card.training))],
    }
    parts = [part for head, body in sections.items() if any(body) for part in (head, *body) if part]
    return "\n\n".join(parts) + "\n"


def _score_parts(scores: dict[str, Any]) -> list[str]:
    """Return a table for every score that is one, one of all that are a row, and a list."""
    rows = {key: value for key, value in scores.items() if isinstance(value, dict)}
    tables = {k: row for k, row in rows.items() if all(isinstance(v, dict) for v in row.values())}
    rows = {key: row for key, row in rows.items() if key not in tables}
    others = {key: value for key, value in scores.items() if key not in {**rows, **tables}}
    parts = [markdown.table(rows) if rows else "", markdown.bullets(others)]
    for key, table in list(tables.items())[:MAX_TABLES]:
        parts += [f"### {markdown.plain(key.replace('_', ' '))}", markdown.table(table)]
    return parts


def _network_text(model: Model) -> str:
    architecture = model.card.architecture
    kinds = [member["class"] for member in architecture.get("members", [])]
    members = f" of {len(kinds)} ({', '.join(dict.fromkeys(kinds))})" if kinds else ""
    parameters = sum(weights.numel() for weights in model.network.parameters())
    return f"{architecture['class']}{members}, {parameters:,} parameters"


def _with_end_of_curve(training: dict[str, Any]) -> dict[str, Any]:
    """Replace the curve, which is long, by its last values."""
    told = {key: value for key, value in training.items() if key != "curve"}
    if isinstance(curve := training.get("curve"), dict):
        told["end of the curve"] = {
            key: values[-1] for key, values in curve.items() if isinstance(values, list) and values
        }
    return told
