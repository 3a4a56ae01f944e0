"""Notebooks: their shape, and that they run alone, in order, without network or human."""

import ast
import json
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import tifffile
import yaml
from quick import QUICK

import axonlab as al

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
BY_NAME = {path.stem: path for path in NOTEBOOKS}

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def bundled_data_only(tmp_path, monkeypatch):
    """Let notebooks see what every machine has, and leave their products in a temporary place."""
    monkeypatch.delenv("AXONLAB_DATA", raising=False)
    monkeypatch.setenv("AXONLAB_CACHE", str(tmp_path / "cache"))


def code_cells(path):
    """Return the code cells of a notebook."""
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def run(notebook, folder, /, **parameters):
    """Run a notebook in a folder and return it."""
    return papermill.execute_notebook(
        BY_NAME[notebook], folder / f"{notebook}.ipynb", parameters, cwd=folder, progress_bar=False
    )


@every_notebook
def test_opening(path):
    """A notebook opens with title, sentence and what it needs, leaves and takes."""
    opening = nbformat.read(path, as_version=4).cells[0].source
    assert re.match(
        r"# .+\n\n.+\.\n\n\*Needs\* .+ · \*Leaves\* .+ · \*Minutes on 2 cores\* \d+", opening
    )


@every_notebook
def test_nothing_but_source_is_kept(path):
    """No outputs, no execution counts."""
    for cell in code_cells(path):
        assert cell.outputs == [] and cell.execution_count is None


@every_notebook
def test_one_parameters_cell_of_literals(path):
    """The second cell holds the parameters, and no other one."""
    cells = nbformat.read(path, as_version=4).cells
    tagged = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    assert tagged == [1]
    for statement in ast.parse(cells[1].source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)


@every_notebook
def test_cells_are_short_and_plain(path):
    """Logic lives in the package: cells only call it."""
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 15, cell.source
        assert not re.search(r"^\s*(def |class |!|%|from .* import \*)", cell.source, re.M)
        assert not re.search(r"""["'](/|[A-Z]:\\)""", cell.source), "absolute path"


@every_notebook
def test_sections_have_one_sentence_and_one_cell(path):
    """Every section is a heading, a sentence and one code cell."""
    cells = nbformat.read(path, as_version=4).cells[3:]
    for text, code in zip(cells[::2], cells[1::2], strict=False):
        assert text.cell_type == "markdown" and code.cell_type == "code"
        assert re.fullmatch(r"## .+\n\n[^\n]+[.;:]", text.source), text.source


def test_tour_leaves_what_it_promises(tmp_path):
    """The tour goes from image to table, picture and provenance on a bundled sample."""
    run("00_tour", tmp_path)
    folder = tmp_path / "runs" / "tour"
    table = pd.read_csv(folder / "fibres.csv")
    truth = al.phantom.nerve((600, 800), seed=1).table
    whole = truth[~truth["touches_border"]]
    found = table[~table["touches_border"]]
    assert len(found) == pytest.approx(len(whole), rel=0.2)
    assert found["axon_diameter_um"].median() == pytest.approx(
        whole["axon_diameter_um"].median(), rel=0.2
    )
    assert al.io.read_labels(folder / "labels.png").shape == (600, 800)
    assert al.io.read_image(folder / "overlay.png", pixel_size=1).pixels.shape == (600, 800)
    assert "g-ratio by area" in set(pd.read_csv(folder / "summary.csv")["quantity"])
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["pixel_size_um"] == 0.1 and len(provenance["model_sha256"]) == 64


def test_tour_of_an_own_image(tmp_path):
    """An image of the user, whose pixel size only the user knows, takes the same way."""
    pixels = al.samples.load("phantom-sem").pixels[:200, :300].astype("uint8")
    al.io.write_image(tmp_path / "mine.png", pixels)
    run("00_tour", tmp_path, image="mine.png", pixel_size=0.1, run="mine")
    assert json.loads((tmp_path / "runs/mine/provenance.json").read_text())["image"] == "mine"


