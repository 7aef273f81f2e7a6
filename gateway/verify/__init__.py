"""``fenster verify``: what a session must show (DESIGN 9), checked on a fresh machine.

Long life is checked by the soak test; the rest is here.
"""
