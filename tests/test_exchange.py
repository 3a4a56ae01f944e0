"""Labels of other programs: what is written comes back, what is foreign is understood."""

from __future__ import annotations

import base64
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import roifile
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from axonlab import exchange
from axonlab.exchange import polygons
from axonlab.io import (
    read_image,
    read_labels,
    write_bytes,
    write_json,
    write_masks,
    write_objects,
)
from axonlab.micrograph import CLASSES, UNLABELLED, Micrograph

pytestmark = pytest.mark.filterwarnings("error")

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)

MYELIN, AXON, BARE = CLASSES["myelin"], CLASSES["axon"], CLASSES["unmyelinated axon"]
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
MASKS = hnp.arrays(np.bool_, SHAPES)
LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 3, UNLABELLED]))
WHOLE_LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 3]))

FIBRES = np.zeros((12, 16), np.uint8)
FIBRES[0:7, 0:7] = MYELIN  # at the border
FIBRES[2:5, 2:5] = AXON
FIBRES[5, 5] = 0  # a hole in the sheath, beside its axon
FIBRES[8:12, 4:9] = MYELIN
FIBRES[9:11, 5:8] = 0
FIBRES[9, 6] = AXON  # an island in a hole
FIBRES[7, 7] = MYELIN  # touches at a corner only
FIBRES[3, 12] = BARE  # one pixel
FIBRES[11, 15] = AXON

WRITTEN: dict[str, dict[str, Any]] = {
    "a.zip": {},
    "a.geojson": {},
    "coco.json": {"format": "coco", "image": "a.png"},
    "labelme.json": {"format": "labelme", "image": "a.png"},
    "a.png": {},
    "ids.tif": {"format": "labels"},
}
ONE_CLASS: dict[str, dict[str, Any]] = {
    "a_seg.npy": {"image": "a.png"},
    "a.tif": {"format": "objects", "pixel_size": 0.1},
}


def rectangle(top: float, left: float, bottom: float, right: float) -> list[list[float]]:
    """Return a closed ring of x, y."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return [list(corner) for corner in corners]


def feature(name: str | None, *rings: list[list[float]], **properties: Any) -> dict[str, Any]:
    """Return a feature as QuPath 0.5 writes it."""
    classes = {"classification": {"name": name, "color": [200, 0, 0]}} if name else {}
    return {
        "type": "Feature",
        "id": "2d8b9fd0-1a27-4d3b-a0ce-1b5ad7f7a7f6",
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": {"objectType": "annotation", **classes, **properties},
    }


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    """Return features as QuPath saves them by default."""
    return {"type": "FeatureCollection", "features": list(features)}


def shape_of_labelme(label: str, kind: str, points: Any, **more: Any) -> dict[str, Any]:
    """Return a shape as LabelMe writes it."""
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        **more,
    }


def labelme(*shapes: dict[str, Any], height: int = 8, width: int = 8) -> dict[str, Any]:
    """Return a file of LabelMe."""
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


def coco(*segmentations: Any, category: str = "axon") -> dict[str, Any]:
    """Return instances of two images, of which the second has the annotations."""
    return {
        "info": {"description": "by hand"},
        "images": [
            {"id": 4, "file_name": "other.png", "height": 3, "width": 3},
            {"id": 9, "file_name": "a.png", "height": 8, "width": 8},
        ],
        "categories": [{"id": 5, "name": category, "supercategory": ""}],
        "annotations": [
            {"id": i, "image_id": 9, "category_id": 5, "segmentation": s, "iscrowd": 0}
            for i, s in enumerate(segmentations)
        ],
    }


def brute_force(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Test the centre of every pixel against every edge of a polygon."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    crossings = np.zeros(shape, int)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
            if y0 != y1:
                (xa, ya), (xb, yb) = ((x0, y0), (x1, y1)) if y0 < y1 else ((x1, y1), (x0, y0))
                at = xa + (y - ya) * ((xb - xa) / (yb - ya))
                crossings += (ya <= y) & (y < yb) & (at <= x)
    return crossings % 2 == 1


def on_image(patch: polygons.Patch, shape: tuple[int, int]) -> np.ndarray:
    """Put the pixels of a box where they belong."""
    image = np.zeros(shape, bool)
    image[patch[0]] = patch[1]
    return image


# Outlines


@given(MASKS)
def test_outlines_are_exact(mask: np.ndarray) -> None:
    """Every object is inside its outline, nothing else is, and no ring meets itself."""
    objects, n = ndimage.label(mask, output=np.int32)
    outlines = polygons.trace(objects)
    assert list(outlines) == list(range(1, n + 1))
    for number, rings in outlines.items():
        patch = polygons.fill(rings, mask.shape)
        np.testing.assert_array_equal(on_image(patch, mask.shape), objects == number)
        assert patch[0] == ndimage.find_objects(objects)[number - 1]
        background, _ = ndimage.label(np.pad(objects, 1) != number)
        assert len(rings) == background.max()
        for ring in rings:
            assert len(set(map(tuple, ring.tolist()))) == len(ring)
            turns = np.diff(np.concatenate([ring, ring[:2]]), axis=0)
            assert ((turns[1:] * turns[:-1]).sum(1) == 0).all(), "a point between two corners"


def test_outer_rings_run_clockwise() -> None:
    """The outer ring comes first and clockwise as seen, holes run the other way."""
    objects = np.ones((3, 3), np.int32)
    objects[1, 1] = 0
    outer, hole = polygons.trace(objects)[1]
    assert outer.tolist() == [[0, 0], [3, 0], [3, 3], [0, 3]]
    assert hole.tolist() == [[1, 1], [1, 2], [2, 2], [2, 1]]


# where a difference of 1e-309 pixels makes infinite slopes, right and wrong mean nothing
LENGTHS = st.floats(-4, 15, width=32, allow_subnormal=False)


@settings(max_examples=200)
@given(
    st.lists(
        hnp.arrays(
            np.float64,
            st.tuples(st.integers(1, 7), st.just(2)),
            elements=st.one_of(st.integers(-8, 30).map(lambda n: n / 2), LENGTHS),
        ),
        min_size=1,
        max_size=3,
    ),
    SHAPES,
)
def test_filling_is_that_of_brute_force(rings: list[np.ndarray], shape: tuple[int, int]) -> None:
    """Any polygon, with vertices on centres of pixels and beyond the image, is filled right."""
    filled = on_image(polygons.fill(rings, shape), shape)
    np.testing.assert_array_equal(filled, brute_force(rings, shape))


def test_filling_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A polygon with more crossings than are held at once is filled the same."""
    ring = np.random.default_rng(0).uniform(0, 40, (50, 2))
    whole = polygons.fill([ring], (40, 40))
    monkeypatch.setattr(polygons, "_BATCH", 7)
    np.testing.assert_array_equal(polygons.fill([ring], (40, 40))[1], whole[1])


