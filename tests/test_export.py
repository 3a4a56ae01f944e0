"""Export: what other programs compute is what axonlab computes, and packages are valid."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from axonlab import export
from axonlab.micrograph import Micrograph, intensity_range, normalise
from axonlab.models import Model, ModelCard, ensemble
from axonlab.segment import predict

pytestmark = pytest.mark.usefixtures("one_thread")

CARD = ModelCard(
    "µ/tiny",
    ["background", "myelin", "unmyelinated axon"],
    0.137,
    {"class": "UNet", "n_classes": 3, "features": (3, 4, 5)},
    temperature=1.7,
    percentiles=(2.0, 98.0),
    description="Nerves",
    licence="CC-BY-4.0",
    citation="One 2020, doi:10.1038/s41598-018-22181-4; Two 2021 (https://doi.org/10.1000/182).",
)


def random_model(seed: int = 0, card: ModelCard = CARD) -> Model:
    """Return a model with random weights and statistics, in training mode as after a training."""
    torch.manual_seed(seed)
    network = card.build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    nn.init.normal_(network.head.weight, std=2)
    return Model(network.train(), card, sha256="f" * 64)


def probabilities_of(model: Model, batch: torch.Tensor) -> np.ndarray:
    """Return what torch computes."""
    with torch.inference_mode():
        logits = model.network.eval()(batch)
    return (logits / model.card.temperature).softmax(1).numpy()


# --- ONNX


@pytest.mark.parametrize("kind", ["one", "ensemble", "uneven strides"])
def test_onnx_runtime_equals_torch(kind: str, tmp_path: Path) -> None:
    """At any size and batch, with temperature and softmax, not only at those it was traced with."""
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = random_model()
    if kind == "ensemble":
        joined = ensemble([model, random_model(1)], "two")
        model = replace(joined, card=replace(joined.card, temperature=0.6))
    elif kind == "uneven strides":
        strides = CARD.architecture | {"strides": [[3, 2], [1, 4]]}
        model = random_model(2, replace(CARD, architecture=strides))
    session = onnxruntime.InferenceSession(export.to_onnx(model, tmp_path / "new" / "m.onnx"))
    rows, columns = model.network.stride
    for batch, n in ((1, 1), (1, 6), (3, 7)):
        x = torch.rand(batch, 1, n * rows, (n + 2) * columns)
        (found,) = session.run(["probabilities"], {"pixels": x.numpy()})
        np.testing.assert_allclose(found, probabilities_of(model, x), rtol=0, atol=1e-4)


def test_onnx_file_carries_the_card(tmp_path: Path) -> None:
    """The card comes back from the file's metadata; the network stays as it was."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    model = random_model()
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    path = export.to_onnx(model, tmp_path / "m.onnx")
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    told = {entry.key: entry.value for entry in proto.metadata_props}
    assert ModelCard(**json.loads(told["card"])) == CARD
    assert told["model_sha256"] == model.sha256
    assert model.network.training
    assert all(torch.equal(value, before[key]) for key, value in model.network.state_dict().items())
    with pytest.raises(FileExistsError, match="overwrite=True"):
        export.to_onnx(model, path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("module", "extra"),
    [("onnx", "onnx"), ("onnxscript", "onnx"), ("bioimageio.spec", "bioimageio")],
)
def test_missing_extras_are_told(
    module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a library is not installed, the error says what to install, and nothing is written."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'{module}, .*pip install "axonlab\[{extra}\]"'):
        if extra == "onnx":
            export.to_onnx(random_model(), tmp_path / "m.onnx")
        else:
            package(tmp_path / "m.zip")
    assert not list(tmp_path.iterdir())


# --- bioimage.io


def package(
    path: Path, model: Model | None = None, shape: tuple[int, int] = (310, 400), **options: Any
) -> Path:
    """Write a package with a micrograph of random grey values."""
    grey = np.random.default_rng(0).random(shape, np.float32) * 200 + 30
    options = {"authors": ["Ada Person", "Bo Person"]} | options
    return export.to_bioimageio(
        model or random_model(), path, Micrograph(grey, 0.1, "slide"), **options
    )


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package."""
    pytest.importorskip("bioimageio.spec", reason="the extra bioimageio is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    return package(tmp_path_factory.mktemp("package") / "m.zip")


def test_package_is_valid(packaged: Path) -> None:
    """bioimageio.spec's own validation passes, with all files, and nothing is left to warn of."""
    import bioimageio.spec as spec

    with spec.ValidationContext(perform_io_checks=True):
        description = spec.load_model_description(packaged)
    summary = description.validation_summary
    assert summary.status in ("valid-format", "passed")
    assert not summary.errors
    assert {warning.loc[-1] for warning in summary.warnings} <= {"sample_tensor"}
    assert [author.name for author in description.authors] == ["Ada Person", "Bo Person"]
    assert description.license == "CC-BY-4.0"
    assert [str(entry.doi) for entry in description.cite] == [
        "10.1038/s41598-018-22181-4",
        "10.1000/182",
    ]
    names = description.outputs[0].axes[1].channel_names
    assert names == ["background", "myelin", "unmyelinated_axon"]


def test_package_describes_axes_and_halo(packaged: Path) -> None:
    """Tiles of the smallest size with the halo cut off leave one step; axes have their unit."""
    import bioimageio.spec as spec

    description = spec.load_model_description(packaged)
    network = CARD.build()
    for axis in range(2):
        given, made = description.inputs[0].axes[axis + 2], description.outputs[0].axes[axis + 2]
        assert given.size.step == network.stride[axis]
        assert given.size.min - 2 * made.halo == network.stride[axis]
        assert made.halo == network.halo[axis]
        assert (given.unit, given.scale) == (made.unit, made.scale) == ("nanometer", 137)
        sizes = [given.size.get_size(n) for n in range(2000)]
        assert [made.size.get_size(made, given, n) for n in range(2000)] == sizes


def test_test_tensors_are_what_the_description_says(packaged: Path) -> None:
    """Percentiles, ONNX file and test arrays fit each other, and fit axonlab's own prediction."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    import bioimageio.spec as spec

    content = zipfile.ZipFile(packaged)
    given, wanted = (np.load(BytesIO(content.read(f"{n}.npy"))) for n in ("input", "output"))
    scaling = spec.load_model_description(packaged).inputs[0].preprocessing[1].kwargs
    assert (scaling.min_percentile, scaling.max_percentile) == CARD.percentiles
    low, high = np.percentile(given, CARD.percentiles)
    seen = ((given - low) / (high - low + scaling.eps)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(content.read("model.onnx")).run(None, {"pixels": seen})
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
    plane = given[0, 0]
    own = normalise(plane, *intensity_range(plane, CARD.percentiles))
    ours = predict(random_model().network, own, temperature=CARD.temperature)
    assert np.abs(ours - wanted[0]).mean() < 0.01  # bfloat16 on some machines


def test_package_has_a_cover_and_a_documentation(packaged: Path) -> None:
    """The cover is small and twice as wide as high; the documentation is the card, plus advice."""
    content = zipfile.ZipFile(packaged)
    cover = Image.open(BytesIO(content.read("cover.png")))
    assert cover.width == 2 * cover.height
    assert content.getinfo("cover.png").file_size < 500_000
    text = content.read("README.md").decode()
    assert "Nerves" in text
    assert "0.137 µm" in text
    assert "## Validation" in text


@pytest.mark.parametrize("shape", [(1, 1), (5, 900), (700, 650)])
def test_example_has_the_size_a_network_needs(shape: tuple[int, int]) -> None:
    """Small images are mirrored, large ones cut to their middle."""
    model = random_model()
    grey = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found = export._example(model, Micrograph(grey, CARD.pixel_size))
    assert found.shape == (256, 256)
    assert found.flags.c_contiguous
    if min(shape) > 256:
        start = [(n - 256) // 2 for n in shape]
        assert np.array_equal(found, grey[start[0] :, start[1] :][:256, :256])


def test_packages_that_cannot_be_are_refused(tmp_path: Path) -> None:
    """A licence nobody knows, another kind of file, no authors and names that are no names."""
    pytest.importorskip("bioimageio.spec", reason="the extra bioimageio is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    for licence in ("", "free", "MIT; CC-BY-4.0"):
        model = random_model(card=replace(CARD, licence=licence))
        with pytest.raises(ValueError, match=rf"'{licence}', expected an identifier of .*spdx"):
            package(tmp_path / "m.zip", model)
    with pytest.raises(ValueError, match=r"m\.tar: a package for bioimage\.io is a \.zip file"):
        package(tmp_path / "m.tar")
    with pytest.raises(ValueError, match="no authors"):
        package(tmp_path / "m.zip", authors=[])
    with pytest.raises(ValueError, match="a/b"):
        package(tmp_path / "m.zip", authors=["a/b"])
    (tmp_path / "m.zip").touch()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        package(tmp_path / "m.zip")


def test_hostile_cards_make_packages(tmp_path: Path) -> None:
    """Long names, markup and citations without a DOI do no harm."""
    spec = pytest.importorskip("bioimageio.spec", reason="the extra bioimageio is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    text = "<script>../..\n" * 100
    card = replace(CARD, name=text, description=text, citation="By nobody")
    path = package(tmp_path / "m.zip", random_model(card=card))
    description = spec.load_model_description(path)
    assert len(description.name) <= 64
    assert description.cite == []
    assert "<" not in zipfile.ZipFile(path).read("README.md").decode()
    assert asdict(card)["name"] == text
