"""The agent link: what the gateway and the guest say to each other over virtio-serial.

Newline-delimited JSON-RPC 2.0 (rpc.py frames it). The zygote owns the port for life and answers its own
methods; ``offer``, ``bye``, ``warm``, ``marker`` and ``counters`` it passes on to the agent it forked. Bulk data
never goes here.

Requests, gateway to guest:

========== ============================================== =============================================
method     params                                         result
========== ============================================== =============================================
hello      {}                                             HELLO_RESULT
identify   {entropy: 64 hex digits, machine_id: 32 hex}   {}  (before assign; forks the agent; with other values
                                                          than the last it kills the agent first)
assign     {session_id, epoch_ns, vnc_password,           {}  (clock, environment, VNC password, display)
           proxy: str or null, display: [w_px, h_px],
           clipboard: one of CLIPBOARD_POLICIES,
           timezone: str, locale: str}
settle     {timezone: IANA name, locale: as de-DE}        {}  (where it is taken for, "" is the image's own;
                                                          programs that run follow)
clipboard  {policy: one of CLIPBOARD_POLICIES}            {}  (which ways viewers may copy from now on)
exec       {argv: [str], timeout_s, as_user: bool,        {code, stdout, stderr}  (each at most 64 KiB,
           stdin: str}                                    UTF-8 with replacement)
control    {peer: str or null, viewer: str or null}       {}  (only this peer's input counts from now on)
display    {size: [w_px, h_px]}                           {}  (taken; the display has it a moment later)
offer      {peer, sdp, role: "control" or "view", viewer} {sdp, ufrag, pwd, port}
bye        {peer}                                         {}
counters   {}                                             {name: whole number, ...}  (since the agent's start,
                                                          or momentary: media.py)
health     {}                                             {agent: {forks, hangs}, desktop: HEALTH or {}}
warm       {}                                             {}  (the agent has watched itself once, see warm.py)
marker     {seconds: 0 to 600, moving: bool}              {display: [w, h], patch: [x, y, w, h],
                                                          strip: [x, y, w, h], at_us,
                                                          flips: [[seen_us, drawn_us], ...]}  (a window that
                                                          answers presses is there for so long, see probe.py; {}
                                                          for 0 seconds)
========== ============================================== =============================================

Notifications, guest to gateway:

========== ============================================================================================
hello      HELLO_RESULT, once when the zygote has opened the port
agent      {state: "up" or "down", pid, code: exit status or null}
desktop    {windows: [WM_CLASS class, ...]}: the mapped top-level windows, whenever they change
peer       {peer, state: "connected" or "closed", reason}
========== ============================================================================================

HELLO_RESULT is {protocol: LINK_VERSION, version: str, boot_id: str, uptime_s: float, state: "fresh", "identified" or
"running", agent: {state, pid}, peers: [{peer, role, viewer, connected: bool, ufrag, pwd, port}], control: {peer,
viewer}}; ``peers`` lets a restarted gateway rebuild its relay table, and ``control`` who controlled. ``viewer`` is
the gateway's name of who stands behind a peer, and means nothing to the guest. A zygote is fresh until its first
``identify``.

HEALTH is what the guest's health service (health/) has seen last: {parts: {x, wm, chromium, vnc: "ok", "busy",
"hung" or "gone"}, repairs: {part: count}, starts: {part: count}, disk_percent, memory_percent: how full, black:
bool}.
"""

from __future__ import annotations

__all__ = ["CLIPBOARD_POLICIES", "LINK_VERSION", "MAX_LINE_BYTES", "PORT_NAME", "VNC_PORT"]

LINK_VERSION = 1
PORT_NAME = "org.fenster.agent"
"""virtserialport name: /dev/virtio-ports/org.fenster.agent in the guest."""
MAX_LINE_BYTES = 256 * 1024
"""Longest line either side accepts; an SDP answer is about 8 KiB, an exec result 128 KiB."""
VNC_PORT = 5901
CLIPBOARD_POLICIES = ("off", "to_guest", "to_viewer", "both")
"""Which ways a viewer's clipboard and the guest's may be copied. Until a guest is told, "off"."""
