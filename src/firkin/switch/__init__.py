"""The switch of one private network: a process for as long as a machine is on it.

forwarding   which frame goes to whom      wire    a machine's card, as a socket of its VMM
resolver     names for the machines        server  what owners of machines ask of it
"""
