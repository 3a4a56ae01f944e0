"""Objects: every axon gets the myelin that is its own, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from axonlab import io, objects
from axonlab.micrograph import UNLABELLED
from axonlab.object_scores import object_scores
from axonlab.objects import label_fibres
from axonlab.phantom import nerve

LABELS = arrays(
    np.uint8,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 1, 2, 3, UNLABELLED]),
)

Objects = NDArray[np.int32]


def label(labels: Any, **kwargs: Any) -> tuple[Objects, Objects]:
    """Label at 1 µm a pixel; digits in text are classes, a dot is background."""
    if isinstance(labels, str):
        labels = [[int(c.replace(".", "0")) for c in row] for row in labels.split()]
    axons, fibres = label_fibres(np.array(labels, np.uint8), pixel_size=1.0, **kwargs)
    check(axons, fibres)
    return axons, fibres


def check(axons: Objects, fibres: Objects) -> None:
    """Check what always holds: one type, ids without gaps and the same, axons within fibres."""
    assert axons.dtype == fibres.dtype == np.int32
    n = fibres.max()
    assert np.array_equal(np.unique(fibres[fibres > 0]), np.arange(1, n + 1))
    assert np.array_equal(np.unique(axons[axons > 0]), np.arange(1, n + 1))
    assert (fibres[axons > 0] == axons[axons > 0]).all()


def text(ids: Objects) -> str:
    """Write objects as digits."""
    return " ".join("".join(str(i) if i else "." for i in row) for row in ids)


def components(mask: NDArray[np.bool_]) -> Objects:
    """Number the components of a mask by flooding from each pixel, row by row."""
    found, n = np.zeros(mask.shape, np.int32), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if found[start]:
            continue
        n += 1
        waiting = [start]
        while waiting:
            y, x = waiting.pop()
            inside = 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]
            if inside and mask[y, x] and not found[y, x]:
                found[y, x] = n
                waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return found


CASES = {
    "one ring": ("..... .111. .121. .111. .....", "..... ..... ..1.. ..... .....", None),
    "nothing": ("... ...", "... ...", "... ..."),
    "a pixel": ("2", "1", "1"),
    "all axon": ("222 222", "111 111", "111 111"),
    "all myelin": ("111 111", "... ...", "... ..."),
    "axon without myelin": (".... .22. ....", ".... .11. ....", ".... .11. ...."),
    "myelin without axon": ("111.12", ".....1", "....11"),
    "axon at the border": ("2.1 2.1 .12", "1.. 1.. ..2", "1.2 1.2 .22"),
    "two rings apart": ("121.121", ".1...2.", "111.222"),
    "unmyelinated axons come last": ("33.121.3", "22..1..3", "22.111.3"),
    "unmyelinated axons have no myelin": ("312", "2.1", "211"),
    "unlabelled belongs to nobody": ("21" + "0" + "12", "1...2", "11.22"),
    "a diagonal line separates": (
        "22220 22202 22022 20222 02222",
        "1111. 111.2 11.22 1.222 .2222",
        "1111. 111.2 11.22 1.222 .2222",
    ),
    "corners do not join": ("2. .2", "1. .2", "1. .2"),
    "myelin at a corner is not the axon's": ("2. .1", "1. ..", "1. .."),
    "two axons in one sheath": ("1211121", ".1...2.", None),
}


@pytest.mark.parametrize(("labels", "axons", "fibres"), CASES.values(), ids=CASES.keys())
def test_cases_made_by_hand(labels: str, axons: str, fibres: str | None) -> None:
    """Small label images have the objects that anyone would draw."""
    found_axons, found_fibres = label(labels)
    assert text(found_axons) == axons
    if fibres is not None:
        assert text(found_fibres) == fibres
    else:
        wanted = np.array([[c in "12" for c in row] for row in labels.split()])
        assert np.array_equal(found_fibres > 0, wanted)


def test_unlabelled_pixels_separate() -> None:
    """255 is neither axon nor myelin."""
    axons, fibres = label([[2, 1, UNLABELLED, 1, 2]])
    assert axons.tolist() == [[1, 0, 0, 0, 2]]
    assert fibres.tolist() == [[1, 1, 0, 2, 2]]


@pytest.mark.parametrize("gap", [6, 7])
def test_touching_sheaths_are_divided_midway(gap: int, disc: Callable[..., Any]) -> None:
    """Myelin that two axons share goes to the nearer one."""
    shape, radius = (41, 60), 7
    centres = [(20, 18), (20, 18 + 2 * radius + gap)]
    labels = np.zeros(shape, np.uint8)
    for centre in centres:
        labels[disc(shape, centre, radius + 4)] = 1
    for centre in centres:
        labels[disc(shape, centre, radius)] = 2
    _, fibres = label(labels)
    assert fibres.max() == 2
    assert np.array_equal(fibres > 0, labels > 0)
    y, x = np.indices(shape)
    distance = [np.hypot(y - cy, x - cx) for cy, cx in centres]
    clear = (fibres > 0) & (np.abs(distance[0] - distance[1]) > 2)
    assert np.array_equal(fibres[clear], 1 + (distance[1] < distance[0])[clear])
    # the two are mirror images, to the pixels on the line between them
    areas = np.bincount(fibres.ravel())[1:]
    assert abs(int(areas[0]) - int(areas[1])) <= shape[0]


def test_two_axons_in_a_wide_sheath_are_divided_about_the_midline() -> None:
    """In a rectangle of myelin the border runs down its middle."""
    labels = np.ones((21, 40), np.uint8)
    labels[8:13, 5:10] = labels[8:13, 30:35] = 2
    _, fibres = label(labels)
    assert (fibres[:, :18] == 1).all()
    assert (fibres[:, 22:] == 2).all()


def test_shared_myelin_is_reached_through_myelin() -> None:
    """Each piece of a fibre hangs together, even where another axon is nearer across a gap."""
    labels = np.zeros((9, 30), np.uint8)
    labels[0], labels[8], labels[:, 0] = 1, 1, 1
    labels[0, 1], labels[8, 25], labels[2:7, 20] = 2, 2, 2
    axons, fibres = label(labels)
    for i in range(1, fibres.max() + 1):
        assert components(fibres == i).max() == 1
    assert fibres[0, 20] == axons[0, 1]


def test_a_stranger_nearby_changes_nothing() -> None:
    """How two axons divide their myelin does not depend on a third one that has no part in it."""
    labels = np.zeros((15, 31), np.uint8)
    labels[0:3], labels[:, 0:3], labels[:, 28:] = 1, 1, 1  # an arch
    labels[12:14, 1], labels[12:14, 29] = 2, 2
    _, alone = label(labels)
    labels[4:12, 4:14] = 2
    axons, fibres = label(labels)
    stranger = axons[8, 8]
    assert np.array_equal(fibres == stranger, axons == stranger)
    for y in (12, 13):
        assert np.array_equal(fibres == fibres[y, 1], alone == alone[y, 1])
        assert np.array_equal(fibres == fibres[y, 29], alone == alone[y, 29])


def test_small_axons_are_left_out() -> None:
    """Below the smallest diameter axons go with their myelin, of either kind."""
    labels = "121.1111.3.33 111.1221...33 ....1221...33"
    diameter = np.sqrt(4 * 4 / np.pi)
    everything, _ = label(labels)
    assert everything.max() == 4
    for least in (1.2, diameter - 1e-9):
        axons, fibres = label(labels, min_axon_diameter=least)
        assert np.bincount(axons.ravel())[1:].tolist() == [4, 6]
        assert not fibres[:, :3].any()
    axons, _ = label(labels, min_axon_diameter=diameter + 1e-9)
    assert np.bincount(axons.ravel())[1:].tolist() == [6]
    assert not label(labels, min_axon_diameter=100)[1].any()


def test_smallest_diameter_is_in_um() -> None:
    """The limit scales with the pixel size."""
    labels = np.array([[2, 0, 2, 2, 2, 2]], np.uint8)
    axons, _ = label_fibres(labels, pixel_size=0.1, min_axon_diameter=0.2)
    assert axons.tolist() == [[0, 0, 1, 1, 1, 1]]


def test_a_speck_in_a_sheath_leaves_the_fibre_alone() -> None:
    """A speck that is left out gives its myelin to the axon it shares it with."""
    _, fibres = label("1111111 1222121 1222111 1111111", min_axon_diameter=2)
    assert fibres.max() == 1
    assert (fibres == 0).sum() == 1


def test_more_axons_than_16_bits() -> None:
    """Ids do not wrap at 65535."""
    labels = np.zeros((520, 520), np.uint8)
    labels[::2, ::2] = 2
    axons, fibres = label(labels)
    assert fibres.max() == 260**2
    assert np.array_equal(axons, fibres)
    assert np.array_equal(axons[::2, ::2].ravel(), np.arange(1, 260**2 + 1))


@settings(max_examples=60)
@given(LABELS)
def test_components_against_brute_force(labels: NDArray[np.uint8]) -> None:
    """Axons are the flooded components in reading order; fibres fill the pieces that hold any."""
    before = labels.copy()
    axons, fibres = label(labels)
    assert np.array_equal(labels, before)
    myelinated, bare = components(labels == 2), components(labels == 3)
    n = myelinated.max()
    assert np.array_equal(axons, myelinated + np.where(bare, bare + n, 0))
    pieces = components((labels == 1) | (labels == 2))
    owned = np.isin(pieces, pieces[labels == 2]) & (pieces > 0)
    assert np.array_equal(fibres > 0, owned | (labels == 3))
    for i in range(1, fibres.max() + 1):
        assert components(fibres == i).max() == 1  # a fibre hangs together
    for piece in range(1, pieces.max() + 1):
        inside = np.unique(axons[(pieces == piece) & (axons > 0)])
        if inside.size == 1:
            assert np.array_equal(pieces == piece, fibres == inside[0])


@pytest.mark.parametrize("group", [1, 7, 10**9])
def test_pieces_do_not_depend_on_each_other(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pieces are divided at once, the fibres are the same."""
    labels = nerve((400, 400), seed=2).labels
    _, fibres = label(labels)
    monkeypatch.setattr(objects, "_GROUP", group)
    assert np.array_equal(label(labels)[1], fibres)