@given(st.tuples(*[LENGTHS] * 2), st.tuples(*[LENGTHS.map(abs)] * 2), SHAPES)
def test_ellipses_hold_the_centres_inside(
    centre: tuple[float, float], radii: tuple[float, float], shape: tuple[int, int]
) -> None:
    """A pixel is inside an ellipse if its centre is."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    with np.errstate(all="ignore"):
        expected = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    if min(radii) == 0:
        expected[:] = False
    filled = on_image(polygons.fill_ellipse(centre, radii, shape), shape)
    np.testing.assert_array_equal(filled, expected)


@given(MASKS)
def test_run_lengths_are_exact(mask: np.ndarray) -> None:
    """Run lengths are those of the columns one after the other, and are filled again."""
    counts = polygons.runs(np.s_[0 : mask.shape[0], 0 : mask.shape[1]], mask, mask.shape)
    values = np.arange(len(counts)) % 2 == 1
    np.testing.assert_array_equal(np.repeat(values, counts), mask.T.ravel())
    assert (counts[1:-1] > 0).all()
    np.testing.assert_array_equal(
        on_image(polygons.fill_runs(counts, mask.shape), mask.shape), mask
    )


# There and back


@pytest.mark.parametrize("name", WRITTEN)
@same_folder
@given(labels=LABELS)
def test_labels_come_back(tmp_path: Path, name: str, labels: np.ndarray) -> None:
    """Every pixel of every class survives, unlabelled ones too."""
    path = exchange.write(tmp_path / name, labels, overwrite=True, **WRITTEN[name])
    back = exchange.read(path, labels.shape)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize("name", ONE_CLASS)
@same_folder
@given(mask=MASKS, kind=st.sampled_from(["axon", "myelin", "unmyelinated axon"]))
def test_objects_of_one_class_come_back(
    tmp_path: Path, name: str, mask: np.ndarray, kind: str
) -> None:
    """Formats without classes give back the class that the reader is told."""
    labels = mask * np.uint8(CLASSES[kind])
    path = exchange.write(tmp_path / name, labels, overwrite=True, **ONE_CLASS[name])
    np.testing.assert_array_equal(exchange.read(path, labels.shape, default=kind), labels)


@same_folder
@given(labels=WHOLE_LABELS)
def test_masks_of_axondeepseg_come_back(tmp_path: Path, labels: np.ndarray) -> None:
    """The door leads to AxonDeepSeg's masks, whose joint one has no unmyelinated axons."""
    name = tmp_path / "a_seg-axonmyelin.png"
    assert exchange.write(name, labels, overwrite=True) == name
    expected = np.where(labels == BARE, 0, labels)
    np.testing.assert_array_equal(exchange.read(name, labels.shape), expected)
    np.testing.assert_array_equal(exchange.read(name, labels.shape, default="axon"), expected)


@pytest.mark.parametrize("name", WRITTEN)
def test_rings_islands_and_corners_come_back(tmp_path: Path, name: str) -> None:
    """A sheath keeps its hole and the axon in it."""
    path = exchange.write(tmp_path / name, FIBRES, **WRITTEN[name])
    np.testing.assert_array_equal(exchange.read(path, FIBRES.shape), FIBRES)


@pytest.mark.parametrize("name", WRITTEN)
def test_an_image_without_objects_comes_back(tmp_path: Path, name: str) -> None:
    """No axon in the field is a finding, too."""
    path = exchange.write(tmp_path / name, np.zeros((3, 4), np.uint8), **WRITTEN[name])
    assert not exchange.read(path, (3, 4)).any()


def test_one_roi_comes_back(tmp_path: Path) -> None:
    """A .roi holds one object, with its holes."""
    labels = np.where(FIBRES[7:, :10] == MYELIN, FIBRES[7:, :10], 0)
    labels[0] = 0
    path = exchange.write(tmp_path / "a.roi", labels)
    np.testing.assert_array_equal(exchange.read(path, labels.shape), labels)
    with pytest.raises(ValueError, match=r"a\.roi: 6 objects, a \.roi holds one\. Write a \.zip"):
        exchange.write(tmp_path / "a.roi", FIBRES, overwrite=True)


def test_large_images_come_back(tmp_path: Path) -> None:
    """ImageJ's 16-bit coordinates do not fold an image of more than 32,767 columns."""
    labels = np.zeros((6, 50_000), np.uint8)
    labels[1:4, 49_000:49_004] = AXON
    labels[1:5, 40_000:40_006] = MYELIN
    labels[2, 40_002] = 0
    path = exchange.write(tmp_path / "a.zip", labels)
    np.testing.assert_array_equal(exchange.read(path, labels.shape), labels)


# What others read


def test_what_qupath_reads(tmp_path: Path) -> None:
    """Rings are closed, and annotations have QuPath's keys."""
    labels = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    content = json.loads(exchange.write(tmp_path / "a.geojson", labels).read_text())
    assert content == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [
                        [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]],
                        [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]],
                    ],
                },
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": "myelin", "color": [0xE6, 0x9F, 0x00]},
                },
            }
        ],
    }


