/** Knowing that a picture was really painted. Needs the DOM. */

/** Calls `painted` once when the first frame is on screen. Returns what gives up waiting. */
export function onVideoPainted(video: HTMLVideoElement, painted: () => void): () => void {
  if ("requestVideoFrameCallback" in video) {
    const handle = video.requestVideoFrameCallback(painted);
    return () => {
      video.cancelVideoFrameCallback(handle);
    };
  }
  // Firefox before 132: data that can be shown, and the frame after it.
  const element: HTMLVideoElement = video;
  let frame = 0;
  const loaded = (): void => {
    frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(painted);
    });
  };
  element.addEventListener("loadeddata", loaded, { once: true });
  return () => {
    element.removeEventListener("loadeddata", loaded);
    cancelAnimationFrame(frame);
  };
}

/**
 * Calls `painted` once when the canvas that noVNC puts into `target` has its first pixels. noVNC has no event
 * for that; its canvas is transparent until the first framebuffer update is drawn.
 */
export function onCanvasPainted(target: Element, painted: () => void): () => void {
  const probe = document.createElement("canvas");
  probe.width = probe.height = 1;
  // A pixel is copied out, so that noVNC's own canvas is never read back and stays on the GPU.
  const context = probe.getContext("2d", { willReadFrequently: true });
  let frame = 0;
  const look = (): void => {
    const canvas = target.querySelector("canvas");
    if (context !== null && canvas !== null && canvas.width > 0 && canvas.height > 0) {
      context.drawImage(canvas, canvas.width >> 1, canvas.height >> 1, 1, 1, 0, 0, 1, 1);
      if (context.getImageData(0, 0, 1, 1).data[3] !== 0) {
        painted();
        return;
      }
    }
    frame = requestAnimationFrame(look);
  };
  frame = requestAnimationFrame(look);
  return () => {
    cancelAnimationFrame(frame);
  };
}