@settings(max_examples=40)
@given(LABELS, st.sampled_from(["rows", "columns", "transposed", "view"]))
def test_turning_the_image_turns_the_objects(labels: NDArray[np.uint8], how: str) -> None:
    """Mirrored or transposed labels give the same partition where no myelin is shared."""
    pieces = components((labels == 1) | (labels == 2))
    for piece in range(1, pieces.max() + 1):
        if components((labels == 2) & (pieces == piece)).max() > 1:
            labels[pieces == piece] = 0
    turn: Callable[[Any], Any] = {
        "rows": lambda a: a[::-1],
        "columns": lambda a: np.ascontiguousarray(a[:, ::-1]),
        "transposed": np.transpose,
        "view": lambda a: a[::-1, ::-1].T,
    }[how]
    for straight, turned in zip(label(labels), label_turned(turn(labels)), strict=True):
        together = np.unique(np.stack([turn(straight).ravel(), turned.ravel()]), axis=1)
        assert together.shape[1] == len(np.unique(straight)) == len(np.unique(turned))
        assert np.array_equal(turn(straight) == 0, turned == 0)


@settings(max_examples=40)
@given(LABELS, st.integers(2, 4))
def test_a_finer_grid_shows_the_same_objects(labels: NDArray[np.uint8], times: int) -> None:
    """Each pixel drawn as a square of pixels: the same axons, and fibres that cover the same."""
    axons, fibres = label(labels)
    square = np.ones((times, times), np.uint8)
    fine_axons, fine_fibres = label(np.kron(labels, square), separate=())
    assert np.array_equal(fine_axons, np.kron(axons, square))
    assert np.array_equal(fine_fibres > 0, np.kron(fibres, square) > 0)


