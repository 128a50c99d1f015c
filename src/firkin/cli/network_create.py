"""`firkin network create`: a private network."""

from __future__ import annotations

import click


@click.command("create")
@click.option(
    "--subnet",
    "subnets",
    multiple=True,
    metavar="CIDR",
    help="Its addresses, such as 10.90.0.0/24; else some that are free. One of IPv6 beside that.",
)
@click.option("--gateway", default="", metavar="IP", help="Who answers for names; else the first address.")
@click.option("--ipv6", is_flag=True, help="Give it IPv6 addresses, too.")
@click.option("--internal", is_flag=True, help="Let its containers have no way outside.")
@click.option("-d", "--driver", default="", metavar="switch", help="There is one, also called bridge.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label it.")
@click.argument("name")
def command(
    subnets: tuple[str, ...],
    gateway: str,
    ipv6: bool,
    internal: bool,
    driver: str,
    labels: tuple[str, ...],
    name: str,
) -> int:
    """Make a private network. Prints its id."""
    from firkin.engine.networks import create
    from firkin.engine.words import pairs
    from firkin.settings import Settings

    made = create(
        Settings.load().paths,
        name,
        subnets=subnets,
        gateway=gateway,
        ipv6=ipv6,
        internal=internal,
        driver=driver,
        labels=pairs("label", labels),
    )
    click.echo(made.id)
    return 0