def test_what_imagej_reads(tmp_path: Path) -> None:
    """ROIs have their class in the name; one with a hole is a composite."""
    labels = np.array([[1, 1, 1, 0], [1, 0, 1, 2], [1, 1, 1, 2]], np.uint8)
    sheath, axon = roifile.roiread(exchange.write(tmp_path / "a.zip", labels))
    assert (sheath.name, axon.name) == ("myelin-00001", "axon-00002")
    assert sheath.composite
    assert [len(path) for path in sheath.coordinates(multi=True)] == [5, 5]
    assert axon.roitype == roifile.ROI_TYPE.TRACED
    assert axon.coordinates().tolist() == [[3, 1], [4, 1], [4, 3], [3, 3]]
    assert axon.hexcolor(axon.stroke_color) == "#56b4e9"


def test_what_cellpose_reads(tmp_path: Path) -> None:
    """The file holds what the GUI of Cellpose asks for, one colour a cell."""
    path = exchange.write(tmp_path / "a_seg.npy", (FIBRES == AXON) * np.uint8(2), image="a.png")
    record = np.load(path, allow_pickle=True).item()
    assert record["masks"].dtype == np.uint16
    assert record["masks"].max() == len(record["colors"]) == len(record["ismanual"]) == 3
    is_edge = record["outlines"] > 0
    assert is_edge.sum() == record["masks"].astype(bool).sum() - 1  # the middle of a 3 × 3 axon
    np.testing.assert_array_equal(record["outlines"][is_edge], record["masks"][is_edge])
    assert record["filename"] == "a.png"


def test_what_coco_tools_read(tmp_path: Path) -> None:
    """Boxes, areas and ids are those of the run lengths."""
    path = exchange.write(tmp_path / "a.json", FIBRES, format="coco", image="a.png")
    content = json.loads(path.read_text())
    assert content["images"] == [{"id": 1, "file_name": "a.png", "height": 12, "width": 16}]
    assert {c["id"]: c["name"] for c in content["categories"]} == {
        number: name for name, number in CLASSES.items() if number
    }
    for annotation in content["annotations"]:
        counts = annotation["segmentation"]["counts"]
        mask = np.repeat(np.arange(len(counts)) % 2, counts).reshape(16, 12).T
        x, y, width, height = annotation["bbox"]
        assert ndimage.find_objects(mask) == [np.s_[y : y + height, x : x + width]]
        assert annotation["area"] == mask.sum()
        assert set(FIBRES[mask == 1]) == {annotation["category_id"]}


# What others write


def test_qupath_hierarchies_are_read(tmp_path: Path) -> None:
    """Children nested in properties, derived names, and files of older versions."""
    axon = feature("Axon", rectangle(2, 2, 4, 4))
    sheath = feature("MYELIN", rectangle(1, 1, 5, 5), childObjects=[axon])
    root = {"type": "Feature", "geometry": None, "properties": {"objectType": "root"}}
    root["properties"]["childObjects"] = [sheath]
    old = feature(None, rectangle(6, 0, 7, 2))
    old["id"] = "PathAnnotationObject"
    old["properties"] = {"classification": {"names": ["Axon", "Positive"], "colorRGB": -3670016}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps([root, old]))
    expected = np.zeros((8, 8), np.uint8)
    expected[1:5, 1:5] = MYELIN
    expected[2:4, 2:4] = AXON
    expected[6, 0:2] = BARE
    labels = exchange.read(path, (8, 8), names={"axon: positive": "unmyelinated axon"})
    np.testing.assert_array_equal(labels, expected)
    path.write_text(json.dumps(sheath))
    expected[6] = 0
    np.testing.assert_array_equal(exchange.read(path, (8, 8)), expected)


def test_multipolygons_and_holes_are_read(tmp_path: Path) -> None:
    """Parts of a MultiPolygon are one object, and each keeps its hole."""
    parts = [[rectangle(0, 0, 4, 4), rectangle(1, 1, 2, 2)], [rectangle(5, 5, 8, 8)]]
    one = feature("axon")
    one["geometry"] = {"type": "MultiPolygon", "coordinates": parts}
    path = write_json(tmp_path / "a.geojson", collection(one))
    expected = np.zeros((8, 8), np.uint8)
    expected[0:4, 0:4] = expected[5:, 5:] = AXON
    expected[1, 1] = 0
    np.testing.assert_array_equal(exchange.read(path, (8, 8)), expected)


def test_a_rectangle_around_makes_labels_sparse(tmp_path: Path) -> None:
    """QuPath's Ignore* lies below everything: what is drawn in it counts, the rest does not."""
    features = [
        feature("axon", rectangle(2, 2, 4, 4)),
        feature("Background", rectangle(5, 5, 6, 8)),
        feature("Ignore*", rectangle(0, 0, 8, 8)),
    ]
    path = write_json(tmp_path / "a.geojson", collection(*features))
    expected = np.full((8, 8), UNLABELLED, np.uint8)
    expected[2:4, 2:4] = AXON
    expected[5, 5:] = 0
    np.testing.assert_array_equal(exchange.read(path, (8, 8)), expected)


def roi(kind: roifile.ROI_TYPE, box: tuple[int, int, int, int], **more: Any) -> roifile.ImagejRoi:
    """Return a ROI as ImageJ saves it: top, left, bottom, right."""
    top, left, bottom, right = box
    return roifile.ImagejRoi(
        roitype=kind, top=top, left=left, bottom=bottom, right=right, version=228, **more
    )


