"""Samples: bundled, at hand, or downloaded and checked."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from axonlab import io, measure, objects, phantom, samples

BUNDLED = [name for name in samples.names() if name.startswith("phantom")]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """Let no test see what this machine has, or leave anything behind."""
    monkeypatch.delenv("AXONLAB_DATA", raising=False)
    monkeypatch.setenv("AXONLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a tiny public data set on this machine; yield its folder and catalogue entry."""
    folder = tmp_path / "public"
    folder.mkdir()
    image = folder / "nerve.png"
    io.write_image(image, np.full((4, 5), 7, np.uint8))
    (folder / "nerve.json").write_text('{"PixelSize": 0.2, "PixelSizeUnits": "um"}')
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        files = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}
        url = f"http://127.0.0.1:{http.server_port}/"
        entry = {"base_url": url, "files": files, "bundled": "phantom-sem"}
        catalogue = samples._catalogue()
        sample = {"dataset": "tiny", "image": "nerve.png", "masks": ["nerve.png"]}
        monkeypatch.setattr(
            samples,
            "_catalogue",
            lambda: (
                catalogue
                | {
                    "datasets": catalogue["datasets"] | {"tiny": entry},
                    "samples": catalogue["samples"] | {"tiny": sample},
                }
            ),
        )
        yield folder, entry
        http.shutdown()


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_samples_agree_with_their_truth(name):
    """Bundled image, mask and table of true sizes belong together."""
    micrograph, labels = samples.load(name), samples.load_labels(name)
    assert micrograph.pixels.shape == labels.shape
    table = next(
        samples.fetch("phantoms").glob(f"derivatives/labels/*/micr/{micrograph.name}_fibres.csv")
    )
    truth = pd.read_csv(table)
    axons, fibres = objects.label_fibres(labels, pixel_size=micrograph.pixel_size)
    measured = measure.measure_fibres(axons, fibres, pixel_size=micrograph.pixel_size)
    whole = truth[~truth["touches_border"] & truth["is_myelinated"]]
    found = measured[measured["is_myelinated"] & ~measured["touches_border"]]
    assert len(found) == pytest.approx(len(whole), abs=0.02 * len(whole) + 1)
    assert found["axon_area_um2"].sum() == pytest.approx(whole["axon_area_um2"].sum(), rel=0.05)


def test_bundled_sample_can_be_made_again():
    """The recipe of a bundled phantom still gives the bundled image."""
    again = phantom.nerve((600, 800), modality="sem", seed=1).micrograph.pixels
    bundled = samples.load("phantom-sem").pixels
    # other processors may round a grey value differently, but no more
    assert np.mean(again != bundled) < 0.01


def test_without_network_bundled_samples_are_at_hand():
    """A machine without data offers the phantoms."""
    assert samples.at_hand() == BUNDLED


def test_data_folder_is_used_before_the_network(tmp_path, monkeypatch):
    """What lies in AXONLAB_DATA is found there and offered first."""
    image = samples._sample("rat-sem")["image"]
    io.write_image(tmp_path / "rat-sem" / image, np.zeros((2, 2), np.uint8))
    monkeypatch.setenv("AXONLAB_DATA", str(tmp_path))
    assert samples.fetch("rat-sem") == tmp_path / "rat-sem"
    assert samples.at_hand()[0] == "rat-sem"


def test_where_a_data_set_lies(tmp_path, monkeypatch):
    """A folder where there is one, None where it would have to be downloaded."""
    assert samples.local_folder("phantoms") == samples.bundled("phantoms")
    assert samples.local_folder("mouse-nerve") is None
    (tmp_path / "mouse-nerve").mkdir()
    monkeypatch.setenv("AXONLAB_DATA", str(tmp_path))
    assert samples.local_folder("mouse-nerve") == tmp_path.resolve() / "mouse-nerve"


def test_empty_data_folder_offers_nothing(tmp_path, monkeypatch):
    """A folder with the name of a data set but no images is not at hand."""
    (tmp_path / "rat-sem").mkdir()
    monkeypatch.setenv("AXONLAB_DATA", str(tmp_path))
    assert samples.at_hand() == BUNDLED


