# What a shell needs to reach the desktop, also one that was not started from it.
export DISPLAY="${DISPLAY:-:1}"
export BROWSER="${BROWSER:-/usr/bin/chromium}"
# Node 20's fetch ignores the proxy variables.
export NODE_OPTIONS="${NODE_OPTIONS:---require=/usr/lib/fenster/node-proxy.cjs}"
if [ "$(id -u)" = 1000 ]; then
  export XAUTHORITY="${XAUTHORITY:-/run/fenster/xauth}"
  export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/1000}"
  export DBUS_SESSION_BUS_ADDRESS="${DBUS_SESSION_BUS_ADDRESS:-unix:path=/run/user/1000/bus}"
fi
