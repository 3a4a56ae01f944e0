"""Files that belong together: a reader finds all of them as they were, or all as they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from axonlab.io import write_json

_UNFINISHED = ".saving"
_FINISHED = ".saved"


def write_bundle(
    folder: str | Path,
    manifest: str,
    content: Mapping[str, Any],
    write: Callable[[Path], object],
    *,
    known: Mapping[str, str],
    overwrite: bool = False,
) -> dict[str, str]:
    """Write files that belong together, all of them or none.

    Parameters
    ----------
    folder : path
    manifest : str
        Name of the file that says which files belong together.
    content : mapping
        What else stands in it.
    write : callable
        Writes the files into the folder it is handed.
    known : mapping of str to str
        SHA-256 of the files that may be replaced.
    overwrite : bool
        Replace any other file of the same name, too.

    Returns
    -------
    dict of str to str
        SHA-256 of every file.

    Raises
    ------
    FileExistsError
        If files of others are in the way and `overwrite` is false.
    OSError
        If the folder cannot be written to; the files there are what they were.

    Notes
    -----
    The files are written beside their place, in a folder that is renamed when it holds all of
    them: this is the moment from which the new state counts. Then they are moved to their place,
    the manifest last. What a crash leaves unmoved is moved by the next `write_bundle` or
    `read_bundle`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _finish(folder, manifest)
    unfinished = folder / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        write(unfinished)
        hashes = _hashes(unfinished)
        write_json(unfinished / manifest, {**content, "sha256": hashes})
        hashes = _hashes(unfinished)
        if not overwrite:
            _check_ours(folder, hashes, known)
        unfinished.replace(folder / _FINISHED)
    except Exception:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _finish(folder, manifest)
    return hashes


def read_bundle(folder: str | Path, manifest: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what stands in the manifest, and the SHA-256 of every file, which all are checked.

    Raises
    ------
    FileNotFoundError
        If the folder holds no manifest.
    ValueError
        If the manifest is damaged, or a file is missing or not the one it belongs with.
    """
    folder = Path(folder)
    _finish(folder, manifest)
    path = folder / manifest
    try:
        content = json.loads(path.read_text("utf-8"))
        expected: dict[str, str] = dict(content.pop("sha256"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{folder} holds no {manifest}: nothing was saved there. Check the path."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Restore it from a backup of the folder."
        ) from error
    missing = [name for name in expected if not (folder / name).is_file()]
    changed = [
        name
        for name, sha256 in expected.items()
        if name not in missing and _sha256(folder / name) != sha256
    ]
    if missing or changed:
        parts = ((", ".join(missing), "missing"), (", ".join(changed), "changed since"))
        raise ValueError(
            f"{folder}: {'; '.join(f'{names} {what}' for names, what in parts if names)}. The "
            "files are out of step: put back those that were saved together, or begin anew from "
            "the one you trust, in another folder."
        )
    return content, {**expected, manifest: _sha256(path)}


def _check_ours(folder: Path, names: Iterable[str], known: Mapping[str, str]) -> None:
    """Raise FileExistsError if files of others would be replaced."""
    there = [name for name in names if (folder / name).exists()]
    theirs = [name for name in there if _sha256(folder / name) != known.get(name)]
    if theirs:
        raise FileExistsError(
            f"{folder} holds {', '.join(theirs)} that were not written here, or were changed since "
            "by somebody else. Choose another folder, or pass overwrite=True to replace them."
        )


def _finish(folder: Path, manifest: str) -> None:
    """Move files to their place that were written whole."""
    finished = folder / _FINISHED
    if finished.is_dir():
        for path in sorted(finished.iterdir(), key=lambda path: path.name == manifest):
            path.replace(folder / path.name)
        finished.rmdir()


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: _sha256(path) for path in sorted(folder.iterdir())}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
