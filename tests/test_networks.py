"""Networks: known reach, kept sizes, and which of them are refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save as save_tensors
from torch import nn

from axonlab.networks import SIZES, Ensemble, UNet, anisotropic_strides, architecture, build

pytestmark = pytest.mark.usefixtures("one_thread")

# --- the U-Net
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


def test_residual_networks_reach_as_far() -> None:
    """The sum needs no weights and no context of its own, and takes part."""
    plain, other = (
        UNet(2, features=(2, 3), strides=((1, 2, 2),), residual=r) for r in (False, True)
    )
    other.load_state_dict(plain.state_dict())
    assert plain.halo == other.halo and plain.stride == other.stride
    x = torch.rand(1, 1, 3, 8, 8)
    assert not torch.allclose(plain(x), other(x))
    for first, second in zip(plain.down, other.down, strict=True):
        x = first(x) * 0 + second(x)  # of equal shapes
    inner = other.down[0]
    with torch.no_grad():
        inner[4].weight.zero_()  # of the norm after the second convolution: it adds nothing
    image = torch.rand(1, 1, 3, 8, 8)
    torch.testing.assert_close(inner(image), inner[2](inner[1](inner[0](image))))


def test_strides_for_voxels() -> None:
    """Sections are pooled from where voxels have become cubes, if they do."""
    assert anisotropic_strides((0.01, 0.01, 0.01), 3) == ((2, 2, 2),) * 2
    assert anisotropic_strides((0.05, 0.004, 0.004), 4) == ((1, 2, 2),) * 3
    assert anisotropic_strides((0.03, 0.01, 0.01), 3) == ((1, 2, 2), (2, 2, 2))


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


# --- sizes by name


@pytest.mark.parametrize("size", SIZES)
def test_named_sizes(size: str) -> None:
    """A name gives the architecture of a card; its file stays below what the repository takes."""
    description = architecture(size, 3)
    network = build(description)
    assert network.head.out_channels == 3
    assert len(save_tensors(network.state_dict())) < 20e6
    assert description["features"] == list(SIZES[size])


def test_sizes_grow() -> None:
    """Small has fewer weights than the default, which sees farther than both others."""
    small, default, wide = (build(architecture(size, 2)) for size in ("small", "default", "wide"))
    weights = [sum(p.numel() for p in n.parameters()) for n in (small, default, wide)]
    assert weights[0] < min(weights[1:])
    assert default.halo > small.halo == wide.halo


@pytest.mark.parametrize("size", ["huge", "", "UNet", "ResNet18"])
def test_unknown_sizes_are_refused(size: str) -> None:
    """A misspelt size is answered with the ones there are."""
    with pytest.raises(ValueError, match=r"expected one of \['small', .*'resnet18'\]"):
        architecture(size, 3)


# --- ensembles

SMALL, COARSE = ({"class": "UNet", "n_classes": 2, "features": f} for f in ([2, 3], [1, 2, 2, 3]))
UNEVEN = {"class": "UNet", "n_classes": 2, "features": [1, 2], "strides": [[3, 5]]}


def test_reach_of_an_ensemble_is_that_of_all_its_members() -> None:
    """Stride is the least common multiple, halo its smallest multiple that covers every halo."""
    network = Ensemble(2, [SMALL, COARSE, UNEVEN])
    assert network.stride == (24, 40)
    for axis in range(2):
        reach = max(member.halo[axis] for member in network.members)
        assert reach <= network.halo[axis] < reach + network.stride[axis]
        assert network.halo[axis] % network.stride[axis] == 0


def test_ensembles_are_stable() -> None:
    """Sure members give finite logs, in float32 from half precision, too."""
    network = Ensemble(2, [SMALL, SMALL]).eval()
    with torch.no_grad():
        for member, bias in zip(network.members, (1e4, -1e4), strict=True):
            for weights in member.parameters():
                weights.zero_()
            member.head.bias[:] = torch.tensor([bias, -bias])
    for dtype in (torch.float32, torch.bfloat16):
        logs = network.to(dtype)(torch.rand(1, 1, 4, 4, dtype=dtype))
        assert logs.dtype == torch.float32
        torch.testing.assert_close(logs.exp(), torch.full((1, 2, 4, 4), 0.5))


def test_ensembles_can_be_trained() -> None:
    """The loss reaches the weights of every member."""
    network = Ensemble(2, [SMALL, COARSE])
    target = torch.zeros(1, 16, 16, dtype=torch.long)
    nn.functional.cross_entropy(network(torch.rand(1, 1, 16, 16)), target).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
