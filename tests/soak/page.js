// Runs in the viewer page before its own scripts and looks from outside at what the page does: each painted frame, each
// change of the marker, each loss. `fensterSoak.take()` gives out what was seen since the last call, however long ago.
(() => {
  const NOVNC = "$TRANSPORT" === "novnc";
  const now = () => performance.timeOrigin + performance.now();
  // Where the marker is; how often it was seen to change, ever.
  const soak = { place: null, changes: 0 };
  window.fensterSoak = soak;

  // Counts one kind of event, and the longest time without one; an event that is still awaited counts with what it has
  // taken so far.
  const counter = () => {
    let last = null, count = 0, longest = 0, at = null;
    const gap = (moment) => {
      if (last !== null && moment - last > longest) [longest, at] = [moment - last, moment];
    };
    return {
      begin: () => { [last, count, longest, at] = [now(), 0, 0, null]; },
      note: () => { const moment = now(); gap(moment); last = moment; count += 1; },
      take: () => {
        const moment = now();
        gap(moment);
        const seen = { count, longest, at: at ?? moment };
        [count, longest, at] = [0, 0, null];
        return seen;
      },
    };
  };
  const frames = counter(), answers = counter();

  let troubles = [];
  const trouble = (what) => { if (troubles.length < 100) troubles.push({ at: now(), what }); };
  window.addEventListener("error", (event) => { trouble(`page error: ${event.message}`); });
  window.addEventListener("unhandledrejection", (event) => { trouble(`unhandled rejection: ${event.reason}`); });

  // Ends of connections; the page is never left, so none is meant.
  if (NOVNC) {
    delete window.RTCPeerConnection;
    window.WebSocket = new Proxy(window.WebSocket, {
      construct(native, given) {
        const socket = new native(...given);
        socket.addEventListener("close", ({ code }) => { trouble(`WebSocket closed (${code})`); });
        return socket;
      },
    });
  } else {
    window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
      construct(native, given) {
        const peer = new native(...given);
        peer.addEventListener("connectionstatechange", () => {
          const state = peer.connectionState;
          if (state === "failed" || state === "disconnected") trouble(`peer ${state}`);
        });
        return peer;
      },
    });
  }
  // What the page says of itself. A picture that it calls frozen for a moment, and that goes on by the same way, is
  // counted; one that does not is a trouble.
  const FROZEN_MS = 5000;
  let way = null, held = null, frozenAt = null, frozen = 0;
  const freeze = () => {
    const length = now() - frozenAt;
    if (length > FROZEN_MS) trouble(`picture frozen for ${(length / 1000).toFixed(1)} s`);
    else frozen += 1;
    frozenAt = null;
  };
  document.addEventListener("DOMContentLoaded", () => {
    const root = document.documentElement;
    new MutationObserver(() => {
      const { picture, transport, control } = root.dataset;
      if (way === null) {
        if (picture === "live" && control === "me") [way, held] = [transport, control];
        return;
      }
      if (picture !== "live") frozenAt ??= now();
      else if (frozenAt !== null) freeze();
      if (transport !== way) trouble(`${way} became ${(way = transport)}`);
      if (control !== held) trouble(`control: ${(held = control)}`);
    }).observe(root, { attributeFilter: ["data-picture", "data-transport", "data-control"] });
  });

  // The marker's patch is black or white, in its middle.
  const pixel = document.createElement("canvas");
  pixel.width = pixel.height = 1;
  const context = pixel.getContext("2d", { willReadFrequently: true });
  let white = null;
  const look = (from) => {
    frames.note();
    const width = from.videoWidth || from.width, height = from.videoHeight || from.height;
    if (soak.place === null || !width) return;
    context.drawImage(from, Math.floor(soak.place[0] * width), Math.floor(soak.place[1] * height), 1, 1, 0, 0, 1, 1);
    const is = context.getImageData(0, 0, 1, 1).data[1] > 127;
    if (white !== null && is !== white) {
      answers.note();
      soak.changes += 1;
    }
    white = is;
  };
  if (NOVNC) {
    // noVNC draws elsewhere, and then what has changed onto the canvas that is seen.
    const draw = CanvasRenderingContext2D.prototype.drawImage;
    CanvasRenderingContext2D.prototype.drawImage = function (...given) {
      draw.apply(this, given);
      if (this.canvas.closest?.("#vnc")) look(this.canvas);
    };
  } else {
    let watched = null;
    const step = () => {
      if (watched === null) return;
      look(watched);
      watched.requestVideoFrameCallback(step);
    };
    setInterval(() => {
      const video = document.querySelector("#video");
      if (video === watched) return;
      watched = video;
      watched?.requestVideoFrameCallback(step);
    }, 100);
  }

  /** What was before is forgotten, and awaited from now on. */
  soak.begin = () => {
    frames.begin();
    answers.begin();
    [troubles, frozen] = [[], 0];
  };
  soak.take = () => {
    if (frozenAt !== null && now() - frozenAt > FROZEN_MS) freeze();
    const seen = { frames: frames.take(), answers: answers.take(), troubles, frozen };
    [troubles, frozen] = [[], 0];
    return seen;
  };
})();
