// Runs in the page of every product: from the DOM event of a press to the animation frame in which the changed pixel can
// be read. PICTURE is replaced by an expression that gives the element which shows the desktop.
({ x, y }) => {
  const probe = document.createElement("canvas");
  probe.width = probe.height = 1;
  const context = probe.getContext("2d", { willReadFrequently: true });
  const element = () => PICTURE;
  const bright = (from) => {
    const width = from.videoWidth || from.width, height = from.videoHeight || from.height;
    if (!width) return null;
    context.drawImage(from, Math.floor(x * width), Math.floor(y * height), 1, 1, 0, 0, 1, 1);
    const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
    return red + green + blue > 382;
  };
  const photon = { pressed: null, was: null, done: null, frames: 0, changes: 0 };
  // Before any listener of the product.
  for (const type of ["pointerdown", "keydown"]) {
    window.addEventListener(type, () => { if (photon.pressed === 0) photon.pressed = performance.now(); }, true);
  }
  const look = () => {
    const from = element();
    const now = from ? bright(from) : null;
    photon.frames += 1;
    if (now === null || now === photon.was) return;
    photon.was = now;
    photon.changes += 1;
    if (photon.pressed) {
      photon.done?.(performance.now() - photon.pressed);
      photon.pressed = null;
    }
  };
  const followVideo = (video) => {
    const step = () => { look(); if (photon.on) video.requestVideoFrameCallback(step); };
    video.requestVideoFrameCallback(step);
  };
  const followCanvas = () => {
    const step = () => { look(); if (photon.on) requestAnimationFrame(step); };
    requestAnimationFrame(step);
  };
  photon.on = true;
  const from = element();
  photon.was = from ? bright(from) : null;
  if (from instanceof HTMLVideoElement) followVideo(from); else followCanvas();
  // Resolves with the milliseconds, or with null after the limit.
  photon.expect = (limit) => new Promise((resolve) => {
    photon.pressed = 0;
    const timer = setTimeout(() => { photon.pressed = null; photon.done = null; resolve(null); }, limit);
    photon.done = (ms) => { clearTimeout(timer); photon.done = null; resolve(ms); };
  });
  window.photon = photon;
}
