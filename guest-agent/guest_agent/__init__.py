"""The guest agent: X display to WebRTC video, data channels to mouse and keyboard."""

__version__ = "0.1.0"
