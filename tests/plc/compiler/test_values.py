# lines of Structured Text
"""IEC 61131-3 clause by clause: what expressions and standard functions give, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from plc import load
from plc.bench import Bench

Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]
S, MS, US = 1_000_000_000, 1_000_000, 1_000
DAY = 86_400 * S
DECLARED = """
  i8 : SINT := -128; i16 : INT := 1000; i32 : DINT := 100000; i64 : LINT := 9223372036854775807;
  u8 : USINT := 200; u16 : UINT := 65535; u32 : UDINT := 4294967295; u64 : ULINT := 18446744073709551615;
  b8 : BYTE := 16#A5; b16 : WORD := 16#8001; b32 : DWORD := 16#12345678; b64 : LWORD := 16#F000000000000001;
  r : REAL := 2.5; l : LREAL := 0.1; f : BOOL; t : BOOL := TRUE; zero : INT; three : INT := 3; minus : INT := -7;
  s : STRING := 'ASTRING'; xy : STRING[10] := 'XY'; nothing : STRING; c : CHAR := 'A';
  tm : TIME := T#1s500ms; td : TOD := TOD#23:00:00; dt1 : DT := DT#2000-02-29-12:00:00; d1 : DATE := D#2000-02-29;
  w : WSTRING := "ASTRING"; wxy : WSTRING[10] := "XY"; omega : WSTRING[4] := "aΩ"; wc : WCHAR := "Ω";
  smile : WSTRING := "😀";
  lt : LTIME := LTIME#1us; colour : Colour := Colour#Green; nan : LREAL;
