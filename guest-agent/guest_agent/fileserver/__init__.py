"""The guest's file service: the user's home, for the gateway, on TCP port 5902.

A process of its own, run by the desktop's user, on the standard library alone: it costs the agent nothing, dies
without it, and has the rights of the person at the desktop and no others. ``beneath.py`` opens what is below the home
and nothing else, ``operations.py`` does what is asked there, ``server.py`` talks (protocol/stream.py).
"""
