"""TwinCAT's files: the program in them, each character at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plc.language.analysis import analyse, analyse_files
from plc.language.source import Source
from plc.language.twincat import structured_text

POU = """<?xml version="1.0" encoding="utf-8"?>
<TcPlcObject Version="1.1.0.1" ProductVersion="3.1.4024.9">
  <POU Name="FB_Pump" Id="{1}" SpecialFunc="None">
    <Declaration><![CDATA[{attribute 'no_check'}
// a FUNCTION in a remark
FUNCTION_BLOCK FB_Pump IMPLEMENTS I_Pump
VAR_INPUT
	bRun : BOOL;
END_VAR
VAR
	nStarts : UDINT;
END_VAR
]]></Declaration>
    <Implementation>
      <ST><![CDATA[IF bRun THEN
	nStarts := nStarts + 1;
END_IF]]></ST>
    </Implementation>
    <Folder Name="Parts" Id="{2}" />
    <Action Name="Reset" Id="{3}">
      <Implementation>
        <ST><![CDATA[nStarts := 0;]]></ST>
      </Implementation>
    </Action>
    <Method Name="Start" Id="{4}" FolderPath="Parts\\">
      <Declaration><![CDATA[METHOD PUBLIC Start : BOOL
]]></Declaration>
      <Implementation>
        <ST><![CDATA[bRun := TRUE;
Start := bRun;]]></ST>
      </Implementation>
    </Method>
    <Property Name="Starts" Id="{5}">
      <Declaration><![CDATA[PROPERTY PUBLIC Starts : UDINT]]></Declaration>
      <Get Name="Get" Id="{6}">
        <Declaration><![CDATA[VAR
END_VAR
]]></Declaration>
        <Implementation>
          <ST><![CDATA[Starts := nStarts;]]></ST>
        </Implementation>
      </Get>
      <Set Name="Set" Id="{7}">
        <Declaration><![CDATA[]]></Declaration>
        <Implementation>
          <ST><![CDATA[nStarts := Starts;]]></ST>
        </Implementation>
      </Set>
    </Property>
    <LineIds Name="FB_Pump"><LineId Id="3" Count="0" /></LineIds>
  </POU>
</TcPlcObject>
"""
INTERFACE = """<TcPlcObject><Itf Name="I_Pump" Id="{1}">
    <Declaration><![CDATA[INTERFACE I_Pump
]]></Declaration>
    <Method Name="Start" Id="{2}">
      <Declaration><![CDATA[METHOD Start : BOOL
]]></Declaration>
    </Method>
</Itf></TcPlcObject>
"""
GLOBALS = """<TcPlcObject><GVL Name="GVL" Id="{1}">
    <Declaration><![CDATA[{attribute 'qualified_only'}
VAR_GLOBAL
	pump : FB_Pump;
END_VAR]]></Declaration>
</GVL></TcPlcObject>
"""
TYPES = """<TcPlcObject><DUT Name="ST_Pump" Id="{1}">
    <Declaration><![CDATA[TYPE ST_Pump :
STRUCT
	nStarts : UDINT;
END_STRUCT
END_TYPE
]]></Declaration>
</DUT></TcPlcObject>
"""


def write(folder: Path, **files: str) -> list[Path]:
    paths = []
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.write_text(text)
        paths.append(path)
    return paths


def test_a_project_is_read(tmp_path: Path) -> None:
    main = """
    PROGRAM Main
        VAR_OUTPUT n : UDINT; s : ST_Pump; END_VAR
        IF GVL.pump.Start() THEN n := GVL.pump.Starts; END_IF;
        GVL.pump.Starts := 5;
        GVL.pump.Reset();
        GVL.pump(bRun := TRUE);
        s.nStarts := n;
    END_PROGRAM
    """
    files = {
        "FB__TcPOU": POU,
        "I__TcIO": INTERFACE,
        "GVL__TcGVL": GLOBALS,
        "ST__TcDUT": TYPES,
        "main__st": main,
    }
    program = analyse_files(write(tmp_path, **files))
    assert {one.code for one in program.diagnostics} == {"ST0150"}
    pump = next(block for block in program.blocks if block.name == "FB_Pump")
    assert list(pump.methods) == ["START"]
    assert list(pump.actions) == ["RESET"]
    assert pump.properties["STARTS"].setter is not None


def test_positions_are_those_of_the_xml_file(tmp_path: Path) -> None:
    (path,) = write(
        tmp_path, FB__TcPOU=POU.replace("IMPLEMENTS I_Pump", "").replace("Start := bRun;", "Start := bRnu;")
    )
    errors = [one for one in analyse_files([path]).diagnostics if one.severity == "error"]
    (error,) = errors
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "bRnu" in text)
    assert tuple(error.span.position) == (line, 10)


def test_a_body_in_another_language_is_left_out() -> None:
    xml = POU.replace("<ST><![CDATA[IF bRun", "<FBD><![CDATA[IF bRun", 1).replace(
        "END_IF]]></ST>", "END_IF]]></FBD>", 1
    )
    assert "nStarts + 1" not in structured_text(xml)
    assert "nStarts := 0;" in structured_text(xml)


@pytest.mark.parametrize("xml", [POU, INTERFACE, GLOBALS, TYPES])
def test_every_character_keeps_its_place(xml: str) -> None:
    text = structured_text(xml)
    assert [len(line) for line in text.splitlines()][: xml.count("\n")] == [
        len(line) for line in xml.splitlines()
    ]


@given(st.data())
def test_a_damaged_file_still_gives_an_answer(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(POU)))
    length = data.draw(st.integers(0, 60))
    analyse([Source("damaged.TcPOU", structured_text(POU[:at] + POU[at + length :]))])