"""

# clause | type of the result | expression | expected
TABLE: list[tuple[str, str, str, object]] = [
    ("6.6.2.5.5 +", "INT", "i16 + three", 1003),
    ("6.6.2.5.5 + wraps", "SINT", "i8 - SINT#1", 127),
    ("6.6.2.5.5 + wraps", "UINT", "u16 + UINT#1", 0),
    ("6.6.2.5.5 * wraps", "UINT", "u16 * u16", 1),
    ("6.6.2.5.5 * wraps", "LINT", "i64 * 2", -2),
    ("6.6.2.5.5 + wraps", "ULINT", "u64 + 1", 0),
    ("6.6.2.5.5 / cuts", "INT", "minus / 2", -3),
    ("6.6.2.5.5 / cuts", "INT", "minus / three", -2),
    ("6.6.2.5.5 MOD", "INT", "minus MOD three", -1),
    ("Table 29 MOD by 0", "INT", "minus MOD zero", 0),
    ("6.6.2.5.5 / by -1", "SINT", "i8 / SINT#-1", -128),
    ("6.6.2.5.5 negation", "SINT", "-i8", -128),
    ("6.6.2.5.5 / of reals", "REAL", "r / 2.0", 1.25),
    ("6.6.2.5.5 **", "REAL", "r ** 2", 6.25),
    ("6.6.2.5.5 **", "LREAL", "LREAL#2.0 ** -1", 0.5),
    ("6.6.2.5.5 ADD of three", "INT", "ADD(i16, three, minus)", 996),
    ("6.6.2.5.4 ABS", "INT", "ABS(minus)", 7),
    ("6.6.2.5.4 ABS wraps", "SINT", "ABS(i8)", -128),
    ("6.6.2.5.4 SQRT", "REAL", "SQRT(REAL#6.25)", 2.5),
    ("6.6.2.5.4 LN", "LREAL", "LN(EXP(LREAL#1.0))", 1.0),
    ("6.6.2.5.4 LOG", "LREAL", "LOG(LREAL#1000.0)", 3.0),
    ("6.6.2.5.4 ATAN2", "LREAL", "ATAN2(Y := LREAL#1.0, X := LREAL#0.0)", math.pi / 2),
    ("6.6.2.5.6 SHL", "BYTE", "SHL(b8, 1)", 0x4A),
    ("6.6.2.5.6 SHL past the width", "BYTE", "SHL(b8, 8)", 0),
    ("6.6.2.5.6 SHR", "LWORD", "SHR(b64, 63)", 1),
    ("6.6.2.5.6 ROL", "WORD", "ROL(b16, 1)", 3),
    ("6.6.2.5.6 ROL past the width", "WORD", "ROL(b16, 17)", 3),
    ("6.6.2.5.6 ROR", "WORD", "ROR(b16, 1)", 0xC000),
    ("6.6.2.5.6 AND", "BYTE", "b8 AND 16#0F", 5),
    ("6.6.2.5.6 OR", "BYTE", "b8 OR 16#0F", 0xAF),
    ("6.6.2.5.6 XOR", "BYTE", "b8 XOR 16#FF", 0x5A),
    ("6.6.2.5.6 NOT", "WORD", "NOT b16", 0x7FFE),
    ("7.3.2 BOOL", "BOOL", "t AND NOT f XOR f OR f", True),
    ("7.3.2 precedence", "INT", "three + three * 2 - -minus", 2),
    ("7.3.2 comparison", "BOOL", "three < 4 = t", True),
    ("6.6.2.5.7 SEL", "INT", "SEL(t, 1, three)", 3),
    ("6.6.2.5.7 MAX", "INT", "MAX(three, minus, 2)", 3),
    ("6.6.2.5.7 MIN", "REAL", "MIN(r, REAL#2.0)", 2.0),
    ("6.6.2.5.7 LIMIT", "INT", "LIMIT(0, minus, 10)", 0),
    ("6.6.2.5.7 MUX", "INT", "MUX(1, 10, three, 30)", 3),
    ("MUX out of range takes the last", "INT", "MUX(minus, 10, three, 30)", 30),
    ("6.6.2.5.8 GT", "BOOL", "GT(three, 2, 1)", True),
    ("6.6.2.5.8 LE", "BOOL", "LE(three, 2, 5)", False),
    ("6.6.2.5.8 strings", "BOOL", "'AB' < 'ABC'", True),
    ("6.6.2.5.8 strings", "BOOL", "s = 'ASTRING'", True),
    ("6.6.2.5.8 MAX of strings", "STRING", "MAX(s, xy)", "XY"),
    ("Table 36 LEN", "INT", "LEN(s)", 7),
    ("Table 36 LEFT", "STRING", "LEFT(IN := s, L := 3)", "AST"),
    ("Table 36 RIGHT", "STRING", "RIGHT(s, 3)", "ING"),
    ("Table 36 MID", "STRING", "MID(IN := s, L := 3, P := 2)", "STR"),
    ("Table 36 CONCAT", "STRING", "CONCAT(s, '/', xy)", "ASTRING/XY"),
    ("Table 36 INSERT", "STRING", "INSERT(IN1 := s, IN2 := xy, P := 2)", "ASXYTRING"),
    ("Table 36 DELETE", "STRING", "DELETE(IN := s, L := 2, P := 3)", "ASING"),
    ("Table 36 REPLACE", "STRING", "REPLACE(IN1 := s, IN2 := xy, L := 3, P := 2)", "AXYING"),
    ("Table 36 FIND", "INT", "FIND(IN1 := s, IN2 := 'RI')", 4),
    ("a result is cut to its variable", "STRING[4]", "CONCAT(s, xy)", "ASTR"),
    ("6.3.3 WSTRING escapes", "WSTRING", '"$03A9$$$"$L"', 'Ω$"\n'),
    ("6.6.2.5.8 wide strings", "BOOL", 'omega > "aZ"', True),
    ("6.6.2.5.8 MAX of wide strings", "WSTRING", "MAX(w, wxy)", "XY"),
    ("6.6.2.5.7 SEL of wide strings", "WSTRING", "SEL(t, w, omega)", "aΩ"),
    ("6.6.2.5.7 LIMIT of wide strings", "WSTRING", 'LIMIT("B", w, "C")', "B"),
    ("Table 36 LEN wide", "INT", "LEN(omega)", 2),
    ("a WSTRING has UTF-16 units", "INT", "LEN(smile)", 2),
    ("Table 36 LEFT wide", "WSTRING", "LEFT(IN := w, L := 3)", "AST"),
    ("Table 36 RIGHT wide", "WSTRING", "RIGHT(omega, 1)", "Ω"),
    ("Table 36 MID wide", "WSTRING", "MID(IN := w, L := 3, P := 2)", "STR"),
    ("Table 36 CONCAT wide", "WSTRING", 'CONCAT(omega, "/", smile)', "aΩ/😀"),
    ("Table 36 INSERT wide", "WSTRING", "INSERT(IN1 := w, IN2 := wxy, P := 2)", "ASXYTRING"),
    ("Table 36 DELETE wide", "WSTRING", "DELETE(IN := w, L := 2, P := 3)", "ASING"),
    ("Table 36 REPLACE wide", "WSTRING", "REPLACE(IN1 := w, IN2 := wxy, L := 3, P := 2)", "AXYING"),
    ("Table 36 FIND wide", "INT", 'FIND(IN1 := omega, IN2 := "Ω")', 2),
    ("a wide result is cut to its variable", "WSTRING[4]", "CONCAT(w, wxy)", "ASTR"),
    ("Table 10 WCHAR", "WCHAR", "omega[2]", "Ω"),
    ("6.6.2.5.2 WSTRING to STRING", "STRING", "WSTRING_TO_STRING(omega)", "a?"),
    ("6.6.2.5.2 STRING to WSTRING", "WSTRING", "STRING_TO_WSTRING('ä')", "ä"),
    ("6.6.2.5.2 to WSTRING", "WSTRING", "DINT_TO_WSTRING(-i32)", "-100000"),
    ("6.6.2.5.2 to WSTRING", "WSTRING", "REAL_TO_WSTRING(r)", "2.5"),
    ("6.6.2.5.2 to WSTRING", "WSTRING", "TIME_TO_WSTRING(tm)", "T#1s500ms"),
    ("6.6.2.5.2 WCHAR to WSTRING", "WSTRING", "WCHAR_TO_WSTRING(wc)", "Ω"),
    ("6.6.2.5.2 CHAR to WSTRING", "WSTRING", "CHAR_TO_WSTRING(c)", "A"),
    ("6.6.2.5.2 WSTRING to WCHAR", "WCHAR", "WSTRING_TO_WCHAR(omega)", "a"),
    ("6.6.2.5.2 WCHAR to CHAR", "CHAR", "WCHAR_TO_CHAR(wc)", "?"),
    ("6.6.2.5.2 CHAR to WCHAR", "WCHAR", "CHAR_TO_WCHAR(c)", "A"),
    ("6.6.2.5.2 WCHAR to UINT", "UINT", "WCHAR_TO_UINT(wc)", 0x3A9),
    ("6.6.2.5.2 from WSTRING", "INT", 'WSTRING_TO_INT(" -42")', -42),
    ("6.6.2.5.2 from WSTRING", "LREAL", 'WSTRING_TO_LREAL("1.5E3")', 1500.0),
    ("6.6.2.5.2 from WSTRING", "DATE", 'WSTRING_TO_DATE("D#2000-02-29")', 951_782_400 * S),
    ("6.6.2.5.2 STRING to DATE", "DATE", "STRING_TO_DATE('2000-02-29')", 951_782_400 * S),
    ("6.6.2.5.2 STRING to DATE", "LDATE", "STRING_TO_LDATE(' LDATE#2000-02-29')", 951_782_400 * S),
    ("no date is 1970", "DATE", "STRING_TO_DATE('soon')", 0),
    ("no date is 1970", "DATE", "STRING_TO_DATE('2000-13-01')", 0),
    ("6.6.2.5.2 STRING to TOD", "TOD", "STRING_TO_TOD('TOD#06:30:00.25')", (6 * 3600 + 1800) * S + 250 * MS),
    ("6.6.2.5.2 STRING to TOD", "LTOD", "STRING_TO_LTOD('23:59')", (23 * 3600 + 59 * 60) * S),
    ("no time of day is midnight", "TOD", "STRING_TO_TOD('24:00:00')", 0),
    ("6.6.2.5.2 STRING to DT", "DT", "STRING_TO_DT('DT#2000-02-29-12:00:00')", 951_825_600 * S),
    ("6.6.2.5.2 STRING to DT", "LDT", "STRING_TO_LDT('2000-02-29-12:00:00.000000001')", 951_825_600 * S + 1),
    ("6.6.2.5.2 STRING to DT", "DT", "STRING_TO_DT('dt#2000-02-29')", 951_782_400 * S),
    ("6.6.2.5.2 STRING to TIME", "TIME", "STRING_TO_TIME('T#1.5s')", 1500 * MS),
    ("6.6.2.5.2 STRING to TIME", "TIME", "STRING_TO_TIME('t#-1D_2h3M')", -(DAY + 2 * 3600 * S + 180 * S)),
    ("6.6.2.5.2 STRING to TIME", "LTIME", "STRING_TO_LTIME('1m0.5us')", 60 * S + 500),
    ("6.6.2.5.2 nearest, ties to even", "INT", "REAL_TO_INT(r)", 2),
    ("6.6.2.5.2 nearest, ties to even", "INT", "REAL_TO_INT(r + 1.0)", 4),
    ("6.6.2.5.2 nearest, ties to even", "INT", "REAL_TO_INT(-r)", -2),
    ("6.6.2.5.2 saturates", "INT", "REAL_TO_INT(r * 1.0E9)", 32767),
    ("6.6.2.5.2 saturates", "USINT", "LREAL_TO_USINT(-l * 100.0)", 0),
    ("6.6.2.5.2 TRUNC", "INT", "REAL_TRUNC_INT(-r)", -2),
    ("6.6.2.5.2 TRUNC", "DINT", "TRUNC(LREAL#2.9 + l)", 3),
    ("6.6.2.5.2 narrowing wraps", "SINT", "INT_TO_SINT(i16)", -24),
    ("6.6.2.5.2 sign changes meaning", "UINT", "INT_TO_UINT(minus)", 65529),
    ("6.6.2.5.2 to BOOL", "BOOL", "INT_TO_BOOL(three)", True),
    ("6.6.2.5.2 from BOOL", "REAL", "BOOL_TO_REAL(t)", 1.0),
    ("6.6.2.5.2 bits move", "DWORD", "REAL_TO_DWORD(r)", 0x40200000),
    ("6.6.2.5.2 bits move", "REAL", "DWORD_TO_REAL(16#3F800000)", 1.0),
    ("6.6.2.5.2 bits move", "LREAL", "LWORD_TO_LREAL(16#4000000000000000)", 2.0),
    ("6.6.2.5.2 enumeration", "INT", "TO_INT(colour)", 5),
    ("6.6.2.5.2 BCD", "UINT", "WORD_BCD_TO_UINT(16#1234)", 1234),
    ("6.6.2.5.2 BCD", "WORD", "UINT_TO_BCD_WORD(1234)", 0x1234),
    ("6.6.2.5.2 to STRING", "STRING", "DINT_TO_STRING(-i32)", "-100000"),
    ("BYTE_TO_STRING is decimal", "STRING", "BYTE_TO_STRING(b8)", "165"),
    ("6.6.2.5.2 to STRING", "STRING", "REAL_TO_STRING(r)", "2.5"),
    ("6.6.2.5.2 to STRING", "STRING", "LREAL_TO_STRING(l)", "0.1"),
    ("6.6.2.5.2 to STRING", "STRING", "BOOL_TO_STRING(t)", "TRUE"),
    ("6.6.2.5.2 to STRING", "STRING", "TIME_TO_STRING(tm)", "T#1s500ms"),
    ("6.6.2.5.2 to STRING", "STRING", "DT_TO_STRING(dt1)", "DT#2000-02-29-12:00:00"),
    ("6.6.2.5.2 to STRING", "STRING", "CHAR_TO_STRING(c)", "A"),
    ("6.6.2.5.2 from STRING", "INT", "STRING_TO_INT(' -42')", -42),
    ("6.6.2.5.2 from STRING", "LREAL", "STRING_TO_LREAL('1.5E3')", 1500.0),
    ("6.6.2.5.2 from STRING", "TIME", "STRING_TO_TIME('T#1m')", 60 * S),
    ("TIME in ms", "DINT", "TIME_TO_DINT(tm)", 1500),
    ("TIME in ms", "TIME", "INT_TO_TIME(three)", 3 * MS),
    ("TIME in ms", "TIME", "REAL_TO_TIME(r)", 2_500_000),
    ("TIME in ms", "REAL", "TIME_TO_REAL(tm)", 1500.0),
    ("LTIME in ns", "LINT", "LTIME_TO_LINT(lt)", 1000),
    ("TOD in ms", "UDINT", "TOD_TO_UDINT(td)", 82_800_000),
    ("DATE in s", "UDINT", "DATE_TO_UDINT(d1)", 951_782_400),
    ("DT in s", "UDINT", "DT_TO_UDINT(dt1)", 951_825_600),
    ("6.6.2.5.2 DT_TO_DATE", "DATE", "DT_TO_DATE(dt1)", 951_782_400 * S),
    ("6.6.2.5.2 DT_TO_TOD", "TOD", "DT_TO_TOD(dt1)", 12 * 3600 * S),
    ("Table 35 TIME + TIME", "TIME", "tm + T#500ms", 2 * S),
    ("Table 35 TOD + TIME", "TOD", "td + T#30m", (23 * 3600 + 1800) * S),
    ("TOD goes round at midnight", "TOD", "td + T#2h", 3600 * S),
    ("Table 35 DT + TIME", "DT", "dt1 + T#12h", 951_868_800 * S),
    ("Table 35 DT - DT", "TIME", "dt1 - DT#2000-02-28-12:00:00", DAY),
    ("Table 35 DATE - DATE", "TIME", "D#2000-03-01 - d1", DAY),
    ("Table 35 TIME * n", "TIME", "tm * 2", 3 * S),
    ("Table 35 TIME * real", "TIME", "tm * 0.5", 750 * MS),
    ("Table 35 TIME / n", "TIME", "tm / three", 500 * MS),
    ("Table 35 DIV_TIME", "TIME", "DIV_TIME(tm, LREAL#1.5)", S),
    ("Table 35 CONCAT_DATE_TOD", "DT", "CONCAT_DATE_TOD(d1, TOD#12:00:00)", 951_825_600 * S),
    ("Table 35 CONCAT_DT", "DT", "CONCAT_DT(2000, 2, 29, 12, 0, 0, 5)", 951_825_600 * S + 5 * MS),
    ("Table 35 CONCAT_LTOD", "LTOD", "CONCAT_LTOD(1, 1, 1, 1, 1, 1)", 3661 * S + MS + US + 1),
    ("Table 41 DAY_OF_WEEK", "INT", "DAY_OF_WEEK(d1)", 2),
    ("6.6.2.5.16 IS_VALID", "BOOL", "IS_VALID(SQRT(-l))", False),
    ("6.6.2.5.16 IS_VALID_BCD", "BOOL", "IS_VALID_BCD(16#12A4)", False),
    ("6.6.2.5.15 TO_BIG_ENDIAN", "DWORD", "TO_BIG_ENDIAN(b32)", 0x78563412),
    ("6.5.5 a bit", "BOOL", "b8.0", True),
    ("6.5.5 a bit", "BOOL", "b8.%X1", False),
    ("6.5.5 a byte", "BYTE", "b32.%B1", 0x56),
    ("6.5.5 a word", "WORD", "b32.%W1", 0x1234),
    ("Figure 12 widening", "LREAL", "i32 + r", 100002.5),
    ("Figure 12 widening", "LINT", "u32 + i32", 4295067295),
    ("Table 10 CHAR", "CHAR", "s[2]", "S"),
    ("6.4.4.3 enumeration", "Colour", "Blue", 6),
    ("7.3.2 AND_THEN", "BOOL", "zero <> 0 AND_THEN three / zero > 1", False),
    ("7.3.2 OR_ELSE", "BOOL", "zero = 0 OR_ELSE three / zero > 1", True),
]


def table_program() -> str:
    """All expressions in one program."""
    variables = "\n".join(f"  r{index} : {type_};" for index, (_, type_, _, _) in enumerate(TABLE))
    statements = "\n".join(f"r{index} := {text};" for index, (_, _, text, _) in enumerate(TABLE))
    return (
        "TYPE Colour : (Red, Green := 5, Blue); END_TYPE\n"
        f"PROGRAM main\nVAR\n{DECLARED}\n{variables}\nEND_VAR\n{statements}\nEND_PROGRAM\n"
    )


@cache
def results() -> Bench:
    """That program after one scan."""
    bench = load(table_program())
    bench.scan()
    return bench


@pytest.mark.parametrize("index", range(len(TABLE)), ids=[f"{one[0]}: {one[2]}" for one in TABLE])
def test_expression_gives_what_the_standard_says(index: int) -> None:
    _, _, _, expected = TABLE[index]
    found = results()[f"main.r{index}"]
    if isinstance(expected, float) and not isinstance(found, bool):
        assert found == pytest.approx(expected, rel=1e-12)
    else:
        assert found == expected
        assert type(found) is type(expected)


def test_all_of_them_are_clean_c(apart: Apart, clean_flags: tuple[str, ...]) -> None:
    assert apart(table_program(), [{}, {}], clean_flags) == "ran 2"
