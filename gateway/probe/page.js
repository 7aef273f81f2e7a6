// Runs in the viewer page before its own scripts. It looks at what the page does (data channel, connection, pixels) from
// outside, so that the viewer needs no switch for it. Instants are performance.now(), in ms.
(() => {
  const NOVNC = "$TRANSPORT" === "novnc";
  const probe = { control: null, pc: null, heard: [], pictures: [], bytes: 0, frames: [], socket: null };
  window.fensterProbe = probe;
  const KEEP = 512;
  const keep = (list, one) => { list.push(one); if (list.length > KEEP) list.shift(); };

  // By noVNC: a browser without WebRTC.
  if (NOVNC) {
    delete window.RTCPeerConnection;
    // A socket of the browser's own kind: noVNC looks at what its prototype has.
    window.WebSocket = new Proxy(window.WebSocket, {
      construct(native, given) {
        const socket = (probe.socket = new native(...given));
        socket.addEventListener("message", ({ data }) => { probe.bytes += data.byteLength ?? data.length; });
        return socket;
      },
    });
  } else {
    const open = RTCPeerConnection.prototype.createDataChannel;
    RTCPeerConnection.prototype.createDataChannel = function (label, ...more) {
      const channel = open.call(this, label, ...more);
      if (label === "control") {
        probe.control = channel;
        probe.pc = this;
        channel.addEventListener("message", ({ data }) => {
          keep(probe.heard, { at: performance.now(), bytes: Array.from(new Uint8Array(data)) });
        });
      }
      return channel;
    };
  }

  // When there was a picture, and by what.
  const note = () => {
    // A picture whose connection was lost stays, frozen.
    const { picture, transport } = document.documentElement.dataset;
    const last = probe.pictures.at(-1);
    if (picture === "live" && (last === undefined || last.gone !== null || last.transport !== transport)) {
      if (last !== undefined && last.gone === null) last.gone = performance.now();
      probe.pictures.push({ at: performance.now(), transport, gone: null });
    } else if (picture !== "live" && last !== undefined && last.gone === null) last.gone = performance.now();
  };
  document.addEventListener("DOMContentLoaded", () => {
    note();
    new MutationObserver(note).observe(document.documentElement, { attributeFilter: ["data-picture", "data-transport"] });
  });

  probe.shows = (transport) => {
    const last = probe.pictures.at(-1);
    return last?.gone === null && last.transport === transport;
  };

  // What the desktop's element shows at a place, as fractions of the display.
  const shown = () => (NOVNC ? document.querySelector("#vnc canvas") : document.querySelector("#video"));
  const pixel = document.createElement("canvas");
  pixel.width = pixel.height = 1;
  const context = pixel.getContext("2d", { willReadFrequently: true });
  const grey = (place) => {
    const from = shown();
    const width = from?.videoWidth || from?.width, height = from?.videoHeight || from?.height;
    if (!width || !height) return null;
    context.drawImage(from, Math.floor(place.x * width), Math.floor(place.y * height), 1, 1, 0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    // One of the marker's four.
    return Math.round((red + green + blue) / 3 / 85);
  };
  // Calls look(callback's time, frame's metadata) for each frame that is painted, until it says false.
  const each = (look) => {
    if (NOVNC) {
      const step = () => { if (look(performance.now(), null)) requestAnimationFrame(step); };
      requestAnimationFrame(step);
    } else {
      const video = shown();
      const step = (_, frame) => { if (look(performance.now(), frame)) video.requestVideoFrameCallback(step); };
      video.requestVideoFrameCallback(step);
    }
  };

  /** Where to press, in CSS px of the page. */
  probe.where = (place) => {
    const from = shown(), box = from.getBoundingClientRect();
    const width = from.videoWidth || from.width, height = from.videoHeight || from.height;
    const scale = Math.min(box.width / width, box.height / height);
    const left = box.x + (box.width - width * scale) / 2, top = box.y + (box.height - height * scale) / 2;
    return [left + place.x * width * scale, top + place.y * height * scale];
  };

  let pressed = null;
  for (const type of ["pointerdown", "keydown"]) {
    window.addEventListener(type, () => { pressed ??= performance.now(); }, true);
  }
  /** From now on looks for a press and the change that it makes: `found`, or null when there was none within the limit. */
  probe.arm = (place, limit) => { probe.found = answer(place, limit); };
  const answer = (place, limit) => new Promise((resolve) => {
    pressed = null;
    const was = grey(place);
    const over = performance.now() + limit;
    let done = false;
    const end = (found) => { if (!done) { done = true; resolve(found); } };
    setTimeout(() => { end(null); }, limit);
    each((now, frame) => {
      if (done || now > over) return false;
      if (pressed === null || grey(place) === was) return true;
      const seen = performance.now();
      end({
        pressed, seen,
        frame: frame === null ? null : { rtp: frame.rtpTimestamp, received: frame.receiveTime, presented: frame.presentationTime },
      });
      return false;
    });
  });
  /** Counts changes at a place. */
  probe.watch = async (place, duration) => {
    const counted = async () => {
      if (NOVNC) return { bytes: probe.bytes, packets: 0, lost: 0 };
      const found = { bytes: 0, packets: 0, lost: 0 };
      for (const one of (await probe.pc.getStats()).values()) {
        if (one.type !== "inbound-rtp" || one.kind !== "video") continue;
        found.bytes += one.bytesReceived + one.headerBytesReceived;
        found.packets += one.packetsReceived;
        found.lost += one.packetsLost;
      }
      return found;
    };
    const before = await counted(), began = performance.now();
    let changes = 0, was = grey(place);
    await new Promise((resolve) => {
      setTimeout(resolve, duration);
      each((now) => {
        const is = grey(place);
        if (is !== was) changes += 1;
        was = is;
        return now < began + duration;
      });
    });
    const elapsed = performance.now() - began, after = await counted();
    return { elapsed, changes, ...Object.fromEntries(Object.keys(before).map((key) => [key, after[key] - before[key]])) };
  };
  /** Sends bytes to the agent; when that was. */
  probe.say = (bytes) => {
    probe.control.send(new Uint8Array(bytes));
    return performance.now();
  };
  /** What came from the agent since the last call. */
  probe.listen = () => probe.heard.splice(0);
  /** A call of the gateway's API, and when it was sent and answered. */
  probe.call = async (method, path, key, body) => {
    const sent = performance.now();
    const response = await fetch(path, {
      method, headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const answer = await response.json();
    return { sent, back: performance.now(), ok: response.ok, answer };
  };
})();
