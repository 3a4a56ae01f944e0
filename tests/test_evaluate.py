"""Evaluation: tables agree with the steps they are made of, and models with themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage

from axonlab import calibration, evaluate, io, phantom, score, segment
from axonlab.evaluate import Evaluation, compare, robustness, summarise
from axonlab.models import Model, ModelCard
from axonlab.pairs import Pair, find_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ["background", "myelin", "axon"]


def random_model(classes: list[str] = NAMES, *, seed: int = 0) -> Model:
    """Return a tiny network with random weights."""
    torch.manual_seed(seed)
    architecture = {"class": "UNet", "n_classes": len(classes), "features": (3, 4)}
    card = ModelCard(f"tiny {seed}", classes, 0.2, architecture)
    network = card.build().eval()
    torch.nn.init.normal_(network.head.weight, std=3)
    return Model(network, card, "0" * 64)


@pytest.fixture
def pairs(bids: Path) -> list[Pair]:
    """Return two pairs of each of three animals."""
    return find_pairs(bids)


@pytest.fixture
def evaluation(pairs: list[Pair]) -> Evaluation:
    """Return what a random model makes of them."""
    return evaluate.evaluate(random_model(), pairs)


def test_images_are_those_of_the_steps_by_hand(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Dice and labels are those of segmenting and scoring each image by hand."""
    assert evaluation.images["animal"].tolist() == [pair.animal for pair in pairs]
    assert evaluation.images["image"].tolist() == [pair.image.stem for pair in pairs]
    for i, pair in enumerate(pairs):
        result = segment.segment(io.read_image(pair.image), random_model())
        dice = score.class_scores(result.labels, io.read_labels(*pair.masks))["dice"]
        row = evaluation.images.loc[i]
        assert np.array_equal(evaluation.labels[i], result.labels)
        assert {name: row[f"dice_{name}"] for name in dice.index} == pytest.approx(dice.to_dict())
        assert row["mean_dice"] == pytest.approx(dice[["myelin", "axon"]].mean())


