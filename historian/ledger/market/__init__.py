"""The community's market (docs/market.md): orders in, trades out, as a pure function of the ledger's entries.

The parts: ``price`` (the tariff's formula), ``book`` (continuous trading), ``auction`` (uniform price), ``limits``
(what is physically possible), ``exchange`` (all of it for all intervals).
"""
