"""A machine's network.

guest    what the guest is told      user    the VMM's words for a mode      publish    ports of the host
"""
