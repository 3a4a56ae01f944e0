"""Parameters with which notebooks run in seconds: they show what they do, not what it can do."""

_SMALL = {"batch": 2, "epochs": 1}

QUICK = {
    "02_train": {
        "name": "tiny",
        "left_out": [],
        "tuned": {"size": "small", "epochs": 2, "patches_per_image": 2, "batch": 2, "patch": 64},
        "few_images": [],
        "fine_tuning": {"steps": 2, "batch": 2},
    },
    "05_slide": {"shape": [600, 800], "tile": 256, "cell": 20.0},
    "06_membranes": {
        "networks": {
            "N4": _SMALL | {"patch": 32, "patches_per_section": 1},
            "U-Net": _SMALL | {"patch": 64, "patches_per_section": 4, "elastic": True},
        },
        "members": 2,
        "calibrated_on": 1,
    },
    "07_neurites": {
        "tuned": {"epochs": 1, "patches": 2, "patch": [4, 32, 32], "features": [2, 3]},
        "tuned_flat": {
            "epochs": 1,
            "patches": 4,
            "batch": 4,
            "patch": [1, 32, 32],
            "features": [2, 3],
        },
        "sections": [1, 3],
        "numbers": {"bias": [[-0.5, -0.5]], "threshold": [0.5], "h": [0.2]},
    },
}
"""By notebook; those that are quick anyway are not among them."""
