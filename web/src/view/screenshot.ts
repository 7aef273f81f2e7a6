/** A picture of what is shown, saved as a PNG. */
import { save } from "./dom";

/** "fenster-s1-20261129-153012.png", in local time. Pure. */
export function fileName(id: string, when: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${when.getFullYear()}${two(when.getMonth() + 1)}${two(when.getDate())}`;
  return `fenster-${id}-${day}-${two(when.getHours())}${two(when.getMinutes())}${two(when.getSeconds())}.png`;
}

/** What the video shows, or noVNC's canvas below `vnc`. Nothing happens while nothing is shown. */
export function saveScreenshot(id: string, video: HTMLVideoElement, vnc: HTMLElement, transport: "webrtc" | "novnc" | null): void {
  const canvas = transport === "webrtc" ? ofVideo(video) : vnc.querySelector("canvas");
  canvas?.toBlob((blob) => {
    if (blob !== null) save(blob, fileName(id, new Date()));
  }, "image/png");
}

function ofVideo(video: HTMLVideoElement): HTMLCanvasElement | null {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  if (context === null || canvas.width === 0) return null;
  context.drawImage(video, 0, 0);
  return canvas;
}