def label_turned(labels: NDArray[np.uint8]) -> tuple[Objects, Objects]:
    """Label a view as it is, without copying it."""
    return label_fibres(labels, pixel_size=1.0)


def test_real_masks(data_folder: Path) -> None:
    """Manual masks of a real micrograph: the axons are the components of class 2."""
    mask = next((data_folder / "rat-sem").glob("derivatives/**/*data1_*axonmyelin-manual.png"))
    labels = io.read_labels(mask)[:400, :400]
    axons, fibres = label(labels)
    assert np.array_equal(axons, components(labels == 2))
    assert set(np.unique(labels[fibres > 0])) == {1, 2}


@pytest.mark.parametrize(
    ("shape", "pixel_size", "message"),
    [
        ((2, 3, 4), 1.0, "one plane"),
        ((0, 3), 1.0, "no pixels"),
        ((2, 3), 0.0, "outside"),
        ((2, 3), -1.0, "outside"),
        ((2, 3), 1e5, "outside"),
        ((2, 3), float("nan"), "outside"),
    ],
)
def test_errors(shape: tuple[int, ...], pixel_size: float, message: str) -> None:
    """Volumes, empty images and absurd pixel sizes are refused."""
    with pytest.raises(ValueError, match=message):
        label_fibres(np.zeros(shape, np.uint8), pixel_size=pixel_size)


