"""Models: files that come back as they went, files that must be refused, known reach."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import struct
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from markdown_it import MarkdownIt
from safetensors.torch import save as save_tensors
from torch import nn

from axonlab import models
from axonlab.models import Model, ModelCard, describe, ensemble, load_model, save_model

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
    (saved.parent / "volumes").mkdir()
    saved.rename(saved.parent / "volumes" / saved.name)
    assert models.names() == [] and models.volume_names() == ["tiny"]
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
    "temperature zero": {"temperature": 0},
    "negative temperature": {"temperature": -1},
    "temperature that is no number": {"temperature": math.nan},
    "infinite temperature": {"temperature": math.inf},
    "temperature that would overflow": {"temperature": 1e-40},
    "temperature beyond float": {"temperature": 10**400},
    "temperature as text": {"temperature": "hot"},
    "no temperature": {"temperature": None},
    "a number for a name": {"name": 7},
    "no description": {"description": None},
    "a list of licences": {"licence": ["MIT"]},
    "training as a list": {"training": ["8 images"]},
    "scores as text": {"scores": "good"},
    "no versions": {"versions": None},
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


ENSEMBLE = {"class": "Ensemble", "n_classes": 3}

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
    "levels without end": {"features": [1] * 100_000},
    "an ensemble without members": {"class": "Ensemble"},
    **{
        f"an ensemble of {what}": ENSEMBLE | {"members": members}
        for what, members in {
            "none": [],
            "one": [ARCHITECTURE],
            "very many": [ARCHITECTURE] * 100_000,
            "a number": 10**12,
            "texts": ["UNet", "UNet"],
            "a table": {"UNet": 1, "ResNetUNet": 2},
            "unknown networks": [ARCHITECTURE | {"class": "os.system"}] * 2,
            "nameless networks": [{"n_classes": 3}] * 2,
            "ensembles": [ENSEMBLE | {"members": [ARCHITECTURE] * 2}] * 2,
            "other classes": [ARCHITECTURE, ARCHITECTURE | {"n_classes": 4}],
            "terabytes": [ARCHITECTURE | {"features": [2, 10**7]}] * 2,
            "two and three dimensions": [ARCHITECTURE, ARCHITECTURE | {"strides": [[2, 2, 2]]}],
        }.items()
    },
}


@pytest.mark.parametrize("change", BAD_NETWORKS.values(), ids=BAD_NETWORKS.keys())
def test_networks_that_do_not_fit_the_weights_are_refused(
    change: dict[str, Any], tmp_path: Path
) -> None:
    """An architecture that is not the one of the weights takes no memory and names the file."""
    card = asdict(CARD)
    card["architecture"] = change if "members" in change else ARCHITECTURE | change
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


def test_cards_without_a_temperature_are_read(saved: Path) -> None:
    """Files from before there were temperatures mean 1."""
    card = asdict(CARD)
    del card["temperature"]
    assert load_model(write(saved, card)).card.temperature == 1
    assert load_model(write(saved, card | {"temperature": 2})).card.temperature == 2


def test_numbers_on_a_card_are_numbers(saved: Path) -> None:
    """A pixel size and a temperature written as text are read as what they say."""
    card = load_model(write(saved, asdict(CARD) | {"pixel_size": "0.1", "temperature": "2"})).card
    assert (card.pixel_size, card.temperature) == (0.1, 2.0)


# --- ensembles


def member(name: str = "a", features: tuple[int, ...] = (2, 4), **changes: Any) -> Model:
    """Return a model with random weights that could have been read from a file."""
    architecture = {"class": "UNet", "n_classes": 3, "features": features}
    card = replace(CARD, name=name, architecture=architecture, **changes)
    return Model(card.build().eval(), card, sha256=name * 64)


def test_ensemble_is_the_mean_of_its_members(tmp_path: Path) -> None:
    """Written and read back, an ensemble gives the mean of the probabilities of its members."""
    members = [member("a"), member("b", (3, 4, 5)), member("c")]
    path = save_model(tmp_path / "m.safetensors", *both(ensemble(members, "three")))
    loaded = load_model(path)
    assert loaded.card.name == "three"
    assert loaded.network.stride == (4, 4)
    x = torch.rand(2, 1, 16, 24)
    with torch.inference_mode():
        wanted = torch.stack([m.network(x).softmax(1) for m in members]).mean(0)
        torch.testing.assert_close(loaded.network(x).softmax(1), wanted, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(loaded.network(x).exp(), wanted, rtol=1e-5, atol=1e-6)


def both(model: Model) -> tuple[nn.Module, ModelCard]:
    """Return what `save_model` takes."""
    return model.network, model.card


def test_ensemble_copies_its_members() -> None:
    """Training an ensemble leaves the models alone it was made of."""
    first = member("a")
    before = {key: value.clone() for key, value in first.network.state_dict().items()}
    joined = ensemble([first, member("b")], "two")
    with torch.no_grad():
        for weights in joined.network.parameters():
            weights.zero_()
    assert all(torch.equal(value, before[key]) for key, value in first.network.state_dict().items())


def test_card_of_an_ensemble_names_its_members() -> None:
    """It tells files and animals; what one member has seen is not left out by the ensemble."""
    about = {"description": "Nerves", "licence": "MIT"}
    folds = {"a": ["1", "9"], "b": ["2", "9"]}
    members = [
        member(
            name,
            citation=f"Paper {name}",
            temperature=2.0,
            training={"left_out": out, "animals": [a for a in "123" if a not in out]},
            **about,
        )
        for name, out in folds.items()
    ]
    card = ensemble(members, "two").card
    assert card.training == {
        "members": [
            {"name": "a", "sha256": "a" * 64, "left_out": ["1", "9"]},
            {"name": "b", "sha256": "b" * 64, "left_out": ["2", "9"]},
        ],
        "animals": ["1", "2", "3"],
        "left_out": ["9"],
    }
    assert card.temperature == 1
    assert card.scores == {}
    assert card.licence == "MIT"
    assert card.citation == "Paper a; Paper b"
    assert card.description == "Ensemble of 2 models. Nerves"


@pytest.mark.parametrize("told", [{}, {"left_out": 3}, {"animals": None, "left_out": [[], 2]}])
def test_members_that_tell_nothing_or_nonsense(told: dict[str, Any]) -> None:
    """Animals that are not told leave none that the ensemble can claim to have left out."""
    members = [member("a", training=told), member("b", training={"left_out": ["1"]})]
    assert ensemble(members, "two").card.training["left_out"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["background", "axon", "myelin"]}, "differ in classes"),
        ({"pixel_size": 0.2}, r"differ in pixel_size, \[0\.1, 0\.2\]"),
        ({"percentiles": (0, 100)}, "differ in percentiles"),
        ({"architecture": ARCHITECTURE | {"in_channels": 2}}, "differ in in_channels"),
    ],
)
def test_models_that_do_not_go_together_are_refused(change: dict[str, Any], message: str) -> None:
    """Members agree on what they see and what they answer, and the error says on what not."""
    other = replace(CARD, **change)
    with pytest.raises(ValueError, match=message):
        ensemble([member(), Model(other.build(), other, "")], "two")


def test_ensembles_have_several_members_and_no_ensembles() -> None:
    """None, one, too many and ensembles of ensembles are refused."""
    pair = ensemble([member("a"), member("b")], "two")
    with pytest.raises(ValueError, match="no members"):
        ensemble([], "none")
    with pytest.raises(ValueError, match="1 members, expected 2 to"):
        ensemble([member()], "one")
    with pytest.raises(ValueError, match="33 members, expected 2 to"):
        ensemble([member()] * 33, "many")
    with pytest.raises(ValueError, match="is an ensemble itself"):
        ensemble([pair, member()], "nested")


# --- descriptions

TAGS = {
    "h1",
    "h2",
    "h3",
    "p",
    "ul",
    "li",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "hr",
}


class Page(HTMLParser):
    """What a browser would make of HTML: its tags and the text it shows."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note a tag, and any attribute as another one."""
        self.tags |= {tag, *(key for key, _ in attrs)}

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


