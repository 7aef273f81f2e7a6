"""Input: what a viewer presses becomes what the X server sees.

state.py (who holds what; pure) -> injector.py (when; pure) with keymap.py (which keycode; pure) -> xtest.py (the X
connection on its worker thread). sink.py joins them to the media half; vncpipe.py is x11vnc's way in.
"""
