"""Exercises for a class: find the fault in each of five data sets, with hints on the way.

Which animal is faulty depends on a seed, so that neighbours in class look for different ones.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from axonlab import faults
from axonlab.exchange import write_bids
from axonlab.exercise_tasks import TASKS
from axonlab.io import write_json
from axonlab.pairs import Pair, find_pairs

MANIFEST, TRIES = "exercises.json", "tries.json"
"""Files in the folder of the exercises: what they are, and what was answered so far."""

POINTS = 4
"""For a task solved at once; each wrong try costs one, and one is left at least."""

EXAMPLE = "sub-00"
"""How an answer looks; no animal is called so."""

SIGNS = {"right": "✔", "not yet": "✖", "misread": "▲", "unanswered": "●"}
"""Of what a feedback says, so that its colour is not needed."""

_COLOURS = {"right": "#009e73", "not yet": "#d55e00", "misread": "#e69f00", "unanswered": "#808080"}
_VERSION = 1


@dataclass(frozen=True)
class Exercises:
    """Data sets in a folder, one per task, in each of which one animal is faulty.

    Parameters
    ----------
    folder : Path
        Holds a BIDS data set per task, called as in `TASKS`.
    seed : int
        What they were drawn from.
    """

    folder: Path
    seed: int

    def pairs(self, task: str) -> list[Pair]:
        """Return images and masks of a task, in the order of their animals."""
        _check_task(task)
        return find_pairs(self.folder / task)


@dataclass(frozen=True)
class Feedback:
    """What a check says of an answer; a notebook shows it as a box.

    Parameters
    ----------
    task : str
    state : {"right", "not yet", "misread", "unanswered"}
        "misread" is an answer that cannot be meant, and no try.
    message : str
    hints : tuple of str
        All that were earned so far, the most concrete one last.
    points : int
        Won by this answer.
    """

    task: str
    state: str
    message: str
    hints: tuple[str, ...] = ()
    points: int = 0

    def _repr_html_(self) -> str:
        hints = "".join(f"<li>{_marked(hint)}</li>" for hint in self.hints)
        listed = f'<ol style="margin: 4px 0 0; padding-left: 1.8em">{hints}</ol>' if hints else ""
        return (
            f'<div style="border-left: 5px solid {_COLOURS[self.state]}; padding: 4px 0 4px 12px; '
            f'margin: 2px 0 2px 6px; max-width: 46em; line-height: 1.45; text-align: left">'
            f"<b>{SIGNS[self.state]}</b> {_marked(self.message)}{listed}</div>"
        )


def plant(folder: str | Path, seed: int, *, overwrite: bool = False) -> Exercises:
    """Draw the data sets of all tasks into a folder, or find those of the same seed there.

    Parameters
    ----------
    folder : path
        Of its own. What is in it stays if it was drawn from the same seed.
    seed : int
        Which animals are faulty depends on it; the same seed draws the same files.
    overwrite : bool
        Draw anew what was drawn there before, and forget all tries.

    Raises
    ------
    FileExistsError
        If there is something else, or exercises of another seed and `overwrite` is false.
    ValueError
        If the seed is not a whole number from 0.

    Notes
    -----
    Beside the data lie salted SHA-256 of the right answers, so that they can be checked but not
    read. The folder takes its name when it holds everything.
    """
    folder, seed = Path(folder), faults.check_seed(seed)
    if _is_empty_or_missing(folder):
        _write(folder, seed)
        return Exercises(folder, seed)
    if not (folder / MANIFEST).is_file():
        raise FileExistsError(
            f"{folder} holds something else than exercises, which is left alone. Choose a new "
            "folder."
        )
    if overwrite:
        _write(folder, seed)
        return Exercises(folder, seed)
    there = open_exercises(folder)
    if there.seed != seed:
        raise FileExistsError(
            f"{folder} holds exercises of seed {there.seed}, not {seed}. Choose another folder, or "
            "pass overwrite=True to draw them anew."
        )
    return there


def open_exercises(folder: str | Path) -> Exercises:
    """Return the exercises that `plant` drew into a folder.

    Raises
    ------
    FileNotFoundError
        If there are none.
    ValueError
        If what tells of them is damaged, or of another version of axonlab.
    """
    return Exercises(Path(folder), int(_manifest(Path(folder))["seed"]))


def check(task: str, answer: object, exercises: Exercises | str | Path) -> Feedback:
    """Tell whether an answer is right; if not, give a hint, more concrete with every wrong try.

    Parameters
    ----------
    task : str
        One of `TASKS`.
    answer : str or None
        The name of an animal, ``"sub-00"``; None or "" as long as there is no answer. Anything
        else, or a name that no animal has, is told kindly and counts as no try.
    exercises : Exercises or path
        From `plant`, or their folder. Tries are kept there; the same wrong answer counts once.

    Returns
    -------
    Feedback
        Its hints never name the animal.

    Raises
    ------
    ValueError
        If there is no such task.
    """
    _check_task(task)
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return Feedback(task, "unanswered", _unanswered(task))
    problem = _misread(task, answer)
    if problem:
        return Feedback(task, "misread", problem)
    folder = exercises.folder if isinstance(exercises, Exercises) else Path(exercises)
    manifest, animal = _manifest(folder), str(answer).strip()
    given, tries = _hash(manifest["salt"], task, animal), _tries(folder)
    own = tries[task]
    if given == manifest["sha256"][task]:
        own["right"] = True
    elif given not in own["wrong"] and not own["right"]:
        own["wrong"].append(given)
    write_json(folder / TRIES, tries, overwrite=True)
    if given == manifest["sha256"][task]:
        return _praise(task, _points(own))
    return _hint(task, animal, len(own["wrong"]))


def score(exercises: Exercises | str | Path) -> pd.DataFrame:
    """Return the points of all tasks.

    Returns
    -------
    DataFrame
        Indexed by `task`, the last one being "all": `solved` (tasks), `wrong_tries`, `points`
        and how many there are at most, `of`.
    """
    folder = exercises.folder if isinstance(exercises, Exercises) else Path(exercises)
    rows = {
        task: {
            "solved": int(own["right"]),
            "wrong_tries": len(own["wrong"]),
            "points": _points(own),
            "of": POINTS,
        }
        for task, own in _tries(folder).items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.loc["all"] = table.sum()
    return table.rename_axis("task")


def solutions(seed: int) -> dict[str, str]:
    """Return the right answers by task, for teachers.

    Raises
    ------
    ValueError
        If the seed is not a whole number from 0.
    """
    return {task: faults.faulty_animal(task, seed) for task in TASKS}


def _write(folder: Path, seed: int) -> None:
    """Write all data sets under another name, and rename them when they are complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part, old = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    try:
        for task in TASKS:
            for specimen in faults.draw(task, seed):
                micrograph, labels = specimen.micrograph, specimen.labels
                write_bids(part / task, micrograph, labels, animal=specimen.animal)
        salt = hashlib.sha256(f"axonlab exercises {seed}".encode()).hexdigest()[:16]
        hashes = {task: _hash(salt, task, animal) for task, animal in solutions(seed).items()}
        content = {"version": _VERSION, "seed": seed, "salt": salt, "sha256": hashes}
        write_json(part / MANIFEST, content)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _is_empty_or_missing(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder} holds no exercises. Draw them first: al.exercises.plant(folder, seed=1)."
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        is_ours = content["version"] == _VERSION and set(content["sha256"]) == set(TASKS)
    except (ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise ValueError(
            f"{path} is damaged, or of another version of axonlab. Draw the exercises anew: "
            "al.exercises.plant(folder, seed, overwrite=True)."
        )
    return content


def _tries(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what was tried so far, nothing where the file is missing or damaged."""
    fresh: dict[str, dict[str, Any]] = {task: {"wrong": [], "right": False} for task in TASKS}
    try:
        kept = json.loads((folder / TRIES).read_text("utf-8"))
        return {
            task: {"wrong": list(kept[task]["wrong"]), "right": bool(kept[task]["right"])}
            for task in fresh
        }
    except (OSError, ValueError, KeyError, TypeError):
        return fresh


def _points(own: Mapping[str, Any]) -> int:
    return max(1, POINTS - len(own["wrong"])) if own["right"] else 0


def _hash(salt: str, task: str, animal: str) -> str:
    return hashlib.sha256(f"{salt}:{task}:{animal}".encode()).hexdigest()


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"No task {task!r}, there are {', '.join(TASKS)}.")


def _unanswered(task: str) -> str:
    return (
        f"Not answered yet: {TASKS[task].question} Write the name of the animal in quotes in "
        f'place of None, as in `answer = "{EXAMPLE}"`, and run the cell again.'
    )


def _misread(task: str, answer: object) -> str:
    """Return what is odd about an answer that cannot be meant, or nothing."""
    shown = f"“{_short(answer)}”"
    like = f'Write it as it stands in the pictures and tables: `answer = "{EXAMPLE}"`.'
    if isinstance(answer, Path):
        return f"{shown} is a path; the name of the animal alone is asked. {like}"
    if not isinstance(answer, str):
        return f"{shown} is no name: the name of an animal in quotes is asked. {like}"
    name = answer.strip()
    if task == "leak" and name in faults.VALID_ANIMALS:
        return f"{shown} is kept for validation; asked is the animal for training. Which is it?"
    if name in faults.ANIMALS:
        return ""
    if name.lower() in faults.ANIMALS:
        return f"{shown} has capitals, the animals have none. {like}"
    if re.search(r"[/\\.]|_", name):
        return f"{shown} is a file or an image; the name of the animal alone is asked. {like}"
    if re.fullmatch(r"\d+", name):
        return f"{shown} is a number; the names of the animals begin with sub-. {like}"
    return f"No animal is called {shown}. {like}"


def _short(answer: object) -> str:
    """Return an answer for a message, in which it can do nothing."""
    text = " ".join(str(answer).split()).replace("`", "'")
    return text if len(text) <= 60 else f"{text[:60]}…"


def _praise(task: str, points: int) -> Feedback:
    told = f"Right, {points} of {POINTS} points. {TASKS[task].lesson}"
    return Feedback(task, "right", told, points=points)


def _hint(task: str, animal: str, n_wrong: int) -> Feedback:
    hints = TASKS[task].hints[: max(1, n_wrong)]
    return Feedback(task, "not yet", f"Not yet, it is not {animal}.", hints)


def _marked(text: str) -> str:
    """Return text as HTML, what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
