"""Checks what blocks promise each other: overriding, abstract methods, interfaces (IEC 61131-3 6.6.5 to 6.6.7)."""

from __future__ import annotations

from plc.language import ast
from plc.language.diagnostics import Diagnostics, Related
from plc.language.symbols import STARTER, Block, Routine


def check_block(block: Block, diagnostics: Diagnostics) -> None:
    """All promises that a block makes or has to keep."""
    for key, method in block.methods.items():
        _check_abstract(block, method, diagnostics)
        _check_override(block, key, method, diagnostics)
    _check_shadows(block, diagnostics)
    if not block.is_interface and not block.is_abstract:
        _check_promises(block, diagnostics)


def _check_abstract(block: Block, method: Routine, diagnostics: Diagnostics) -> None:
    if "ABSTRACT" not in method.modifiers:
        return
    assert isinstance(method.syntax, ast.Unit)
    if not block.is_abstract and not block.is_interface:
        diagnostics.report(
            "ST0505",
            method.span,
            f"{method.name} is abstract, {block.name} is not",
            mend=f"write {block.kind} ABSTRACT {block.name}",
        )
    if method.syntax.body:
        diagnostics.report(
            "ST0505", method.span, f"{method.name} is abstract and has a body", mend="remove one of the two"
        )


def _check_override(block: Block, key: str, method: Routine, diagnostics: Diagnostics) -> None:
    if key == STARTER:
        return  # each block's own runs: it overrides none and has its own parameters
    base = None if block.base is None else block.base.find_method(key)
    if base is None:
        if "OVERRIDE" in method.modifiers and not _is_promised(block, key):
            diagnostics.report(
                "ST0502", method.span, f"{method.name} overrides nothing", mend="remove OVERRIDE"
            )
    elif "FINAL" in base.modifiers:
        diagnostics.report(
            "ST0502",
            method.span,
            f"{base.qualified} is FINAL: it can not be overridden",
            mend="give it another name",
            related=(Related(base.span, "it is declared here"),),
        )
    else:
        _check_signature(method, base, diagnostics)
    for interface in block.all_interfaces():
        promised = interface.methods.get(key)
        if promised is not None and promised is not method:
            _check_signature(method, promised, diagnostics)


def _is_promised(block: Block, key: str) -> bool:
    return any(key in interface.methods for interface in block.all_interfaces())


def _check_signature(method: Routine, other: Routine, diagnostics: Diagnostics) -> None:
    """The same result and the same parameters, in name, order, type and kind (6.6.5.5.4)."""
    ours = [(one.name.upper(), one.section, str(one.type)) for one in method.parameters()]
    theirs = [(one.name.upper(), one.section, str(one.type)) for one in other.parameters()]
    if ours != theirs or method.result != other.result:
        diagnostics.report(
            "ST0502",
            method.span,
            f"{method.name} does not have the result and parameters of {other.qualified}",
            mend="declare them as they are there",
            related=(Related(other.span, "it is declared here"),),
        )


def _check_shadows(block: Block, diagnostics: Diagnostics) -> None:
    if block.base is None:
        return
    for key, variable in block.variables.items():
        inherited = block.base.find_variable(key)
        if inherited is not None:
            diagnostics.report(
                "ST0202",
                variable.span,
                f"{variable.name} is already a variable of the block that this one extends",
                mend="give it another name",
                related=(Related(inherited.span, "it is declared here first"),),
            )


def _check_promises(block: Block, diagnostics: Diagnostics) -> None:
    """A block that has instances has a body for every method."""
    promised: dict[str, Routine] = {}
    for one in (*block.lineage(), *block.all_interfaces()):
        for key, method in one.methods.items():
            if method.is_abstract:
                promised.setdefault(key, method)
    for key, method in promised.items():
        found = block.find_method(key)
        if found is None or found.is_abstract:
            diagnostics.report(
                "ST0501",
                block.span,
                f"{block.name} has no {method.name}, which {method.owner} promises",
                mend=f"write METHOD {method.name}, or make {block.name} ABSTRACT",
                related=(Related(method.span, "it is promised here"),),
            )
    for interface in block.all_interfaces():
        for key, property_ in interface.properties.items():
            own = block.find_property(key)
            is_missing = (
                own is None
                or own.owner.is_interface
                or (property_.getter is not None and own.getter is None)
                or (property_.setter is not None and own.setter is None)
            )
            if is_missing:
                diagnostics.report(
                    "ST0501",
                    block.span,
                    f"{block.name} has no property {property_.name} as {interface.name} promises it",
                    mend=f"write PROPERTY {property_.name}, with the same GET and SET",
                    related=(Related(property_.span, "it is promised here"),),
                )
