"""`tieline fault`: make a simulated device fail, lose the utility, and mend both."""

from __future__ import annotations

import argparse
import sys

from gateway.config.place import add_place, place_of
from gateway.simulator.control import ControlClient
from gateway.simulator.faults import DEFAULT_CODE, DEFAULT_DELAY_MS, MEANING, Fault, FaultError, FaultKind

_EXIT_FAULT = 1
_EXIT_USAGE = 2
_UTILITY = "utility"
_MEND = ("clear", "restored")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``fault``."""
    kinds = "\n".join(f"  {kind.value:<10} {MEANING[kind]}" for kind in FaultKind)
    fault = subparsers.add_parser(
        "fault",
        help="make a simulated device fail, or lose the utility",
        description=f"Kinds of fault of a device:\n{kinds}\n  clear      mends it\n"
        "and of the utility: lost, restored.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fault.add_argument("device", metavar="DEVICE", nargs="?", help="a device such as battery1, or: utility")
    fault.add_argument("kind", metavar="KIND", nargs="?", help="what to do with it")
    add_place(fault)
    fault.add_argument("--list", action="store_true", help="show all devices and their faults")
    fault.add_argument("--clear", action="store_true", help="mend everything, the utility too")
    fault.add_argument("--delay-ms", type=int, default=DEFAULT_DELAY_MS, help="of slow (default: 1500)")
    fault.add_argument("--code", type=int, default=DEFAULT_CODE, help="of exception (default: 4)")
    fault.set_defaults(run=_fault)


def _fault(arguments: argparse.Namespace) -> int:
    has_both = arguments.device is not None and arguments.kind is not None
    if (arguments.list + arguments.clear + has_both) != 1 or (arguments.device and not has_both):
        print("say DEVICE KIND, or --list, or --clear", file=sys.stderr)
        return _EXIT_USAGE
    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    client = ControlClient(paths.simulator_socket)
    try:
        if arguments.list:
            _show(client)
        elif arguments.clear:
            client.clear()
        else:
            return _apply(client, arguments)
    except FaultError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    except OSError as error:
        print(f"the simulator does not run here: {error}", file=sys.stderr)
        return _EXIT_FAULT
    return 0


def _apply(client: ControlClient, arguments: argparse.Namespace) -> int:
    device, kind = arguments.device, arguments.kind
    if device == _UTILITY:
        if kind not in ("lost", *_MEND):
            print(f"the utility is lost or restored, not {kind!r}", file=sys.stderr)
            return _EXIT_USAGE
        client.utility(live=kind != "lost")
    elif kind in _MEND:
        client.clear(device)
    elif kind in list(FaultKind):
        client.set(device, Fault(FaultKind(kind), arguments.delay_ms, arguments.code))
    else:
        print(f"a fault is one of {', '.join(FaultKind)}, or clear; not {kind!r}", file=sys.stderr)
        return _EXIT_USAGE
    return 0


def _show(client: ControlClient) -> None:
    answer = client.list()
    print(f"{'utility':<12} {'':>5}  {answer['utility']}")
    for name, device in answer["devices"].items():
        fault = device["fault"]
        said = "well"
        if fault is not None:
            extra = " ".join(f"{key}={value}" for key, value in fault.items() if key != "kind")
            said = f"{fault['kind']} {extra}".rstrip()
        print(f"{name:<12} {device['port']:>5}  {said}")
