"""Models: files that come back as they went, files that must be refused, known reach."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_tensors
from torch import nn

from axonlab import models
from axonlab.models import Model, ModelCard, UNet, load_model, save_model

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURE = {"class": "UNet", "n_classes": 3, "features": (2, 4)}
CARD = ModelCard("tiny", ["background", "myelin", "axon"], 0.1, ARCHITECTURE)


def write(path: Path, card: Any, tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """Write a model file with any card."""
    weights = CARD.build().state_dict() if tensors is None else tensors
    path.write_bytes(save_tensors(weights, metadata={"card": json.dumps(card)}))
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a good model file."""
    return save_model(tmp_path / "tiny.safetensors", CARD.build(), CARD)


# --- files


def test_round_trip(tmp_path: Path) -> None:
    """A model comes back with the same weights, buffers, card and hash."""
    network = CARD.build()
    network(torch.rand(2, 1, 8, 8))  # moves the statistics of the batch norms
    card = replace(CARD, description="µm", training={"animals": ["a"]}, scores={"axon": 0.9})
    path = save_model(tmp_path / "deep" / "m.safetensors", network, card)
    model = load_model(path)
    assert isinstance(model, Model)
    assert model.card == card
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    wanted, found = network.state_dict(), model.network.state_dict()
    assert list(wanted) == list(found)
    assert all(
        torch.equal(wanted[k], found[k]) and wanted[k].dtype == found[k].dtype for k in wanted
    )


def test_loaded_network_is_for_inference_and_can_be_trained(saved: Path) -> None:
    """A loaded network is in eval mode; its weights are leaves that a training can move."""
    network = load_model(saved).network
    assert not any(module.training for module in network.modules())
    network.train()(torch.rand(1, 1, 8, 8)).sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    assert all(p.device.type == "cpu" and p.grad is not None for p in network.parameters())


def test_channels_last_and_half_precision_weights(tmp_path: Path) -> None:
    """Memory format and precision of the saved network do not change the loaded one."""
    network = CARD.build().to(memory_format=torch.channels_last).half()
    loaded = load_model(save_model(tmp_path / "m.safetensors", network, CARD)).network
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, network.state_dict()[key].to(value.dtype))
        assert value.dtype in (torch.float32, torch.int64)


def test_saving_again_is_refused(saved: Path) -> None:
    """A file is replaced only on demand."""
    before = saved.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_model(saved, CARD.build(), CARD)
    assert saved.read_bytes() == before
    save_model(saved, CARD.build(), CARD, overwrite=True)
    assert saved.read_bytes() != before


def test_saving_is_atomic(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash while writing leaves the old file and no litter."""

    def crash(handle: int) -> None:
        raise OSError("disk full")

    before = saved.read_bytes()
    monkeypatch.setattr("os.fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        save_model(saved, CARD.build(), CARD, overwrite=True)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_names_are_those_of_the_folder(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that come with axonlab are known by name, and a name wins over a folder."""
    monkeypatch.setattr(models, "WEIGHTS", saved.parent)
    assert models.names() == ["tiny"]
    assert load_model("tiny").card == CARD
    monkeypatch.setattr(models, "WEIGHTS", saved.parent / "nowhere")
    assert models.names() == []


@pytest.mark.parametrize("given", ["nonsense", "missing.safetensors", "", "."])
def test_unknown_models_are_named(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name or path that leads nowhere is repeated in the error."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"expected a \.safetensors file or one of"):
        load_model(given)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", [pickle.dumps, "torch"])
def test_pickles_are_refused_and_never_run(writer: Any, tmp_path: Path) -> None:
    """A pickle under the name of a model file runs no code."""
    path, trace = tmp_path / "evil.safetensors", tmp_path / "trace"
    if writer == "torch":
        torch.save({"model": Bomb(trace)}, path)
    else:
        path.write_bytes(writer(Bomb(trace)))
    with pytest.raises(ValueError, match="never opened") as error:
        load_model(path)
    assert str(path) in str(error.value)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Bomb(trace)))  # the bomb is live
    assert trace.exists()


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, -1])
def test_truncated_files_are_refused(kept: int, saved: Path) -> None:
    """A file that ends too early is named."""
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"tiny\.safetensors: not a model file"):
        load_model(saved)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**62, 2**63, 2**64 - 1])
