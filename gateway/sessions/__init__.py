"""Sessions: the lifecycle table (pure), one session, the registry.

Knows VMs and the data plane as Protocols (gateway/vm/driver.py, gateway/dataplane.py), never a concrete one.
"""