def test_rois_of_all_kinds_are_read(tmp_path: Path) -> None:
    """Rectangles, ovals, polygons, freehand and subpixel selections become what they enclose."""
    points = np.array([[6, 0], [8, 0], [8, 2], [6, 2]])
    traced = roifile.ImagejRoi.frompoints(points, name="axon-1")
    traced.roitype = roifile.ROI_TYPE.TRACED
    freehand = roifile.ImagejRoi.frompoints(points + np.array([0.0, 2.6]), name="Axons 2")
    oval = roi(roifile.ROI_TYPE.OVAL, (6, 0, 14, 8), name="uaxon")
    box = roi(roifile.ROI_TYPE.RECT, (0, 0, 2, 3), name="myelin")
    fine = roi(
        roifile.ROI_TYPE.RECT,
        (3, 0, 5, 3),
        name="myelin_2",
        options=roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
        xd=0.6,
        yd=3.4,
        widthd=2.0,
        heightd=1.0,
    )
    path = tmp_path / "RoiSet.zip"
    roifile.roiwrite(path, [traced, freehand, oval, box, fine])
    y, x = np.mgrid[:14, :8] + 0.5
    expected = np.where((x - 4) ** 2 + (y - 10) ** 2 <= 16, BARE, 0)
    expected[0:2, 6:8] = expected[3:5, 6:8] = AXON
    expected[0:2, 0:3] = expected[3, 1:3] = MYELIN
    np.testing.assert_array_equal(exchange.read(path, (14, 8)), expected)


def test_nameless_rois_need_a_class(tmp_path: Path) -> None:
    """Neither ImageJ's numbers nor the random names of Cellpose say what a ROI is."""
    points = np.array([[1, 1], [3, 1], [3, 3], [1, 3]])
    path = tmp_path / "a.zip"
    rois = [roifile.ImagejRoi.frompoints(points + 4, name="0001-0234-0456")]
    rois.append(roifile.ImagejRoi.frompoints(points))
    assert len(rois[1].name) == 36
    roifile.roiwrite(path, rois)
    with pytest.raises(ValueError, match=r'a\.zip: 2 objects have no class\. .*default="axon"'):
        exchange.read(path, (8, 8))
    assert (exchange.read(path, (8, 8), default="axon") == AXON).sum() == 8


def test_lines_and_points_are_counted(tmp_path: Path) -> None:
    """What has no area is left out, and told."""
    line = roi(roifile.ROI_TYPE.LINE, (0, 0, 2, 2), name="scale")
    point = roi(roifile.ROI_TYPE.POINT, (0, 0, 1, 1), name="cell")
    point.integer_coordinates, point.n_coordinates = np.zeros((1, 2), np.int32), 1
    text = roi(roifile.ROI_TYPE.RECT, (0, 0, 4, 4), name="A", subtype=roifile.ROI_SUBTYPE.TEXT)
    path = tmp_path / "a.zip"
    roifile.roiwrite(
        path, [line, point, text, roi(roifile.ROI_TYPE.RECT, (0, 0, 1, 1), name="axon")]
    )
    with pytest.warns(UserWarning, match=r"a\.zip: left out .*: 1 × line, 1 × point, 1 × rect"):
        assert exchange.read(path, (8, 8)).sum() == AXON
    one = feature("axon")
    one["geometry"] = {"type": "LineString", "coordinates": [[0, 0], [3, 3]]}
    path = write_json(tmp_path / "a.geojson", collection(one, one))
    with pytest.warns(UserWarning, match="2 × LineString"):
        assert not exchange.read(path, (8, 8)).any()


def test_coco_polygons_are_read(tmp_path: Path) -> None:
    """Several parts are one object; boxes without outline are counted."""
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [4, 4, 8, 4, 8, 6, 4, 6]]
    path = write_json(tmp_path / "instances.json", coco(parts, []))
    expected = np.zeros((8, 8), np.uint8)
    expected[0:2, 0:2] = expected[4:6, 4:8] = AXON
    with pytest.warns(UserWarning, match="1 × box without outline"):
        labels = exchange.read(path, (8, 8), image="a.png")
    np.testing.assert_array_equal(labels, expected)
    with pytest.raises(
        ValueError, match=r"2 images, 'other\.png', 'a\.png', and image=None is not"
    ):
        exchange.read(path, (8, 8))


def test_compressed_run_lengths_are_read(tmp_path: Path) -> None:
    """Strings as pycocotools 2.0.11 encodes them."""
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 1:4] = mask[6, :] = AXON
    mask[3, 2] = 0
    segmentation = {"size": [8, 8], "counts": COMPRESSED}
    path = write_json(tmp_path / "a.json", coco(segmentation))
    np.testing.assert_array_equal(exchange.read(path, (8, 8), image="a.png"), mask)


COMPRESSED = "6132NN20N00022NN60000000J"


def test_labelme_shapes_are_read(tmp_path: Path) -> None:
    """Polygons, rectangles from any corner, circles, masks; a group is one object."""
    mask = np.array([[1, 0], [1, 1]], bool)
    png = base64.b64encode(imagecodecs.png_encode(mask.astype(np.uint8))).decode()
    shapes = [
        shape_of_labelme("axon", "polygon", rectangle(0, 0, 2, 2), group_id=1),
        shape_of_labelme("axon", "polygon", rectangle(0, 2, 2, 3), group_id=1),
        shape_of_labelme("myelin", "rectangle", [[8, 2], [6, 0]]),
        shape_of_labelme("uaxon", "circle", [[2, 6], [2, 4]]),
        shape_of_labelme("Axon", "mask", [[6, 4], [7, 5]], mask=png),
        shape_of_labelme("axon", "linestrip", [[6, 4], [7, 5]]),
        shape_of_labelme("axon", "point", [[6, 4]]),
    ]
    path = write_json(tmp_path / "a.json", labelme(*shapes))
    y, x = np.mgrid[:8, :8] + 0.5
    expected = np.where((x - 2) ** 2 + (y - 6) ** 2 <= 4, BARE, 0)
    expected[0:2, 0:3] = AXON  # without a line between the parts of the group
    expected[0:2, 6:8] = MYELIN
    expected[4:6, 6:8][mask] = AXON
    with pytest.warns(UserWarning, match="1 × linestrip, 1 × point"):
        labels = exchange.read(path, (8, 8))
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_object_images_are_read(tmp_path: Path, dtype: type) -> None:
    """Label TIFFs of any program, and with any ids."""
    objects = np.zeros((5, 6), dtype)
    objects[0:2, 0:2], objects[3:, 3:] = 120, 7
    tifffile.imwrite(tmp_path / "a.tif", objects)
    labels = exchange.read(tmp_path / "a.tif", (5, 6), default="axon")
    np.testing.assert_array_equal(labels, (objects > 0) * AXON)
    with pytest.raises(ValueError, match=r"a\.tif: found the values .*default='axon'"):
        exchange.read(tmp_path / "a.tif", (5, 6))


