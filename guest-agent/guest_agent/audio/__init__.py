"""The desktop's sound: one recorder and one Opus encode for all viewers who asked to hear it.

Path of a packet: recorder.py (parec on the sound server's monitor) -> frames.py (cut, keep live, leave silence out)
-> opus.py, all in the thread of capture.py -> sound.py on the loop -> track.py -> aiortc's sender.
"""
