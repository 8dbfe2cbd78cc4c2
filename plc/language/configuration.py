"""Checks configurations: resources, tasks, program instances and VAR_CONFIG (IEC 61131-3 6.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from plc.language import ast, typed
from plc.language.declare import Declarations
from plc.language.diagnostics import nearest
from plc.language.entities import Entity
from plc.language.expressions import Checker
from plc.language.scope import Scope
from plc.language.source import Span
from plc.language.symbols import Block, Namespace, Routine, Variable
from plc.language.types import LTIME, TIME, UINT, UNKNOWN, Structure, Type


@dataclass(frozen=True, slots=True)
class Task:
    """When programs run: every ``interval_ns``, or on the rising edge of ``single``; priority 0 goes first."""

    name: str
    interval_ns: int | None
    single: typed.Expression | None
    priority: int
    span: Span


@dataclass(frozen=True, slots=True)
class Instance:
    """A program that runs under a name of its own. ``block_tasks`` are blocks in it that run in other tasks: the
    variables that lead to the block from the program on, and the task.
    """

    name: str
    program: Block
    task: str | None
    qualifiers: frozenset[str]
    inputs: tuple[typed.Input, ...]
    outputs: tuple[typed.Output, ...]
    block_tasks: tuple[tuple[tuple[Variable, ...], str], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Resource:
    """A processor with its tasks and programs; the name is empty for the only one of a configuration."""

    name: str
    tasks: tuple[Task, ...]
    programs: tuple[Instance, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of VAR_CONFIG: an instance's variable, its address and initial value.

    ``chain`` are the variables that lead to it from the program instance on.
    """

    path: tuple[str, ...]
    instance: str
    chain: tuple[Variable, ...]
    variable: Variable
    location: str | None
    initial: typed.Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Access:
    """One line of VAR_ACCESS: a name by which others reach a variable."""

    name: str
    variable: typed.Expression
    is_writable: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Configuration:
    """What runs where and when."""

    name: str
    resources: tuple[Resource, ...]
    settings: tuple[Setting, ...]
    access: tuple[Access, ...]
    span: Span


def check_configuration(
    syntax: ast.Configuration,
    scope: Scope,
    declarations: Declarations,
    more: tuple[ast.InstanceSettings, ...] = (),
) -> Configuration:
    """A configuration with everything in it resolved; ``more`` are the VAR_CONFIG that stand outside of it."""
    checker = _ConfigurationChecker(declarations, scope)
    resources = tuple(checker.resource(one) for one in syntax.resources)
    settings = _settings((*syntax.settings, *more), resources, checker)
    paths = [path for block in syntax.access for path in block.paths]
    access = checker.access(paths, resources)
    return Configuration(syntax.name.text, resources, tuple(settings), access, syntax.span)


def check_settings(
    blocks: tuple[ast.InstanceSettings, ...],
    programs: tuple[Block, ...],
    scope: Scope,
    declarations: Declarations,
) -> tuple[Setting, ...]:
    """VAR_CONFIG of sources without a CONFIGURATION, where each program runs once under its own name."""
    instances = tuple(Instance(one.name, one, None, frozenset(), (), (), (), one.span) for one in programs)
    resources = (Resource("", (), instances, blocks[0].span),)
    return tuple(_settings(blocks, resources, _ConfigurationChecker(declarations, scope)))


def _settings(
    blocks: tuple[ast.InstanceSettings, ...],
    resources: tuple[Resource, ...],
    checker: _ConfigurationChecker,
) -> list[Setting]:
    found = (checker.setting(one, resources) for block in blocks for one in block.settings)
    return [one for one in found if one is not None]


