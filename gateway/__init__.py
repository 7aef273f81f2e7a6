"""The Fenster gateway: boots microVMs, brokers WebRTC, relays media and noVNC."""

__version__ = "0.1.0"
