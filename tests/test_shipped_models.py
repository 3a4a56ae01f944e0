"""The models that come with axonlab: their cards are full and true."""

import pytest

from axonlab import data, evaluate, models, samples, score, segment
from axonlab.affinities import offsets_of
from axonlab.objects import MeanAffinity, label_neurites
from axonlab.region_graph import pieces
from axonlab.volume import Volume, normalise_sections
from axonlab.volume_predict import predict_affinities

every_model = pytest.mark.parametrize("name", models.names())


def test_there_are_models():
    """At least the first one is there."""
    assert "sem" in models.names()


@every_model
def test_card_tells_what_one_must_know(name):
    """Data, split, licence, citation, curve, scores and versions are told; the file is small."""
    card = models.load_model(name).card
    assert card.name == name and card.licence and card.citation and card.description
    assert card.training["animals"]
    assert not set(card.training["left_out"]) & set(card.training["animals"])
    assert {"steps", "minutes", "seed", "machine", "curve"} <= set(card.training)
    assert {"axonlab", "torch", "fastai"} <= set(card.versions)
    assert (models.WEIGHTS / f"{name}.safetensors").stat().st_size < 20e6


@every_model
def test_card_tells_what_the_model_can_do(name):
    """Scores on animals not seen, calibration, and the scores under hard conditions."""
    card = models.load_model(name).card
    assert set(card.classes) <= set(card.scores["dice"]["all"])
    assert len(card.scores["images"]) >= 1 and card.scores["calibration"]["animals"]
    changes = {change.rpartition(" ")[0] for change in card.scores["hard_conditions"]}
    assert changes == {"pixel size", "blur", "noise"}
    assert card.temperature == card.scores["calibration"]["temperature"]


@every_model
def test_model_scores_what_its_card_says(name, data_folder):
    """On animals left out the Dice is that of the card; on others it is not below it."""
    model = models.load_model(name)
    pairs = data.find_pairs(data_folder / {"sem": "rat-sem", "tem": "mouse-tem"}[name])
    judged = [pair for pair in pairs if pair.animal in model.card.scores["dice"]]
    found = evaluate.evaluate(model, judged).dice.loc["all"].to_dict()
    told = model.card.scores["dice"]["all"]
    if model.card.training["left_out"]:
        assert found == pytest.approx(told, abs=0.003)
    else:  # those of the card are of models that had not seen these animals
        assert all(found[name] > told[name] - 0.01 for name in told)


@pytest.mark.parametrize(("name", "sample"), [("sem", "phantom-sem"), ("tem", "phantom-tem")])
def test_models_know_phantoms(name, sample):
    """Models trained on real images see the fibres of synthetic ones of their kind, too."""
    if name not in models.names():
        pytest.skip(f"there is no model {name!r} yet")
    labels = segment.segment(samples.load(sample), name).labels
    dice = score.class_scores(labels, samples.load_labels(sample))["dice"]
    assert dice["axon"] > 0.8 and dice["myelin"] > 0.7


def test_model_of_neurites_finds_those_it_has_not_seen(data_folder):
    """Its card tells where it is from; in a corner of what it was judged on it makes few errors."""
    model = models.load_model("fib25")
    assert "fib25" in models.volume_names() and "fib25" not in models.names()
    assert model.card.name == "fib25" and model.card.licence and model.card.citation
    assert model.card.scores["mean affinity"]["adapted_rand_error"] < 0.075
    corner = (slice(166, 230), slice(0, 96), slice(0, 96))
    volume, truth = samples.load("fib25"), pieces(samples.load_truth("fib25")[corner])
    greys = normalise_sections(Volume(volume.pixels[corner], volume.voxel_size))
    recipe = MeanAffinity(tuple(offsets_of(model.card.classes)), threshold=0.25)
    found = label_neurites(predict_affinities(model, greys), recipe, min_voxels=500)
    assert score.partition_scores(found, truth)["adapted_rand_error"] < 0.15
