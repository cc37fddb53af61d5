"""What an hour of a GPU costs on both price bases, part by part, beside published costs of
ownership.

The device is taken as it is sold (silicon, stacks, rating as published), so that a miss is one of
prices and not of area or power, which have a table of their own (``reproduce devices``).
"""

import dataclasses

import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.hardware.technology import Economics
from codesign.numerics.fields import real
from codesign.numerics.units import HOUR, KILO, YEAR
from codesign.physical.cost import Cost, annuity, cost
from experiments.reproductions.table import Column, Settings, Table
from hardware_priors.prior import Prior, lookup


@dataclasses.dataclass(frozen=True)
class Sold:
    """How a device is sold: judged from the system that its published cost is of."""

    device: str
    published: str
    """its name among the facts of economics"""
    cooling: str
    packaging: str
    server: str
    """the fact that says what the server draws per GPU beyond the GPU's rating"""
    bill: tuple[str, int]
    """whose published bill of materials, and over how many GPUs"""


SOLD = (
    Sold("h100", "H100", "air", "CoWoS-S", "power_HGX_H100", ("H100", 1)),
    Sold("b200", "B200", "air", "CoWoS-L", "power_HGX_B200", ("B200", 1)),
    Sold("gb200", "GB200", "cold-plate", "CoWoS-L", "power_NVL72", ("GB200 superchip", 2)),
)


@dataclasses.dataclass(frozen=True)
class Hour:
    """What one device costs per hour that it stands there, by part [USD/h]; capital written off in
    a straight line."""

    logic: float
    memory: float
    package: float
    margin: float
    network: float
    server: float
    facility: float
    interest: float
    energy: float

    @property
    def total(self) -> float:
        """All parts [USD/h]."""
        return sum(dataclasses.astuple(self))


PARTS = tuple(field.name for field in dataclasses.fields(Hour))


def hour(price: Cost, rating: float, economics: Economics) -> Hour:
    """Split ``running_cost`` of one chip that draws its rating while it works.

    Args:
        price: the chip's share of capital.
        rating: rated power of the chip [W].
        economics: lives, interest, energy price.
    """
    equipment, facility = 1.0 / economics.life, 1.0 / economics.facility_life
    interest = price.equipment * (annuity(economics.cost_of_capital, economics.life) - equipment)
    interest = interest + price.facility * (
        annuity(economics.cost_of_capital, economics.facility_life) - facility
    )
    drawn = rating * economics.power_overhead * economics.pue * economics.utilisation
    per_second = {
        **{
            part: getattr(price, part) * equipment
            for part in ("logic", "memory", "package", "margin", "network", "server")
        },
        "facility": price.facility * facility,
        "interest": interest,
        "energy": drawn * economics.electricity_price,
    }
    return Hour(**{part: float(value) * HOUR for part, value in per_second.items()})


def as_sold(sold: Sold, price_basis: str, **changes: float) -> tuple[Cost, float, Economics]:
    """Capital of one device [USD], its rating [W] and the economics, some of which may be changed
    (SI).

    Published stacks replace the fractional ones that the bandwidth would need; silicon and rating
    are the published ones.
    """
    device = hardware_priors.device(sold.device)
    technology = hardware_priors.technology_of(
        device, cooling=sold.cooling, packaging=sold.packaging, price_basis=price_basis
    )
    economics = dataclasses.replace(
        technology.economics, **{name: real(value) for name, value in changes.items()}
    )
    technology = dataclasses.replace(technology, economics=economics)
    design = with_stacks(device.design(1), technology, _si(device.stacks))
    rating = _si(device.tdp)
    return (
        cost(design, technology, jnp.asarray(_si(device.die_area)), jnp.asarray(rating)),
        rating,
        economics,
    )


def with_stacks(
    design: codesign.Design, technology: codesign.Technology, stacks: float
) -> codesign.Design:
    """The design with the bandwidth that so many stacks of the standard have, which is how the
    model counts and prices them."""
    return dataclasses.replace(design, memory_bandwidth=stacks * technology.memory.stack_bandwidth)


