"""Exercises: every fault is planted and nowhere else, hints help and never tell the answer."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import axonlab as al
from axonlab import exercises, faults
from axonlab.examine import inside_out
from axonlab.exercises import EXAMPLE, TASKS
from axonlab.overlap import Overlaps

SEEDS = [1, 2]
every_seed = pytest.mark.parametrize("seed", SEEDS)
every_task = pytest.mark.parametrize("task", TASKS)

NAMES = set(faults.ANIMALS)


@cache
def drawn(task, seed):
    """Draw a data set once for all tests."""
    return faults.draw(task, seed)


def marked(task, seed):
    """Return for every animal of a data set whether it is the faulty one."""
    return [animal == faults.faulty_animal(task, seed) for animal in faults.ANIMALS]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return exercises as a learner has them."""
    return exercises.plant(tmp_path_factory.mktemp("runs") / "exercises" / "seed_1", 1)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Return exercises without images, of any seed: enough to answer."""
    monkeypatch.setattr(faults, "draw", lambda task, seed: [])
    return lambda seed: exercises.plant(tmp_path / str(seed), seed)


def wrong_answers(task, seed):
    """Return all animals that could be asked for and are not."""
    return [a for a in faults.candidates(task) if a != faults.faulty_animal(task, seed)]


@every_seed
def test_one_animal_is_leaked(seed):
    """Half of one image for training is in one for validation, and no other two share pixels."""
    overlaps = Overlaps()
    shared = {s.animal: overlaps.add(s.animal, s.micrograph.pixels) for s in drawn("leak", seed)}
    [(twin, (leaked,))] = [(animal, tuple(found)) for animal, found in shared.items() if found]
    assert twin in faults.VALID_ANIMALS and leaked == faults.faulty_animal("leak", seed)
    assert 0.4 < shared[twin][leaked] < 0.6


@every_seed
def test_one_pixel_size_is_wrong(seed):
    """Axons are of one size in all animals but one, whose claimed pixel size others have, too."""
    medians = []
    for specimen in drawn("size", seed):
        size = specimen.micrograph.pixel_size
        fibres = al.objects.label_fibres(specimen.labels, pixel_size=size)
        table = al.measure.measure_fibres(*fibres, pixel_size=size)
        medians.append(table.loc[~table["touches_border"], "axon_diameter_um"].median())
    ratio = np.array(medians) / np.median(medians)
    is_far = np.abs(np.log2(ratio)) > 0.6
    assert is_far.tolist() == marked("size", seed)
    assert np.ptp(np.log2(ratio[~is_far])) < 0.5
    sizes = [specimen.micrograph.pixel_size for specimen in drawn("size", seed)]
    assert sizes.count(sizes[is_far.argmax()]) == 2


@every_seed
def test_classes_of_one_mask_are_swapped(seed):
    """Axons enclose myelin in one mask; a healthy one has more axon than myelin, too."""
    masks = [specimen.labels for specimen in drawn("swap", seed)]
    assert [bool(inside_out(labels)) for labels in masks] == marked("swap", seed)
    assert sum((labels == 2).sum() > (labels == 1).sum() for labels in masks) == 2


@every_seed
def test_one_image_is_clipped(seed):
    """One image has most of its bright pixels at 255; two others have 8 bits in order."""
    images = [specimen.micrograph.pixels for specimen in drawn("clip", seed)]
    at_most = [(pixels == pixels.max()).mean() for pixels in images]
    assert [share > 1 / 3 for share in at_most] == marked("clip", seed)
    assert sorted(at_most)[-2] < 0.01
    assert sorted(pixels.max() <= 255 for pixels in images) == [False] * 3 + [True] * 3


@every_seed
def test_one_mask_is_shifted(seed):
    """Where a mask fits best tells how it lies: a few pixels beside in one image only."""
    steps = [(down, right) for down in range(-5, 6) for right in range(-5, 6)]
    best = []
    for specimen in drawn("shift", seed):
        myelin, pixels = specimen.labels == 1, specimen.micrograph.pixels
        inner = (slice(6, -6), slice(6, -6))
        fit = {s: pixels[inner][np.roll(myelin, s, (0, 1))[inner]].mean() for s in steps}
        best.append(max(fit, key=fit.get))
    far = [max(abs(down), abs(right)) for down, right in best]
    assert [distance >= 2 for distance in far] == marked("shift", seed)
    assert sorted(far)[-2] <= 1


def test_check_dataset_finds_what_it_should(planted):
    """Leaks and swapped classes are severe findings; nothing else is, in any task."""
    severe = {}
    for task in TASKS:
        findings = al.dataset.check_dataset(
            planted.pairs(task), pixel_size=0.1, valid_animals=faults.VALID_ANIMALS
        )
        severe[task] = findings[findings["severity"] == "severe"]
    answers = exercises.solutions(planted.seed)
    assert severe["leak"]["name"].tolist() == ["leak"]
    assert answers["leak"] in severe["leak"]["finding"].item()
    assert severe["swap"]["name"].tolist() == ["inside out"]
    assert answers["swap"] in severe["swap"]["file"].item()
    assert all(severe[task].empty for task in ("size", "clip", "shift"))


def test_data_sets_are_complete(planted):
    """Six animals in each; what was drawn is what is read, 16 bits included."""
    for task in TASKS:
        pairs = planted.pairs(task)
        assert tuple(pair.animal for pair in pairs) == faults.ANIMALS
        for pair, specimen in zip(pairs, drawn(task, 1), strict=True):
            micrograph, labels = al.pairs.read_pair(pair)
            assert (micrograph.pixels == specimen.micrograph.pixels).all()
            assert micrograph.pixel_size == specimen.micrograph.pixel_size
            assert (labels == specimen.labels).all()


def test_planting_twice_changes_nothing(planted, tmp_path):
    """What is there stays, tries too; elsewhere the same seed gives the same bytes."""
    exercises.check("leak", wrong_answers("leak", 1)[0], planted)
    before = {p: p.stat().st_mtime_ns for p in planted.folder.rglob("*")}
    assert exercises.plant(planted.folder, 1) == planted
    assert {p: p.stat().st_mtime_ns for p in planted.folder.rglob("*")} == before
    again = exercises.plant(tmp_path / "again", 1)
    for path in again.folder.rglob("*.*"):
        twin = planted.folder / path.relative_to(again.folder)
        assert path.is_dir() or path.read_bytes() == twin.read_bytes()


def test_nothing_is_overwritten_unasked(quick, tmp_path):
    """Neither files of others nor exercises of another seed, whose tries would be lost."""
    there = quick(1)
    exercises.check("size", wrong_answers("size", 1)[0], there)
    with pytest.raises(FileExistsError, match="of seed 1, not 2"):
        exercises.plant(there.folder, 2)
    assert exercises.score(there).loc["size", "wrong_tries"] == 1
    assert exercises.plant(there.folder, 2, overwrite=True).seed == 2
    assert exercises.score(there)["wrong_tries"].sum() == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="something else"):
            exercises.plant(tmp_path / "mine", 1, overwrite=overwrite)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years"


def test_planting_is_whole_or_not_at_all(tmp_path, monkeypatch):
    """What breaks off leaves nothing behind, and what was there before stays."""
    monkeypatch.setattr(faults, "draw", lambda task, seed: [])
    there = exercises.plant(tmp_path / "a", 1)
    monkeypatch.setattr(faults, "draw", lambda task, seed: 1 / 0)
    for folder in ("a", "b"):
        with pytest.raises(ZeroDivisionError):
            exercises.plant(tmp_path / folder, 1, overwrite=True)
    assert exercises.open_exercises(tmp_path / "a") == there
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("seed", range(12))
def test_right_answers_are_accepted(quick, seed):
    """All points at once, and a lesson that names no animal."""
    mine = quick(seed)
    for task, animal in exercises.solutions(seed).items():
        assert exercises.check(task, None, mine).state == "unanswered"
        feedback = exercises.check(task, f" {animal}\n", mine)
        assert (feedback.state, feedback.points) == ("right", 4)
        assert "✔" in feedback._repr_html_() and not _named(feedback)
    assert exercises.score(mine).loc["all"].tolist() == [5, 0, 20, 20]


@every_task
@pytest.mark.parametrize("seed", range(4))
def test_hints_get_more_concrete_and_tell_no_answer(quick, task, seed):
    """One hint more with every new wrong answer; only the wrong answer itself is named."""
    mine, right = quick(seed), faults.faulty_animal(task, seed)
    for n, animal in enumerate(wrong_answers(task, seed), start=1):
        for _ in range(2):  # the same answer again is no new try
            feedback = exercises.check(task, animal, mine)
        assert feedback.state == "not yet" and feedback.points == 0
        assert feedback.hints == TASKS[task].hints[: min(n, 3)]
        assert right not in feedback._repr_html_() and _named(feedback) == {animal}
    feedback = exercises.check(task, right, mine.folder)
    assert feedback.points == max(1, 4 - n)
    assert exercises.score(mine).loc[task].tolist() == [1, n, feedback.points, 4]
    exercises.check(task, animal, mine)
    assert exercises.score(mine).loc[task, "points"] == feedback.points


def _named(feedback):
    return {name for name in NAMES if name in feedback._repr_html_()}


@every_task
def test_odd_answers_are_met_kindly(quick, task):
    """A path, a file, capitals, a number, a stranger: told what is asked, and no try."""
    mine, right = quick(3), faults.faulty_animal(task, 3)
    path = Path("runs") / task / right / "micr" / f"{right}_SEM.png"
    said = {}
    odd = [path, str(path), f"{right}_SEM", right.upper(), right[-1], 7, ["a"], "sub-99", object()]
    for answer in odd:
        feedback = exercises.check(task, answer, mine)
        assert feedback.state == "misread" and feedback.hints == () and feedback.points == 0
        said[str(answer)] = feedback.message
    assert "path" in said[str(path)] or "file" in said[str(path)]
    assert "file or an image" in said[f"{right}_SEM"]
    assert "capitals" in said[right.upper()] and right not in said[right.upper()]
    assert "begin with sub-" in said[right[-1]]
    for answer in (None, "", "  "):
        feedback = exercises.check(task, answer, mine)
        assert feedback.state == "unanswered" and "Not answered yet: " in feedback.message
    assert exercises.score(mine).loc["all"].tolist() == [0, 0, 0, 20]


def test_the_twin_for_validation_is_not_asked(quick):
    """Who finds both images and names the wrong half loses nothing."""
    for animal in faults.VALID_ANIMALS:
        feedback = exercises.check("leak", animal, quick(1))
        assert feedback.state == "misread" and "for validation" in feedback.message


def test_markup_in_answers_does_nothing(quick):
    """An answer is shown as it is."""
    shown = exercises.check("leak", "<script>alert(1)</script>`", quick(1))._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_answers_are_nowhere_in_plain_text(planted):
    """Neither where tries are kept, nor in the notebook, nor in the hints."""
    for task, animal in exercises.solutions(planted.seed).items():
        exercises.check(task, wrong_answers(task, 1)[0], planted)
        exercises.check(task, animal, planted)
    kept = [path for path in planted.folder.iterdir() if path.is_file()]
    assert {path.name for path in kept} == {exercises.MANIFEST, exercises.TRIES}
    for path in kept:
        assert not any(name in path.read_text() for name in NAMES)
    texts = [*TASKS.values(), EXAMPLE]
    assert not any(name in str(text) for name in NAMES for text in texts)
    notebook = Path(__file__).parents[1] / "notebooks" / "09_exercises.ipynb"
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    checks = ["".join(c["source"]) for c in cells if "exercises.check(" in "".join(c["source"])]
    assert len(checks) == len(TASKS)
    assert not any(name in source for name in NAMES for source in checks)


def test_neighbours_look_for_different_animals():
    """Over a class, every animal that may be asked for is, and no two tasks go together."""
    answers = [exercises.solutions(seed) for seed in range(40)]
    for task in TASKS:
        assert {given[task] for given in answers} == set(faults.candidates(task))
    assert len({tuple(given.values()) for given in answers}) > 35


def test_tasks_are_the_faults():
    """Every fault has a task with three hints, in the same order."""
    assert list(TASKS) == list(faults.FAULTS)
    assert all(len(task.hints) == 3 for task in TASKS.values())


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, 2**32])
def test_impossible_seeds_are_refused(tmp_path, seed):
    """The message says what a seed is, and nothing is written."""
    with pytest.raises(ValueError, match="a whole number from 0"):
        exercises.plant(tmp_path / "a", seed)
    assert not (tmp_path / "a").exists()


def test_unknown_tasks_and_folders(quick, tmp_path):
    """Told what there is, and what to do."""
    mine = quick(1)
    with pytest.raises(ValueError, match="No task 'leek', there are leak, size"):
        exercises.check("leek", None, mine)
    with pytest.raises(ValueError, match="No fault 'leek'"):
        faults.faulty_animal("leek", 1)
    with pytest.raises(FileNotFoundError, match="holds no exercises"):
        exercises.check("leak", "sub-01", tmp_path / "nowhere")
    (mine.folder / exercises.TRIES).write_text("{")
    assert exercises.score(mine)["points"].sum() == 0
    (mine.folder / exercises.MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        exercises.open_exercises(mine.folder)


def test_no_torch_at_import():
    """A check needs no network."""
    code = "import sys, axonlab.exercises; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
