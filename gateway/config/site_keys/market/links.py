"""Keys of what a market is linked to: the chain it anchors in, its listener, its peers."""

from __future__ import annotations

from gateway.config.kinds import Integer, Key, Named, Number, Section, Text
from gateway.config.site_keys.market.values import PRICE, STATE_FILE
from gateway.config.site_keys.values import WORD, WORD_GRAMMAR

MARKET_ANCHOR = Section(
    "the anchoring of a ledger",
    (
        Key(
            "url",
            Text(
                "http:// or https://, a host, and a port where it is not the usual one",
                r"https?://[A-Za-z0-9_.\[\]:-]+(?:/[A-Za-z0-9_./-]*)?",
                500,
            ),
            "A node of the chain, its JSON-RPC, as in http://127.0.0.1:8545.",
        ),
        Key(
            "contract",
            Text("0x and 40 hexadecimal digits", r"0x[0-9a-fA-F]{40}", 42),
            "Its address, as `tieline ledger anchor-create` prints it.",
        ),
        Key(
            "key",
            STATE_FILE,
            "The file with its operator's key, relative to the state folder; `tieline ledger anchor-key` makes it.",
            "chain.key",
        ),
        Key("confirmations", Integer(0, 64), "Blocks on top of a root that make it sure.", 12),
        Key("most_fee_gwei", Number(above=0, high=1_000_000), "What a unit of gas may cost.", 500.0),
    ),
)

_HOST = Text("a host name or an address", r"[A-Za-z0-9._:-]+", 253)
MARKET_LISTEN = Section(
    "the door for other sites",
    (
        Key("host", _HOST, "The address at which other sites find this one.", "0.0.0.0"),  # noqa: S104 - for them
        Key("port", Integer(0, 65_535), "Its TCP port; 0 takes one that is free.", 4857),
        Key(
            "certificate",
            STATE_FILE,
            "This site's certificate in PEM, relative to the state folder; the other sites have a copy.",
            "peer.crt",
        ),
        Key("key", STATE_FILE, "The key of this certificate, without a password.", "peer.key"),
    ),
)

MARKET_PEERS = Named(
    "another site",
    WORD,
    WORD_GRAMMAR,
    Section(
        "another site",
        (
            Key("host", _HOST, "Where it listens."),
            Key("port", Integer(1, 65_535), "Its TCP port.", 4857),
            Key(
                "certificate",
                STATE_FILE,
                "A copy of its certificate in PEM, relative to the state folder: no other is accepted.",
            ),
            Key(
                "trader",
                Text("the name of a participant", WORD, 64),
                "Who of this site gets what the other site offers; without, it can only be offered to.",
                None,
            ),
            Key(
                "imbalance_price_per_kwh",
                PRICE,
                "What a kWh over the tie beyond what was traded costs or brings; the same at both sites.",
            ),
            Key(
                "tolerance_kwh",
                Number(low=0, high=1_000),
                "By how much the two readings of an interval may differ.",
                0.01,
            ),
        ),
    ),
    40,
)
