"""Draw the bundled phantoms anew: `make samples`. A BIDS data set, like the real ones."""

from pathlib import Path

import numpy as np

from axonlab import io, phantom
from axonlab.phantom import Phantom

HERE = Path(__file__).parent / "phantoms"
PHANTOMS = {
    "sub-sem1/micr/sub-sem1_SEM": {"modality": "sem", "seed": 1},
    "sub-sem2/micr/sub-sem2_SEM": {"modality": "sem", "seed": 2},
    "sub-tem1/micr/sub-tem1_TEM": {"modality": "tem", "seed": 1},
    "sub-bf1/micr/sub-bf1_BF": {"modality": "bright field", "seed": 1},
}
SHAPE = (600, 800)


def write(name: str, nerve: Phantom) -> None:
    """Write image, sidecar, masks and the table of true sizes of one phantom."""
    size = nerve.micrograph.pixel_size
    io.write_image(HERE / f"{name}.png", nerve.micrograph.pixels.astype(np.uint8), overwrite=True)
    sidecar = {"PixelSize": [size, size], "PixelSizeUnits": "um"}
    io.write_json(HERE / f"{name}.json", sidecar, overwrite=True)
    masks = np.array([0, 127, 255, 0], np.uint8)[nerve.labels]
    truth = HERE / "derivatives" / "labels" / name
    io.write_image(f"{truth}_seg-axonmyelin-manual.png", masks, overwrite=True)
    bare = np.where(nerve.labels == io.CLASSES["unmyelinated axon"], 255, 0).astype(np.uint8)
    if bare.any():
        io.write_image(f"{truth}_seg-uaxon-manual.png", bare, overwrite=True)
    io.write_table(f"{truth}_fibres.csv", nerve.table.round(6), overwrite=True)


if __name__ == "__main__":
    about = {"Name": "axonlab phantoms", "BIDSVersion": "1.7.0", "License": "MIT"}
    io.write_json(HERE / "dataset_description.json", about, overwrite=True)
    for name, arguments in PHANTOMS.items():
        write(name, phantom.nerve(SHAPE, **arguments))
