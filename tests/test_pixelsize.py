"""Pixel sizes: found where they are written, refused where they contradict or are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from axonlab.pixelsize import find_pixel_size, ome_zarr_pixel_sizes, tiff_pixel_sizes

pytestmark = pytest.mark.filterwarnings("error")

TEXT_FILE = "pixel_size_in_micrometer.txt"


def sidecar(path: Path, size: Any = 0.1, **more: Any) -> None:
    """Write a BIDS sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"PixelSize": size, "PixelSizeUnits": "um", **more}))


def tagged(path: Path, **options: Any) -> list[float]:
    """Write a TIFF with tags and return the pixel sizes read from them."""
    tifffile.imwrite(path, np.zeros((8, 9), np.uint8), **options)
    with tifffile.TiffFile(path) as tif:
        return tiff_pixel_sizes(tif)


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        ([0.1, 0.1], "um", 0.1),
        ([0.1, 0.1, 0.5], "um", 0.1),
        (0.1, "um", 0.1),
        ([5, 5], "nm", 0.005),
        ([0.0001, 0.0001], "mm", 0.1),
        ([0.1, 0.1], "µm", 0.1),
        ([0.1, 0.1], "\u03bcm", 0.1),
        ([0.1, 0.1], "micrometer", 0.1),
    ],
)
def test_sidecar_is_read(tmp_path: Path, size: Any, unit: str, expected: float) -> None:
    """A BIDS sidecar counts in any of its units, with two sizes, three or one."""
    sidecar(tmp_path / "nerve.json", size, PixelSizeUnits=unit)
    found, source = find_pixel_size(tmp_path / "nerve.png", [])
    assert found == pytest.approx(expected)
    assert source == "nerve.json"


@pytest.mark.parametrize("name", ["nerve.ome.tif", "nerve.ome.zarr", "nerve.tiff", "nerve.jpg"])
def test_sidecar_fits_every_suffix(tmp_path: Path, name: str) -> None:
    """The sidecar has the image's name without its suffix, double ones included."""
    sidecar(tmp_path / "nerve.json")
    assert find_pixel_size(tmp_path / name, []) == (0.1, "nerve.json")


@pytest.mark.parametrize("text", ["0.07", " 0.07\n", "\ufeff0.07\r\n", "7e-2"])
def test_text_file_is_read(tmp_path: Path, text: str) -> None:
    """AxonDeepSeg's text file counts for all images of its folder, also from Windows."""
    (tmp_path / TEXT_FILE).write_bytes(text.encode())
    assert find_pixel_size(tmp_path / "nerve.png", []) == (0.07, TEXT_FILE)


def test_sidecar_comes_before_the_text_file(tmp_path: Path) -> None:
    """What is said of one image is believed more than what is said of a folder."""
    (tmp_path / TEXT_FILE).write_text("0.07")
    sidecar(tmp_path / "nerve.json")
    assert find_pixel_size(tmp_path / "nerve.png", [])[0] == 0.1


