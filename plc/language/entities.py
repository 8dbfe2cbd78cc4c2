"""What an expression can stand for besides a value: a type, a function, a method with its instance, a namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from plc.language import typed
from plc.language.standard import Conversion, StandardFunction
from plc.language.symbols import (
    Block,
    EnumMember,
    Namespace,
    PropertySymbol,
    Routine,
    TypeName,
)


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """A method with the instance that it is called on."""

    routine: Routine
    instance: typed.Expression
    is_virtual: bool


@dataclass(frozen=True, slots=True)
class BoundProperty:
    """A property with its instance."""

    property: PropertySymbol
    instance: typed.Expression
    is_virtual: bool


@dataclass(frozen=True, slots=True)
class BaseCall:
    """``SUPER^`` before it is called."""

    block: Block


@dataclass(frozen=True, slots=True)
class EnumChoice:
    """A bare name that is a value of several enumerations."""

    members: tuple[EnumMember, ...]


Entity: TypeAlias = (
    typed.Expression
    | Routine
    | Block
    | TypeName
    | Namespace
    | BoundMethod
    | BoundProperty
    | BaseCall
    | EnumChoice
    | StandardFunction
    | Conversion
)


VALUES = (
    typed.Literal,
    typed.VariableUse,
    typed.ProgramUse,
    typed.FieldUse,
    typed.ElementUse,
    typed.Dereference,
    typed.PartialUse,
    typed.DirectUse,
    typed.ThisUse,
    typed.ReferenceTo,
    typed.Convert,
    typed.Operation,
    typed.StandardCall,
    typed.RoutineCall,
    typed.Enabled,
    typed.ArrayValue,
    typed.StructValue,
    typed.TypeUse,
    typed.Wrong,
)