def test_labelling_leaves_what_training_reads(tmp_path):
    """Labels are kept, shown as a picture where no JavaScript runs, and paired with their image."""
    notebook = run("01_label", tmp_path, animal="sub-a")
    (path,) = tmp_path.glob("runs/*/01_labels/labels.png")
    labels = al.io.read_labels(path)
    assert labels.shape == (600, 800) and {1, 2} <= set(labels.ravel().tolist())
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    (pair,) = al.data.find_pairs(tmp_path / "runs" / "labelled")
    assert pair.animal == "sub-a"
    assert (al.io.read_labels(*pair.masks) == labels).all()
    assert (al.exchange.read(path.with_name("labels.geojson"), labels.shape) == labels).all()


def test_labelling_goes_on_where_it_was(tmp_path):
    """A second run finds the labels of the first, whatever it would have begun with."""
    begun = np.full((600, 800), al.io.UNLABELLED, np.uint8)
    begun[100:200, 100:300] = 2
    mask = al.io.write_labels(tmp_path / "begun.png", begun)
    before = mask.read_bytes()
    run("01_label", tmp_path, mask="begun.png", run="mine")
    run("01_label", tmp_path, begin="nothing", run="mine")
    assert (al.io.read_labels(tmp_path / "runs/mine/01_labels/labels.png") == begun).all()
    assert mask.read_bytes() == before


def test_training_leaves_a_model_that_segments(tmp_path):
    """Two short epochs on the bundled phantoms leave model files with full cards."""
    options = {"left_out": [["sub-bf1"]], "few_images": [1]}
    run("02_train", tmp_path, **QUICK["02_train"] | options)
    folder = tmp_path / "runs/train/tiny"
    model = al.models.load_model(folder / "model.safetensors")
    assert model.card.training["left_out"] == ["sub-sem2"]
    assert len(model.card.training["curve"]["train_loss"]) == 2
    assert set(model.card.scores["dice"]) == {"sub-sem2", "sub-bf1", "all"}
    assert len(model.card.scores["hard_conditions"]) == 11 and model.card.temperature != 1
    result = al.segment.segment(al.samples.load("phantom-sem"), model)
    assert result.labels.shape == (600, 800)
    fold = al.models.load_model(folder / "without sub-bf1" / "model.safetensors")
    assert "sub-bf1" not in fold.card.training["animals"]
    several = al.models.load_model(folder / "ensemble.safetensors")
    assert len(several.network.members) == 2


def test_training_goes_on_where_it_was(tmp_path):
    """A finished training has nothing left to do; other settings need another name."""
    path = tmp_path / "runs/train/tiny/model.safetensors"
    weights = []
    for _ in range(2):
        run("02_train", tmp_path, **QUICK["02_train"])
        weights.append(al.models.load_model(path).network.state_dict())
    assert all((weights[1][key] == value).all() for key, value in weights[0].items())
    tuned = QUICK["02_train"]["tuned"] | {"learning_rate": 1e-3}
    other = QUICK["02_train"] | {"tuned": tuned}
    with pytest.raises(papermill.PapermillExecutionError, match="belongs to another training"):
        run("02_train", tmp_path, **other)


def test_severe_findings_stop_the_training(tmp_path):
    """An image without fibres is named, with the way out."""
    shutil.copytree(al.samples.fetch("phantoms"), tmp_path / "data")
    mask = next((tmp_path / "data").glob("derivatives/labels/sub-bf1/micr/*-manual.png"))
    labels = al.io.read_labels(mask)
    al.io.write_image(mask, np.zeros_like(labels), overwrite=True)
    options = QUICK["02_train"] | {"folder": "data"}
    told = r"(?s)- empty: .*sub-bf1.*allow=\['empty'\]"
    with pytest.raises(papermill.PapermillExecutionError, match=told):
        run("02_train", tmp_path, **options)
    assert not (tmp_path / "runs/train/tiny/checkpoint.pt").exists()


