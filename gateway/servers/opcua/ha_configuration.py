"""The HA Configuration below a tag that has a history: how it is read between samples and made into aggregates.

::

    power_kw                        ns=2;s=battery1.power_kw
      HA Configuration              ns=2;s=battery1.power_kw/HA Configuration          OPC 10000-11, 5.2.2
        Stepped
        AggregateConfiguration                                                         OPC 10000-13, 4.2.1.2
          TreatUncertainAsBad, PercentDataBad, PercentDataGood, UseSlopedExtrapolation
"""

from __future__ import annotations

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from gateway.config.site import Tag
from gateway.tags.aggregate import AggregateConfiguration

TOP = "HA Configuration"
AGGREGATES = f"{TOP}/AggregateConfiguration"
OBJECTS = {
    TOP: ObjectIds.HistoricalDataConfigurationType,
    AGGREGATES: ObjectIds.AggregateConfigurationType,
}


def properties_below(tag: Tag) -> dict[str, ua.Variant]:
    """The values of the properties by their path below the tag's node."""
    defaults = AggregateConfiguration()
    return {
        f"{TOP}/Stepped": ua.Variant(not tag.sloped, ua.VariantType.Boolean),
        f"{AGGREGATES}/TreatUncertainAsBad": ua.Variant(
            defaults.treat_uncertain_as_bad, ua.VariantType.Boolean
        ),
        f"{AGGREGATES}/PercentDataBad": ua.Variant(defaults.percent_data_bad, ua.VariantType.Byte),
        f"{AGGREGATES}/PercentDataGood": ua.Variant(defaults.percent_data_good, ua.VariantType.Byte),
        f"{AGGREGATES}/UseSlopedExtrapolation": ua.Variant(
            defaults.use_sloped_extrapolation, ua.VariantType.Boolean
        ),
    }