class _ConfigurationChecker(Checker):
    def __init__(self, declarations: Declarations, scope: Scope) -> None:
        super().__init__(declarations, scope)
        self.instances: dict[str, Block] = {}  # of the resource at hand: connections may name them all
        self.sees_all = False  # an access path reaches what is inside of a block too (6.8.1)

    def _name(self, node: ast.NameUse, expected: Type | None) -> Entity:
        """Besides variables a program's instance by its name (6.8.2)."""
        block = self.instances.get(node.name.key)
        if block is not None and self.scope.find(node.name.key) is None:
            return typed.ProgramUse(block, block, node.span, node.name.key)
        return super()._name(node, expected)

    def _is_inside(self, owner: Block | Routine | None) -> bool:
        return self.sees_all or super()._is_inside(owner)

    def access(self, paths: list[ast.AccessPath], resources: tuple[Resource, ...]) -> tuple[Access, ...]:
        """``name : resource.program.variable : type READ_WRITE``; the resource may be left out."""
        known = {resource.name.upper() for resource in resources if resource.name}
        self.instances = {
            program.name.upper(): program.program for resource in resources for program in resource.programs
        }
        self.sees_all = True
        found: dict[str, Access] = {}
        for one in paths:
            value = self.expression(_without_resource(one.path, known))
            type_ = self.declarations.type_of(one.type, self.scope)
            if UNKNOWN in (value.type, type_):
                continue
            if not self._is_place(value):
                self.diagnostics.report(
                    "ST0303", one.path.span, "an access path leads to a variable", mend="name one"
                )
            elif value.type != type_:
                self.diagnostics.report(
                    "ST0300",
                    one.type.span,
                    f"the variable is {value.type}, not {type_}",
                    mend=f"write {value.type}",
                )
            elif one.name.key in found:
                self.diagnostics.report(
                    "ST0202", one.name.span, f"{one.name.text} is declared twice", mend="rename one"
                )
            else:
                is_writable = one.direction == "READ_WRITE"
                found[one.name.key] = Access(one.name.text, value, is_writable, one.span)
        self.sees_all = False
        return tuple(found.values())

    def resource(self, syntax: ast.Resource) -> Resource:
        self.instances = {}
        for named in syntax.programs:
            symbol: object = self.scope.find_outside(named.type.path[0].key)
            for inner in named.type.path[1:]:
                symbol = symbol.symbols.get(inner.key) if isinstance(symbol, Namespace) else None
            if isinstance(symbol, Block) and symbol.kind is ast.UnitKind.PROGRAM:
                self.instances[named.name.key] = symbol
        tasks: dict[str, Task] = {}
        for one in syntax.tasks:
            if one.name.key in tasks:
                self.diagnostics.report(
                    "ST0202",
                    one.name.span,
                    f"{one.name.text} is declared twice",
                    mend="give one another name",
                )
            tasks[one.name.key] = self.task(one)
        programs: dict[str, Instance] = {}
        for program in syntax.programs:
            instance = self.instance(program, tasks)
            if instance is None:
                continue
            if program.name.key in programs:
                self.diagnostics.report(
                    "ST0202", program.name.span, f"{program.name.text} is declared twice", mend="rename one"
                )
            programs[program.name.key] = instance
        name = "" if syntax.name is None else syntax.name.text
        return Resource(name, tuple(tasks.values()), tuple(programs.values()), syntax.span)

    def task(self, syntax: ast.Task) -> Task:
        interval: int | None = None
        single: typed.Expression | None = None
        priority = 0
        for setting in syntax.settings:
            key = "" if setting.name is None else setting.name.key
            if setting.value is None or key not in ("INTERVAL", "PRIORITY", "SINGLE"):
                near = None if setting.name is None else nearest(key, ("INTERVAL", "PRIORITY", "SINGLE"))
                self.diagnostics.report(
                    "ST0611",
                    setting.span,
                    "a task has the settings SINGLE, INTERVAL and PRIORITY",
                    mend=f"did you mean {near}?" if near else "remove this one",
                )
            elif key == "SINGLE":
                single = self.condition(setting.value)
            elif key == "INTERVAL":
                interval = self._interval(setting.value)
            else:
                literal = self.coerced_constant(setting.value, UINT)
                priority = 0 if literal is None else literal
        if interval is None and single is None and not self.diagnostics.has_errors:
            self.diagnostics.report(
                "ST0611",
                syntax.name.span,
                f"{syntax.name.text} never runs: it has neither INTERVAL nor SINGLE",
                mend="write INTERVAL := T#10ms",
            )
        return Task(syntax.name.text, interval, single, priority, syntax.span)

    def _interval(self, node: ast.Expression) -> int | None:
        literal = self.constant(node)
        if literal is None:
            return None
        if literal.type not in (TIME, LTIME) or not isinstance(literal.value, int) or literal.value <= 0:
            self.diagnostics.report(
                "ST0611", node.span, "an interval is a duration above zero", mend="write T#10ms"
            )
            return None
        return literal.value

    def coerced_constant(self, node: ast.Expression, type_: Type) -> int | None:
        """A constant of an integer type."""
        literal = self.constant(node)
        if literal is None:
            return None
        value = self.coerce(literal, type_)
        return value.value if isinstance(value, typed.Literal) and isinstance(value.value, int) else None

    def instance(self, syntax: ast.ProgramInstance, tasks: dict[str, Task]) -> Instance | None:
        path = syntax.type.path
        found = self.declarations.find_type(path, self.scope)
        if found is None:
            return None
        if not isinstance(found, Block) or found.kind is not ast.UnitKind.PROGRAM:
            self.diagnostics.report(
                "ST0610", syntax.type.span, f"{found.name} is no PROGRAM", mend="name a PROGRAM"
            )
            return None
        task: str | None = None
        if syntax.task is not None:
            task = self._task_name(syntax.task, tasks)
        inputs: list[typed.Input] = []
        outputs: list[typed.Output] = []
        block_tasks: list[tuple[tuple[Variable, ...], str]] = []
        by_key = {one.name.upper(): one for one in found.parameters()}
        for connection in syntax.connections:
            if isinstance(connection, ast.TaskOfBlock):
                name = self._task_name(connection.task, tasks)
                chain = self._chain(found, connection.path)
                if name is not None and chain is not None:
                    self._check_runs_alone(chain[-1], connection.path[-1])
                    block_tasks.append((chain, name))
                continue
            parameter = None if connection.name is None else by_key.get(connection.name.key)
            if parameter is None:
                near = None
                if connection.name is not None:
                    near = nearest(connection.name.text, (one.name for one in by_key.values()))
                self.diagnostics.report(
                    "ST0401",
                    connection.span,
                    f"{found.name} has no such parameter",
                    mend=f"did you mean {near}?" if near else "name one of its inputs and outputs",
                )
                continue
            self._bind_one(parameter, connection, inputs, outputs, is_block=True)
        return Instance(
            syntax.name.text,
            found,
            task,
            syntax.qualifiers,
            tuple(inputs),
            tuple(outputs),
            tuple(block_tasks),
            syntax.span,
        )

    def _check_runs_alone(self, variable: Variable, name: ast.Name) -> None:
        type_ = variable.type
        if isinstance(type_, Block) and type_.kind is ast.UnitKind.FUNCTION_BLOCK:
            return
        if type_ is not UNKNOWN:
            self.diagnostics.report(
                "ST0610",
                name.span,
                f"{variable.name} is {type_}: only an instance of a FUNCTION_BLOCK runs in a task",
                mend="name an instance",
            )

    def _chain(self, owner: Type, names: Sequence[ast.Name]) -> tuple[Variable, ...] | None:
        """The variables that a path means, the first one of ``owner``."""
        found: list[Variable] = []
        for name in names:
            if isinstance(owner, Block):
                variable = owner.find_variable(name.key)
            else:
                variable = owner.fields.get(name.key) if isinstance(owner, Structure) else None
            if variable is None:
                self.diagnostics.report(
                    "ST0203", name.span, f"{owner} has no {name.text}", mend="name one of its variables"
                )
                return None
            self.uses.append((name.span, variable))
            variable.is_read = True
            found.append(variable)
            owner = variable.type
        return tuple(found)

    def _task_name(self, name: ast.Name, tasks: dict[str, Task]) -> str | None:
        task = tasks.get(name.key)
        if task is not None:
            return task.name
        near = nearest(name.text, (one.name for one in tasks.values()))
        self.diagnostics.report(
            "ST0610",
            name.span,
            f"there is no task {name.text}",
            mend=f"did you mean {near}?" if near else "declare it with TASK",
        )
        return None

    def setting(self, syntax: ast.InstanceSetting, resources: tuple[Resource, ...]) -> Setting | None:
        """``resource.program.block.variable``; the resource may be left out where there is one."""
        names = list(syntax.path)
        programs = [(resource, program) for resource in resources for program in resource.programs]
        if len(names) > 2 and names[0].key in {resource.name.upper() for resource in resources}:
            programs = [one for one in programs if one[0].name.upper() == names[0].key]
            names = names[1:]
        matching = [program for _, program in programs if program.name.upper() == names[0].key]
        if not matching:
            near = nearest(names[0].text, (program.name for _, program in programs))
            self.diagnostics.report(
                "ST0610",
                names[0].span,
                f"there is no program instance {names[0].text}",
                mend=f"did you mean {near}?" if near else "start the path with the resource and the program",
            )
            return None
        chain = self._chain(matching[0].program, names[1:])
        if not chain:
            return None
        variable = chain[-1]
        type_ = self.declarations.type_of(syntax.type, self.scope)
        if type_ != variable.type and UNKNOWN not in (type_, variable.type):
            self.diagnostics.report(
                "ST0300",
                syntax.type.span,
                f"{variable.name} is {variable.type}, not {type_}",
                mend=f"write {variable.type}",
            )
            return None
        initial = None if syntax.initial is None else self.initial(syntax.initial, type_)
        location = None if syntax.location is None else syntax.location.address
        path = tuple(name.text for name in syntax.path)
        return Setting(path, matching[0].name, chain, variable, location, initial, syntax.span)


def _without_resource(path: ast.Expression, resources: set[str]) -> ast.Expression:
    """``resource.program.x`` as ``program.x``."""
    if isinstance(path, ast.Member):
        base = path.base
        if isinstance(base, ast.NameUse) and base.name.key in resources:
            return ast.NameUse(path.name, path.name.span)
        return replace(path, base=_without_resource(base, resources))
    if isinstance(path, (ast.Index, ast.PartialAccess, ast.Dereference)):
        return replace(path, base=_without_resource(path.base, resources))
    return path