def test_segmenting_leaves_what_it_promises(tmp_path):
    """Every image of a folder has its products, a broken one is told; nothing is done twice."""
    shutil.copytree(al.samples.fetch("phantoms"), tmp_path / "data")
    broken = tmp_path / "data/sub-bf1/micr/sub-bf1_BF.png"
    broken.write_bytes(b"no image")
    notebook = run("03_segment", tmp_path, images="data", only="*", run="mine")
    promised = re.findall(r"`([\w.]+)`", notebook.cells[0].source)
    folder = tmp_path / "runs/mine"
    made = sorted(path for path in folder.iterdir() if path.is_dir())
    assert [path.name for path in made] == ["sub-sem1_SEM", "sub-sem2_SEM", "sub-tem1_TEM"]
    for path in made:
        assert sorted(file.name for file in path.iterdir()) == sorted(promised)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = " ".join(str(output.get("data", {})) for output in outputs)
    for told in (
        "not an image",
        "They would measure that at",
        "sub-sem1_SEM: ",
        "uncertainty (bits)",
    ):
        assert told in shown
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}
    run("03_segment", tmp_path, images="data", only="*", run="mine")
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")} == before


def test_segmenting_nothing_but_broken_images(tmp_path):
    """A folder in which no image can be read is told, not an error."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.png").write_bytes(b"no image")
    notebook = run("03_segment", tmp_path, images="data", only="*")
    shown = " ".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert "not an image" in shown


def test_morphometry_leaves_what_it_promises(tmp_path):
    """Table, figure and report of one image; corrections are kept, and there the next time."""
    regions = {"left": [[0, 0], [40, 0], [40, 60], [0, 60]], "right": [[41, 0], [79, 0], [79, 60]]}
    notebook = run("04_morphometry", tmp_path, regions=regions)
    shown = " ".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert "right" in shown and "standard_error" in shown
    folder = tmp_path / "runs/morphometry/sub-sem1_SEM"
    opening = notebook.cells[0].source.partition("*Leaves*")[2]
    promised = re.findall(r"`([\w.]+\.\w+)`", opening)
    assert sorted(path.name for path in folder.glob("[!.]*.*")) == sorted(promised)
    table = pd.read_csv(folder / "corrected" / "fibres.csv")
    assert len(pd.read_csv(folder / "measured.csv")) == len(table)
    assert set(pd.read_csv(folder / "animals.csv")["animal"]) == {"sub-sem1", "sub-sem2"}
    report = (folder / "report.html").read_text()
    assert "segmented into background, myelin and axon by the model “sem”" in report

    correction = al.correct.Correction.open(folder / "corrected", who="Ada")
    correction.delete(table["fibre_id"].iloc[0])
    correction.save()
    run("04_morphometry", tmp_path)
    assert len(pd.read_csv(folder / "measured.csv")) == len(table) - 1
    trail = (folder / "corrected" / "corrections.jsonl").read_text().splitlines()
    assert [json.loads(line)["who"] for line in trail] == ["Ada"]


def test_morphometry_where_there_is_no_fibre(tmp_path):
    """The notebook runs to its end, and its table has no rows."""
    pixels = np.random.default_rng(0).normal(120, 4, (300, 400)).clip(0, 255).astype(np.uint8)
    al.io.write_image(tmp_path / "data/blank.png", pixels)
    (tmp_path / "data/blank.json").write_text('{"PixelSize": [0.1, 0.1], "PixelSizeUnits": "um"}')
    run("04_morphometry", tmp_path, images="data", only="*")
    folder = tmp_path / "runs/morphometry/blank"
    assert pd.read_csv(folder / "measured.csv").empty and (folder / "report.html").exists()


@pytest.mark.parametrize(
    "path", sorted(al.models.WEIGHTS.glob("*.yaml")), ids=lambda path: path.stem
)
def test_shipped_models_are_made_with_parameters_that_exist(path):
    """A recipe beside the weights names nothing but parameters, settings and animals there are."""
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    statements = ast.parse(code_cells(BY_NAME["02_train"])[0].source).body
    assert set(recipe) <= {statement.targets[0].id for statement in statements}
    assert recipe["name"] == path.stem and recipe["about"]["licence"] == "MIT"
    assert recipe["folder"] in al.samples.datasets().index
    settings = al.training.Settings(recipe["classes"], recipe["pixel_size"], **recipe["tuned"])
    assert settings.size in al.models.SIZES


def test_slide_leaves_what_it_promises(tmp_path):
    """A slide is segmented, measured and mapped; run again, it goes on with what is there."""
    options = QUICK["05_slide"] | {"run": "mine"}
    run("05_slide", tmp_path, **options)
    folder = tmp_path / "runs/mine"
    fibres = al.slide.read_table(folder / "slide.ome.zarr")
    assert fibres["is_myelinated"].sum() > 300
    grid = pd.read_csv(folder / "maps.csv")
    assert grid["n_fibres"].sum() == fibres["is_myelinated"].sum()
    assert list(pd.read_csv(folder / "tracts.csv"))[:3] == ["fine", "medium", "coarse"]
    record = next(folder.glob("slide.ome.zarr/run/fibres/0_0-*.npz"))
    before = record.stat().st_mtime_ns
    run("05_slide", tmp_path, **options)
    assert record.stat().st_mtime_ns == before


def test_membranes_leave_what_they_promise(tmp_path):
    """Both networks are trained, judged and used on phantoms; run again, nothing is trained."""
    notebook = run("06_membranes", tmp_path, **QUICK["06_membranes"])
    folder = tmp_path / "runs/membranes"
    promised = re.findall(r"`([\w]+\.\w+)`", notebook.cells[0].source)
    assert sorted(path.name for path in folder.glob("*.*")) == sorted(promised)
    result = json.loads((folder / "scores.json").read_text())
    methods = ["N4", "mean of N4", "U-Net", "U-Net, turned"]
    assert [row["method"] for row in result["scores"]][:4] == methods
    there = ["N4", "U-Net", "U-Net trained there"]
    assert [row["method"] for row in result["elsewhere"]["scores"]] == there
    assert all(0 <= row["v_rand"] <= 1 for row in result["scores"])
    assert set(result["calibration_error"]) == {"as it comes", *al.posterior.POSTERIORS}
    models = [al.models.load_model(path) for path in sorted(folder.glob("*/model.safetensors"))]
    assert [model.card.name for model in models] == ["N4 0", "N4 1", "U-Net 0", "U-Net there"]
    assert al.membrane_training.predict_interior(
        al.samples.load("phantom-membranes"), models[2], [0]
    ).shape == (1, 256, 256)


def test_long_membranes_are_made_with_parameters_that_exist():
    """The recipe names parameters and settings there are, and its scores lie beside it."""
    folder = al.samples.bundled("membranes")
    recipe = yaml.safe_load((folder / "long.yaml").read_text(encoding="utf-8"))
    statements = ast.parse(code_cells(BY_NAME["06_membranes"])[0].source).body
    assert set(recipe) <= {statement.targets[0].id for statement in statements}
    for network, tuned in recipe["networks"].items():
        al.membrane_training.MembraneSettings(network, recipe["valid"], **tuned)
    result = json.loads((folder / "scores.json").read_text())
    assert (result["volume"], result["valid"]) == (recipe["data"], recipe["valid"])
    assert result["elsewhere"]["volume"] == recipe["elsewhere"]
    kept = [{k: training[k] for k in recipe["networks"]["N4"]} for training in result["trainings"]]
    assert kept[: recipe["members"]] == [recipe["networks"]["N4"]] * recipe["members"]


def test_neurites_leave_what_they_promise(tmp_path):
    """Networks are trained, used, judged and stitched on a phantom; what is corrected stays."""
    run("07_neurites", tmp_path, **QUICK["07_neurites"])
    folder = tmp_path / "runs/neurites"
    result = json.loads((folder / "scores.json").read_text())
    methods = ["mutex watershed", "mean affinity", "boundaries, mean", "boundaries, max"]
    assert [row["method"] for row in result["scores"]] == methods
    assert set(result["recipes"]) == set(methods) and len(result["by_block"]) == 8
    assert 0 <= result["seams"]["adapted_rand_error"] <= 1
    models = [al.models.load_model(path) for path in sorted(folder.glob("*/model.safetensors"))]
    assert [model.card.name for model in models] == ["1 sections", "3 sections", "affinities"]
    neurites = al.volume_files.read_volume(folder / "corrected/neurites.ome.tif")
    assert neurites.pixels.shape == (10, 192, 192) and neurites.voxel_size == (0.03, 0.006, 0.006)


def test_neurites_of_a_volume_of_ones_own(tmp_path):
    """A stack whose voxel size only the user knows goes the same way; what is corrected stays."""
    drawn = al.phantom.neurites((16, 64, 64), seed=3)
    for name, array in (("raw", drawn.volume.pixels), ("ids", drawn.instances)):
        tifffile.imwrite(tmp_path / f"{name}.tif", array, photometric="minisblack")
    own = {"data": "raw.tif", "instances": "ids.tif", "voxel_size": [0.03, 0.006, 0.006]}
    own |= {"judged": [1, 32, 64], "context": [2, 8, 8], "run": "mine"}
    run("07_neurites", tmp_path, **QUICK["07_neurites"] | own)
    folder = tmp_path / "runs/mine"
    result = json.loads((folder / "scores.json").read_text())
    assert (result["volume"], result["judged"]) == ("raw", [1, 32, 64])

    correction = al.neurite_correct.NeuriteCorrection.open(folder / "corrected", who="Ada")
    correction.split(correction.ids[0], _two_voxels(correction))
    correction.save()
    run("07_neurites", tmp_path, **QUICK["07_neurites"] | own)
    again = al.neurite_correct.NeuriteCorrection.open(folder / "corrected")
    assert (again.instances == correction.instances).all()
    assert [entry["who"] for entry in again.trail] == ["Ada"]


def _two_voxels(correction):
    voxels = np.argwhere(correction.instances == correction.ids[0])
    return [tuple(voxels[0].tolist()), tuple(voxels[-1].tolist())]


@pytest.mark.parametrize(
    "path", sorted(al.samples.bundled("neurites").glob("*.yaml")), ids=lambda path: path.stem
)
def test_long_neurites_are_made_with_parameters_that_exist(path):
    """The recipe names parameters and settings there are; scores beside it are of these."""
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    statements = ast.parse(code_cells(BY_NAME["07_neurites"])[0].source).body
    assert set(recipe) <= {statement.targets[0].id for statement in statements}
    settings = al.volume_training.VolumeSettings(
        recipe["judged"], recipe["offsets"], **recipe["tuned"]
    )
    scores = path.with_suffix(".json")
    if scores.exists():
        result = json.loads(scores.read_text())
        assert (result["volume"], result["judged"]) == (recipe["data"], recipe["judged"])
        assert result["trainings"][0]["patches"] == settings.patches


def test_exercises_run_unanswered_and_answered(tmp_path):
    """Nothing answered is no error and no point; with all right answers there are all points."""
    score = tmp_path / "runs/exercises/score.json"
    notebook = run("09_exercises", tmp_path)
    shown = " ".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert shown.count("</b> Not answered yet: ") == 5
    assert json.loads(score.read_text())["tasks"]["all"]["points"] == 0
    run("09_exercises", tmp_path, answers=al.exercises.solutions(1))
    result = json.loads(score.read_text())
    assert result["seed"] == 1 and result["tasks"]["all"]["points"] == 20


def test_measuring_well_leaves_what_it_promises(tmp_path):
    """Six explorables run without a hand; tables and a figure come from plain functions."""
    small = {"elongations": [1.0, 3.0], "tissue_um": 60, "pixels_um": 16, "conditions": [[0.3, 4]]}
    notebook = run("08_measuring_well", tmp_path, **small, animals=[3, 12], fibres=[10, 1000])
    folder = tmp_path / "runs/measuring_well"
    opening = notebook.cells[0].source.partition("*Leaves*")[2]
    promised = re.findall(r"`([\w]+\.\w+)`", opening)
    assert sorted(path.name for path in folder.iterdir()) == sorted(promised)
    g_ratios = pd.read_csv(folder / "g_ratios.csv", index_col="elongation")
    spread = g_ratios.max(axis=1) - g_ratios.min(axis=1)
    assert spread[1.0] < 0.02 < 0.1 < spread[3.0]
    power = pd.read_csv(folder / "power.csv", index_col=0)
    assert power.loc[12, "10"] > power.loc[3, "1000"]
    borders = pd.read_csv(folder / "borders.csv").set_index(["field_um", "rule"])["density"]
    assert borders[15, "complete ones only"] < -10 < 10 < borders[15, "all, cut ones too"]
    assert len(pd.read_csv(folder / "images.csv")) == 1
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = " ".join(str(output.get("data", {})) for output in outputs)
    for name in ("FibreShape", "Cut", "Frame", "Pixel", "ImageQuality", "Power"):
        assert f"{name}Explorer(" in shown
