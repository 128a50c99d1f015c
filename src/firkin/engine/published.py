"""Published: which ports of a container are reachable on the host, of those that it exposes and was told."""

from __future__ import annotations

from firkin.engine.network_rules import check_ports
from firkin.engine.network_words import exposed
from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort
from firkin.oci.image_config import ImageConfig


def exposed_ports(options: RunOptions, config: ImageConfig) -> tuple[str, ...]:
    """What the container listens on, by the image's word and the user's. An image's may be anything: what is
    no port is left to be a mistake of whoever publishes all.
    """
    return tuple(dict.fromkeys((*_of_image(options, config), *options.network.exposed)))


def published_ports(options: RunOptions, config: ImageConfig) -> tuple[PublishedPort, ...]:
    """What is published: `-p`, and with `-P` all else that is exposed. Raises UsageError."""
    if not options.network.publish_all:
        return options.ports
    given = {f"{port.guest_port}/{port.protocol}" for port in options.ports}
    found = [*options.ports]
    for text in exposed_ports(options, config):
        found += PublishedPort.parse(text) if text not in given else ()
    check_ports(tuple(found))
    return tuple(found)


def _of_image(options: RunOptions, config: ImageConfig) -> tuple[str, ...]:
    try:
        return exposed(config.exposed_ports)
    except UsageError as error:
        if not options.network.publish_all:
            return ()
        raise UsageError(
            f"publish_all: image {options.image} exposes what is no port: {error}", hint="publish with -p"
        ) from error