def _si(fact: Prior | None) -> float:
    assert fact is not None, "a device of this table has its stacks, silicon and rating published"
    return fact.si.value


def published(sold: Sold) -> tuple[float, float]:
    """Published cost of ownership: at a hyperscaler's terms and at a neocloud's [USD/h]."""
    low, high = (
        lookup("economics", sold.published, quantity)
        for quantity in ("tco_hyperscaler", "tco_neocloud")
    )
    return low.value, high.value


def verdict(total: float, low: float, high: float) -> str:
    """Where a number lies against a range.

    >>> verdict(1.5, 1.3, 1.7), verdict(0.9, 1.0, 2.0), verdict(2.2, 1.0, 2.0)
    ('within', '10 % below', '10 % above')
    """
    if low <= total <= high:
        return "within"
    return (
        f"{100 * (1 - total / low):.2g} % below"
        if total < low
        else f"{100 * (total / high - 1):.2g} % above"
    )


def markups_within(
    low_markup_total: float, per_markup: float, low: float, high: float
) -> tuple[float, float]:
    """Markups that put an hour into its range; the hour is ``low_markup_total`` at a markup of 1
    and affine in it [1].

    >>> markups_within(1.0, 0.1, 1.3, 1.5)
    (4.0, 6.0)
    """
    return round(1.0 + (low - low_markup_total) / per_markup, 9), round(
        1.0 + (high - low_markup_total) / per_markup, 9
    )


def table(settings: Settings) -> Table:
    """Dollars per GPU-hour of H100, B200 and GB200 on the builder's and the buyer's basis. Needs no
    data."""
    del settings
    rows = []
    for basis in ("builder", "buyer"):
        for sold in SOLD:
            parts, (low, high) = hour(*as_sold(sold, basis)), published(sold)
            numbers = (getattr(parts, part) for part in PARTS)
            rows.append(
                (
                    sold.published,
                    basis,
                    *numbers,
                    parts.total,
                    low,
                    high,
                    verdict(parts.total, low, high),
                )
            )
    columns = (
        Column("device"),
        Column("basis"),
        *(Column(part, "USD/h") for part in (*PARTS, "total", "published low", "published high")),
        Column("verdict"),
    )
    title = "Cost of one GPU-hour of ownership, all parts, beside published costs of ownership"
    return Table(title, columns, rows, summary=_summary(), notes=_notes())


def _totals(price_basis: str = "buyer", **changes: float) -> list[float]:
    return [hour(*as_sold(sold, price_basis, **changes)).total for sold in SOLD]


def _told(totals: list[float]) -> str:
    """``H100 1.22 (6 % below), …``."""
    cells = (
        f"{sold.published} {total:.2f} ({verdict(total, *published(sold))})"
        for sold, total in zip(SOLD, totals, strict=True)
    )
    return ", ".join(cells)


def _shared_markups() -> str:
    """The markups that put all devices into their ranges at once."""
    at_one, at_two = _totals(chip_markup=1.0), _totals(chip_markup=2.0)
    ranges = [
        markups_within(one, two - one, *published(sold))
        for sold, one, two in zip(SOLD, at_one, at_two, strict=True)
    ]
    low, high = max(each[0] for each in ranges), min(each[1] for each in ranges)
    fact = lookup("economics", "buyer", "chip_markup")
    where = f"between {low:.2f} and {high:.2f}" if low <= high else "none"
    return (
        f"One markup for all three, all else equal: {where} puts every hour in its range; the"
        f" sourced one is {fact.value:g} (range {fact.low:g}–{fact.high:g})."
    )


def _own_ratings() -> list[float]:
    """Hours with each server's own rating in place of one factor for all [USD/h]."""
    totals = []
    for sold in SOLD:
        rating = _si(hardware_priors.device(sold.device).tdp)
        beyond = lookup("economics", "server overhead", sold.server).si.value
        totals.append(
            hour(*as_sold(sold, "buyer", power_overhead=(rating + beyond) / rating)).total
        )
    return totals


