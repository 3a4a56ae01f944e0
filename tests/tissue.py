"""Class ids of tissue that is hard to divide into fibres."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def tissue(seed: int, shape: tuple[int, int] = (120, 110)) -> NDArray[np.uint8]:
    """Draw axons and myelin of all shapes and sizes, with much that touches."""
    rng = np.random.default_rng(seed)
    lumps, webs = (
        ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(1.5, 5)) for _ in range(2)
    )
    labels = np.zeros(shape, np.uint8)
    labels[webs > np.quantile(webs, rng.uniform(0.1, 0.9))] = 1
    labels[lumps > np.quantile(lumps, rng.uniform(0.7, 0.97))] = 2
    labels[lumps < np.quantile(lumps, 0.1)] = 3
    return labels
