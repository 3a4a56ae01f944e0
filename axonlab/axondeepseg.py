"""Tables of fibres under the names and in the units of AxonDeepSeg."""

from __future__ import annotations

import numpy as np
import pandas as pd

from axonlab.micrograph import check_pixel_size
from axonlab.summary import check_columns, check_fibres_once

_RENAMED = {
    "axon_centroid_x_um": "x0 (px)",
    "axon_centroid_y_um": "y0 (px)",
    "g_ratio": "gratio",
    "axon_area_um2": "axon_area (um^2)",
    "axon_perimeter_um": "axon_perimeter (um)",
    "myelin_area_um2": "myelin_area (um^2)",
    "axon_diameter_um": "axon_diam (um)",
    "myelin_thickness_um": "myelin_thickness (um)",
    "fibre_area_um2": "axonmyelin_area (um^2)",
    "fibre_perimeter_um": "axonmyelin_perimeter (um)",
    "axon_solidity": "solidity",
    "axon_eccentricity": "eccentricity",
    "axon_orientation_deg": "orientation",
    "touches_border": "image_border_touching",
    "top_px": "bbox_min_y",
    "left_px": "bbox_min_x",
    "bottom_px": "bbox_max_y",
    "right_px": "bbox_max_x",
}


def to_axondeepseg(fibres: pd.DataFrame, *, pixel_size: float) -> pd.DataFrame:
    """Return a table as AxonDeepSeg 5 saves it, for scripts that read its files.

    Parameters
    ----------
    fibres : DataFrame
        From `axonlab.measure.measure_fibres`.
    pixel_size : float
        In µm, the one it was measured with: places are in pixels there.

    Returns
    -------
    DataFrame
        One row per axon, in its columns and their order. Save it by
        ``.to_excel("NAME_axon_morphometrics.xlsx")`` or ``.to_csv``, as it does.

    Raises
    ------
    ValueError
        If the table lacks a column or has a fibre twice, or the pixel size is absurd.

    Notes
    -----
    What is named the same is the same, but for: `axon_perimeter` and `axonmyelin_perimeter`, here
    by the Cauchy–Crofton formula; `eccentricity`, here of pixels that are squares and not points;
    `solidity`, which there is some per cent lower, for a disc of 100 pixels by a tenth. `gratio`
    is NaN where there is no myelin; there it is 1, or NaN. Axons of the class without myelin have
    a file of their own there: to make two, select rows by `is_myelinated` before. `orientation` is
    in radians, from the axis of the rows to the major axis, between -π/2 and π/2; NaN of round
    axons.

    Examples
    --------
    >>> from axonlab.measure import measure_fibres
    >>> fibres = np.zeros((7, 7), np.int32)
    >>> fibres[1:6, 1:6] = 1
    >>> table = measure_fibres(np.pad(fibres[2:5, 2:5], 2), fibres, pixel_size=0.1)
    >>> to_axondeepseg(table, pixel_size=0.1)[["x0 (px)", "gratio", "bbox_max_x"]].round(2)
       x0 (px)  gratio  bbox_max_x
    0      3.0     0.6           6
    """
    pixel_size = check_pixel_size(pixel_size, "fibres")
    check_columns(fibres, ["fibre_id", *_RENAMED], "the table of measure_fibres")
    check_fibres_once(fibres)
    axons = fibres[fibres["axon_area_um2"] > 0].reset_index(drop=True)
    table = axons[list(_RENAMED)].rename(columns=_RENAMED)
    table[["x0 (px)", "y0 (px)"]] /= pixel_size
    table["orientation"] = np.radians(table["orientation"] - 90)
    return table