def bells(disc: Callable[..., Any], neck: int, value: int = 3) -> NDArray[np.uint8]:
    """Draw two discs of radius 20 that are joined by a bar, a number of pixels wide."""
    labels = np.zeros((60, 120), np.uint8)
    for x in (35, 81):
        labels[disc(labels.shape, (30, x), 20)] = value
    labels[30 - neck // 2 : 30 - neck // 2 + neck, 35:82] = value
    return labels


@pytest.mark.parametrize("turn", [0, 30, 45, 67, 90])
@pytest.mark.parametrize("neck", [3, 5, 15, 24])
def test_unmyelinated_axons_are_cut_at_a_neck(
    neck: int, turn: int, disc: Callable[..., Any]
) -> None:
    """Two discs joined by a bridge are two axons, each of them whole, however they lie."""
    labels = ndimage.rotate(bells(disc, neck), turn, order=0)
    axons, fibres = label_fibres(labels, pixel_size=0.01)
    check(axons, fibres)
    assert np.array_equal(axons > 0, labels > 0)
    areas = np.bincount(axons.ravel())[1:]
    assert len(areas) == 2
    assert areas.min() > 0.95 * areas.max()


@pytest.mark.parametrize("neck", [31, 38])
def test_a_waist_is_no_neck(neck: int, disc: Callable[..., Any]) -> None:
    """What is nearly as wide as its ends is one axon."""
    assert label(bells(disc, neck))[0].max() == 1


def test_which_classes_are_cut(disc: Callable[..., Any]) -> None:
    """Myelinated axons are cut on demand alone, and nothing when nothing is to be."""
    for value, name in ((2, "axon"), (3, "unmyelinated axon")):
        labels = bells(disc, 5, value)
        found = {
            wanted: int(label_fibres(labels, pixel_size=1, separate=wanted)[0].max())
            for wanted in [(), ("axon",), ("unmyelinated axon",)]
        }
        assert found == {wanted: 1 + (name in wanted) for wanted in found}


def test_cut_axons_divide_their_sheath(disc: Callable[..., Any]) -> None:
    """Two axons with a bridge in one sheath become two fibres."""
    labels = ndimage.binary_dilation(bells(disc, 5) > 0, iterations=6).astype(np.uint8)
    labels[bells(disc, 5) > 0] = 2
    axons, fibres = label_fibres(labels, pixel_size=1, separate=("axon",))
    check(axons, fibres)
    areas = np.bincount(fibres.ravel())[1:]
    assert len(areas) == 2
    assert areas.min() > 0.95 * areas.max()


@pytest.mark.parametrize("turn", [0, 20, 45])
@pytest.mark.parametrize(
    "shape", ["ellipse", "banana", "C", "ring", "triangle", "tail", "cut", "vacuole"]
)
def test_shapes_that_stay_whole(shape: str, turn: int, disc: Callable[..., Any]) -> None:
    """Elongated, curved and hollow axons have no neck, and thin tails are no axons."""
    size = (160, 160)
    y, x = np.indices(size) - 80
    ring = np.abs(np.hypot(y, x) - 45) < 14
    mask = {
        "ellipse": (x / 70) ** 2 + (y / 12) ** 2 < 1,
        "banana": ring & (y > 10),
        "C": ring & ~((np.abs(y) < 20) & (x > 0)),
        "ring": disc(size, (80, 80), 50) & ~disc(size, (80, 95), 25),
        "triangle": (y < 50) & (y > -50) & (np.abs(x) < (y + 50) / 2),
        "tail": disc(size, (80, 60), 25) | ((np.abs(y) < 3) & (x > 0) & (x < 60)),
        "vacuole": ((x / 60) ** 2 + (y / 20) ** 2 < 1) & ~disc(size, (80, 80), 14),
        "cut": disc(size, (0, 80), 50) | disc(size, (159, 80), 15),
    }[shape]
    labels = ndimage.rotate(3 * mask.astype(np.uint8), turn, order=0, reshape=shape != "cut")
    assert label(labels)[0].max() == components(labels == 3).max()


def test_axons_of_few_pixels_are_not_cut(disc: Callable[..., Any]) -> None:
    """Outlines of tiny axons have necks by chance."""
    labels = bells(disc, 2)[::6, ::6]
    assert label(labels)[0].max() == 1


def test_an_axon_with_a_vacuole_is_cut_off(disc: Callable[..., Any]) -> None:
    """A hole in one of the axons does not hide it, and belongs to neither."""
    labels = bells(disc, 5)
    labels[disc(labels.shape, (30, 30), 4)] = 0
    axons, _ = label(labels)
    assert np.array_equal(axons > 0, labels > 0)
    assert np.bincount(axons.ravel())[1:].tolist() == pytest.approx([1230, 1280], rel=0.05)
    assert all(components(axons == i).max() == 1 for i in (1, 2))


def test_small_parts_are_left_out(disc: Callable[..., Any]) -> None:
    """The smallest diameter holds for what was cut off, too."""
    labels = bells(disc, 5)
    labels[disc(labels.shape, (30, 81), 21)] = 0
    labels[disc(labels.shape, (30, 66), 10)] = 3
    assert label(labels)[0].max() == 2
    axons, _ = label(labels, min_axon_diameter=25)
    assert np.bincount(axons.ravel())[1:] == pytest.approx(np.pi * 20**2, rel=0.03)


@settings(max_examples=100)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 9))
)
def test_shared_myelin_goes_to_the_nearest_axon(seeds: NDArray[np.uint8]) -> None:
    """In one sheath around many axons no pixel's axon is a pixel farther than the nearest."""
    labels = np.where(seeds == 0, 2, 1).astype(np.uint8)
    axons, fibres = label(labels)
    if axons.any():
        nearest = ndimage.distance_transform_edt(axons == 0)
        for i in range(1, fibres.max() + 1):
            own = ndimage.distance_transform_edt(axons != i)
            assert (own - nearest)[fibres == i].max() < 1


