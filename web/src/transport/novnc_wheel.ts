/**
 * The wheel for noVNC, as the video has it.
 *
 * noVNC clicks once for an event of 50 px or more, however many they are, and forgets what is over. It is therefore
 * given events that are worth one click each. x11vnc knows five buttons, so only up and down arrive.
 */
import { Clicks, Wheel } from "../input/wheel";

/** What noVNC 1.7 clicks for (rfb.js, WHEEL_STEP), in px. */
const STEP_PX = 50;

/** `target` holds noVNC's canvas. Events pass as they are while `off` says so. */
export function oneClickEach(target: HTMLElement, off: () => boolean, signal: AbortSignal): void {
  const wheel = new Wheel();
  const clicks = new Clicks();
  const onWheel = (event: WheelEvent): void => {
    const { target: canvas } = event;
    if (!event.isTrusted || canvas === null || off()) return;
    event.preventDefault();
    event.stopPropagation();
    const { x, y } = clicks.turn(wheel.turn(event) ?? { dx: 0, dy: 0 });
    const { clientX, clientY, buttons } = event;
    const about = { bubbles: true, cancelable: true, clientX, clientY, buttons };
    for (let at = 0; at < Math.abs(y); at += 1) {
      canvas.dispatchEvent(new WheelEvent("wheel", { ...about, deltaY: Math.sign(y) * STEP_PX }));
    }
    for (let at = 0; at < Math.abs(x); at += 1) {
      canvas.dispatchEvent(new WheelEvent("wheel", { ...about, deltaX: Math.sign(x) * STEP_PX }));
    }
  };
  target.addEventListener("wheel", onWheel, { capture: true, passive: false, signal });
}
