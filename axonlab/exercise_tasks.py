"""What the exercises ask, the hints on the way, and what a found fault teaches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """What is asked about a data set.

    Parameters
    ----------
    title : str
    question : str
        One sentence, which the name of an animal answers.
    hints : tuple of str
        The first one after the first wrong try, and so on.
    lesson : str
        What a found fault teaches.
    """

    title: str
    question: str
    hints: tuple[str, ...]
    lesson: str


TASKS = {
    "leak": Task(
        "A leaked animal",
        "Which animal for training shows tissue that one for validation shows, too?",
        (
            "Two of the pictures show one nerve, a little further to one side. Look for a group of "
            "fibres with a shape of its own that you see in a picture for training and again, "
            "elsewhere in the field, in one for validation.",
            "`check_dataset` compares the pixels of all images. Only some columns of what it found "
            "are shown: look at the row that is called leak with all of them, by "
            "`findings.iloc[0].to_dict()`.",
            "In the row leak, `file` and `finding` name two images. One of them is of an animal "
            "for validation; the other one is asked.",
        ),
        "A score on that animal for validation would have been too good: the network had seen its "
        "tissue. Count both as one animal, `find_pairs(folder, animals={...})`, or leave one out.",
    ),
    "size": Task(
        "A wrong pixel size",
        "Whose image claims a wrong pixel size?",
        (
            "The pixel sizes themselves are all possible. But all images show the same kind of "
            "nerve: what should then be alike in all of them?",
            "Pixels that are claimed twice too large make every axon twice too large, and pixels "
            "half as large as they are make them half as large. Which box lies apart as a whole, "
            "not only with a few large axons?",
            "Compare the medians, the lines in the boxes: five are within a third of each other, "
            "and one is twice or half as large as the rest.",
        ),
        "Correct `PixelSize` in the JSON file beside the image. `check_dataset` tells of axon "
        "sizes only where they are five times those of the others, since animals do differ.",
    ),
    "swap": Task(
        "Swapped classes",
        "In whose mask are axon and myelin exchanged?",
        (
            "Two images have more axon than myelin. That alone is no fault: where myelin is thin, "
            "it is so. Set `suspect` to each of the two and look at their masks.",
            "Myelin is a sheath around an axon. In the overlay axons are blue and myelin is "
            "orange: in one of the images it is the ring that is blue.",
            "`al.dataset.check_dataset(found, pixel_size=0.1)` knows that axons do not enclose "
            "myelin: its findings call such a mask inside out, and name it.",
        ),
        "Export the mask again, or read it by what its values mean and write it anew: "
        "`al.io.read_labels(path, values={127: 'axon', 255: 'myelin'})`.",
    ),
    "clip": Task(
        "A clipped image",
        "Whose 16-bit image was cut to 8 bits, so that its bright parts are lost?",
        (
            "Neither 8 bits nor a narrow range of grey values is a fault in itself: each image is "
            "normalised. Set `suspect` to every image with 8 bits and look at its histogram.",
            "An image has many grey values, and each of them few pixels. Where brighter values "
            "were cut off, all those pixels pile up in one bar at the right end.",
            "Count what is piled up: `(pixels == pixels.max()).mean()` is the share of the pixels "
            "that have the brightest grey value. Five times it is next to nothing, once more than "
            "a third.",
        ),
        "What was cut off is lost: export again from the original, as 16 bits or rescaled to 8. "
        "`al.io.read_image` reads 16 bits as they are; some other readers do cut them.",
    ),
    "shift": Task(
        "A shifted mask",
        "Whose mask lies a few pixels beside its image?",
        (
            "A low Dice has more than one reason: a model also errs where an image is blurred and "
            "noisy, and then the mask may well be right. Click on the two worst images, and see "
            "where model and truth differ.",
            "What a model is unsure of lies on all sides of a fibre. Where a mask is shifted, what "
            "only the truth has lies on one side of every fibre, and what only the model has on "
            "the opposite side.",
            "Zoom into the differences, and compare two opposite sides of several fibres. Is one "
            "side of them all red-orange and the other one blue? This is the one.",
        ),
        "Move the mask back, `numpy.roll(labels, (rows, columns), (0, 1))`, and see whether the "
        "Dice rises. `check_dataset` cannot see it: only a look, or a model, does.",
    ),
}
"""From easy to hard."""