def test_misspelt_data_folder(tmp_path, monkeypatch):
    """A wrong AXONLAB_DATA is an error, not a download."""
    monkeypatch.setenv("AXONLAB_DATA", str(tmp_path / "dta"))
    with pytest.raises(ValueError, match=r"AXONLAB_DATA is .*dta', which is not a folder"):
        samples.fetch("rat-sem")


def test_catalogue_names_licence_and_citation():
    """Every public data set says under what terms, and whom to cite."""
    table = samples.datasets()
    assert {"rat-sem", "mouse-tem", "snemi3d"} <= set(table.index)
    assert (table[["title", "licence", "citation", "url"]] != "").all(axis=None)


def test_download_is_kept(server):
    """A download is checked, kept, and found again without the server."""
    _folder, entry = server
    micrograph = samples.load("tiny")
    assert (micrograph.pixel_size, micrograph.pixels[0, 0]) == (0.2, 7)
    entry["base_url"] = "http://127.0.0.1:1/"
    assert samples.load("tiny").pixels.shape == (4, 5)
    assert "tiny" in samples.at_hand()


def test_wrong_hash_is_refused(server):
    """A file that is not the published one is not used."""
    folder, _ = server
    (folder / "nerve.json").write_text('{"PixelSize": 9}')
    with pytest.raises(ConnectionError, match=r"nerve\.json"):
        samples.fetch("tiny")
    assert "tiny" not in samples.at_hand()


def test_failed_download_names_the_sample_used_instead(server):
    """Without the server a phantom is loaded, and the warning says which."""
    _, entry = server
    entry["base_url"] = "http://127.0.0.1:1/"
    with pytest.warns(UserWarning, match="could not be downloaded.*'phantom-sem' is used instead"):
        micrograph = samples.load("tiny")
    assert micrograph.name == samples.load("phantom-sem").name


@pytest.mark.parametrize("function", [samples.load, samples.load_labels, samples.fetch])
def test_unknown_name(function):
    """An unknown name is answered with the known ones."""
    with pytest.raises(ValueError, match=r"No .* 'rat', there are .*rat-sem"):
        function("rat")


def test_data_set_to_be_downloaded_by_hand():
    """Where axonlab cannot download, it says from where the user can."""
    with pytest.raises(ValueError, match="by hand, from https://cremi"):
        samples.fetch("cremi")


def test_real_sample(data_folder, monkeypatch):
    """The real sample is the validation animal, with its labels."""
    monkeypatch.setenv("AXONLAB_DATA", str(data_folder))
    micrograph = samples.load("rat-sem")
    assert micrograph.pixel_size == 0.07
    assert samples.load_labels("rat-sem").shape == micrograph.pixels.shape == (1096, 1541)


@pytest.fixture
def membranes(tmp_path, monkeypatch):
    """Write a data set of masked sections, with membranes of 255; return its folder."""
    folder = tmp_path / "drosophila-vnc" / "stack1"
    truth = phantom.membranes((3, 40, 50)).interior
    for i, interior in enumerate(truth):
        grey = np.where(interior, 150, 50).astype(np.uint8)
        io.write_image(folder / "membranes" / f"{i:02d}.png", (~interior * 255).astype(np.uint8))
        io.write_image(folder / "raw" / f"{i:02d}.png", grey)
        (folder / "raw" / f"{i:02d}.png").rename(folder / "raw" / f"{i:02d}.tif")
    monkeypatch.setenv("AXONLAB_DATA", str(tmp_path))
    return folder, truth


def test_a_stack_and_its_truth(membranes):
    """A volume is found in AXONLAB_DATA, and its truth is interior whatever the masks have."""
    _, truth = membranes
    read = samples.load("drosophila-vnc")
    assert (read.voxel_size, read.name) == ((0.05, 0.0046, 0.0046), "drosophila-vnc")
    assert (read.pixels == np.where(truth, 150, 50)).all()
    assert (samples.load_truth("drosophila-vnc") == truth).all()
    assert samples.volumes_at_hand() == ["drosophila-vnc", "phantom-membranes", "phantom-neurites"]
    assert "drosophila-vnc" not in samples.at_hand()