class TestInheritance:
    """BIDS: a sidecar speaks for the images whose entities include its own, in and below it."""

    image = Path("sub-1/micr/sub-1_sample-2_acq-roi_SEM.png")

    @pytest.mark.parametrize(
        "name",
        [
            "SEM.json",
            "sub-1/sub-1_SEM.json",
            "sub-1/micr/sub-1_SEM.json",
            "sub-1/micr/sub-1_acq-roi_SEM.json",
            "sub-1/micr/sub-1_sample-2_acq-roi_SEM.json",
        ],
    )
    def test_fitting_sidecars_count(self, tmp_path: Path, name: str) -> None:
        """Sidecars of the data set, the animal and the image all count."""
        sidecar(tmp_path / "dataset_description.json", None)
        sidecar(tmp_path / name)
        assert find_pixel_size(tmp_path / self.image, []) == (0.1, Path(name).name)

    @pytest.mark.parametrize(
        "name",
        [
            "sub-1/micr/sub-2_SEM.json",
            "sub-1/micr/sub-1_sample-3_acq-roi_SEM.json",
            "sub-1/micr/sub-1_TEM.json",
            "sub-1/micr/sub-1_sample-2_acq-roi_XSEM.json",
            "sub-2/micr/sub-1_SEM.json",
            "../SEM.json",
        ],
    )
    def test_other_sidecars_do_not(self, tmp_path: Path, name: str) -> None:
        """Sidecars of other images, other folders or from outside the data set do not count."""
        root = tmp_path / "data"
        sidecar(root / "dataset_description.json", None)
        sidecar(root / name)
        with pytest.raises(ValueError, match="no pixel size found"):
            find_pixel_size(root / self.image, [])

    def test_the_nearest_wins(self, tmp_path: Path) -> None:
        """The more specific sidecar and the nearer folder win."""
        sidecar(tmp_path / "dataset_description.json", None)
        wanted = tmp_path / self.image
        sizes = {"SEM": 0.4, "sub-1/sub-1_SEM": 0.3, "sub-1/micr/sub-1_SEM": 0.2}
        for name, size in {**sizes, wanted.with_suffix("").as_posix(): 0.1}.items():
            sidecar(tmp_path / f"{name}.json", size)
            assert find_pixel_size(wanted, [])[0] == size

    def test_a_sidecar_without_size_is_passed_over(self, tmp_path: Path) -> None:
        """A sidecar that says nothing of pixels leaves the word to the next one."""
        sidecar(tmp_path / "dataset_description.json", None)
        sidecar(tmp_path / "SEM.json")
        (tmp_path / self.image).parent.mkdir(parents=True)
        (tmp_path / self.image).with_suffix(".json").write_text('{"BodyPart": "CSPINE"}')
        assert find_pixel_size(tmp_path / self.image, [])[0] == 0.1

    def test_relative_paths_inherit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A path relative to the image's own folder finds the sidecar of the data set."""
        sidecar(tmp_path / "dataset_description.json", None)
        sidecar(tmp_path / "SEM.json")
        (tmp_path / self.image).parent.mkdir(parents=True)
        monkeypatch.chdir((tmp_path / self.image).parent)
        assert find_pixel_size(Path(self.image.name), [])[0] == 0.1

    def test_without_a_data_set_only_the_own_folder_counts(self, tmp_path: Path) -> None:
        """Where no folder is marked as a BIDS data set, folders above are not searched."""
        sidecar(tmp_path / "SEM.json")
        with pytest.raises(ValueError, match="no pixel size found"):
            find_pixel_size(tmp_path / self.image, [])


def test_no_pixel_size_is_an_error(tmp_path: Path) -> None:
    """The error names the image and all three ways to give a pixel size."""
    with pytest.raises(ValueError, match="no pixel size found") as error:
        find_pixel_size(tmp_path / "nerve.ome.tif", [])
    for part in ("nerve.ome.tif: ", "pixel_size=", "nerve.json", "PixelSizeUnits", TEXT_FILE):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("not json", "Expecting value"),
        ('{"PixelSize": [0.1, 0.1], "PixelSizeUnits": "furlong"}', "furlong"),
        ('{"PixelSize": [0.1, 0.1], "PixelSizeUnits": 3}', "int"),
        ('{"PixelSize": ["wide", "high"]}', "wide"),
        ('{"PixelSize": {"x": 1}}', "dict"),
    ],
)
def test_broken_sidecars_are_errors(tmp_path: Path, content: str, found: str) -> None:
    """A sidecar that cannot be understood is named, with what was found and what to do."""
    (tmp_path / "nerve.json").write_text(content)
    with pytest.raises(ValueError, match=found) as error:
        find_pixel_size(tmp_path / "nerve.png", [0.1, 0.1])
    for part in ("nerve.png: ", "nerve.json", "Expected JSON", "pixel_size="):
        assert part in str(error.value)


@pytest.mark.parametrize("content", [b"", b"0,07", b"0.07 um", b"\xff\xfe0"])
def test_broken_text_files_are_errors(tmp_path: Path, content: bytes) -> None:
    """A text file without a plain number is named, with what to do."""
    (tmp_path / TEXT_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=rf"nerve\.png: .*{TEXT_FILE} cannot .*pixel_size="):
        find_pixel_size(tmp_path / "nerve.png", [])


