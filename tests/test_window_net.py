"""The network of windows: one by one and all at once, its reach, files, tiles, and ensembles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from axonlab.micrograph import MEMBRANE_CLASSES, Micrograph, check_labels
from axonlab.models import Model, ModelCard, ensemble, load_model, save_model
from axonlab.networks import ARCHITECTURES
from axonlab.segment import predict, segment
from axonlab.window_net import WindowNet

pytestmark = pytest.mark.usefixtures("one_thread")

VARIANTS = [(95, False), (65, False), (95, True), (65, True)]
SMALL = {"maps": 4, "hidden": 6}


def network(window: int = 95, foveated: bool = False, **changes: int) -> WindowNet:
    """Return a small network with random weights."""
    torch.manual_seed(0)
    return WindowNet(2, window=window, foveated=foveated, **(SMALL | changes)).eval()


def dilated(net: WindowNet, x: torch.Tensor) -> torch.Tensor:
    """Apply a network without fovea by its definition as a dilated one."""
    step = 1
    for layer in net.convolutions:
        x = functional.conv2d(x, layer.weight, layer.bias, dilation=step)
        x = functional.max_pool2d(x, 2, stride=1, dilation=step).relu()
        step *= 2
    x = functional.conv2d(x, net.hidden.weight, net.hidden.bias, dilation=step).relu()
    return net.head(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("window", "foveated"), VARIANTS)
def test_whole_image_equals_window_by_window(
    window: int, foveated: bool, dtype: torch.dtype
) -> None:
    """Every pixel of an image has the logits of the window around it in the mirrored image."""
    net = network(window, foveated).to(dtype)
    rng = np.random.default_rng(1)
    images = rng.random((2, 1, 61, 77))
    with torch.inference_mode():
        logits = net(torch.from_numpy(images).to(dtype))
        assert logits.shape == (2, 2, 61, 77)
        reach = net.halo[0]
        padded = np.pad(images, [(0, 0), (0, 0), (reach, reach), (reach, reach)], mode="reflect")
        corners = [(0, 0), (60, 76), (60, 0), *rng.integers(0, 61, (30, 2)).tolist()]
        cut = [padded[..., y : y + net.window, x : x + net.window] for y, x in corners]
        single = net.classify_windows(torch.from_numpy(np.concatenate(cut)).to(dtype))
        found = torch.cat([logits[..., y, x] for y, x in corners])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found, single, rtol=0, atol=tolerance)
    assert single.std(0).min() > 100 * tolerance  # windows differ


@pytest.mark.parametrize("window", [95, 65])
@settings(max_examples=4)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_whole_image_equals_the_dilated_network(window: int, height: int, width: int) -> None:
    """Parts of an image and dilated layers are two ways to write one network, for any size."""
    net = network(window).double()
    x = torch.rand(1, 1, height + window - 1, width + window - 1, dtype=torch.double)
    with torch.inference_mode():
        torch.testing.assert_close(net(x, context=window // 2), dilated(net, x), rtol=0, atol=1e-12)


def test_n4_as_published() -> None:
    """N4 has the layers of its table, and so many weights."""
    net = WindowNet(2)
    assert [tuple(layer.weight.shape) for layer in net.convolutions] == [
        (48, 1, 4, 4),
        (48, 48, 5, 5),
        (48, 48, 4, 4),
        (48, 48, 4, 4),
    ]
    assert net.hidden.weight.shape == (200, 48, 3, 3)
    assert net.head.weight.shape == (2, 200, 1, 1)
    assert (net.window, net.stride, net.halo) == (95, (1, 1), (47, 47))


@pytest.mark.parametrize(("window", "foveated"), VARIANTS)
def test_reach_is_the_halo(window: int, foveated: bool) -> None:
    """Within the halo pixels count, beyond it none does."""
    net = network(window, foveated, maps=12, hidden=16)
    side = net.window + 2
    middle, reach = side // 2, net.halo[0]
    x = torch.rand(side, side)
    edges = [middle - reach - 1, middle + reach + 1, middle - reach, middle + reach]
    changed = x.repeat(5, 1, 1)
    for one, edge in zip(changed[1:], edges, strict=True):
        one[edge] += 9 * torch.rand(side)
    with torch.inference_mode():
        logits = net(changed[:, None, :, 1:-1])[:, :, middle, middle - 1]
    same = (logits[1:] - logits[0]).abs().amax(1) < 1e-6
    assert same.tolist() == [True, True, False, False]


@pytest.mark.parametrize("window", [95, 65])
def test_periphery_of_the_fovea_is_blurred(window: int) -> None:
    """A chequerboard around the centre counts less than one in it, compared to no fovea."""
    rng = np.random.default_rng(4)
    change = {}
    for foveated in (False, True):
        net = network(window, foveated, maps=16, hidden=20).double()
        base = rng.random((10, 1, net.window, net.window))
        rows, columns = np.abs(np.indices(base.shape[2:]) - net.window // 2)
        noise = (rows + columns) % 2 - 0.5  # as fine as can be
        is_far = np.maximum(rows, columns) > 3 * window // 8
        windows = np.concatenate([base, base + noise * is_far, base + noise * ~is_far])
        with torch.inference_mode():
            logits, far, near = net.classify_windows(torch.from_numpy(windows)).chunk(3)
        noises = [(changed - logits).std().item() for changed in (far, near)]
        change[foveated] = noises[0] / noises[1]
    assert change[True] < 0.8 * change[False]


def test_context_replaces_the_mirror() -> None:
    """With as much of the image as is given around a patch, only the rest is mirrored."""
    net = network()
    image = torch.rand(1, 1, 150, 160)
    with torch.inference_mode():
        whole = net(image)
        part = net(image[..., :100, :110], context=47)
    torch.testing.assert_close(part, whole[..., 47:53, 47:63], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("window", "foveated"), VARIANTS)
@pytest.mark.parametrize("shape", [(30, 41), (70, 61)])
def test_tiles_equal_the_whole(window: int, foveated: bool, shape: tuple[int, int]) -> None:
    """`predict` gives the same probabilities in any tiles, also of images below the window."""
    net = network(window, foveated)
    pixels = np.random.default_rng(2).random(shape, dtype=np.float32)
    whole, tiled = predict(net, pixels), predict(net, pixels, tile=40)
    np.testing.assert_allclose(tiled, whole, atol=2e-2)  # bfloat16 on some machines
    assert np.abs(tiled - whole).mean() < 1e-3


def test_files_and_ensembles(tmp_path: Path) -> None:
    """A file gives the same network back; two of them, of different windows, vote."""
    models = []
    pixels = np.random.default_rng(3).random((40, 50), dtype=np.float32)
    for window, foveated in ((95, False), (65, True)):
        arguments = {"window": window, "foveated": foveated, **SMALL}
        architecture = {"class": "WindowNet", "n_classes": 2, **arguments}
        assert ARCHITECTURES["WindowNet"] is WindowNet
        card = ModelCard("n", ["membrane", "interior"], 0.004, architecture)
        net = network(window, foveated)
        path = save_model(tmp_path / f"{window}.safetensors", net, card)
        model = load_model(path)
        assert isinstance(model, Model)
        np.testing.assert_array_equal(predict(model.network, pixels), predict(net, pixels))
        models.append(model)
    both = ensemble(models, "both")
    assert both.network.halo == (47, 47)
    mean = sum(predict(model.network, pixels) for model in models) / 2
    np.testing.assert_allclose(predict(both.network, pixels), mean, atol=1e-2)


def test_segmentation_of_membranes_is_no_label_image_of_nerves() -> None:
    """`segment` resamples and gives probabilities; what reads labels of nerves refuses the ids."""
    architecture = {"class": "WindowNet", "n_classes": 2, "window": 65, **SMALL}
    card = ModelCard("n", ["membrane", "interior"], 0.004, architecture)
    pixels = np.random.default_rng(5).random((40, 44))
    found = segment(Micrograph(pixels, 0.0046), Model(network(65), card, ""))
    assert found.probabilities.shape == (2, 40, 44)
    assert set(np.unique(found.labels)) <= set(MEMBRANE_CLASSES.values())
    with pytest.raises(ValueError, match="unknown ids"):
        check_labels(found.labels, "membranes")


@pytest.mark.parametrize("classes", [["interior", "membrane"], ["membrane", "axon"], ["cell", "x"]])
def test_classes_of_membranes_are_a_pair(classes: list[str]) -> None:
    """They come in one order, and not with those of nerves."""
    with pytest.raises(ValueError, match=r"unknown classes.*\['membrane', 'interior'\]"):
        ModelCard("n", classes, 0.004, {"class": "WindowNet", "n_classes": 2})


@pytest.mark.parametrize("window", [0, 64, 97])
def test_other_windows_are_refused(window: int) -> None:
    """Only windows that the layers fit exactly have a network."""
    with pytest.raises(ValueError, match=r"window of .*expected one of \[95, 65\]"):
        WindowNet(2, window=window)


def test_windows_of_another_size_are_refused() -> None:
    """A window is as large as the network says."""
    with pytest.raises(ValueError, match="expected 95 by 95"):
        network().classify_windows(torch.zeros(1, 1, 94, 95))