def test_hostile_header_lengths_are_refused(length: int, saved: Path) -> None:
    """A header that claims any length takes neither memory nor time."""
    saved.write_bytes(struct.pack("<Q", length) + saved.read_bytes()[8:])
    with pytest.raises(ValueError, match=r"tiny\.safetensors: not a model file"):
        load_model(saved)


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"w": {"dtype": "X7", "shape": [1], "data_offsets": [0, 4]}},
        [],
        7,
    ],
)
def test_hostile_headers_are_refused(header: Any, tmp_path: Path) -> None:
    """Offsets, shapes and types are checked before anything is believed."""
    path, text = tmp_path / "m.safetensors", json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(ValueError, match=r"m\.safetensors: not a model file"):
        load_model(path)


def test_files_without_a_card_are_refused(tmp_path: Path) -> None:
    """Someone else's safetensors file is not a model of axonlab."""
    path = tmp_path / "m.safetensors"
    for metadata in (None, {"format": "pt"}):
        path.write_bytes(save_tensors(CARD.build().state_dict(), metadata=metadata))
        with pytest.raises(
            ValueError, match=r"m\.safetensors: not a model file .* with a model card"
        ):
            load_model(path)


BAD_CARDS: dict[str, Any] = {
    "unknown class": {"classes": ["background", "myelin", "glia"]},
    "classes of the wrong type": {"classes": 3},
    "classes that cannot be looked up": {"classes": [[], {}, []]},
    "fewer classes than outputs": {"classes": ["background", "axon"]},
    "pixel size zero": {"pixel_size": 0},
    "pixel size as text": {"pixel_size": "small"},
    "pixel size beyond float": {"pixel_size": 10**400},
    "percentiles reversed": {"percentiles": [99, 1]},
    "one percentile": {"percentiles": [1]},
    "unknown architecture": {"architecture": {"class": "os.system", "n_classes": 3}},
    "architecture of the wrong type": {"architecture": ["UNet"]},
    "architecture as text": {"architecture": "UNet"},
    "unhashable architecture": {"architecture": {"class": []}},
}


@pytest.mark.parametrize("change", BAD_CARDS.values(), ids=BAD_CARDS.keys())
def test_bad_cards_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """A card that makes no sense is an error that names the file."""
    path = write(tmp_path / "m.safetensors", asdict(CARD) | change)
    with pytest.raises(ValueError, match=r"m\.safetensors: not a model file"):
        load_model(path)


@pytest.mark.parametrize("card", [None, 3, "name", [], ["name"], {}, {"name": "x"}])
def test_cards_that_are_none_are_refused(card: Any, tmp_path: Path) -> None:
    """JSON that is no card is an error that names the file."""
    with pytest.raises(ValueError, match=r"m\.safetensors: not a model file"):
        load_model(write(tmp_path / "m.safetensors", card))


