"""From a site and a horizon to its program."""

from __future__ import annotations

import numpy as np

from historian.dispatch.assets import (
    add_battery,
    add_block,
    add_deferrable,
    add_genset,
    add_load,
    add_renewable,
    add_tie,
    add_vehicle,
)
from historian.dispatch.axis import Axis
from historian.dispatch.formulation import Formulation
from historian.dispatch.model import (
    Battery,
    Deferrable,
    ElectricVehicle,
    Genset,
    GridTie,
    Load,
    Renewable,
    Site,
)
from historian.dispatch.together import add_balance, add_commitments, add_groups, add_reserve


def formulate(site: Site, axis: Axis) -> Formulation:
    """Raises BadSite where a series does not fit the horizon."""
    f = Formulation(site, axis)
    nothing = f.matrix.columns(1, 0.0, 0.0)  # a site in which nothing can be chosen has a program too
    for asset in site.assets:
        f.matrix.part = asset.name
        match asset:
            case Battery():
                add_battery(f, asset)
            case ElectricVehicle():
                add_vehicle(f, asset)
            case Genset():
                add_genset(f, asset)
            case GridTie():
                add_tie(f, asset)
            case Load():
                add_load(f, asset)
            case Renewable():
                add_renewable(f, asset)
            case Deferrable() if asset.block_kw is not None:
                add_block(f, asset, np.asarray(asset.block_kw))
            case Deferrable():
                add_deferrable(f, asset)
    f.matrix.part = ""
    add_balance(f, nothing)
    add_groups(f)
    add_reserve(f)
    add_commitments(f)
    return f