@pytest.mark.parametrize("size", [0, -1, 100, 1e-7])
def test_absurd_sizes_are_errors(tmp_path: Path, size: float) -> None:
    """Sizes outside 1 nm to 100 µm are refused, wherever they are written."""
    with pytest.raises(ValueError, match=r"nerve\.png: .*outside.*pixel_size="):
        find_pixel_size(tmp_path / "nerve.png", [size * 1.5, size * 1.5])
    sidecar(tmp_path / "nerve.json", [size * 1.5, size * 1.5])
    with pytest.raises(ValueError, match=r"nerve\.png: .*outside.*pixel_size="):
        find_pixel_size(tmp_path / "nerve.png", [])


def test_oblong_pixels_are_errors(tmp_path: Path) -> None:
    """Pixels that are not square are refused with their sizes, from tags and sidecars alike."""
    with pytest.raises(ValueError, match=r"nerve\.png: .*0\.1 × 0\.2 µm.*Resample"):
        find_pixel_size(tmp_path / "nerve.png", [0.1, 0.2])
    sidecar(tmp_path / "nerve.json", [0.2, 0.1])
    with pytest.raises(ValueError, match=r"nerve\.png: .*0\.2 × 0\.1 µm.*pixel_size="):
        find_pixel_size(tmp_path / "nerve.png", [])


def test_pixels_square_to_rounding_pass(tmp_path: Path) -> None:
    """A difference of less than a hundredth is rounding, and the mean is returned."""
    size, source = find_pixel_size(tmp_path / "nerve.png", [0.1000, 0.1002])
    assert size == pytest.approx(0.1001)
    assert source == "tags of the image file"


def test_a_contradiction_warns(tmp_path: Path) -> None:
    """Sidecar and tags that differ give a warning with both, and the sidecar is used."""
    sidecar(tmp_path / "nerve.json")
    with pytest.warns(UserWarning, match=r"nerve\.png: nerve\.json says 0\.1 .*0\.2.*pixel_size="):
        size, source = find_pixel_size(tmp_path / "nerve.png", [0.2, 0.2])
    assert (size, source) == (0.1, "nerve.json")


def test_agreement_does_not_warn(tmp_path: Path) -> None:
    """Sidecar and tags that agree to rounding give no warning."""
    sidecar(tmp_path / "nerve.json")
    assert find_pixel_size(tmp_path / "nerve.png", [0.1004, 0.1004])[0] == 0.1


@pytest.mark.parametrize(
    ("length", "unit", "expected"),
    [
        (4.93, "nm", 0.00493),
        (0.07, "µm", 0.07),
        (49.3, "Å", 0.00493),
        (0.0001, "mm", 0.1),
        (0.07, None, 0.07),
    ],
)
def test_ome_tags(tmp_path: Path, length: float, unit: str | None, expected: float) -> None:
    """OME metadata counts in its unit, µm where it names none."""
    units = {f"PhysicalSize{a}Unit": unit for a in "XY"} if unit else {}
    metadata = {"axes": "YX", "PhysicalSizeX": length, "PhysicalSizeY": length, **units}
    assert tagged(tmp_path / "a.ome.tif", metadata=metadata) == pytest.approx([expected] * 2)


@pytest.mark.parametrize("unit", ["pixel", "reference frame"])
def test_ome_units_that_are_no_lengths(tmp_path: Path, unit: str) -> None:
    """OME's relative units say nothing of the pixel size, and are no error."""
    units = {f"PhysicalSize{a}Unit": unit for a in "XY"}
    metadata = {"axes": "YX", "PhysicalSizeX": 1, "PhysicalSizeY": 1, **units}
    assert tagged(tmp_path / "a.ome.tif", metadata=metadata) == []


