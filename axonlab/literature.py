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

OF_TRACTS = "Saliani et al. 2017"
"""Review of density, diameters, myelin thickness and axons without myelin by tract of the white
matter of the spinal cord, of the rat and others: values differ by tract, level and age."""
