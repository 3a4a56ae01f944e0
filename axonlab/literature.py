"""What the literature says of nerve fibres: shown beside measurements, never used as a filter."""

USUAL_G_RATIO = (0.6, 0.8)
OPTIMA = {
    "optimum in PNS, 0.60 (Rushton 1951)": 0.6,
    "optimum in CNS, 0.77 (Chomiak & Hu 2009)": 0.77,
}
"""Of the g-ratio."""

CITATIONS = {
    "Rushton 1951": "J Physiol 115:101, doi:10.1113/jphysiol.1951.sp004655",
    "Chomiak & Hu 2009": "PLoS ONE 4:e7754, doi:10.1371/journal.pone.0007754",
    "Saliani et al. 2017": "Front Neuroanat 11:129, doi:10.3389/fnana.2017.00129",
    "Stikov et al. 2015": "NeuroImage 118:397, doi:10.1016/j.neuroimage.2015.05.023",
}
"""Where it says so."""

MEMBRANES = {
    "mean of N4": {
        "pixel_error": 0.060,
        "rand_error": 0.048,
        "warping_error": 0.000434,
        "source": "Cireşan et al. 2012, NIPS 25:2843: four networks, some with a fovea",
    },
    "U-Net, turned": {
        "pixel_error": 0.0611,
        "rand_error": 0.0382,
        "warping_error": 0.000353,
        "source": "Ronneberger et al. 2015, arXiv:1505.04597: 7 orientations",
    },
    "second human": {
        "pixel_error": 0.067,
        "rand_error": 0.027,
        "warping_error": 0.000344,
        "source": "Cireşan et al. 2012, NIPS 25:2843",
    },
}
"""Scores of maps of membranes on the secret test sections of ISBI 2012. They cannot be compared
with scores on other sections."""

NEURITES = [
    {
        "volume": "fib25",
        "method": "flood-filling network, z ≥ 166",
        "adapted_rand_error": 0.0699,
        "source": "Januszewski et al. 2018, doi:10.1038/s41592-018-0049-4; trained on other "
        "volumes, nine times as large",
    },
    {
        "volume": "fib25",
        "method": "flood-filling network, y ≥ 125",
        "adapted_rand_error": 0.0528,
        "source": "the same",
    },
    {
        "volume": "fib25",
        "method": "flood-filling network, x ≥ 125",
        "adapted_rand_error": 0.0705,
        "source": "the same",
    },
    {
        "volume": "fib25",
        "method": "supervoxels that came with the volume",
        "adapted_rand_error": 0.266,
        "source": "Takemura et al. 2015, doi:10.1073/pnas.1509820112",
    },
    {
        "volume": "snemi3d",
        "method": "DeepEM3D",
        "adapted_rand_error": 0.06015,
        "source": "Zeng, Wu & Ji 2017, doi:10.1093/bioinformatics/btx188, secret sections",
    },
    {
        "volume": "snemi3d",
        "method": "affinities, residual U-Net, 16 variants",
        "adapted_rand_error": 0.0258,
        "source": "Lee et al. 2017, arXiv:1706.00120, secret sections",
    },
    {
        "volume": "snemi3d",
        "method": "second human",
        "adapted_rand_error": 0.05998,
        "source": "as told by Zeng, Wu & Ji 2017",
    },
]
"""Adapted Rand errors of neurites in volumes: of other blocks or sections they are others."""

OF_TRACTS = "Saliani et al. 2017"
"""Review of density, diameters, myelin thickness and axons without myelin by tract of the white
matter of the spinal cord, of the rat and others: values differ by tract, level and age."""
