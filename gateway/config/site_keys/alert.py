"""Keys of ``alert``, of a tag that the site file declares."""

from __future__ import annotations

from gateway.config.kinds import Key, Number, Section
from gateway.config.site_keys.values import DESCRIPTION, VALUE

ALERT = Section(
    "an alert",
    (
        Key("when", VALUE, "This value, of an integer or bool.", None),
        Key("above", Number(), "A number above this.", None),
        Key("below", Number(), "A number below this.", None),
        Key("says", DESCRIPTION, "What is wrong, in words that go on from the device's name: is too hot."),
        Key("do", DESCRIPTION, "What to do, or where to look.", ""),
        Key(
            "after_s", Number(low=0, high=86_400), "It is told once it has been so for this long, in s.", 0.0
        ),
    ),
)

ALERT_KEY = Key("alert", ALERT, "When an operator should see it under *Not normal*.", None)
