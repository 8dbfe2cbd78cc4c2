"""Wind turbine: 32-bit values with the less significant word first."""

from __future__ import annotations

from gateway.simulator.devices.registers import INT32, UINT16, UINT32, Gap, RegisterMap, Row, Table, within
from gateway.simulator.meters import Quantity
from gateway.simulator.plant.wind import RATED_KW, Wind

MAP: RegisterMap[Wind] = RegisterMap(
    [
        Row(
            Table.INPUT,
            0,
            INT32.low_words_first(),
            lambda w: w.power_kw,
            scale=0.001,
            quantity=Quantity.POWER,
        ),
        Row(Table.INPUT, 2, UINT16, lambda w: w.speed_m_s, scale=0.01),
        Row(Table.INPUT, 3, UINT16, lambda w: w.state),
        Row(
            Table.INPUT,
            10,
            UINT32.low_words_first(),
            lambda w: w.energy_kwh,
            scale=0.1,
            quantity=Quantity.ENERGY,
        ),
        Row(Table.HOLDING, 0, UINT16, lambda w: w.limit_kw, within(0.0, RATED_KW, "limit_kw"), scale=0.1),
    ],
    [Gap(Table.INPUT, 4, 6)],
)