@pytest.mark.parametrize(("modality", "least"), [("sem", 0.94), ("bright field", 0.94)])
def test_fibres_of_phantoms(modality: str, least: float) -> None:
    """Of touching fibres nearly all are found, with borders that are nearly right."""
    phantom = nerve((900, 900), modality=modality, seed=4)
    _, found = label_fibres(phantom.labels, pixel_size=phantom.micrograph.pixel_size)
    has_axon = np.isin(phantom.fibres, phantom.axons[phantom.axons > 0])
    scores = object_scores(found, np.where(has_axon, phantom.fibres, 0))
    assert scores["f1"] > 0.99
    assert scores["panoptic_quality"] > least


def test_touching_unmyelinated_axons_of_a_phantom() -> None:
    """Cutting frees most of the unmyelinated axons that touch, and breaks few."""
    phantom = nerve((1000, 1000), modality="tem", seed=1)
    wanted = {"separate": ("unmyelinated axon",), "whole": ()}
    size = phantom.micrograph.pixel_size
    scores = {
        name: object_scores(
            label_fibres(phantom.labels, pixel_size=size, separate=classes)[0], phantom.axons
        )
        for name, classes in wanted.items()
    }
    assert scores["separate"]["panoptic_quality"] > scores["whole"]["panoptic_quality"] + 0.1


def test_touching_sheaths_of_real_fibres(data_folder: Path) -> None:
    """Where lines between sheaths are filled with myelin, the same fibres are found.

    The manual masks of `mouse-tem` leave a line of 1 or 2 pixels between sheaths that touch, so
    that every piece is one fibre: this is the truth.
    """
    counts = []
    for mask in sorted((data_folder / "mouse-tem").glob("derivatives/**/*axonmyelin-manual.png")):
        labels = io.read_labels(mask)
        truth, n = ndimage.label(labels > 0)
        around = np.ones((5, 5))
        lowest = ndimage.minimum_filter(np.where(truth, truth, n + 1), footprint=around)
        highest = ndimage.maximum_filter(truth, footprint=around)
        line = (labels == 0) & (highest > lowest)
        found = label_fibres(np.where(line, 1, labels).astype(np.uint8), pixel_size=0.00493)[1]
        truth[np.isin(truth, np.setdiff1d(truth, truth[labels == 2]))] = 0
        counts.append(object_scores(np.where(line, 0, found), truth))
    table = pd.DataFrame(counts)
    total = table[["true_positives", "false_positives", "false_negatives"]].sum()
    assert total.sum() > 200
    assert total[["false_positives", "false_negatives"]].sum() <= 2
    assert (table["panoptic_quality"] > 0.9).all()


def test_unknown_classes_are_not_cut() -> None:
    """Only axons have necks to be cut at."""
    with pytest.raises(ValueError, match="myelin"):
        label_fibres(np.zeros((2, 3), np.uint8), pixel_size=1, separate=("myelin",))
