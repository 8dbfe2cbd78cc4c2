"""Where clients find a site."""

from __future__ import annotations

from gateway.config.site import Site


def addresses_of(site: Site) -> tuple[str, ...]:
    """Where clients find it."""
    page = (f"http://{site.hmi.host}:{site.hmi.port}/",) if site.hmi else ()
    opcua = (f"opc.tcp://{site.opcua.host}:{site.opcua.port}",) if site.opcua else ()
    dnp3 = (
        (f"dnp3://{site.dnp3.host}:{site.dnp3.port} (outstation {site.dnp3.address})",) if site.dnp3 else ()
    )
    return (*page, *opcua, *dnp3)
