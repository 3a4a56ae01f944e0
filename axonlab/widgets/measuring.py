"""Explorables of what measurements of fibres depend on: shape, cut, borders, pixels, numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import param

from axonlab.cross_section import (
    G_RATIOS,
    CrossSection,
    FibreShape,
    by_angle,
    cut_fibre,
    draw_fibre,
    g_ratios,
)
from axonlab.measure import measure_fibres
from axonlab.phantom import Phantom
from axonlab.pixel_effects import COMPARED, claim, coarse_fibres
from axonlab.plot_fibres import complete_fibres, label_of
from axonlab.plot_measuring import (
    angle_curves,
    claim_curves,
    coarse_errors,
    coarse_picture,
    diameter_dots,
    fibre_picture,
    g_ratio_dots,
)
from axonlab.plot_power import experiment_dots, power_by_animals, power_by_fibres
from axonlab.plot_sampling import field_picture, rule_dots
from axonlab.power import Design, animals_needed, draw_experiment, power, simulate
from axonlab.sampling import RULES, Field, compare_rules, count_fields, tile, truth
from axonlab.widgets.explorable import Draw, Explorable
from axonlab.widgets.job import plural

ANGLES = range(0, 71, 5)
"""Of the curves over the angle of a cut, in degrees."""


class FibreShapeExplorer(Explorable):
    """One fibre, whose shape changes, and its four g-ratios.

    Parameters
    ----------
    elongation, bend, irregularity, off_centre, thickness : float
        See `axonlab.cross_section.FibreShape`; the area of the axon stays.
    instead : str
        The definition that is drawn over the fibre.

    Attributes
    ----------
    result : axonlab.cross_section.CrossSection
    """

    title = "One axon of one area, one sheath, four g-ratios"

    elongation = param.Number(2.5, bounds=(1, 4), step=0.1, label="elongation (length / width)")
    bend = param.Number(0.0, bounds=(0, 0.8), step=0.05, label="bend (of half the length)")
    irregularity = param.Number(0.0, bounds=(0, 0.2), step=0.01, label="bulges (of the radius)")
    off_centre = param.Number(0.0, bounds=(0, 0.9), step=0.05, label="axon off centre (of sheath)")
    thickness = param.Number(0.8, bounds=(0.2, 1.5), step=0.05, label="sheath thickness (µm)")
    instead = param.Selector(
        default="", objects={"nothing": "", **{name: name for name in G_RATIOS}}, label="drawn over"
    )

    @property
    def shape(self) -> FibreShape:
        """What the sliders say."""
        return FibreShape(
            thickness=self.thickness,
            elongation=self.elongation,
            bend=self.bend,
            irregularity=self.irregularity,
            off_centre=self.off_centre,
        )

    def compute(self) -> CrossSection:
        """Return the fibre in pixels."""
        return draw_fibre(self.shape)

    def figures(self) -> list[list[Draw]]:
        """Return fibre and g-ratios."""
        return [
            [lambda section: fibre_picture(section, self.instead)],
            [lambda section: g_ratio_dots(section, self.shape.round_g_ratio)],
        ]

    def tell(self) -> str:
        """Return the g-ratios in words."""
        told = ", ".join(
            f"{value:.3f} by {name}" for name, value in g_ratios(self.result.row).items()
        )
        thin, thick = self.shape.sheath
        sheath = f"{thin:.2f} µm" if thin == thick else f"{thin:.2f} to {thick:.2f} µm"
        return (
            f"g-ratio {told}; the dashed line is the {self.shape.round_g_ratio:.3f} of a round "
            f"fibre with this axon and sheath. The sheath is {sheath} thick."
        )


class CutExplorer(Explorable):
    """A fibre that is a cylinder, cut at an angle.

    Parameters
    ----------
    angle, section, g_ratio : float
        See `axonlab.cross_section.cut_fibre`.

    Attributes
    ----------
    result : axonlab.cross_section.CrossSection
    """

    title = "A cylinder, cut obliquely"
    at_release = ("section", "g_ratio")

    angle = param.Number(45, bounds=(0, 70), step=1, label="angle of the cut (°)")
    section = param.Number(0.0, bounds=(0, 1), step=0.1, label="thickness of the section (µm)")
    g_ratio = param.Number(0.7, bounds=(0.5, 0.85), step=0.05, label="true g-ratio")

    axon_diameter = 2.0
    """Of the cylinder, in µm."""

    def __init__(self, **start: Any) -> None:
        self._curves: dict[tuple[float, float], pd.DataFrame] = {}
        super().__init__(**start)

    def compute(self) -> CrossSection:
        """Return the cut in pixels."""
        return cut_fibre(self.axon_diameter, self.g_ratio, angle=self.angle, section=self.section)

    def figures(self) -> list[list[Draw]]:
        """Return the cut, its diameters, and both over the angle."""
        return [
            [
                lambda section: fibre_picture(section, half=6.0),
                lambda section: angle_curves(self._over_angles(), "g_ratio", self.angle),
            ],
            [
                lambda section: diameter_dots(section, self.axon_diameter),
                lambda section: angle_curves(self._over_angles(), "diameter", self.angle),
            ],
        ]

    def _over_angles(self) -> pd.DataFrame:
        """Return what does not change with the angle, once for each of the other sliders."""
        key = self.section, self.g_ratio
        if key not in self._curves:
            self._curves[key] = by_angle(
                ANGLES, self.axon_diameter, self.g_ratio, section=self.section
            )
        return self._curves[key]

    def tell(self) -> str:
        """Return what survives in words."""
        row = self.result.row
        return (
            f"The axon of {self.axon_diameter:g} µm measures {row['axon_diameter_um']:.2f} µm by "
            f"area and {row['axon_minor_axis_um']:.2f} µm by minor axis; its g-ratio of "
            f"{self.g_ratio:.2f} measures {row['g_ratio']:.2f} and "
            f"{row['g_ratio_minor_axis']:.2f}."
        )


class Counts(NamedTuple):
    """What `FrameExplorer` shows."""

    fields: list[Field]
    counts: pd.DataFrame
    truth: pd.Series[float]
    errors: pd.DataFrame


class FrameExplorer(Explorable):
    """Fields of view over a tissue, and three rules of counting at their borders.

    Parameters
    ----------
    tissue : axonlab.phantom.Phantom
        At least some 90 µm wide.
    side : float
        Of the fields, in µm.
    number : int
        Of the field that is shown, from 1.
    rule : str
        One of `axonlab.sampling.RULES`.

    Attributes
    ----------
    result : Counts
    """

    title = "Fields of view, and what to do with fibres that their borders cut"
    at_release = ("side",)

    side = param.Number(25, bounds=(12, 60), step=1, label="side of a field (µm)")
    number = param.Integer(1, bounds=(1, 30), label="field that is shown")
    rule = param.Selector(default=RULES[2], objects=list(RULES), label="what is counted")

    def __init__(self, tissue: Phantom, **start: Any) -> None:
        self.tissue = tissue
        self._known: dict[float, Counts] = {}
        super().__init__(**start)

    def compute(self) -> Counts:
        """Return what the rules tell of all fields of this size."""
        if self.side not in self._known:
            fields = tile(self.tissue, self.side)
            counts, true = count_fields(self.tissue, fields), truth(self.tissue, fields)
            self._known[self.side] = Counts(fields, counts, true, compare_rules(counts, true))
        return self._known[self.side]

    def figures(self) -> list[list[Draw]]:
        """Return one field, and the errors of all."""
        return [
            [lambda found: field_picture(self.tissue, self._field(found), self.rule)],
            [
                lambda found: rule_dots(*found[1:], "density_per_mm2"),
                lambda found: rule_dots(*found[1:], "axon_diameter_um"),
            ],
        ]

    def _field(self, found: Counts) -> Field:
        return found.fields[(self.number - 1) % len(found.fields)]

    def tell(self) -> str:
        """Return the errors of the chosen rule in words."""
        n, row = len(self.result.fields), self.result.errors.loc[self.rule]
        told = (
            f"{plural(n, 'field')} of {self.side:g} µm, {self.rule}: density {row['density']:+.1f} "
            f"%, mean axon diameter {row['axon_diameter']:+.1f} % of the truth."
        )
        return told.replace("-", "−")


class PixelExplorer(Explorable):
    """A pixel size that is claimed wrongly, and pixels that are coarse.

    Parameters
    ----------
    phantom : axonlab.phantom.Phantom
        With small pixels.
    claimed : float
        Claimed over right pixel size.
    pixel_size : float
        In µm.
    column : str
        One of `axonlab.pixel_effects.COMPARED`.

    Attributes
    ----------
    result : DataFrame
        From `axonlab.pixel_effects.coarse_fibres`.
    """

    title = "A wrong pixel size, and coarse pixels"
    at_release = ("pixel_size",)

    claimed = param.Number(1.2, bounds=(0.5, 1.5), step=0.05, label="claimed / right pixel size")
    pixel_size = param.Number(0.3, bounds=(0.05, 0.8), step=0.05, label="size of the pixels (µm)")
    column = param.Selector(
        default="axon_diameter_um",
        objects={label_of(name): name for name in COMPARED},
        label="error of",
    )

    def __init__(self, phantom: Phantom, **start: Any) -> None:
        self.phantom = phantom
        self._known: dict[float, pd.DataFrame] = {}
        size = phantom.micrograph.pixel_size
        measured = measure_fibres(phantom.axons, phantom.fibres, pixel_size=size)
        self._fibres = complete_fibres(measured)
        super().__init__(**start)

    def compute(self) -> pd.DataFrame:
        """Return the errors of all fibres."""
        if self.pixel_size not in self._known:
            self._known[self.pixel_size] = coarse_fibres(self.phantom, self.pixel_size)
        return self._known[self.pixel_size]

    def figures(self) -> list[list[Draw]]:
        """Return what a wrong and what coarse pixels do."""
        return [
            [
                lambda coarse: claim_curves(self.claimed),
                lambda coarse: coarse_errors(coarse, self.column),
            ],
            [lambda coarse: coarse_picture(self.phantom, self.pixel_size)],
        ]

    def tell(self) -> str:
        """Return both in words."""
        wrong, lost = claim(self._fibres, self.claimed), int(self.result["is_lost"].sum())
        return (
            f"Claimed: diameters × {wrong['diameter']:.2f}, areas × {wrong['area']:.2f}, densities "
            f"× {wrong['density']:.2f}, g-ratios × {wrong['g-ratio']:.2f}. With pixels of "
            f"{self.pixel_size:.2f} µm, {lost} of {plural(len(self.result), 'fibre')} are lost."
        )


class Study(NamedTuple):
    """What `PowerExplorer` shows."""

    design: Design
    found: pd.DataFrame
    one: pd.DataFrame


class PowerExplorer(Explorable):
    """Two groups of animals, their fibres, and how often a true difference is found.

    Parameters
    ----------
    animals, fibres : int
    effect, between, within : float
        See `axonlab.power.Design`.
    repetition : int
        The experiment that is drawn.

    Attributes
    ----------
    result : Study
    """

    title = "How many fibres, how many animals"

    animals = param.Integer(5, bounds=(2, 30), label="animals per group")
    fibres = param.Integer(100, bounds=(1, 1000), label="fibres per animal")
    effect = param.Number(0.02, bounds=(0, 0.06), step=0.002, label="true difference of g")
    between = param.Number(0.015, bounds=(0, 0.05), step=0.001, label="SD between animals (g)")
    within = param.Number(0.07, bounds=(0.01, 0.15), step=0.005, label="SD between fibres (g)")
    repetition = param.Integer(1, bounds=(1, 50), label="experiment that is drawn")

    def compute(self) -> Study:
        """Return the simulated experiments."""
        design = Design(self.animals, self.fibres, self.effect, self.between, self.within)
        one = draw_experiment(design, seed=self.repetition)
        return Study(design, simulate(design), one)

    def figures(self) -> list[list[Draw]]:
        """Return one experiment, and the power over both numbers."""
        return [
            [lambda study: experiment_dots(study.one)],
            [
                lambda study: power_by_fibres(study.design, study.found.loc["animals", "found"]),
                lambda study: power_by_animals(study.design, study.found.loc["animals", "found"]),
            ],
        ]

    def tell(self) -> str:
        """Return power and false alarms in words."""
        design, found, _ = self.result
        needed = animals_needed(design)
        enough = "more than 200" if needed is None else str(needed)
        found_share, alarms, alarms_of_fibres = (
            f"{100 * found.loc[n, column]:.0f} %"
            for n, column in (
                ("animals", "found"),
                ("animals", "false_alarms"),
                ("fibres", "false_alarms"),
            )
        )
        return (
            f"Power {100 * power(design):.0f} % (simulated {found_share}); for 80 % with these "
            f"fibres it takes {enough} animals per group. False alarms where there is no "
            f"difference: {alarms} with animals as n, {alarms_of_fibres} with fibres as n."
        )
