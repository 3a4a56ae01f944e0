"""Agreement of two partitions: which pixels are together in one thing, and which are not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Objects = NDArray[np.integer]
Counts = NDArray[np.float64]


def partition_scores(segmentation: Objects, truth: Objects) -> dict[str, float]:
    r"""Compare a segmentation of a plane or a volume with the true one.

    Parameters
    ----------
    segmentation, truth : (Y, X) or (Z, Y, X) integer array
        Ids. What is 0 in `truth` does not count. Every pixel that is 0 in `segmentation` is a thing
        of its own: what belongs to nothing is split to dust, not merged.

    Returns
    -------
    dict of str to float
        - `adapted_rand_error`: 1 - F, the harmonic mean of the next two
        - `precision`: of the pairs of pixels that the segmentation holds together, the share that
          truly are together; mergers lower it
        - `recall`: of the pairs that truly are together, the share that is held together; splits
          lower it
        - `voi_split`, `voi_merge`: variation of information in bits, H(segmentation | truth) and
          H(truth | segmentation)

    Raises
    ------
    ValueError
        If the shapes differ, something else than ids from 0 is given, or `truth` is empty.

    Notes
    -----
    With p_ij the share of the pixels of `truth` that are i in truth and j in the segmentation, and
    a_i and b_j its sums over j and over i: precision = :math:`\sum p_{ij}^2 / \sum b_j^2`, recall =
    :math:`\sum p_{ij}^2 / \sum a_i^2`. Of n pixels each one that is 0 in the segmentation adds 1/n²
    to the sums of p and of b. So SNEMI3D computes it: a pixel makes a pair with itself.

    `skimage.metrics.adapted_rand_error` takes all zeros of the segmentation for one large object,
    its precision is the recall here, and it leaves out the pairs of a pixel with itself.

    References: Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142; Meilă 2007,
    doi:10.1016/j.jmva.2006.11.013.

    Examples
    --------
    >>> truth = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2]])
    >>> merged = np.ones_like(truth)
    >>> partition_scores(merged, truth)["precision"], partition_scores(merged, truth)["voi_merge"]
    (0.5, 1.0)
    >>> partition_scores(truth, truth)["adapted_rand_error"]
    0.0
    """
    check_ids(segmentation, "segmentation")
    check_ids(truth, "truth")
    if segmentation.shape != truth.shape:
        raise ValueError(
            f"A segmentation of shape {segmentation.shape} against a truth of {truth.shape}: both "
            "must show the same at the same size."
        )
    if not truth.any():
        raise ValueError("truth holds nothing but 0, which does not count: nothing to compare.")
    table = Contingency.of(segmentation, truth)
    precision, recall = table.rand()
    information, segmentation_bits, truth_bits = table.information()
    return {
        "adapted_rand_error": 1 - table.rand_f(),
        "precision": precision,
        "recall": recall,
        "voi_split": max(0.0, segmentation_bits - information),
        "voi_merge": max(0.0, truth_bits - information),
    }


class Contingency(NamedTuple):
    """How many pixels two partitions share, things by things; those that are 0 in truth left out.

    Sums of squares and entropies are all that scores need, so it is three lists, not a matrix.
    """

    shared: Counts
    """Pixels of every pair of things that share some."""
    truth: Counts
    """Pixels of every true thing."""
    segmentation: Counts
    """Pixels of every thing of the segmentation within the true ones."""
    alone: int
    """Pixels within true things that are 0 in the segmentation, each a thing of its own."""

    @classmethod
    def of(cls, segmentation: Objects, truth: Objects) -> Contingency:
        """Count the pixels of two partitions of one shape.

        Parameters
        ----------
        segmentation, truth : integer array
            Ids of any size, in any order.
        """
        a, b = segmentation.ravel(), truth.ravel()
        # Things are wide: what is sorted are runs of pixels of one pair of ids, not pixels.
        starts = np.append(0, 1 + np.flatnonzero((a[1:] != a[:-1]) | (b[1:] != b[:-1])))
        lengths = np.diff(starts, append=a.size)
        true = b[starts] > 0
        starts, lengths = starts[true], lengths[true]
        _, found_ids = np.unique(a[starts], return_inverse=True)
        _, true_ids = np.unique(b[starts], return_inverse=True)
        is_alone = a[starts] == 0
        n_found = int(found_ids.max(initial=-1)) + 1
        in_thing = found_ids[~is_alone]
        pairs = true_ids[~is_alone] * np.int64(n_found) + in_thing
        _, pair_ids = np.unique(pairs, return_inverse=True)
        found = _sums(in_thing, lengths[~is_alone])
        return cls(
            _sums(pair_ids, lengths[~is_alone]),
            _sums(true_ids, lengths),
            found[found > 0],
            int(lengths[is_alone].sum()),
        )

    def rand(self) -> tuple[float, float]:
        """Return precision and recall of the pairs of pixels, from 0 to 1."""
        both = self.shared @ self.shared + self.alone
        precision = both / (self.segmentation @ self.segmentation + self.alone)
        return float(precision), float(both / (self.truth @ self.truth))

    def rand_f(self) -> float:
        """Return the harmonic mean of precision and recall of the pairs of pixels."""
        both = self.shared @ self.shared + self.alone
        found = self.segmentation @ self.segmentation + self.alone
        return float(2 * both / (found + self.truth @ self.truth))

    def information(self) -> tuple[float, float, float]:
        """Return the mutual information, the entropy of the segmentation and of the truth, in bits.

        Where there is nothing to tell, in that both are one single thing, all of them are 0.
        """
        n = self.truth.sum()
        dust = self.alone / n * np.log2(n)
        found = _bits(self.segmentation / n) + dust
        true = _bits(self.truth / n)
        return float(found + true - _bits(self.shared / n) - dust), float(found), float(true)

    def information_f(self) -> float:
        """Return 2I / (H(segmentation) + H(truth)), 1 where both are one single thing."""
        information, found, true = self.information()
        return 2 * information / (found + true) if found + true else 1.0


def check_ids(objects: Objects, name: str) -> None:
    """Raise a ValueError unless an array holds ids of a plane or a volume."""
    if objects.ndim not in (2, 3) or not objects.size:
        raise ValueError(
            f"{name} of shape {objects.shape}: expected ids as (rows, columns) or (sections, rows, "
            "columns), with pixels in it."
        )
    if not np.issubdtype(objects.dtype, np.integer) or objects.min() < 0:
        raise ValueError(
            f"{name} of {objects.dtype}: expected whole ids from 0, which is the background. "
            "Number the components of a mask first, with scipy.ndimage.label."
        )


def _sums(ids: NDArray[np.integer], lengths: NDArray[np.integer]) -> Counts:
    """Return the pixels of every id, exact to 2⁵³."""
    return np.asarray(np.bincount(ids, lengths), np.float64)


def _bits(shares: Counts) -> float:
    """Return the entropy of shares, all of them more than 0."""
    return float(-(shares @ np.log2(shares)))