def test_masks_are_read_by_the_same_door(tmp_path: Path) -> None:
    """Masks of AxonDeepSeg and class ids need not be told apart by the caller."""
    write_masks(tmp_path / "a", FIBRES)
    for name in ("axon", "myelin", "axonmyelin"):
        path = tmp_path / f"a_seg-{name}.png"
        np.testing.assert_array_equal(exchange.read(path, FIBRES.shape), read_labels(path))
    with pytest.raises(
        ValueError, match=r"labels of shape \(12, 16\) for an image of shape \(3, 3\)"
    ):
        exchange.read(path, (3, 3))


@pytest.mark.parametrize("version", ["numpy.core", "numpy._core"])
@pytest.mark.parametrize("protocol", [3, 4])
def test_files_of_cellpose_are_read(tmp_path: Path, version: str, protocol: int) -> None:
    """Masks are found among all that Cellpose saves, whichever NumPy it ran on."""
    masks = np.zeros((1, 5, 6), np.uint16)
    masks[0, 1:3, 1:3], masks[0, 4, :] = 1, 2
    record = {
        "masks": np.asfortranarray(masks),
        "outlines": masks,
        "filename": Path("/home/me/a.png"),
        "est_diam": np.float64(30),
        "flows": [np.zeros((2, 3), np.uint8), [], np.zeros((2, 2), np.float32)],
        "normalize_params": {"lowhigh": None, "percentile": [1.0, 99.0], "invert": np.bool_(False)},
        "manual_changes": [["2026-11-21", "added mask", []]],
        "zdraw": np.array([None, None], object),
    }
    text = pickle.dumps(np.array(record, object), protocol)
    own = b"numpy._core.multiarray"
    assert own in text
    name = f"{version}.multiarray".encode()
    short = b"\x8c" + bytes([len(own)]) + own
    text = text.replace(short, b"\x8c" + bytes([len(name)]) + name).replace(
        b"c" + own + b"\n", b"c" + name + b"\n"
    )
    if protocol == 4:  # a frame tells its length
        text = text[:3] + (len(text) - 11).to_bytes(8, "little") + text[11:]
    path = tmp_path / "a_seg.npy"
    path.write_bytes(npy_header("|O") + text)
    labels = exchange.read(path, (5, 6), default="unmyelinated axon")
    np.testing.assert_array_equal(labels, (masks[0] > 0) * BARE)
    with pytest.raises(ValueError, match=r'a_seg\.npy: 2 objects have no class\. .*default="axon"'):
        exchange.read(path, (5, 6))
    with pytest.raises(
        ValueError, match=r"labels of shape \(5, 6\) for an image of shape \(6, 5\)"
    ):
        exchange.read(path, (6, 5), default="axon")


