"""A machine's network: the guest's addresses and routes, the VMM's side of it, and published ports."""

from firkin.network.guest import GuestNetwork, guest_ops
from firkin.network.publish import claim_ports
from firkin.network.user import netdev_args

__all__ = ["GuestNetwork", "claim_ports", "guest_ops", "netdev_args"]
