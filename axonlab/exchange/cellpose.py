"""The ``_seg.npy`` of Cellpose, whose pickle is read but never obeyed."""

from __future__ import annotations

import io
import pickle
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from axonlab.exchange.dialects import RefusedError

_ARRAY_CODES = re.compile(r"[iu][1248]")


def read_cellpose(content: bytes) -> NDArray[np.integer[Any]]:
    """Read the object image of a ``_seg.npy`` without running what a pickle may ask for."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = header(file)
    if dtype.kind != "O" or shape != ():
        raise RefusedError("a .npy, but not the _seg.npy of Cellpose: it holds no dict.")
    (record,) = _Unpickler(file).load().data
    masks: NDArray[np.integer[Any]] = record["masks"].array()
    return masks[0] if masks.ndim == 3 and len(masks) == 1 else masks


def write_cellpose(objects: NDArray[np.int32], colour: str, *, image: str) -> bytes:
    """Encode a ``_seg.npy`` with what the GUI of Cellpose asks for."""
    n = int(objects.max())
    masks = objects.astype(np.uint16 if n < 2**16 - 1 else np.uint32)
    is_edge = find_boundaries(masks, mode="inner")  # type: ignore[no-untyped-call]
    record = {
        "masks": masks,
        "outlines": masks * is_edge.astype(masks.dtype),
        "colors": np.tile(np.array(list(bytes.fromhex(colour[1:])), np.uint8), (n, 1)),
        "filename": image,
        "flows": [[], [], [], [], [[]]],  # what the GUI itself has before it has computed any
        "chan_choose": [0, 0],
        "ismanual": np.ones(n, np.bool_),
        "manual_changes": [],
        "model_path": 0,
        "diameter": np.nan,
    }
    buffer = io.BytesIO()
    np.save(buffer, np.array(record, dtype=object))
    return buffer.getvalue()


class _Dtype:
    """Stands for a NumPy type in a pickle."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands for a NumPy array in a pickle: forged states could make NumPy follow wild pointers."""

    def __init__(self, *_: object) -> None:
        self.data: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.is_fortran, self.data = state

    def array(self) -> NDArray[np.integer[Any]]:
        if not _ARRAY_CODES.fullmatch(self.dtype.code):
            raise RefusedError(f"masks of type {self.dtype.code!r}, expected whole numbers.")
        numbers = np.frombuffer(self.data, np.dtype(self.dtype.order + self.dtype.code))
        return numbers.reshape(self.shape, order="F" if self.is_fortran else "C")


class _Ignored:
    """Stands for what is not needed."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_STANDINS: dict[str, type] = {
    "numpy.ndarray": _Ignored,  # an argument of _reconstruct, never called
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _Ignored,
    "pathlib.PosixPath": _Ignored,
    "pathlib.WindowsPath": _Ignored,
}


class _Unpickler(pickle.Unpickler):
    """Reads NumPy arrays, numbers, text and builtin containers; calls nothing that a file names."""

    def find_class(self, module: str, name: str) -> type:
        known = f"{module}.{name}".replace("._core.", ".core.").replace("._local.", ".")
        if known not in _STANDINS:
            raise RefusedError(
                f"a pickle that asks for {module}.{name}, which no labels need: it could run any "
                "code. Do not open it; ask who made it for a label TIFF."
            )
        return _STANDINS[known]
