"""Validity: every fault is flagged where it is, sound fibres are left alone."""

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

from axonlab import io, validity
from axonlab.measure import measure_fibres
from axonlab.micrograph import CLASSES
from axonlab.objects import label_fibres
from axonlab.phantom import nerve
from axonlab.validity import check_fibres, myelin_without_axon, review_queue

FLAGS = [
    "has_hole",
    "shares_sheath",
    "is_fragment",
    "is_c_shaped",
    "g_is_implausible",
    "touches_border",
]
SHAPE = (120, 400)
MYELIN, AXON, BARE = (CLASSES[name] for name in ("myelin", "axon", "unmyelinated axon"))

Labels = NDArray[np.uint8]


def checked(labels: Labels, **kwargs: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Label, measure and check at 0.1 µm a pixel; return the table and the flags."""
    axons, fibres = label_fibres(labels, pixel_size=0.1, **kwargs)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    return table, check_fibres(labels, axons, fibres, table)


@pytest.fixture
def sound(disc: Callable[..., Any]) -> Labels:
    """Draw three sound fibres in a row."""
    labels = np.zeros(SHAPE, np.uint8)
    for x in (60, 180, 300):
        labels[disc(SHAPE, (60, x), 40)] = MYELIN
        labels[disc(SHAPE, (60, x), 28)] = AXON
    return labels


def test_sound_fibres_have_no_flag(sound: Labels) -> None:
    """Rings are beyond doubt."""
    table, flags = checked(sound)
    assert list(flags.columns) == FLAGS
    assert flags.index.name == "fibre_id"
    assert flags.index.tolist() == [1, 2, 3]
    assert set(flags.dtypes) == {np.dtype(bool)}
    assert not flags.any(axis=None)
    assert review_queue(table, flags).empty


def only(flags: pd.DataFrame, fibre_id: int, *names: str) -> bool:
    """Tell whether these are the only flags."""
    wanted = pd.DataFrame(False, index=flags.index, columns=flags.columns)
    wanted.loc[fibre_id, list(names)] = True
    return flags.equals(wanted)


@pytest.mark.parametrize("filling", [0, MYELIN, 255])
def test_a_hole_in_an_axon(sound: Labels, disc: Callable[..., Any], filling: int) -> None:
    """A vacuole or a speck of myelin within the axon is a hole."""
    sound[disc(SHAPE, (64, 182), 8)] = filling
    assert only(checked(sound)[1], 2, "has_hole")


def test_a_gap_between_axon_and_sheath(sound: Labels, disc: Callable[..., Any]) -> None:
    """A sheath that has come off encloses background: a hole of the fibre, not of the axon."""
    sound[50:70, :180][disc(SHAPE, (60, 180), 35)[50:70, :180] & (sound[50:70, :180] == MYELIN)] = 0
    assert only(checked(sound)[1], 2, "has_hole")


def test_a_tiny_hole_is_none(sound: Labels) -> None:
    """A pixel does not move the diameter."""
    sound[60, 180] = 0
    assert not checked(sound)[1].any(axis=None)


def test_an_object_in_a_hole_is_not_the_hole(sound: Labels, disc: Callable[..., Any]) -> None:
    """Around an axon within another one both are next to the gap, which is no one's hole."""
    sound[disc(SHAPE, (60, 180), 12)] = 0
    sound[disc(SHAPE, (60, 180), 10)] = BARE
    assert not checked(sound)[1]["has_hole"].any()


def test_two_axons_in_one_sheath(sound: Labels, disc: Callable[..., Any]) -> None:
    """The myelin between them is thinner than two sheaths."""
    sound[:, 120:240][sound[:, 120:240] == AXON] = MYELIN
    for x in (166, 194):
        sound[disc(SHAPE, (60, x), 12)] = AXON
    table, flags = checked(sound)
    is_between = table["centroid_x_um"].between(12, 24).to_numpy()
    assert is_between.sum() == 2
    assert np.array_equal(flags["shares_sheath"], is_between)
    assert flags.to_numpy().sum() == 2


def test_sheaths_that_merely_touch(disc: Callable[..., Any]) -> None:
    """Neighbours in tight tissue have sheaths of their own, and unmyelinated axons none."""
    labels = np.zeros(SHAPE, np.uint8)
    for x in (60, 130, 200):
        labels[disc(SHAPE, (60, x), 40)] = MYELIN
    for x in (60, 130, 200):
        labels[disc(SHAPE, (60, x), 25)] = AXON
    for x in (60, 130, 200):
        labels[disc(SHAPE, (15, x), 20) & (labels != AXON)] = BARE
    _, flags = checked(labels)
    assert not flags["shares_sheath"].any()


def test_fragments_are_small_for_their_class(sound: Labels, disc: Callable[..., Any]) -> None:
    """A speck is a fragment, unless the edge cuts it or all of its class are as small."""
    for centre in ((10, 120), (0, 240)):
        sound[disc(SHAPE, centre, 8)] = MYELIN
        sound[disc(SHAPE, centre, 4)] = AXON
    for x in (120, 240):
        sound[disc(SHAPE, (100, x), 4)] = BARE
    table, flags = checked(sound)
    assert (flags["is_fragment"] == (table["centroid_y_um"] == 1.0).to_numpy()).all()
    assert flags["is_fragment"].sum() == 1


def test_c_shapes(sound: Labels, disc: Callable[..., Any]) -> None:
    """An axon with a bay is not convex; its diameter means little."""
    sound[50:71, 175:209][sound[50:71, 175:209] == AXON] = MYELIN
    assert only(checked(sound)[1], 2, "is_c_shaped")


def test_g_without_reason(sound: Labels, disc: Callable[..., Any]) -> None:
    """No myelin, or none on one side, is implausible; an unmyelinated axon needs none."""
    sound[:60, :120][sound[:60, :120] == MYELIN] = 0
    sound[:, 120:240][sound[:, 120:240] == MYELIN] = 0
    sound[:, 240:][sound[:, 240:] == AXON] = BARE
    sound[sound == MYELIN] = np.where(np.nonzero(sound == MYELIN)[1] < 240, MYELIN, 0)
    table, flags = checked(sound)
    assert table["g_ratio"].isna().tolist() == [False, True, True]
    assert flags["g_is_implausible"].tolist() == [True, True, False]


def test_a_part_of_the_table(sound: Labels) -> None:
    """Flags follow the rows that are asked for."""
    axons, fibres = label_fibres(sound, pixel_size=0.1)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    some = table[table["fibre_id"] != 2]
    assert check_fibres(sound, axons, fibres, some).index.tolist() == [1, 3]
    assert check_fibres(sound, axons, fibres, table[:0]).empty


def test_the_queue_begins_with_the_worst() -> None:
    """Scores fall, and of fibres equally doubtful the larger one matters more."""
    ids = pd.Index([2, 3, 5, 7, 11], name="fibre_id")
    flags = pd.DataFrame(False, index=ids, columns=FLAGS)
    flags.loc[2, "touches_border"] = True
    flags.loc[[3, 5], "has_hole"] = True
    flags.loc[7, ["is_fragment", "has_hole"]] = True
    table = pd.DataFrame({"fibre_id": ids, "fibre_area_um2": [1.0, 1.0, 2.0, 1.0, 9.0]})
    queue = review_queue(table.sample(frac=1, random_state=0), flags)
    assert list(queue.columns) == ["fibre_id", "reason", "score"]
    assert queue["fibre_id"].tolist() == [7, 5, 3]
    assert queue["reason"].tolist() == ["fragment, hole", "hole", "hole"]
    assert queue["score"].is_monotonic_decreasing
    assert queue["score"].between(0, 1).all()


def test_every_flag_but_the_border_is_a_reason() -> None:
    """What is flagged has words and a weight."""
    assert set(validity.REASONS) == set(validity.DOUBT) == set(FLAGS) - {"touches_border"}


@settings(max_examples=60)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))
)
def test_openings_and_holes_against_brute_force(labels: Labels) -> None:
    """Openings are shares of pixel edges one by one; holes are what filling adds."""
    axons, fibres = label_fibres(labels, pixel_size=1, separate=())
    n = int(fibres.max())
    opening = validity._opening(axons, fibres, n)
    beyond = np.pad(fibres, 1, constant_values=-1)
    inside = np.pad(axons, 1, constant_values=-1)
    for i in range(1, n + 1):
        around = [
            beyond[p]
            for y, x in np.argwhere(inside == i)
            for p in [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            if inside[p] not in (i, -1)
        ]
        assert opening[i] == pytest.approx(np.mean(np.array(around) != i) if around else 0)
    for objects in (axons, fibres):
        enclosed = validity._enclosed(objects, n)
        for i in range(1, n + 1):
            own = objects == i
            holes = ndimage.binary_fill_holes(own, np.ones((3, 3))) & ~own
            if not objects[holes].any() and not _meets_others_at_corners(objects, i):
                assert enclosed[i] == pytest.approx(holes.sum() / own.sum())


def _meets_others_at_corners(objects: NDArray[np.int32], i: int) -> bool:
    """Tell whether a gap in an object touches another one: whether it is a hole is taste then."""
    free, n = ndimage.label(objects == 0, np.ones((3, 3)))
    for piece in range(1, n + 1):
        beside = set(objects[ndimage.binary_dilation(free == piece, np.ones((3, 3)))].tolist())
        if i in beside and beside - {0, i}:
            return True
    return False


def test_shared_sheaths_against_distance_maps() -> None:
    """Contacts lie within half a sheath of the axon, as a map of distances from each axon says."""
    labels = nerve((250, 250), seed=3).labels
    labels[labels == 0] = MYELIN  # all axons share one sheath
    axons, fibres = label_fibres(labels, pixel_size=0.1)
    n = int(fibres.max())
    found = validity._shared(axons, fibres, n)
    assert (found > 0).sum() > 5
    padded = np.pad(fibres, 1, mode="edge")
    around = np.stack([padded[2:, 1:-1], padded[:-2, 1:-1], padded[1:-1, 2:], padded[1:-1, :-2]])
    sheath = np.pad(np.where(axons > 0, 0, fibres), 1, mode="edge")
    near = np.stack([sheath[2:, 1:-1], sheath[:-2, 1:-1], sheath[1:-1, 2:], sheath[1:-1, :-2]])
    for i in np.unique(axons)[1:]:
        own, axon = fibres == i, axons == i
        outline = own & (around != i).any(0)
        contact = own & ~axon & ((near != i) & (near > 0)).any(0)
        thickness = np.sqrt(own.sum() / np.pi) - np.sqrt(axon.sum() / np.pi)
        thin = contact & (ndimage.distance_transform_edt(~axon) < thickness / 2)
        assert found[i] == pytest.approx(thin.sum() / max(outline.sum(), 1), abs=0.03)


def test_other_ids_change_nothing() -> None:
    """Flags go with the fibres when ids change or have gaps, or the image is turned."""
    labels = nerve((300, 300), seed=5).labels
    axons, fibres = label_fibres(labels, pixel_size=0.1)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    flags = check_fibres(labels, axons, fibres, table)
    names = np.append(0, 3 * np.random.default_rng(0).permutation(len(table)) + 2).astype(np.int32)
    renamed = names[axons], names[fibres]
    other = measure_fibres(*renamed, pixel_size=0.1)
    found = check_fibres(labels, *renamed, other)
    pd.testing.assert_frame_equal(
        found,
        flags.set_axis(pd.Index(names[flags.index], name="fibre_id")).sort_index(),
        check_index_type=False,
    )
    turned = check_fibres(labels[::-1].T, axons[::-1].T, fibres[::-1].T, table)
    pd.testing.assert_frame_equal(turned, flags)


def test_images_without_fibres() -> None:
    """Nothing to check, nothing in the queue."""
    for value in (0, MYELIN, 255):
        table, flags = checked(np.full((5, 6), value, np.uint8))
        assert flags.empty
        assert list(flags.columns) == FLAGS
        assert review_queue(table, flags).empty


def test_more_fibres_than_16_bits() -> None:
    """Flags do not wrap at 65535."""
    labels = np.zeros((520, 520), np.uint8)
    labels[::2, ::2] = BARE
    labels[-2, -2] = AXON  # the only one of its class is the first
    _, flags = checked(labels)
    assert len(flags) == 260**2
    assert flags.index[flags["g_is_implausible"]].tolist() == [1]


def test_one_axon_fills_the_image() -> None:
    """It has no outline in sight: cut by the border, without myelin."""
    _, flags = checked(np.full((30, 40), AXON, np.uint8))
    assert only(flags, 1, "touches_border", "g_is_implausible")


def test_myelin_without_axon(sound: Labels, disc: Callable[..., Any]) -> None:
    """Pieces and area of what belongs to no fibre."""
    lost = sound.copy()
    lost[lost == AXON] = np.where(np.nonzero(lost == AXON)[1] < 120, 0, AXON)
    _, fibres = label_fibres(lost, pixel_size=0.1)
    found = myelin_without_axon(lost, fibres, pixel_size=0.1)
    assert found["count"] == 1
    assert found["area_um2"] == pytest.approx((lost[:, :120] == MYELIN).sum() / 100)
    _, fibres = label_fibres(sound, pixel_size=0.1)
    assert (myelin_without_axon(sound, fibres, pixel_size=0.1) == 0).all()


def test_manual_masks_are_mostly_sound(data_folder: Path) -> None:
    """People drew few fibres that are flagged, and none with an open sheath."""
    mask = next((data_folder / "rat-sem").glob("derivatives/**/*V915_*axonmyelin-manual.png"))
    _, flags = checked(io.read_labels(mask))
    complete = flags[~flags["touches_border"]]
    assert len(complete) > 200
    assert not complete["g_is_implausible"].any()
    assert complete.any(axis="columns").mean() < 0.03


@pytest.mark.parametrize("column", ["fibre_id", "axon_solidity", "g_ratio"])
def test_a_table_without_a_column(sound: Labels, column: str) -> None:
    """The column that is missing is named."""
    axons, fibres = label_fibres(sound, pixel_size=0.1)
    table = measure_fibres(axons, fibres, pixel_size=0.1).drop(columns=column)
    with pytest.raises(ValueError, match=f"lacks {column}"):
        check_fibres(sound, axons, fibres, table)


def test_a_table_out_of_step(sound: Labels) -> None:
    """Fibres that are not in the image are refused."""
    axons, fibres = label_fibres(sound, pixel_size=0.1)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    for ids in ([1, 2, 4], [0, 1, 2]):
        with pytest.raises(ValueError, match="out of step"):
            check_fibres(sound, axons, fibres, table.assign(fibre_id=ids))


def test_different_shapes(sound: Labels) -> None:
    """All must show the same image."""
    axons, fibres = label_fibres(sound, pixel_size=0.1)
    table = measure_fibres(axons, fibres, pixel_size=0.1)
    with pytest.raises(ValueError, match="same size"):
        check_fibres(sound[1:], axons, fibres, table)
    with pytest.raises(ValueError, match="same size"):
        myelin_without_axon(sound[1:], fibres, pixel_size=0.1)