def _published_bills() -> list[float]:
    """Hours with the published bills of materials in place of ours [USD/h]."""
    totals = []
    for sold in SOLD:
        price, rating, economics = as_sold(sold, "buyer")
        name, gpus = sold.bill
        ratio = lookup("economics", name, "bom_total").value / gpus / price.bill_of_materials
        scaled = {
            part: getattr(price, part) * ratio for part in ("logic", "memory", "package", "margin")
        }
        totals.append(hour(dataclasses.replace(price, **scaled), rating, economics).total)
    return totals


def _summary() -> list[str]:
    life = 4.0
    overhead = lookup("economics", "data centre", "power_overhead").value
    return [
        (
            f"Builder [USD/h]: {_told(_totals('builder'))}. The difference to the published hours"
            " is margin, first of all."
        ),
        (
            f"Buyer, one markup of {lookup('economics', 'buyer', 'chip_markup').value:g} on all"
            f" bills of materials: {_told(_totals())}."
        ),
        _shared_markups(),
        (
            "Published bills of materials instead of ours, a Grace CPU in that of the GB200:"
            f" {_told(_published_bills())}."
        ),
        (
            f"Servers written off in {life:g} years instead of"
            f" {lookup('economics', 'data centre', 'life').value:g}:"
            f" {_told(_totals(life=life * YEAR))}."
        ),
        (
            f"Rated power of each server instead of {overhead:g} times that of its chips:"
            f" {_told(_own_ratings())}."
        ),
    ]


def _notes() -> list[str]:
    source = lookup("economics", "H100", "tco_hyperscaler").source
    h100, gb200 = (as_sold(sold, "buyer")[0] for sold in SOLD if sold.device != "b200")
    server, rack = (
        lookup("economics", "DGX H100 server", "price"),
        lookup("economics", "GB200 NVL72", "rack_compute_price"),
    )
    return [
        (
            f"Published: {source}; an assumption of its authors: low at a hyperscaler's terms, high"
            " at a neocloud's. It states neither life nor interest nor what the margin is paid on."
        ),
        (
            "An hour of ownership, not an hour sold: utilisation enters through energy alone. The"
            " chip draws its rating while it works, which is an upper bound. Capital is written off"
            " in a straight line; interest is what the annuity adds."
        ),
        (
            "The markup is paid on logic, memory and package; prices of network and server are what"
            " a buyer pays, margin included."
        ),
        (
            f"Equipment [USD per GPU]: H100 {float(h100.equipment):.0f} against {_each(server, 8)}"
            f" of a DGX H100 without switches; GB200 {float(gb200.equipment):.0f} against"
            f" {_each(rack, 72)} of an NVL72 rack: our GB200 is dearer than the rack sells for, and"
            " its hour is still low, so its publishers must count a shorter life, dearer capital"
            " or costs that we do not have."
        ),
        (
            f"Provisioned power [kW per GPU]: {_provisioned()}. One factor for all servers is low"
            " for air-cooled ones of eight."
        ),
        (
            "Not in the model: storage, spare parts, staff, the Grace CPU and its memory (a GB200"
            " pays the same server as an H100)."
        ),
        (
            "Judged: H100 on CoWoS-S, the others on CoWoS-L; H100 and B200 in air-cooled servers,"
            " GB200 on cold plates."
        ),
    ]


def _each(fact: Prior, gpus: int) -> str:
    return f"{fact.value / gpus:.0f} ({fact.low / gpus:.0f}–{fact.high / gpus:.0f})"


def _provisioned() -> str:
    cells = []
    for sold in SOLD:
        _, rating, economics = as_sold(sold, "buyer")
        ours = rating * float(economics.power_overhead * economics.pue) / KILO
        theirs = lookup("economics", sold.published, "all_in_power_per_gpu").value
        cells.append(f"{sold.published} {ours:.2f} against {theirs:.2f} published")
    return ", ".join(cells)
