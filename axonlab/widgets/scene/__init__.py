"""Neurites in three dimensions, to be turned with the mouse; a still picture without WebGL."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import param
from numpy.typing import NDArray
from panel.custom import JSComponent

from axonlab.neurite_mesh import Mesh
from axonlab.plot_neurites import colour, mesh_picture
from axonlab.widgets.picture import png


class NeuriteScene(JSComponent):  # type: ignore[misc]  # panel has no types
    """Turn neurites with the mouse or the arrow keys, zoom with the wheel, plus or minus.

    Parameters
    ----------
    meshes : sequence of Mesh
        From `axonlab.neurite_mesh.meshes`.
    width, height : int
        On the screen, in pixels.

    Notes
    -----
    A browser without WebGL 2 gets the picture of `axonlab.plot_neurites.mesh_picture`.
    """

    surfaces = param.List([])
    still = param.String()
    told = param.String()

    _esm = Path(__file__).with_name("scene.js").read_text("utf-8")

    def __init__(self, meshes: Sequence[Mesh] = (), *, width: int = 420, height: int = 420) -> None:
        super().__init__(width=width, height=height)
        self._is_still = False
        self.show(meshes)

    def show(self, meshes: Sequence[Mesh]) -> None:
        """Show other neurites."""
        self._meshes = list(meshes)
        ids = ", ".join(str(mesh.neurite_id) for mesh in meshes) or "none"
        self.param.update(
            told=f"neurites in three dimensions: {ids}",
            surfaces=[_packed(mesh) for mesh in meshes],
            still=self._drawn() if self._is_still else "",
        )

    def _handle_msg(self, message: str) -> None:
        """Draw a still picture where the browser cannot do more."""
        if message == "no WebGL":
            self._is_still = True
            self.still = self._drawn()

    def _drawn(self) -> str:
        return png(mesh_picture(self._meshes), self.told) if self._meshes else ""


def _packed(mesh: Mesh) -> dict[str, Any]:
    return {
        "colour": colour(mesh.neurite_id),
        "vertices": _text(mesh.vertices.astype("<f4")),
        "normals": _text(mesh.normals.astype("<f4")),
        "faces": _text(mesh.faces.astype("<u4")),
    }


def _text(array: NDArray[np.generic]) -> str:
    return base64.b64encode(array.tobytes()).decode()
