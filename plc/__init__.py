"""The logic engine: IEC 61131-3 Structured Text compiled to C and run by the scan loop."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plc.bench import AssertFault, CompileFault, RunTimeFault, load

__all__ = ["AssertFault", "CompileFault", "RunTimeFault", "load"]


def __getattr__(name: str) -> Any:
    """The compiler is loaded when it is asked for: whoever imports a part of this package need not pay for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from plc import bench

    return getattr(bench, name)
