"""Fields of view and three rules of counting, against the table of what is in the tissue."""

import numpy as np
import pytest

from axonlab import phantom, sampling
from axonlab.measure import measure_fibres
from axonlab.sampling import RULES
from axonlab.summary import field_sums

EVERY, COMPLETE, FRAME = RULES


@pytest.fixture(scope="module")
def tissue():
    """Return a tissue of 70 x 70 µm."""
    return phantom.nerve((350, 350), pixel_size=0.2, seed=3)


def test_fields_share_one_row(tissue):
    """Frames, fields without their first row and column, fill the area without gap or overlap."""
    fields = sampling.tile(tissue, 20)
    assert len(fields) == 4
    covered = np.zeros(tissue.fibres.shape, int)
    for field in fields:
        rows, columns = field.window
        covered[rows.start + 1 : rows.stop, columns.start + 1 : columns.stop] += 1
    assert covered.max() == 1
    assert covered.sum() == (covered.any(1).sum()) * (covered.any(0).sum())
    margin = round(sampling.MARGIN / 0.2)
    assert not covered[:margin].any() and not covered[-margin:].any()


def test_rules_are_those_of_the_package(tissue):
    """A field that is measured alone tells the same numbers and lengths."""
    for field in sampling.tile(tissue, 20):
        size = tissue.micrograph.pixel_size
        masks = [np.ascontiguousarray(part[field.window]) for part in (tissue.axons, tissue.fibres)]
        table = measure_fibres(*masks, pixel_size=size)
        sums = field_sums(table, tissue.labels[field.window], pixel_size=size)
        found = sampling.counted(tissue, field)
        numbers = [found[rule].sum() for rule in RULES]
        assert numbers == [sums["n_fibres"], sums["n_complete"], sums["n_counted"]]
        own = table[table["is_myelinated"]].set_index("fibre_id")["axon_diameter_um"]
        assert found["axon_diameter_um"].to_numpy() == pytest.approx(own[found.index].to_numpy())


def test_frames_count_every_fibre_once(tissue):
    """Side by side they count no fibre twice, and all whose axon lies well within."""
    fields = sampling.tile(tissue, 20)
    tables = [sampling.counted(tissue, field) for field in fields]
    ids = np.concatenate([table.index[table[FRAME]] for table in tables])
    rows = slice(fields[0].top, fields[-1].top + fields[-1].side)
    inner = np.unique(tissue.axons[rows, rows])
    outer = tissue.axons.copy()
    outer[rows, rows] = 0
    whole = np.setdiff1d(inner, np.unique(outer))
    assert np.setdiff1d(whole[whole > 0], ids).size == 0
    assert (np.unique(ids, return_counts=True)[1] > 1).mean() < 0.01  # what is bent around a corner


def test_only_the_frame_is_right(tissue):
    """All counted is too many, complete ones only too few, and both are too small."""
    fields = sampling.tile(tissue, 20)
    counts, true = sampling.count_fields(tissue, fields), sampling.truth(tissue, fields)
    errors = sampling.compare_rules(counts, true)
    assert errors.loc[EVERY, "density"] > 8 and errors.loc[COMPLETE, "density"] < -12
    assert abs(errors.loc[FRAME, "density"]) < 6
    assert errors.loc[EVERY, "axon_diameter"] < -4 and errors.loc[COMPLETE, "axon_diameter"] < -3
    assert abs(errors.loc[FRAME, "axon_diameter"]) < 3
    assert counts["n_fibres"].sum() == errors["fibres"].sum()


def test_truth_counts_centres(tissue):
    """Of the whole tissue it is the number in the table over the area."""
    found = sampling.truth(tissue, [sampling.Field(0, 0, 350)])
    table = tissue.table
    inside = table[["centroid_y_um", "centroid_x_um"]].max(axis=1) < 70
    inside &= table[["centroid_y_um", "centroid_x_um"]].min(axis=1) >= 0
    assert found["density_per_mm2"] == pytest.approx(inside.sum() / 0.07**2)
    mean = table.loc[inside, "axon_diameter_um"].mean()
    assert found["axon_diameter_um"] == pytest.approx(mean)


def test_fields_that_have_no_room(tissue):
    """They are refused, with what would do."""
    with pytest.raises(ValueError, match=r"side is 60 µm, expected 0.4 to 58 in this tissue"):
        sampling.tile(tissue, 60)
