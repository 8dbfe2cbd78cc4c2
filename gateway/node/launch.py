"""What the root hands to a part's process on its command line, and the pipe by which the part says that it lives.

The part writes single bytes into the pipe: `BEAT` every second from its event loop, `READY` once it does its job,
`STUCK` as a beat while the thread that does it stands still.
The site goes over as a file descriptor, so that a restarted part runs the very site the root checked, whatever has
become of the files since. A reload brings another one over the control socket: a datagram `SITE` with the descriptor,
which the part answers with `TAKEN`.
"""

from __future__ import annotations

import argparse
import os
import pickle
import socket
from dataclasses import dataclass
from pathlib import Path

from gateway.config.paths import RunPaths
from gateway.config.site import Site

BEAT = b"."
READY = b"R"
STUCK = b"s"
BEAT_PERIOD_S = 1.0
SITE = b"site"
TAKEN = b"taken"
GO = b"go"  # to a process that was forked: the root knows of it, and it may begin


@dataclass(frozen=True, slots=True)
class Launch:
    """How one part's process is to find the rest. ``site``, ``pipe`` and ``control`` are descriptors it inherits."""

    part: str
    paths: RunPaths
    region: str
    site: int
    pipe: int
    control: int
    root: int

    def arguments(self) -> list[str]:
        """As command-line arguments; `Launch.parse` takes them."""
        return [
            *(
                "--state",
                str(self.paths.state),
                "--runtime",
                str(self.paths.runtime),
                "--region",
                self.region,
            ),
            *("--site-fd", str(self.site), "--pipe-fd", str(self.pipe)),
            *("--control-fd", str(self.control), "--root", str(self.root)),
        ]

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Those of `arguments`; the part's name comes before them, as ``part``."""
        parser.add_argument("--state", type=Path, required=True)
        parser.add_argument("--runtime", type=Path, required=True)
        parser.add_argument("--region", required=True)
        parser.add_argument("--site-fd", type=int, required=True)
        parser.add_argument("--pipe-fd", type=int, required=True)
        parser.add_argument("--control-fd", type=int, required=True)
        parser.add_argument("--root", type=int, required=True)

    @classmethod
    def parse(cls, arguments: argparse.Namespace) -> Launch:
        paths = RunPaths(arguments.state, arguments.runtime)
        return cls(
            arguments.part,
            paths,
            arguments.region,
            arguments.site_fd,
            arguments.pipe_fd,
            arguments.control_fd,
            arguments.root,
        )


def share_site(site: Site) -> int:
    """A descriptor of memory that holds the site, for `shared_site` in another process. The caller closes it."""
    descriptor = os.memfd_create("tieline-site")
    fill_site(descriptor, site)
    return descriptor


def fill_site(descriptor: int, site: Site) -> None:
    """Put the site into empty memory; the descriptor stays open."""
    with os.fdopen(os.dup(descriptor), "wb") as file:
        pickle.dump(site, file, pickle.HIGHEST_PROTOCOL)


def shared_site(descriptor: int) -> Site:
    """The site that the root shared. The descriptor is closed."""
    try:
        content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)  # its offset is shared by all parts
    finally:
        os.close(descriptor)
    site = pickle.loads(content)  # noqa: S301 - memory of our own parent, which no one else can reach
    assert isinstance(site, Site), type(site)
    return site


def control_pair() -> tuple[socket.socket, socket.socket]:
    """The root's end and the part's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send_site(control: socket.socket, site: int) -> None:
    """Hand the part another site. Raises OSError where it has gone, or has not taken many before it."""
    socket.send_fds(control, [SITE], [site])


def receive_site(control: socket.socket) -> Site | None:
    """What the root has sent; None where it has gone. Raises BlockingIOError."""
    message, descriptors, _, _ = socket.recv_fds(control, len(SITE), 1)
    if message != SITE or not descriptors:
        return None
    return shared_site(descriptors[0])