def npy_header(descr: str, shape: str = "()") -> bytes:
    """Return what a .npy begins with."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


# Touching, overlapping, reaching beyond


@same_folder
@given(
    objects=hnp.arrays(np.int32, SHAPES, elements=st.integers(0, 4)),
    kind=st.sampled_from(["axon", "unmyelinated axon"]),
)
def test_touching_axons_are_divided(tmp_path: Path, objects: np.ndarray, kind: str) -> None:
    """No piece of an axon holds pixels of two objects, and no pixel but at a contact is lost."""
    path = write_objects(tmp_path / "a.tif", objects, pixel_size=0.1, overwrite=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*nothing is left")  # of axons of one pixel
        labels = exchange.read(path, objects.shape, default=kind)
    assert set(np.unique(labels)) <= {0, CLASSES[kind]}
    pieces, n = ndimage.label(labels)
    for piece in range(1, n + 1):
        assert len(np.unique(objects[pieces == piece])) == 1
    contact = np.zeros(objects.shape, bool)
    for a, b, at, bt in (
        (objects[1:], objects[:-1], contact[1:], contact[:-1]),
        (objects[:, 1:], objects[:, :-1], contact[:, 1:], contact[:, :-1]),
    ):
        touch = (a != b) & (a > 0) & (b > 0)
        at |= touch
        bt |= touch
    np.testing.assert_array_equal((labels > 0) | contact, objects > 0)


def test_the_larger_axon_gives_the_line(tmp_path: Path) -> None:
    """A small axon keeps its pixels, and the line is one pixel wide."""
    objects = np.zeros((4, 6), np.int32)
    objects[:, :4], objects[1:3, 4:] = 1, 2
    path = write_objects(tmp_path / "a.tif", objects, pixel_size=0.1)
    expected = (objects > 0) * np.uint8(AXON)
    expected[1:3, 3] = 0
    np.testing.assert_array_equal(exchange.read(path, (4, 6), default="axon"), expected)


def test_touching_sheaths_stay(tmp_path: Path) -> None:
    """Myelin touches myelin in nerves: a line between would be an invention."""
    objects = np.repeat(np.array([[1, 2]], np.int32), 3, axis=1)
    path = write_objects(tmp_path / "a.tif", objects, pixel_size=0.1)
    assert (exchange.read(path, (1, 6), default="myelin") == MYELIN).all()


def test_the_later_of_one_class_wins(tmp_path: Path) -> None:
    """Where two axons overlap the line is cut out of the larger, and none is lost unsaid."""
    one, other = feature("axon", rectangle(0, 0, 6, 8)), feature("axon", rectangle(4, 0, 8, 8))
    path = write_json(tmp_path / "a.geojson", collection(one, other))
    expected = np.full((8, 8), AXON, np.uint8)
    expected[3] = 0
    np.testing.assert_array_equal(exchange.read(path, (8, 8)), expected)
    path = write_json(
        tmp_path / "b.geojson", collection(one, feature("axon", rectangle(0, 0, 8, 8)))
    )
    with pytest.warns(UserWarning, match=r"b\.geojson: nothing is left of 1 × axon"):
        assert (exchange.read(path, (8, 8)) == AXON).all()


@pytest.mark.parametrize("order", [1, -1])
def test_axons_lie_on_their_sheaths(tmp_path: Path, order: int) -> None:
    """A sheath drawn as a disc hides no axon, whichever was drawn first."""
    drawn = [feature("myelin", rectangle(1, 1, 7, 7)), feature("axon", rectangle(3, 3, 5, 5))]
    path = write_json(tmp_path / "a.geojson", collection(*drawn[::order]))
    labels = exchange.read(path, (8, 8))
    assert ((labels == AXON).sum(), (labels == MYELIN).sum()) == (4, 32)


@given(st.tuples(*[st.floats(0, 8)] * 4))
def test_neighbours_share_no_pixel(ends: tuple[float, ...]) -> None:
    """Polygons with a common, slanted edge leave no gap and no overlap."""
    start, end = [ends[0], -1], [ends[1], 9]
    left = np.array([start, [ends[2], ends[3]], end, [-1, 9], [-1, -1]])
    right = np.array([end, [ends[2], ends[3]], start, [9, -1], [9, 9]])
    one, other = (on_image(polygons.fill([ring], (8, 8)), (8, 8)) for ring in (left, right))
    np.testing.assert_array_equal(one, ~other)


def test_what_reaches_beyond_is_told(tmp_path: Path) -> None:
    """Objects are cut at the border with a warning, unless it is a pixel."""
    path = write_json(tmp_path / "a.geojson", collection(feature("axon", rectangle(-1, -1, 9, 9))))
    assert (exchange.read(path, (8, 8)) == AXON).all()
    with pytest.warns(UserWarning, match=r"1 of 1 objects reach beyond .*\(5, 8\) and are cut"):
        exchange.read(path, (5, 8))


def test_many_objects_cost_their_boxes(tmp_path: Path) -> None:
    """A file of outlines on a wide image does not need memory of the image for each."""
    features = [feature("axon", rectangle(i, i, i + 1, i + 1)) for i in range(0, 4000, 2)]
    path = write_json(tmp_path / "a.geojson", collection(*features))
    assert (exchange.read(path, (4000, 4000)) == AXON).sum() == 2000


# Refused


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.command = f"touch {target}"

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_malicious_pickle_is_refused(tmp_path: Path) -> None:
    """Nothing that a file names is called."""
    trap = tmp_path / "trap"
    record = {"masks": np.zeros((2, 2), np.uint16), "flows": Attack(trap)}
    path = tmp_path / "a_seg.npy"
    np.save(path, np.array(record, object))
    with pytest.raises(ValueError, match=r"a pickle that asks for (posix|nt)\.system, which no"):
        exchange.read(path, (2, 2), default="axon")
    assert not trap.exists()
    np.load(path, allow_pickle=True)
    assert trap.exists(), "the trap must be one"


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(V1\ntR.",
        b"cnumpy\nload\n(Vx\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(Vx\ntR.",
        b"cnumpy._core.numeric\n__dict__\n.",
        b"ccopyreg\n_reconstructor\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
        b"\x80\x04\x8c\x07pathlib\x8c\x0fPosixPath.mkdir\x93.",
    ],
)
def test_a_pickle_gets_nothing_else(tmp_path: Path, code: bytes) -> None:
    """Neither functions of NumPy nor attributes of what is admitted are to be had."""
    path = write_bytes(tmp_path / "a_seg.npy", npy_header("|O") + code)
    with pytest.raises(ValueError, match="a pickle that asks for"):
        exchange.read(path, (2, 2), default="axon")


def test_forged_arrays_are_refused(tmp_path: Path) -> None:
    """Arrays that claim more than is in the file, or to hold pointers, are not made."""
    for code, claim in (("u2", "(1000000000, 1000000000)"), ("O8", "(2, 2)"), ("f8", "(1, 1)")):
        text = (
            "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nI0\ntVb\ntR(I1\n"
            f"(I{claim.strip('()').replace(', ', chr(10) + 'I')}\nt"
            f"cnumpy\ndtype\n(V{code}\nI00\nI01\ntRI00\nC\x08abcdefghtb."
        )
        masks = text[:-1].encode("latin1")
        inner = b"}Vmasks\n" + masks + b"s"
        outer = (
            b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n("
            b"tcnumpy\ndtype\n(VO8\nI00\nI01\ntRI00\n(" + inner + b"ltb."
        )
        outer = outer.replace(b"ndarray\nI0\nt", b"ndarray\n(I0\nt")
        path = write_bytes(tmp_path / "a_seg.npy", npy_header("|O") + outer, overwrite=True)
        with pytest.raises(ValueError, match=r"damaged .*reshape|masks of type"):
            exchange.read(path, (2, 2), default="axon")


def damaged(content: bytes) -> bytes:
    """Cut a file short."""
    return content[: len(content) * 2 // 3]


@pytest.mark.parametrize("name", [*WRITTEN, *ONE_CLASS])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    """A file that was cut short gets one clear error."""
    labels = (FIBRES == AXON) * np.uint8(AXON)
    options = WRITTEN.get(name) or ONE_CLASS.get(name) or {}
    path = exchange.write(tmp_path / name, labels, **options)
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{name}: .*(damaged|cut short)"):
        exchange.read(path, FIBRES.shape, default="axon")


BAD: dict[str, tuple[bytes | dict[str, Any], str]] = {
    "empty": (b"", r"not labels that axonlab reads \(it is empty\)\. Export"),
    "text": (b"label,x,y\n", r"it begins with b'label,x,'"),
    "other json": ({"labels": []}, "neither GeoJSON features, COCO nor LabelMe"),
    "unknown class": (
        collection(feature("Tumor", rectangle(0, 0, 1, 1)), feature("axon", rectangle(2, 2, 3, 3))),
        r"found the classes 'Tumor', known are .*names=\{'Tumor': \"axon\"\}",
    ),
    "no class": (collection(feature(None, rectangle(0, 0, 1, 1))), "1 objects have no class"),
    "outside": (
        collection(feature("axon", rectangle(20, 30, 22, 33))),
        r"1 of 1 objects lie outside an image of shape \(8, 8\), one at row 20, column 30",
    ),
    "NaN": (collection(feature("axon", [[0, 0], [float("nan"), 1], [2, 2]])), "NaN, infinite"),
    "far": (collection(feature("axon", [[0, 0], [1e300, 1], [2, 2]])), "NaN, infinite"),
    "no rings": (collection(feature("axon")), "damaged"),
    "flat ring": (collection(feature("axon", [1, 2, 3])), "damaged"),  # type: ignore[list-item]
    "labelme size": (labelme(height=9), r"image of 9 rows and 8 columns, but yours has \(8, 8\)"),
    "labelme mask": (
        labelme(
            shape_of_labelme(
                "axon",
                "mask",
                [[0, 0], [1, 1]],
                # says 1,000,000 × 1,000,000 pixels
                mask=base64.b64encode(
                    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (10**6).to_bytes(4) * 2 + b"\x01\0\0\0\0"
                ).decode(),
            )
        ),
        r"a mask of shape \(1000000, 1000000\) at row 0, column 0, which is outside",
    ),
    "coco size": (
        {**coco([]), "images": [{"id": 9, "file_name": "a.png", "height": 9, "width": 10**9}]},
        "image of 9 rows and 1000000000 columns",
    ),
    "coco sum": (coco({"size": [8, 8], "counts": [10**12, 5]}), "do not sum"),
    "coco overflow": (coco({"size": [8, 8], "counts": [2**62] * 4 + [64]}), "do not sum"),
    "coco negative": (coco({"size": [8, 8], "counts": [-5, 69]}), "do not sum"),
    "coco claim": (coco({"size": [10**6, 10**6], "counts": [10**12]}), "1000000 rows"),
    "coco odd": (coco([[1, 2, 3]]), "damaged"),
    "nested": (b"[" * 100_000, "damaged"),
    "npy of numbers": (npy_header("<u2", "(2, 2)") + bytes(8), "it holds no dict"),
    "npy of a list": (npy_header("|O") + b"\x80\x03]q\0.", "damaged"),
    "zip of nothing": (b"PK\x05\x06" + bytes(3), "damaged"),
    "roi": (b"Iout" + bytes(20), "damaged"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused(tmp_path: Path, what: str) -> None:
    """What cannot be labels of this image gets an error that says so."""
    content, message = BAD[what]
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=f"(?s)file: .*{message}"):
        exchange.read(path, (8, 8), image="a.png")


def test_zips_are_weighed_before_they_are_opened(tmp_path: Path) -> None:
    """A zip that unpacks to far more than outlines of the image need is refused."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", b"Iout" + bytes(80_000_000))
    with pytest.raises(ValueError, match=r"a\.zip: unpacks to more than 67110912 bytes"):
        exchange.read(path, (8, 8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no ROIs")
    with pytest.raises(ValueError, match=r"a\.zip: a \.zip without ROIs\."):
        exchange.read(path, (8, 8))


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A wrong name is told as such."""
    with pytest.raises(FileNotFoundError, match=r"a\.zip: no such file"):
        exchange.read(tmp_path / "a.zip", (8, 8))


def test_unknown_classes_of_the_caller_are_refused(tmp_path: Path) -> None:
    """A slip in names or default is found."""
    path = write_json(tmp_path / "a.json", collection())
    for options in ({"names": {"Tumor": "axxon"}}, {"default": "axxon"}):
        with pytest.raises(ValueError, match=r"Unknown class 'axxon', known are \['background'"):
            exchange.read(path, (8, 8), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("objects", [np.array([[-1, 2]]), np.array([[0.5, 1]])])
def test_bad_object_images_are_refused(tmp_path: Path, objects: np.ndarray) -> None:
    """Objects are whole numbers from 0."""
    tifffile.imwrite(tmp_path / "a.tif", objects)
    with pytest.raises(ValueError, match=r"a\.tif: "):
        exchange.read(tmp_path / "a.tif", (1, 2), default="axon")


@pytest.mark.parametrize(
    ("name", "labels", "options", "message"),
    [
        ("a.json", FIBRES, {}, r"'geojson', 'coco', 'labelme'\]\. Pass format="),
        ("a.tif", FIBRES, {}, r"'objects', 'labels'\]\. Pass format="),
        ("a.txt", FIBRES, {}, r"no format\. Pass format="),
        ("a.npy", FIBRES, {}, r"no format\. Pass format="),
        ("a.zip", FIBRES, {"format": "coco"}, r"files of coco end in \('\.json',\)\. Change"),
        ("a.zip", FIBRES, {"format": "voc"}, "Unknown format 'voc', known are"),
        ("a.json", FIBRES, {"format": "coco"}, 'Pass image="NAME.png"'),
        ("a_seg.npy", FIBRES, {"image": "a.png"}, "axon and myelin and unmyel.*Keep one"),
        ("a.tif", FIBRES // 2 * 2, {"format": "objects"}, r"Pass pixel_size=\.\.\. \(µm\)"),
        ("a.zip", FIBRES + 7, {}, "unknown ids"),
        ("a_seg-axonmyelin.png", FIBRES * 0 + 255, {}, "192 pixels are unlabelled"),
        ("a_seg.npy", FIBRES * 0 + 255, {"image": "a.png"}, "labels of unlabelled"),
    ],
)
def test_what_would_be_lost_is_not_written(
    tmp_path: Path, name: str, labels: np.ndarray, options: dict[str, Any], message: str
) -> None:
    """Formats that cannot hold the labels refuse them before a file is touched."""
    with pytest.raises(ValueError, match=message):
        exchange.write(tmp_path / name, labels, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*WRITTEN, *ONE_CLASS])
def test_nothing_is_overwritten_unasked(tmp_path: Path, name: str) -> None:
    """A file that exists stays, unless overwriting is asked for."""
    options = WRITTEN.get(name) or ONE_CLASS.get(name) or {}
    (tmp_path / name).write_bytes(b"old")
    labels = np.array([[2, 0]], np.uint8)
    with pytest.raises(FileExistsError, match=f"{name} exists. Pass overwrite=True"):
        exchange.write(tmp_path / name, labels, **options)
    exchange.write(tmp_path / name, labels, overwrite=True, **options)
    assert (tmp_path / name).read_bytes() != b"old"


# BIDS


def find_pairs(folder: Path) -> Any:
    """Return what training finds in a folder."""
    return pytest.importorskip("axonlab.data").find_pairs(folder)


PIXELS: dict[str, tuple[np.ndarray, str]] = {
    "8 bits": (np.arange(192, dtype=np.uint8).reshape(12, 16), ".png"),
    "16 bits": (np.arange(192, dtype=np.uint16).reshape(12, 16) * 300, ".tif"),
    "float": (np.linspace(-1, 1, 192, dtype=np.float32).reshape(12, 16), ".tif"),
    "large": (np.linspace(0, 1e6, 192).round().reshape(12, 16), ".tif"),
}


@pytest.mark.parametrize("kind", PIXELS)
@pytest.mark.parametrize("animal", ["rat8", "sub-rat8"])
def test_a_data_set_trains_as_it_is(tmp_path: Path, kind: str, animal: str) -> None:
    """Image and masks are paired, and every value, class and size is as it was."""
    pixels, suffix = PIXELS[kind]
    micrograph = Micrograph(pixels, 0.13, "sub-rat8_sample-1_TEM")
    image = exchange.write_bids(tmp_path, micrograph, FIBRES, animal=animal)
    assert image == tmp_path / "sub-rat8" / "micr" / f"sub-rat8_sample-1_TEM{suffix}"
    (pair,) = find_pairs(tmp_path)
    assert (pair.image, pair.animal) == (image, "sub-rat8")
    back = read_image(pair.image)
    assert (back.pixel_size, back.name) == (0.13, micrograph.name)
    np.testing.assert_array_equal(back.pixels, micrograph.pixels)
    np.testing.assert_array_equal(read_labels(*pair.masks), FIBRES)
    assert set(np.unique(imagecodecs.imread(pair.masks[0]))) == {0, 127, 255}


@same_folder
@given(labels=LABELS)
def test_labels_come_back_from_a_data_set(tmp_path: Path, labels: np.ndarray) -> None:
    """Sparse labels, too; an older mask of unmyelinated axons adds nothing."""
    micrograph = Micrograph(np.zeros(labels.shape), 0.1, "a")
    exchange.write_bids(tmp_path, micrograph, labels, animal="1", overwrite=True)
    (pair,) = find_pairs(tmp_path)
    np.testing.assert_array_equal(read_labels(*pair.masks), labels)


def test_masks_without_bare_axons_are_one(tmp_path: Path) -> None:
    """A second mask is written only if there is something in it."""
    labels = np.where(FIBRES == BARE, 0, FIBRES)
    exchange.write_bids(tmp_path, Micrograph(labels, 0.1, "a"), labels, animal="1")
    assert len(find_pairs(tmp_path)[0].masks) == 1


def test_a_data_set_is_not_overwritten_unasked(tmp_path: Path) -> None:
    """An image stays, whatever its type; replaced, it is not there twice."""
    exchange.write_bids(tmp_path, Micrograph(FIBRES, 0.1, "a"), FIBRES, animal="1")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    other = Micrograph(FIBRES / 7, 0.2, "a")
    with pytest.raises(FileExistsError, match=r"a\.png exists\. Pass overwrite=True"):
        exchange.write_bids(tmp_path, other, FIBRES, animal="1")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == files
    exchange.write_bids(tmp_path, other, FIBRES, animal="1", overwrite=True)
    (pair,) = find_pairs(tmp_path)
    assert pair.image.suffix == ".tif"
    assert read_image(pair.image).pixel_size == 0.2


@pytest.mark.parametrize(
    ("name", "animal", "shape", "message"),
    [
        ("a", "1", (3, 3), r"labels of shape \(3, 3\) for an image of shape \(12, 16\)"),
        ("a/b", "1", (12, 16), "BIDS allows letters and digits"),
        ("..", "1", (12, 16), "BIDS allows letters and digits"),
        ("a", "../1", (12, 16), "BIDS allows letters and digits"),
        ("a", "sub-", (12, 16), "BIDS allows letters and digits"),
    ],
)
def test_bad_data_sets_are_not_written(
    tmp_path: Path, name: str, animal: str, shape: tuple[int, int], message: str
) -> None:
    """Nothing is written that would not be found, or outside the folder."""
    micrograph = Micrograph(FIBRES, 0.1, name)
    with pytest.raises(ValueError, match=message):
        exchange.write_bids(tmp_path / "set", micrograph, np.zeros(shape, np.uint8), animal=animal)
    assert not list(tmp_path.iterdir())