def test_description_tells_the_card(saved: Path) -> None:
    """By path, name or model: classes, sizes, data, scores, parameters and hash are told."""
    card = replace(
        CARD,
        description="Nerves in SEM",
        licence="CC-BY-4.0",
        citation="Somebody 2020",
        temperature=1.25,
        training={"animals": ["r1", "r2"], "left_out": ["r3"], "curve": {"loss": [7.5, 0.25]}},
        scores={"image_1": {"axon": 0.91234, "myelin": 1}, "image_2": {"iou": 0.5}, "mean": 0.7},
    )
    save_model(saved, card.build(), card, overwrite=True)
    text = describe(saved)
    assert text == describe(load_model(saved))
    page = Page(text)
    assert page.tags <= TAGS
    parameters = sum(weights.numel() for weights in card.build().parameters())
    told = ["tiny", "Nerves in SEM", "background, myelin, axon", "0.1 µm", "percentiles 1 and 99"]
    told += ["Temperature: 1.25", "CC-BY-4.0", "Somebody 2020", "r1, r2", "left out: r3", "0.9123"]
    told += [
        "image_2",
        "iou",
        "mean: 0.7",
        f"UNet, {parameters} parameters",
        "loss: 0.25",
        "axonlab: ",
    ]
    assert [word for word in [*told, load_model(saved).sha256] if word not in page.text] == []
    assert "7.5" not in text


