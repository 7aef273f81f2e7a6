"""The desktop's clipboard (the X selection CLIPBOARD) and those of its viewers. PRIMARY is left alone.

``content.py`` what is copied, its limits, and which way it may go (pure); ``transfer.py`` content in chunks and back
(pure); ``exchange.py`` between viewers and desktop, on the agent's loop; ``selection.py`` the X side, a thread and a
connection of its own, with ``reading.py`` (asking the owner) and ``serving.py`` (being the owner), by ICCCM 2;
``service.py`` the same content for the gateway's HTTP.
"""