def test_ome_without_a_size(tmp_path: Path) -> None:
    """OME metadata without a physical size says nothing."""
    assert tagged(tmp_path / "a.ome.tif", metadata={"axes": "YX"}) == []


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("micron", [0.05, 0.05]),
        ("um", [0.05, 0.05]),
        ("\\u00B5m", [0.05, 0.05]),
        ("nm", [5e-5, 5e-5]),
        ("mm", [50, 50]),
        ("inch", []),
        ("pixel", []),
    ],
)
def test_imagej_tags(tmp_path: Path, unit: str, expected: list[float]) -> None:
    """ImageJ's resolution counts in its unit, if that is a metric length."""
    sizes = tagged(
        tmp_path / "a.tif", imagej=True, resolution=(20, 20), metadata={"unit": unit, "axes": "YX"}
    )
    assert sizes == pytest.approx(expected)


@pytest.mark.parametrize("unit", ["INCH", "NONE"])
@pytest.mark.parametrize("imagej", [False, True])
def test_print_resolutions_are_not_believed(tmp_path: Path, unit: str, *, imagej: bool) -> None:
    """Dots per inch, or per nothing, say nothing of the pixel size."""
    options = {"resolution": (72, 72), "resolutionunit": unit, "imagej": imagej}
    assert tagged(tmp_path / "a.tif", **options) == []


def test_no_tags(tmp_path: Path) -> None:
    """A TIFF without tags says nothing."""
    assert tagged(tmp_path / "a.tif", metadata=None) == []


def test_zero_resolution_says_nothing(tmp_path: Path) -> None:
    """A resolution of 0, as some programs leave it, says nothing."""
    assert tagged(tmp_path / "a.tif", resolution=(0, 0), resolutionunit="CENTIMETER") == []


@given(size=st.floats(0.001, 9.99))
def test_centimetre_tags(tmp_path_factory: pytest.TempPathFactory, size: float) -> None:
    """Pixels per centimetre count, to a rounding that does not matter."""
    path = tmp_path_factory.getbasetemp() / "cm.tif"
    sizes = tagged(path, resolution=(1e4 / size, 1e4 / size), resolutionunit="CENTIMETER")
    np.testing.assert_allclose(sizes, [size] * 2, rtol=1e-6)


def test_print_resolution_per_centimetre(tmp_path: Path) -> None:
    """300 dots per inch are no pixel size of a micrograph, in whichever unit they are written."""
    tags = {"resolution": (118.11, 118.11), "resolutionunit": "CENTIMETER"}
    assert tagged(tmp_path / "a.tif", **tags) == []


def test_tags_are_height_then_width(tmp_path: Path) -> None:
    """Oblong pixels are told as height and width."""
    per_cm = (1e4 / 0.2, 1e4 / 0.1)  # TIFF says x first
    sizes = tagged(tmp_path / "a.tif", resolution=per_cm, resolutionunit="CENTIMETER")
    assert sizes == pytest.approx([0.1, 0.2])


def multiscale(scale: list[float], unit: str | None, **more: Any) -> dict[str, Any]:
    """Return the OME-Zarr metadata of one image with axes z, y and x."""
    space = {} if unit is None else {"unit": unit}
    transforms = [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": [0] * 3},
    ]
    return {
        "axes": [{"name": n, "type": "space", **space} for n in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": transforms}, {"path": "1"}],
        **more,
    }


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("nanometer", [0.005, 0.006]),
        ("micrometer", [5, 6]),
        ("angstrom", [0.0005, 0.0006]),
        (None, []),
        ("parsec", []),
    ],
)
def test_ome_zarr_units(unit: str | None, expected: list[float]) -> None:
    """The scales of y and x count, where they have a unit of length."""
    assert ome_zarr_pixel_sizes(multiscale([40, 5, 6], unit)) == pytest.approx(expected)


def test_ome_zarr_common_scale_is_applied() -> None:
    """A scale of the whole image multiplies that of its finest level."""
    common = [{"type": "scale", "scale": [1, 0.5, 0.25]}]
    sizes = ome_zarr_pixel_sizes(
        multiscale([40, 4, 8], "micrometer", coordinateTransformations=common)
    )
    assert sizes == pytest.approx([2, 2])


def test_ome_zarr_without_scale() -> None:
    """Metadata without a scale say nothing."""
    axes = [{"name": n, "unit": "micrometer"} for n in "yx"]
    assert ome_zarr_pixel_sizes({"axes": axes, "datasets": [{"path": "0"}]}) == []