def test_pooled_scores_are_those_of_all_pixels(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Dice of an animal, and of all, is that of its images side by side."""
    truths = [io.read_labels(*pair.masks) for pair in pairs]
    for animal in ("sub-a", "all"):
        chosen = [i for i, pair in enumerate(pairs) if animal in (pair.animal, "all")]
        labels, truth = (np.hstack([x[i] for i in chosen]) for x in (evaluation.labels, truths))
        wanted = score.class_scores(labels, truth)["dice"]
        assert evaluation.dice.loc[animal].to_dict() == pytest.approx(wanted.to_dict())
        if animal == "all":
            assert evaluation.confusion.equals(score.confusion(labels, truth))


def test_calibration_is_that_of_all_pixels(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Every labelled pixel is counted once; small images are sampled whole."""
    n_pixels = sum(labels.size for labels in evaluation.labels)
    assert evaluation.reliability["pixels"].sum() == len(evaluation.sample) == n_pixels
    told = evaluation.calibration
    ece = calibration.expected_calibration_error(evaluation.reliability)
    assert told["ece"] == pytest.approx(ece)
    assert told["temperature"] == calibration.fit_temperature(evaluation.sample, NAMES)
    assert 0 <= told["ece_scaled"] < 1
    assert told["animals"] == ["sub-a", "sub-b", "sub-c"]


def test_a_temperature_is_not_fitted_on_top_of_another(pairs: list[Pair]) -> None:
    """Cells that are run again find the same one for a card that has it already."""
    model = random_model()
    found = evaluate.evaluate(model, pairs).calibration["temperature"]
    assert abs(np.log(found)) > 0.2
    told = Model(model.network, replace(model.card, temperature=found), model.sha256)
    again = evaluate.evaluate(told, pairs).calibration["temperature"]
    assert again == pytest.approx(found, rel=1e-3)


def test_one_animal_has_no_honest_error_after_scaling(pairs: list[Pair]) -> None:
    """What the temperature was fitted on does not judge it."""
    told = evaluate.evaluate(random_model(), pairs[:2]).calibration
    assert told["ece_scaled"] is None
    assert told["temperature"] > 0


def test_other_classes_count_as_the_first(pairs: list[Pair]) -> None:
    """A model of axons alone is not blamed for the myelin it was trained to take for background."""
    evaluation = evaluate.evaluate(random_model(["background", "axon"]), pairs[:1])
    truth = io.read_labels(*pairs[0].masks)
    table = evaluation.confusion
    assert list(table.index) == list(table.columns) == ["background", "axon"]
    assert table.loc["background"].sum() == (truth != 2).sum()
    assert [c for c in evaluation.images if c.startswith("dice_")] == [
        "dice_background",
        "dice_axon",
    ]


def test_any_iterable_of_pairs_will_do(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """A progress bar over the pairs is gone through once."""
    again = evaluate.evaluate(random_model(), iter(pairs))
    assert again.pairs == pairs
    pd.testing.assert_frame_equal(again.images, evaluation.images)


def test_nothing_to_evaluate_on() -> None:
    """No pair is an error that says where pairs come from."""
    with pytest.raises(ValueError, match=r"No pairs.*find_pairs"):
        evaluate.evaluate(random_model(), [])


def test_a_bad_pair_is_named(pairs: list[Pair]) -> None:
    """A damaged image, or a mask of another shape, is told by its file."""
    io.write_image(pairs[1].masks[0], np.zeros((5, 5), np.uint8), overwrite=True)
    with pytest.raises(ValueError, match=rf"{pairs[1].masks[0].name}.*\(5, 5\).*\(60, 72\)"):
        evaluate.evaluate(random_model(), pairs)
    pairs[0].image.write_bytes(b"no image")
    with pytest.raises(ValueError, match=pairs[0].image.name):
        evaluate.evaluate(random_model(), pairs)


# --- two models


def test_a_model_does_not_differ_from_itself(evaluation: Evaluation) -> None:
    """All differences are 0, and so is their interval."""
    table = compare(evaluation, evaluation)
    assert len(table) == 6 * 3
    assert (table["difference"] == 0).all()
    summary = summarise(table)
    assert (summary[["difference", "low", "high"]] == 0).all(axis=None)
    assert summary[["animals", "images"]].drop_duplicates().to_numpy().tolist() == [[3, 6]]


def test_differences_are_those_of_the_images(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Each row holds the Dice of both models on one image."""
    other = evaluate.evaluate(random_model(seed=1), pairs)
    table = compare(evaluation, other)
    axon = table[table["class"] == "axon"].reset_index(drop=True)
    assert axon["first"].equals(evaluation.images["dice_axon"].rename("first"))
    assert axon["second"].equals(other.images["dice_axon"].rename("second"))
    assert axon["difference"].equals((axon["second"] - axon["first"]).rename("difference"))


def test_models_of_other_classes_are_compared_in_what_both_know(pairs: list[Pair]) -> None:
    """Background that holds myelin is not the background of a model that tells it apart."""
    more, less = (
        evaluate.evaluate(random_model(names), pairs[:1])
        for names in (NAMES, ["background", "axon"])
    )
    assert compare(more, less)["class"].tolist() == ["axon"]
    axon = evaluate.evaluate(random_model(["axon", "background"]), pairs[:1])
    assert set(compare(axon, less)["class"]) == {"axon", "background"}
    with pytest.raises(ValueError, match="no class to compare"):
        compare(axon, more)


def test_other_images_are_not_compared(pairs: list[Pair]) -> None:
    """Two models are compared on the same images only."""
    one, other = (evaluate.evaluate(random_model(), chosen) for chosen in (pairs[:1], pairs[1:2]))
    with pytest.raises(ValueError, match=r"'tiny 0' was evaluated on 1.*one list of pairs"):
        compare(one, other)


def comparison(differences: dict[str, list[float]]) -> pd.DataFrame:
    """Return a comparison of one class with these differences of the images of each animal."""
    rows = [(animal, value) for animal, values in differences.items() for value in values]
    return pd.DataFrame(rows, columns=["animal", "difference"]).assign(**{"class": "axon"})


def test_animals_count_and_not_images() -> None:
    """An animal of many images weighs as much as one of one; the interval is that of animals."""
    table = comparison({"a": [0.1] * 98, "b": [0.2], "c": [0.3, np.nan]})
    row = summarise(table).loc["axon"]
    assert row["difference"] == pytest.approx(0.2)
    assert (row["animals"], row["images"]) == (3, 100)
    assert 0.099 < row["low"] < 0.15 and 0.25 < row["high"] < 0.301
    pd.testing.assert_frame_equal(summarise(table), summarise(table))


def test_the_interval_is_about_that_of_the_normal_distribution() -> None:
    """Of many animals it has the width that the central limit theorem says."""
    values = np.random.default_rng(0).normal(0.05, 0.1, 200)
    row = summarise(comparison({str(i): [v] for i, v in enumerate(values)})).loc["axon"]
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert row["low"] == pytest.approx(values.mean() - half, abs=0.001)
    assert row["high"] == pytest.approx(values.mean() + half, abs=0.001)


def test_two_animals_have_no_interval() -> None:
    """A mean of two says nothing about animals in general; classes without Dice are left out."""
    row = summarise(comparison({"a": [0.1], "b": [0.3]})).loc["axon"]
    assert row["difference"] == pytest.approx(0.2)
    assert np.isnan(row["low"]) and np.isnan(row["high"])
    assert summarise(comparison({"a": [np.nan]})).empty


# --- robustness


def test_robustness_begins_at_the_scores_without_change(
    evaluation: Evaluation, pairs: list[Pair]
) -> None:
    """Every change and amount is there for every class; none is that of `evaluate`."""
    table = robustness(random_model(), pairs)
    wanted = {(name, amount) for name, (_, many) in evaluate.CHANGES.items() for amount in many}
    assert set(table[["change", "amount"]].itertuples(index=False, name=None)) == wanted
    assert len(table) == 3 * len(wanted)
    for _, start in table[table["amount"] == 0].groupby("change"):
        dice = dict(zip(start["class"], start["dice"], strict=True))
        assert dice == pytest.approx(evaluation.dice.loc["all"].to_dict())
    changed = table[table["amount"] != 0].groupby("change")["dice"].std()
    assert (changed > 0).all()


def test_changes_are_what_they_say() -> None:
    """Pixel size by a share, blur in pixels of the model, noise in shares of the grey range."""
    nerve = phantom.nerve((120, 160), pixel_size=0.1).micrograph
    wrong, blurred, noisy = (
        evaluate.CHANGES[name][0](nerve, 0.1 if name != "blur" else 1.5, 0.2)
        for name in ("pixel size", "blur", "noise")
    )
    assert wrong.pixel_size == pytest.approx(0.11)
    assert np.array_equal(wrong.pixels, nerve.pixels)
    np.testing.assert_allclose(blurred.pixels, ndimage.gaussian_filter(nerve.pixels, 3.0))
    low, high = np.percentile(nerve.pixels, (1, 99))
    assert (noisy.pixels - nerve.pixels).std() == pytest.approx(0.1 * (high - low), rel=0.02)
    assert all(m.name == nerve.name for m in (wrong, blurred, noisy))


def test_parts_pooled_are_the_whole(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Evaluated animal by animal and pooled, everything is as evaluated at once."""
    parts = [evaluate.evaluate(random_model(), pairs[i : i + 2]) for i in (0, 2, 4)]
    whole = evaluate.pool(parts)
    assert whole.model == evaluation.model and whole.pairs == evaluation.pairs
    pd.testing.assert_frame_equal(whole.images, evaluation.images)
    pd.testing.assert_frame_equal(whole.dice, evaluation.dice)
    pd.testing.assert_frame_equal(whole.reliability, evaluation.reliability)
    assert whole.calibration == evaluation.calibration


def test_what_cannot_be_pooled_is_told(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Nothing, and models for different classes."""
    other = evaluate.evaluate(random_model(["background", "axon"]), pairs[:1])
    with pytest.raises(ValueError, match="No evaluations to pool: keep animals"):
        evaluate.pool([])
    with pytest.raises(ValueError, match=r"Models for different classes: \[\['background', 'my"):
        evaluate.pool([evaluation, other])


def test_pooling_an_image_twice_is_told(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """It would count twice, as when an animal is left out by two groups."""
    again = evaluate.evaluate(random_model(seed=1), pairs[2:4])
    with pytest.raises(ValueError, match=rf"several times: .*{pairs[2].image.name}.*of one group"):
        evaluate.pool([evaluation, again])


def test_card_of_images_of_one_name(pairs: list[Pair]) -> None:
    """An animal may have images of one name in several folders; each keeps its scores."""
    moved = []
    for place, pair in zip(("left", "right"), pairs[:2], strict=True):
        image = pair.image.parent / place / "image.png"
        image.parent.mkdir()
        io.write_json(image.with_suffix(".json"), {"PixelSize": [0.2, 0.2]})
        moved.append(replace(pair, image=pair.image.rename(image)))
    evaluation = evaluate.evaluate(random_model(), [*moved, pairs[2]])
    told = evaluate.card_scores(evaluation, robustness(random_model(), pairs[2:3]))["images"]
    assert list(told) == [
        "sub-a/sub-a/micr/left/image.png",
        "sub-a/sub-a/micr/right/image.png",
        f"{pairs[2].animal}/{pairs[2].image.stem}",
    ]


def test_card_tells_the_scores(evaluation: Evaluation, pairs: list[Pair]) -> None:
    """Plain numbers that JSON keeps: by animal, by image, and under each hard condition."""
    hard = robustness(random_model(), pairs[:1])
    told = evaluate.card_scores(evaluation, hard)
    assert json.loads(json.dumps(told)) == told
    assert told["dice"]["all"]["axon"] == round(evaluation.dice.loc["all", "axon"], 4)
    name = f"{pairs[0].animal}/{pairs[0].image.stem}"
    assert told["images"][name]["dice_axon"] == round(evaluation.images["dice_axon"][0], 4)
    blurred = hard.query("change == 'blur' and amount == 2 and `class` == 'axon'")["dice"].item()
    assert told["hard_conditions"]["blur +2"]["axon"] == round(blurred, 4)
    assert list(told["hard_conditions"])[:3] == [f"pixel size {a}" for a in ("-0.2", "-0.1", "+0")]
