"""What a configuration says runs where and when (IEC 61131-3 6.8)."""

from __future__ import annotations

from plc.language import typed
from plc.language.analysis import analyse
from plc.language.source import Source

TEXT = """
FUNCTION_BLOCK Filter VAR_INPUT x : REAL; END_VAR VAR_OUTPUT y : REAL; END_VAR y := x; END_FUNCTION_BLOCK
PROGRAM Main
    VAR_INPUT level : INT; END_VAR
    VAR_OUTPUT alarm : BOOL; END_VAR
    VAR filter : Filter; END_VAR
    filter(x := 1.0);
    alarm := level > 5;
END_PROGRAM
CONFIGURATION Plant
    VAR_GLOBAL go AT %IX0.0 : BOOL; horn AT %QX0.0 : BOOL; END_VAR
    RESOURCE Cpu ON PLC
        TASK Fast (INTERVAL := T#10ms, PRIORITY := 1);
        TASK Edge (SINGLE := go, PRIORITY := 2);
        PROGRAM RETAIN P1 WITH Fast : Main (level := 3, alarm => horn, filter WITH Edge);
        PROGRAM P2 WITH Edge : Main;
    END_RESOURCE
    VAR_CONFIG
        Cpu.P1.filter.x AT %ID4 : REAL := 2.5;
        P2.level : INT := 7;
    END_VAR
END_CONFIGURATION
"""


def test_6_8_a_configuration_is_resolved() -> None:
    program = analyse([Source("plant.st", TEXT)])
    assert program.diagnostics == ()
    (plant,) = program.configurations
    (cpu,) = plant.resources
    assert [(task.name, task.interval_ns, task.priority) for task in cpu.tasks] == [
        ("Fast", 10_000_000, 1),
        ("Edge", None, 2),
    ]
    assert isinstance(cpu.tasks[1].single, typed.VariableUse)
    first, second = cpu.programs
    assert (first.name, first.program.name, first.task, first.qualifiers) == (
        "P1",
        "Main",
        "Fast",
        {"RETAIN"},
    )
    assert [one.value.value for one in first.inputs if isinstance(one.value, typed.Literal)] == [3]
    assert len(first.outputs) == 1
    assert [([one.name for one in chain], task) for chain, task in first.block_tasks] == [
        (["filter"], "Edge")
    ]
    assert second.task == "Edge"
    one, two = plant.settings
    assert (one.path, one.variable.name, one.location) == (("Cpu", "P1", "filter", "x"), "x", "%ID4")
    assert isinstance(one.initial, typed.Literal)
    assert one.initial.value == 2.5
    assert (two.path, two.variable.name, two.location) == (("P2", "level"), "level", None)


def test_6_8_tasks_without_a_resource_are_of_the_only_one() -> None:
    text = """
    PROGRAM Main END_PROGRAM
    CONFIGURATION c TASK t (INTERVAL := LTIME#1ms); PROGRAM p WITH t : Main; END_CONFIGURATION
    """
    program = analyse([Source("plant.st", text)])
    assert program.diagnostics == ()
    (resource,) = program.configurations[0].resources
    assert (resource.name, resource.tasks[0].interval_ns, resource.tasks[0].priority) == ("", 1_000_000, 0)


def test_a_task_that_never_runs_is_said() -> None:
    text = "PROGRAM Main END_PROGRAM "
    text += "CONFIGURATION c TASK t (PRIORITY := 1); PROGRAM p WITH t : Main; END_CONFIGURATION"
    assert [one.code for one in analyse([Source("plant.st", text)]).diagnostics] == ["ST0611"]
