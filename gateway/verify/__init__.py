"""``fenster verify``: what a session must show (DESIGN 9), checked on a fresh machine.

The proxy is checked where it is built, and long life by the soak test; the rest is here.
"""
