"""How long an edit of one fibre takes, until masks, objects and table are in step again.

It must not grow with the image.
"""

import numpy as np
from timing import median_seconds, verdict

import axonlab as al

SIZES = (1, 3, 5)  # 5: 56 Mpx and 14,000 fibres, most of which share a sheath with others
N_FIBRES = 15


def main():
    """Print the longest delete, undo and change of class per size, then the verdict."""
    one = al.phantom.nerve((1500, 1500), pixel_size=0.05, seed=3).labels
    print("   Mpx  fibres  delete s  undo s  change class s")
    for n in SIZES:
        correction = al.correct.Correction(np.tile(one, (n, n)), pixel_size=0.05)
        ids = np.random.default_rng(0).choice(correction.table["fibre_id"], N_FIBRES)
        seconds = np.array([times(correction, int(i)) for i in ids]).max(0)
        mpx, n_fibres = n * n * one.size / 1e6, len(correction.table)
        print(f"{mpx:6.1f} {n_fibres:7d} " + " ".join(f"{s:9.3f}" for s in seconds), flush=True)
    verdict("delete or undo a fibre", seconds[:2].max(), 0.3, "s")


def times(correction, i):
    """Return how long three edits of a fibre take; all are undone."""
    deleted, _ = median_seconds(lambda: correction.delete(i), repeats=1)
    undone, _ = median_seconds(correction.undo, repeats=1)
    changed, _ = median_seconds(lambda: correction.change_class(i, "unmyelinated axon"), repeats=1)
    correction.undo()
    return deleted, undone, changed


if __name__ == "__main__":
    main()
