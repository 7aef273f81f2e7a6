"""The sound server of the development driver's "guest": the golden image's, configured for one run directory.

WirePlumber is started by PipeWire itself here, where the image has a unit for it. Its configuration comes in two
languages: 0.5 (Debian 13) reads the image's file, 0.4 (Debian 12) Lua.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["LINKS", "SERVER", "TOOLS", "sound_argv", "sound_env", "write_sound_config"]

TOOLS = ("pipewire", "wireplumber", "parec")

SERVER = """\
context.properties = {
    core.daemon = true
    core.name   = pipewire-0
    support.dbus = false
    default.clock.rate         = 48000
    default.clock.quantum      = 480
    default.clock.min-quantum  = 240
    default.clock.max-quantum  = 2048
    clock.power-of-two-quantum = false
}
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    support.*       = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-spa-node-factory }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-access }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-link-factory }
    { name = libpipewire-module-session-manager }
    { name = libpipewire-module-protocol-pulse }
]
pulse.properties = {
    server.address    = [ "unix:native" ]
    pulse.min.req     = 240/48000
    pulse.min.quantum = 240/48000
}
context.objects = [
    { factory = adapter
        args = {
            factory.name            = support.null-audio-sink
            node.name               = desktop
            node.description        = "Desktop sound"
            media.class             = Audio/Sink
            audio.position          = [ FL FR ]
            monitor.channel-volumes = true
        }
    }
]
"""
"""/usr/share/pipewire/fenster.conf of the image, where the reasons stand (a test compares them)."""

LINKS = """\
wireplumber.profiles = {
  main = {
    hardware.audio = disabled
    hardware.bluetooth = disabled
    hardware.video-capture = disabled
    support.reserve-device = disabled
    support.portal-permissionstore = disabled
    script.client.access-portal = disabled
    support.logind = disabled
    hooks.device.profile.state = disabled
    hooks.device.routes.state = disabled
    hooks.default-nodes.state = disabled
    hooks.stream.state = disabled
  }
}
"""
_LINKS_LUA = """\
alsa_monitor.enabled = false
v4l2_monitor.enabled = false
libcamera_monitor.enabled = false
default_access.properties["enable-flatpak-portal"] = false
device_defaults.properties["use-persistent-storage"] = false
"""
_BLUETOOTH_LUA = "bluez_monitor.enabled = false\n"
_STARTS_LINKS = 'context.exec = [ { path = "wireplumber" args = "" } ]\n'


def write_sound_config(run_dir: Path) -> None:
    folder = run_dir / "sound" / "wireplumber"
    files = {
        run_dir / "sound" / "fenster.conf": SERVER + _STARTS_LINKS,
        folder / "wireplumber.conf.d" / "50-fenster.conf": LINKS,
        folder / "main.lua.d" / "51-fenster.lua": _LINKS_LUA,
        folder / "bluetooth.lua.d" / "51-fenster.lua": _BLUETOOTH_LUA,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sound_argv(run_dir: Path) -> list[str]:
    return ["pipewire", "-c", str(run_dir / "sound" / "fenster.conf")]


def sound_env(run_dir: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The desktop's environment, with this configuration and without a way to the host's session bus."""
    nowhere = f"unix:path={run_dir / 'sound' / 'no-bus'}"
    return {**env, "XDG_CONFIG_HOME": str(run_dir / "sound"), "DBUS_SESSION_BUS_ADDRESS": nowhere}
