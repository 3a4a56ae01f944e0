"""Networks for the neurons of a volume, from their truth to a model file and to affinities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastai.data.block import DataBlock
from numpy.typing import NDArray

from axonlab.affinities import BOUNDARY, NEAREST, channel_name, check_offsets
from axonlab.fit import Fit, fit_volume
from axonlab.models import ModelCard
from axonlab.networks import anisotropic_strides
from axonlab.volume import Volume
from axonlab.volume_blocks import section_block, volume_block
from axonlab.volume_learn import volume_learner


@dataclass(frozen=True)
class VolumeSettings:
    """What can be tuned of a training on neurons.

    Parameters
    ----------
    valid : triple of int or None
        The slab for validation: its axis (0, 1 or 2), its first plane, and that after its last.
        None trains on everything.
    offsets : sequence of triple of int
        Of the affinities that a network in three dimensions learns.
    sections : int
        If not 0, a network in two dimensions learns boundaries instead, and sees so many sections.
    epochs, patches, batch : int
        In an epoch so many patches are seen; `batch` of them make a step.
    patch : triple of int
        Sections, rows and columns of a patch; of boundaries, one section.
    features : sequence of int
        Channels per level of the U-Net, finest first.
    residual : bool
        See `axonlab.networks.UNet`.
    defects : float
        Share of sections that are spoilt in training, see `axonlab.volume_blocks.volume_block`.
    learning_rate : float
        The highest of the cycle.
    seed : int
    """

    valid: Sequence[int] | None
    offsets: Sequence[Sequence[int]] = NEAREST
    sections: int = 0
    epochs: int = 5
    patches: int = 64
    batch: int = 2
    patch: tuple[int, int, int] = (16, 96, 96)
    features: Sequence[int] = (8, 24, 64, 128)
    residual: bool = True
    defects: float = 0.05
    learning_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "patches", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} given, expected 1 or more.")
        if self.patches < self.batch:
            raise ValueError(
                f"{self.patches} patches in an epoch, fewer than a batch of {self.batch}. Take "
                "more patches, or a smaller batch."
            )
        if self.valid is not None and (len(self.valid) != 3 or self.valid[0] not in (0, 1, 2)):
            raise ValueError(
                f"valid: {list(self.valid)} given, expected axis (0, 1 or 2), first plane, and the "
                "one after the last, such as [0, 166, 250]."
            )

    @property
    def slab(self) -> tuple[slice, ...] | None:
        """Where the voxels for validation are."""
        if self.valid is None:
            return None
        axis, first, stop = self.valid
        return (*[slice(None)] * axis, slice(first, stop))

    @property
    def channels(self) -> list[str]:
        """What the network tells."""
        if self.sections:
            return [BOUNDARY]
        return [channel_name(offset) for offset in check_offsets(self.offsets)]


def volume_fit(
    volume: Volume,
    instances: NDArray[np.integer[Any]],
    settings: VolumeSettings,
    folder: str | Path,
) -> Fit:
    """Prepare the training of a network that tells affinities or boundaries of neurons.

    Parameters
    ----------
    volume : Volume
        Of square pixels.
    instances : (Z, Y, X) integer array
        The neuron of every voxel, 0 is none.
    settings : VolumeSettings
    folder : path
        For the checkpoint and the model, which takes its name.

    Returns
    -------
    Fit
        Which begins, or goes on, with ``await fit.go_on()``.

    Raises
    ------
    ValueError
        If volume and instances do not belong together, patches do not fit, or the folder holds
        another training.
    """
    size = {} if settings.sections else {"strides": _strides(volume, settings)}
    card = ModelCard(
        Path(folder).name,
        settings.channels,
        volume.section(0).pixel_size,
        {
            "class": "UNet",
            "n_classes": len(settings.channels),
            "in_channels": settings.sections or 1,
            "features": list(settings.features),
            "residual": settings.residual,
        }
        | size,
        section_distance=volume.voxel_size[0],
        description=f"Neurons in {volume.name}",
        training={"volume": volume.name},
    )
    return fit_volume(volume, instances, settings, _block(settings), volume_learner, card, folder)


def _strides(volume: Volume, settings: VolumeSettings) -> list[list[int]]:
    return [list(step) for step in anisotropic_strides(volume.voxel_size, len(settings.features))]


def _block(settings: VolumeSettings) -> DataBlock:
    shared = {"valid": settings.slab, "patches": settings.patches, "defects": settings.defects}
    if settings.sections:
        return section_block(sections=settings.sections, patch=settings.patch[2], **shared)
    return volume_block(offsets=settings.offsets, patch=tuple(settings.patch), **shared)
