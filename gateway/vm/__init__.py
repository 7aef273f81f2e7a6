"""MicroVMs: the contract (driver.py), QEMU, the development driver, the agent link."""
