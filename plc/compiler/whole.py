"""What all units of a program share while C is made of them: names, files, constants, and where variables live."""

from __future__ import annotations

from plc.compiler.coverage import Places
from plc.compiler.layout import STATE_START, Layout, Record, is_open, root_of, safe, scalar
from plc.language import ast, typed
from plc.language.analysis import Program
from plc.language.source import Span
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import Structure, Type

LARGEST_LOCAL = 256  # bytes of one variable of a routine that go on the stack, which a board has 4 KiB of
FRAMED_SECTIONS = (Section.LOCAL, Section.TEMP, Section.INPUT, Section.OUTPUT, Section.RESULT)


class Whole:
    """Everything that is decided once for a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layout = Layout(program.blocks)
        self.state = Record("state")
        self.state.bytes = STATE_START
        self.state.alignment = 8
        self.globals: dict[Variable, str] = {}
        self.direct: dict[str, str] = {}
        self.framed: dict[Variable, str] = {}
        self.statics: dict[Variable, str] = {}
        self.programs: dict[Block, str] = {}  # where the one instance of a program is
        self.instances: dict[str, str] = {}  # where an instance of a configuration is, by its name
        self.configured: dict[str, tuple[Variable, str]] = {}  # what VAR_CONFIG located, by address
        self.within: dict[
            str, tuple[str, int]
        ] = {}  # of places that are part of another: which, and how far in
        self.names: dict[Routine | Block, str] = {}
        self.places: Places | None = None  # where it counts what it runs, if it does
        self.assertion: dict[str, str] = {}  # where a failed one leaves its texts
        self.with_tests = False
        self.referred: set[Variable] = set()  # those that something takes the address of
        self.cells: dict[
            typed.Input, str
        ] = {}  # where a block finds an in-out that has no address of its own
        self._lent: list[typed.Input] = []  # scalars that blocks get as in-outs
        self.direct_uses: list[typed.DirectUse] = []
        self.texts: dict[tuple[str, bool], str] = {}
        self.text_lines: list[str] = []
        self.dispatchers: dict[tuple[Block, str, str], str] = {}
        self.dispatch_lines: list[str] = []
        self.paths = [source.path for source in program.sources]
        self._files = {id(source): index for index, source in enumerate(program.sources)}
        self.derived: dict[Block, list[Block]] = {}
        for block in program.blocks:
            for base in {*block.lineage(), *block.all_interfaces()}:
                self.derived.setdefault(base, []).append(block)
        for function in program.functions:
            self.names[function] = self.layout.unique(f"function_{function.qualified}")
        for block in program.blocks:
            if block.is_interface:
                continue
            self.names[block] = self.layout.unique(f"run_{block.qualified}")
            for routine in routines(block):
                kind = {"GET": "get_", "SET": "set_"}.get(routine.kind, "")
                self.names[routine] = self.layout.unique(f"{block.qualified}_{kind}{routine.name}")
        self.circular = self._circular()
        for configuration in program.configurations:
            for resource in configuration.resources:
                for instance in resource.programs:
                    self.layout.elsewhere.update(chain[-1] for chain, _ in instance.block_tasks)
        self._look_through()

    def file(self, span: Span) -> int:
        """The number of a source, as faults carry it; the standard blocks' own text is none of the program's."""
        return self._files.get(id(span.source), 0)

    def text(self, value: str, is_wide: bool) -> str:
        """A string constant, once for all its uses; its characters are the bytes or units that it has."""
        name = self.texts.get((value, is_wide))
        if name is None:
            name = f"text_{len(self.texts) + 1}"
            self.texts[value, is_wide] = name
            size = len(value)
            if is_wide:
                units = ", ".join(_unit(one) for one in (*value, "\0"))
                content, member = f"{{{units}}}", f"uint16_t units[{size + 1}]"
            else:
                content = f'"{"".join(_escaped(one) for one in value)}"'
                member = f"char bytes[{size + 1}]"
            self.text_lines.append(
                f"static const struct {{\n    uint16_t capacity, length;\n    {member};\n"
                f"}} {name} = {{{size}, {size}, {content}}};"
            )
        return name

    # ── where variables are ────────────────────────────────────────────────────────────────────────────────────
    def add_global(self, name: str, type_: Type, span: Span, variable: Variable | None = None) -> str:
        """A place in the state."""
        c_type, size, alignment = self.layout.shape(type_, span)
        return f"state->{self.state.add(safe(name), c_type, size, alignment, variable).c_name}"

    def place_frames(self) -> None:
        """Locals that something refers to lie in the state: references are offsets in it, and never dangle."""
        for given in self._lent:
            if isinstance(given.value, typed.PartialUse) or _shares_its_byte(given.value):
                self.cells[given] = self.add_global("tl_lent", given.value.type, given.value.span)
        units: list[tuple[Routine | Block, list[Variable]]] = [
            (one, list(one.variables.values())) for one in self.program.functions
        ]
        for block in self.program.blocks:
            if not block.is_interface:
                units.append((block, [v for v in block.variables.values() if v.section is Section.TEMP]))
                units += [(routine, list(routine.variables.values())) for routine in routines(block)]
        for unit, variables in units:
            framed = [one for one in variables if self._is_framed(unit, one)]
            if framed:
                record = self.layout.frame(unit, framed)
                member = self.state.add(
                    record.c_name, f"struct {record.c_name}", record.bytes, record.alignment
                )
                for one in framed:
                    self.framed[one] = f"state->{member.c_name}.{record.by_variable[one].c_name}"
            for one in self._statics(unit):
                self.statics[one] = self.add_global(
                    f"static_{self.names[unit]}_{one.name}", one.type, one.span
                )

    def _statics(self, unit: Routine | Block) -> list[Variable]:
        return [one for one in unit.variables.values() if one.section is Section.STATIC]

    def _is_framed(self, unit: Routine | Block, variable: Variable) -> bool:
        if variable.section not in FRAMED_SECTIONS or is_open(variable.type):
            return False
        if variable in self.referred or (isinstance(unit, Block) and bool(unit.actions)):
            return True
        if isinstance(variable.type, Block) and not variable.type.is_interface:
            return True
        return scalar(variable.type) is None and (
            self.layout.shape(variable.type, variable.span)[1] > LARGEST_LOCAL
        )

    def _look_through(self) -> None:
        """One walk through all bodies for what has to be known before the state is laid out."""
        for part in (*self.bodies(), *self._connections()):
            for node in typed.walk(part):
                match node:
                    case typed.ReferenceTo(operand=operand):
                        self.referred.update(_root_variable(operand))
                    case typed.Convert(operand=operand) if isinstance(node.type, Block):
                        self.referred.update(_root_variable(operand))
                    case typed.Input(parameter=parameter, value=value):
                        if parameter.section is Section.IN_OUT:
                            self.referred.update(_root_variable(value))
                            if isinstance(parameter.owner, Block) and scalar(value.type) is not None:
                                self._lent.append(node)
                    case typed.Output(parameter=Variable() as parameter, target=target):
                        if is_open(parameter.type):
                            self.referred.update(_root_variable(target))
                    case typed.DirectUse():
                        self.direct_uses.append(node)

    def _circular(self) -> set[Routine]:
        """The routines that a call through an interface or a reference may bring back to themselves."""
        virtual: set[Routine] = set()
        reached: dict[Routine | Block, set[Routine | Block]] = {}
        units: list[Routine | Block] = [*self.program.functions]
        for block in self.program.blocks:
            units += [block, *routines(block)]
        for unit in units:
            found: set[Routine | Block] = set(unit.calls)
            for static, routine in unit.virtual_calls:
                for block in self.derived.get(static, ()):
                    runs = block.implementation(routine)
                    if runs is not None:
                        found.add(runs)
                        virtual.add(runs)
            reached[unit] = found
        return {one for one in virtual if _comes_back(one, reached)}

    def _connections(self) -> list[object]:
        """What configurations say of tasks and programs, as far as it is made of expressions."""
        found: list[object] = []
        for configuration in self.program.configurations:
            found += [one.variable for one in configuration.access]
            for resource in configuration.resources:
                found += [task.single for task in resource.tasks if task.single is not None]
                found += [(*one.inputs, *one.outputs) for one in resource.programs]
        return found

    def bodies(self) -> list[typed.Body]:
        """The bodies of all units."""
        found: list[typed.Body] = [one.body for one in self.program.functions]
        for block in self.program.blocks:
            found.append(block.body)
            found += [one.body for one in routines(block)]
        return found


def routines(block: Block) -> list[Routine]:
    """All that a block can be asked to do besides its body."""
    found = [*block.methods.values(), *block.actions.values()]
    for one in block.properties.values():
        found += [accessor for accessor in (one.getter, one.setter) if accessor is not None]
    return found


def _escaped(character: str) -> str:
    return character if " " <= character < "\x7f" and character not in '"\\?' else f"\\{ord(character):03o}"


def _unit(character: str) -> str:
    if character.isascii() and character.isalnum():
        return f"'{character}'"
    return str(ord(character))


def _root_variable(expression: typed.Expression) -> list[Variable]:
    root = root_of(expression)
    return [root.variable] if isinstance(root, typed.VariableUse) else []


def _comes_back(start: Routine, calls: dict[Routine | Block, set[Routine | Block]]) -> bool:
    seen: set[Routine | Block] = set()
    waiting = list(calls.get(start, ()))
    while waiting:
        unit = waiting.pop()
        if unit is start:
            return True
        if unit not in seen:
            seen.add(unit)
            waiting.extend(calls.get(unit, ()))
    return False


def _shares_its_byte(value: typed.Expression) -> bool:
    return isinstance(value, typed.FieldUse) and (
        isinstance(value.base.type, Structure) and value.base.type.is_overlapped
    )


def is_program(block: Block) -> bool:
    """Whether a block is a PROGRAM."""
    return block.kind is ast.UnitKind.PROGRAM
