"""The models that come with axonlab: their cards are full and true."""

import pytest

from axonlab import data, io, models, score, segment

every_model = pytest.mark.parametrize("name", models.names())


def test_there_are_models():
    """At least the first one is there."""
    assert "sem" in models.names()


@every_model
def test_card_tells_what_one_must_know(name):
    """Data, split, licence, citation, curve, scores and versions are told; the file is small."""
    card = models.load_model(name).card
    assert card.name == name and card.licence and card.citation and card.description
    assert card.training["left_out"] and card.training["animals"]
    assert not set(card.training["left_out"]) & set(card.training["animals"])
    assert {"steps", "minutes", "seed", "machine", "curve"} <= set(card.training)
    assert card.scores and {"axonlab", "torch", "fastai"} <= set(card.versions)
    assert (models.WEIGHTS / f"{name}.safetensors").stat().st_size < 20e6


def test_sem_scores_what_its_card_says(data_folder):
    """On the animal left out, the model still reaches the Dice of its card."""
    model = models.load_model("sem")
    left_out = model.card.training["left_out"]
    for pair in data.find_pairs(data_folder / "rat-sem"):
        if pair.animal in left_out:
            result = segment.segment(io.read_image(pair.image), model)
            dice = score.class_scores(result.labels, io.read_labels(*pair.masks))["dice"]
            assert dice.to_dict() == pytest.approx(model.card.scores[pair.image.stem], abs=0.003)
