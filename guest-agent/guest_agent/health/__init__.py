"""Looks after the desktop's parts: asks each whether it answers, and has what hangs started again by systemd.

A process that dies is systemd's to start again (``Restart=on-failure``). One that stands still is not seen by it:
X, the window manager, Chromium and x11vnc know nothing of sd_notify(3), so this service asks them in their own
languages.
"""
