"""The flags of `firkin run` that are about a container's health. Docker's names and meanings."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_health = partial(click.option, cls=Headed, heading="Health")

HEALTH_FLAGS = (
    _health("--health-cmd", default=None, metavar="COMMAND",
            help="Healthy is what lets this exit with 0; a shell of the container runs it."),
    _health("--health-interval", default=None, metavar="TIME",
            help="How often; else what the image says, or 30s."),
    _health("--health-timeout", default=None, metavar="TIME",
            help="How long it may take, before it is killed and has failed; else 30s."),
    _health("--health-retries", default=None, metavar="N",
            help="So many failures in a row make it unhealthy; else 3."),
    _health("--health-start-period", default=None, metavar="TIME",
            help="For so long after a start failures do not count; else 0s."),
    _health("--health-start-interval", default=None, metavar="TIME",
            help="How often meanwhile, until it is healthy; else 5s."),
    _health("--health-http", default=None, metavar="URL",
            help="Healthy is what answers http://localhost:PORT/PATH with 200 to 399; asked from inside."),
    _health("--health-tcp", default=None, metavar="PORT", help="Healthy is what lets connect to this port."),
    _health("--health-grpc", default=None, metavar="PORT[/SERVICE]",
            help="Healthy is what says by grpc.health.v1 that it is serving."),
    _health("--health-on-failure", default=None, metavar="ACTION",
            help="What becomes of it once it is unhealthy: none, kill, stop or restart; else none."),
    _health("--no-healthcheck", is_flag=True, help="Let it have no check, whatever the image says."),
)  # fmt: skip
