"""`tieline fault`: make a simulated device fail. `tieline sim`: lose the utility, and see what comes of it."""

from __future__ import annotations

import argparse
import math
import sys

from gateway.config.place import add_place, place_of
from gateway.simulator.control import ControlClient
from gateway.simulator.faults import (
    DEFAULT_CODE,
    DEFAULT_DELAY_MS,
    DEFAULT_SHARE,
    MEANING,
    Fault,
    FaultError,
    FaultKind,
)
from gateway.simulator.follow import (
    CONNECTED,
    ISLANDED,
    STATES,
    Change,
    Follower,
    NotFollowedError,
    running_region,
)
from gateway.tags.image import RegionError

AFTERMATH_S = 2.0  # told after the end: feeders that follow
PATIENCE_S = 600.0  # more than the wait for a utility that is to be trusted again (300 s)
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
    fault.add_argument(
        "--share",
        type=float,
        help="of drift (an hour; default: 0.1), spike (default: 4) and fraud (default: 0.3)",
    )
    fault.add_argument("--code", type=int, default=DEFAULT_CODE, help="of exception (default: 4)")
    fault.set_defaults(run=_fault)
    sim = subparsers.add_parser(
        "sim", help="what happens to the simulated plant: lose the utility, restore it"
    )
    events = sim.add_subparsers(dest="event", metavar="EVENT", required=True)
    lose = events.add_parser(
        "lose-utility", help="lose the utility and tell what happens until the island stands"
    )
    add_place(lose)
    lose.add_argument(
        "--for",
        dest="seconds",
        metavar="SECONDS",
        type=_positive,
        help="restore it after so long, and tell on until the site is connected again",
    )
    lose.add_argument(
        "--drift-hz-s",
        type=float,
        default=0.0,
        metavar="HZ_S",
        help="its frequency runs away at this rate, -40 to 40, instead of its voltage collapsing",
    )
    lose.set_defaults(run=_lose)
    restore = events.add_parser(
        "restore-utility", help="restore it and tell what happens until it is connected"
    )
    add_place(restore)
    restore.set_defaults(run=_restore)
    for event in (lose, restore):
        event.add_argument(
            "--patience",
            metavar="SECONDS",
            type=_positive,
            default=PATIENCE_S,
            help=f"give up waiting after so long (default: {PATIENCE_S:g})",
        )


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
        share = DEFAULT_SHARE.get(FaultKind(kind), 0.0) if arguments.share is None else arguments.share
        client.set(device, Fault(FaultKind(kind), arguments.delay_ms, arguments.code, share))
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


def _lose(arguments: argparse.Namespace) -> int:
    return _play(arguments, live=False)


def _restore(arguments: argparse.Namespace) -> int:
    return _play(arguments, live=True)


def _play(arguments: argparse.Namespace, live: bool) -> int:
    """Do it, and tell what happens. 0: the island stands, or the site is connected again; 1: not in time."""
    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    client = ControlClient(paths.simulator_socket)
    try:
        with running_region(paths) as region:
            follower = Follower(region)
            follower.begin()
            if live:
                client.utility(live=True)
                print("  0.000 s  the utility is restored")
                return _until(follower, CONNECTED, arguments.patience)
            client.utility(live=False, drift_hz_s=arguments.drift_hz_s)
            print("  0.000 s  the utility is lost")
            return _outage(follower, client, arguments)
    except FaultError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    except (NotFollowedError, RegionError) as error:
        print(error, file=sys.stderr)
        return _EXIT_FAULT
    except OSError as error:
        print(f"the simulator does not run here: {error}", file=sys.stderr)
        return _EXIT_FAULT


def _outage(follower: Follower, client: ControlClient, arguments: argparse.Namespace) -> int:
    seconds: float | None = arguments.seconds
    if seconds is None:
        return _until(follower, ISLANDED, arguments.patience)
    follower.until_s = seconds
    for change in follower.changes():
        _tell(change)
    client.utility(live=True)
    print(f"{follower.seconds:7.3f} s  the utility is restored")
    return _until(follower, CONNECTED, seconds + arguments.patience)


def _until(follower: Follower, state: int, patience_s: float) -> int:
    """Tell until ``state`` is reached and a moment longer, for what belongs to it."""
    follower.until_s = patience_s
    for change in follower.changes():
        _tell(change)
        if follower.state != state:
            follower.until_s = patience_s
        elif follower.until_s == patience_s:
            follower.until_s = min(patience_s, follower.seconds + AFTERMATH_S)
    if follower.lowest_hz is not None:
        print(f"lowest frequency of the bus: {follower.lowest_hz:.2f} Hz")
    if follower.state == state:
        return 0
    print(f"not {STATES[state]} after {patience_s:g} s: {STATES[follower.state]}", file=sys.stderr)
    return _EXIT_FAULT


def _tell(change: Change) -> None:
    print(f"{change.seconds:7.3f} s  {change.said}", flush=True)


def _positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return value
