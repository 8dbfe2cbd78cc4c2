"""Severity and names of StatusCodes."""

from asyncua import ua

from gateway.tags.quality import Quality, is_bad, is_good, is_uncertain, name_of


def test_every_code_is_the_standards_own() -> None:
    for quality in Quality:
        assert ua.StatusCode(ua.UInt32(quality)).name.lower() == name_of(quality).replace("_", "").lower()


def test_severity_is_in_the_two_top_bits() -> None:
    for quality in Quality:
        assert is_good(quality) == (quality == Quality.GOOD)
        assert is_bad(quality) == name_of(quality).startswith("Bad")
        assert is_uncertain(quality) == name_of(quality).startswith("Uncertain")
    assert not is_good(0xC000_0000)


def test_limit_bits_do_not_hide_the_name_and_an_unknown_code_shows_its_number() -> None:
    assert name_of(0x8005_0400) == "Bad_CommunicationError"
    assert name_of(0x8ABC_0000) == "0x8ABC0000"