def test_a_stack_without_some_masks(membranes):
    """The section that has no mask is told; the images can still be read."""
    folder, _ = membranes
    (folder / "membranes" / "02.png").unlink()
    assert len(samples.load("drosophila-vnc").pixels) == 3
    with pytest.raises(ValueError, match="3 sections and 2 masks; sections 2 have no mask"):
        samples.load_truth("drosophila-vnc")


def test_inverted_masks(membranes):
    """Masks of the other convention are recognised."""
    folder, truth = membranes
    for i, interior in enumerate(truth):
        mask = (interior * 255).astype(np.uint8)
        io.write_image(folder / "membranes" / f"{i:02d}.png", mask, overwrite=True)
    with pytest.raises(ValueError, match="the mask is probably inverted"):
        samples.load_truth("drosophila-vnc")


def test_a_phantom_stack():
    """The bundled stack needs no network, and its truth is that of its pixels."""
    read, truth = samples.load("phantom-membranes"), samples.load_truth("phantom-membranes")
    again = phantom.membranes(truth.shape, seed=1)
    assert (read.pixels == again.volume.pixels).all() and (truth == again.interior).all()
    assert samples.volumes_at_hand() == ["phantom-membranes", "phantom-neurites"]


def test_volumes_out_of_reach(monkeypatch):
    """A volume without a network is a phantom that has a truth of the same kind, with a warning."""
    catalogue = samples._catalogue()
    nowhere = {
        name: entry | {"base_url": "http://127.0.0.1:1/"} if "files" in entry else entry
        for name, entry in catalogue["datasets"].items()
    }
    monkeypatch.setattr(samples, "_catalogue", lambda: catalogue | {"datasets": nowhere})
    with pytest.warns(UserWarning, match="'phantom-membranes' is used instead"):
        read = samples.load("isbi2012")
    with pytest.warns(UserWarning, match="'phantom-membranes' is used instead"):
        assert samples.load_truth("isbi2012").shape == read.pixels.shape
    with pytest.warns(UserWarning, match="'phantom-neurites' is used instead"):
        assert samples.load_truth("fib25").max() > 10


def test_truth_and_labels_are_of_their_own():
    """Who asks for the labels of a volume, or the truth of a micrograph, is told where they are."""
    with pytest.raises(ValueError, match="'fib25' is a volume: load_truth"):
        samples.load_labels("fib25")
    with pytest.raises(ValueError, match=r"No volume 'rat-sem', there are isbi2012.*load_labels"):
        samples.load_truth("rat-sem")


@pytest.mark.parametrize(("name", "share"), [("isbi2012", 0.775), ("drosophila-vnc", 0.793)])
def test_real_stacks(data_folder, monkeypatch, name, share):
    """Interior is most of the real sections, and brighter, in both conventions."""
    monkeypatch.setenv("AXONLAB_DATA", str(data_folder))
    read, truth = samples.load(name), samples.load_truth(name)
    assert len(read.pixels) >= 16 and truth.mean() == pytest.approx(share, abs=0.01)
    assert read.pixels[truth].mean() > read.pixels[~truth].mean() + 40


def test_real_neurons(data_folder, monkeypatch):
    """Sections and neurons of fib25 run the same way: borders between neurons are dark."""
    monkeypatch.setenv("AXONLAB_DATA", str(data_folder))
    read, truth = samples.load("fib25"), samples.load_truth("fib25")
    assert read.pixels.shape == truth.shape == (250, 250, 250)
    assert (read.voxel_size, truth.dtype, truth.max()) == ((0.01, 0.01, 0.01), np.int32, 525)
    border = truth[:, :, 1:] != truth[:, :, :-1]
    seen = read.pixels[:, :, 1:]
    assert seen[border].mean() < seen.mean() - 25 < seen[::-1][border].mean()