def test_description_of_an_ensemble_tells_its_members() -> None:
    """How many networks of which kinds, and which files they come from."""
    text = Page(describe(ensemble([member("a"), member("b")], "two"))).text
    assert "Ensemble of 2 (UNet)" in text
    assert "b" * 64 in text


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://example.org/pixel.png)",
    "<https://example.org>",
    "`code` **bold** _it_ ~~s~~",
    "a | b |\n|---|---|\n| c | d |",
    "end\n\n<iframe src=x>\n\n# more",
    "$\\href{javascript:alert(1)}{x}$",
    "&lt;b&gt;",
    "\u202eevil \ud800 \x00",
    "```\nfence",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_cards_are_shown_and_not_run(text: str, tmp_path: Path) -> None:
    """Whatever a stranger writes, wherever, is text: no tag, link, picture or formula."""
    card = asdict(CARD) | {
        "name": text,
        "description": text,
        "licence": text,
        "citation": text,
        "training": {text: text, "left_out": {text: [text]}, "curve": {text: [text]}},
        "scores": {text: {text: text}, "x": text},
        "versions": {text: text},
    }
    path = write(tmp_path / "m.safetensors", card)
    described = describe(path)
    described.encode()
    page = Page(described)
    assert page.tags <= TAGS
    assert not set("<>$`\\") & set(described)
    shown = "".join(c for c in " ".join(text.split()) if c.isprintable())
    assert shown in page.text


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        math.nan,
        True,
        [],
        {},
        [[[[[[[]]]]]]],
        "x" * 10**6,
        {"a": {"b": {"c": {"d": {}}}}},
        list(range(10**5)),
        {str(i): {str(i): i} for i in range(3000)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_foreign_values_are_described(value: Any, tmp_path: Path) -> None:
    """Any JSON in what a card tells of training, scores and versions gives a text of some pages."""
    entries = {"curve": value, "left_out": value, "animals": value}
    card = {
        "training": entries,
        "scores": {"a": value, "b": {"c": value}},
        "versions": {"x": value},
    }
    text = describe(write(tmp_path / "m.safetensors", asdict(CARD) | card))
    assert Page(text).tags <= TAGS
    assert len(text) < 30_000


def test_scores_in_tables_are_described_as_tables() -> None:
    """Dice by animal and under hard conditions, and not without end."""
    by_animal = {"rat 1": {"axon": 0.91, "myelin": 0.8}, "all": {"axon": 0.9}}
    card = replace(CARD, scores={"dice": by_animal, "hard_conditions": {"blur +1": {"axon": 0.5}}})
    text = describe(Model(card.build(), card, ""))
    assert "### dice\n\n|  | axon | myelin |\n|---|---|---|\n| rat 1 | 0.91 | 0.8 |" in text
    assert "### hard conditions\n\n|  | axon |\n|---|---|\n| blur +1 | 0.5 |" in text
    card = replace(CARD, scores={str(i): by_animal for i in range(1000)})
    assert len(describe(Model(card.build(), card, ""))) < 10_000


def test_long_texts_are_cut() -> None:
    """A description without end does not fill the page."""
    card = replace(CARD, description="x" * 10**6)
    assert len(describe(Model(card.build(), card, ""))) < 10_000