def test_deeply_nested_cards_are_refused(tmp_path: Path) -> None:
    """A card that would exhaust the parser's stack is an error that names the file."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(save_tensors(CARD.build().state_dict(), metadata={"card": "[" * 100_000}))
    with pytest.raises(ValueError, match=r"m\.safetensors: not a model file"):
        load_model(path)


BAD_NETWORKS: dict[str, Any] = {
    "other widths": {"features": [2, 8]},
    "more levels": {"features": [2, 4, 8]},
    "terabytes": {"features": [2, 10**7]},
    "beyond any integer": {"features": [2, 10**30]},
    "unknown argument": {"dropout": 0.5},
    "text for a number": {"in_channels": "one"},
    "a stride of zero": {"strides": [[0, 2]]},
    "three dimensions": {"strides": [[2, 2, 2]]},
    "mixed dimensions": {"features": [2, 4, 8], "strides": [[2, 2], [2, 2, 2]]},
    "one level": {"features": [2]},
    "no level": {"features": []},
}


@pytest.mark.parametrize("change", BAD_NETWORKS.values(), ids=BAD_NETWORKS.keys())
def test_networks_that_do_not_fit_the_weights_are_refused(
    change: dict[str, Any], tmp_path: Path
) -> None:
    """An architecture that is not the one of the weights takes no memory and names the file."""
    card = asdict(CARD) | {"architecture": ARCHITECTURE | change}
    path = write(tmp_path / "m.safetensors", card)
    with pytest.raises(ValueError, match=r"m\.safetensors: the weights do not fit the model card"):
        load_model(path)


@pytest.mark.parametrize("fault", ["extra", "missing", "shape", "type"])
def test_tensors_that_do_not_fit_are_refused(fault: str, tmp_path: Path) -> None:
    """Extra, missing or other tensors name the file and the tensor."""
    tensors = dict(CARD.build().state_dict())
    if fault == "extra":
        tensors["head.more"] = torch.zeros(1)
    elif fault == "missing":
        del tensors["head.bias"]
    elif fault == "shape":
        tensors["head.bias"] = torch.zeros(4)
    else:
        tensors["head.bias"] = torch.zeros(3, dtype=torch.int32)
    path = write(tmp_path / "m.safetensors", asdict(CARD), tensors)
    with pytest.raises(ValueError, match=r"m\.safetensors: the weights do not fit (.|\n)*head\."):
        load_model(path)


def test_cards_are_checked_when_they_are_made() -> None:
    """What no file can hold is refused before a training, not after."""
    with pytest.raises(TypeError, match="JSON"):
        replace(CARD, training={"folder": Path("here")})
    with pytest.raises(ValueError, match="glia"):
        replace(CARD, classes=["background", "glia", "axon"])
    with pytest.raises(ValueError, match=r"2 classes .* n_classes=3"):
        replace(CARD, classes=["background", "axon"])


def test_card_of_the_future_is_read(tmp_path: Path) -> None:
    """A card with entries that this version does not know still loads."""
    path = write(tmp_path / "m.safetensors", asdict(CARD) | {"colour": "blue"})
    assert load_model(path).card == CARD


# --- the U-Net's stride and halo

NETWORKS: list[tuple[tuple[int, ...], tuple[tuple[int, ...], ...] | None]] = [
    ((1, 1), None),
    ((1, 1, 1), None),
    ((1, 1, 1, 1), None),
    ((1, 1, 1), ((2, 1), (1, 2))),
    ((1, 1, 1), ((3, 2), (2, 4))),
    ((1, 1), ((2, 2, 2),)),
    ((1, 1, 1), ((1, 2, 2), (2, 2, 2))),
    ((1, 1, 1, 1), ((1, 2, 2), (1, 2, 2), (2, 2, 2))),
]


def linear(network: UNet) -> UNet:
    """Make every path through a network count: no path is cut by a maximum or a sign."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d | nn.MaxPool3d):
                average = nn.AvgPool2d if isinstance(child, nn.MaxPool2d) else nn.AvgPool3d
                setattr(parent, name, average(child.kernel_size))
    with torch.no_grad():
        for weights in network.parameters():
            weights.fill_(1)
    return network.eval().double()


@pytest.mark.parametrize(("features", "strides"), NETWORKS)
def test_stride_and_halo_against_brute_force(
    features: tuple[int, ...], strides: tuple[tuple[int, ...], ...] | None
) -> None:
    """Gradients show which inputs reach an aligned block: all within the halo, which is tight."""
    network = UNet(1, features=features, strides=strides)
    steps = strides or ((2, 2),) * (len(features) - 1)
    stride = tuple(int(torch.tensor(s).prod()) for s in zip(*steps, strict=True))
    assert network.stride == stride
    network = linear(network)
    for axis, (step, halo) in enumerate(zip(stride, network.halo, strict=True)):
        assert halo % step == 0
        # one axis at a time; the others as short as they can be
        shape = list(stride)
        shape[axis] = 2 * halo + 3 * step
        x = torch.ones(1, 1, *shape, dtype=torch.double, requires_grad=True)
        first = halo + step
        network(x).narrow(axis + 2, first, step).sum().backward()
        assert x.grad is not None
        others = tuple(i for i in range(x.ndim) if i != axis + 2)
        reached = torch.nonzero(x.grad.abs().sum(others)).flatten()
        context = max(first - int(reached.min()), int(reached.max()) - (first + step - 1))
        assert halo - step < context <= halo


@pytest.mark.parametrize(("features", "strides"), NETWORKS)
def test_sizes_are_kept(
    features: tuple[int, ...], strides: tuple[tuple[int, ...], ...] | None
) -> None:
    """An input whose sides are multiples of the stride comes out at its size."""
    network = UNet(4, in_channels=2, features=features, strides=strides).eval()
    shape = [2 * s for s in network.stride]
    assert network(torch.rand(1, 2, *shape)).shape == (1, 4, *shape)


@pytest.mark.parametrize(
    ("features", "strides"),
    [((2,), None), ((2, 4), ((2,),)), ((2, 4), ((2, 2), (2, 2))), ((2, 4), ((2, 2, 2, 2),))],
)
def test_impossible_networks_are_refused(
    features: tuple[int, ...], strides: tuple[tuple[int, ...], ...] | None
) -> None:
    """The number of strides and their axes are checked."""
    with pytest.raises(ValueError, match="levels need"):
        UNet(2, features=features, strides=strides)
