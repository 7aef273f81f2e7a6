/** The part of noVNC 1.7 (docs/API.md) that transport/vnc.ts uses; the package carries no types. */
declare module "@novnc/novnc" {
  export default class RFB extends EventTarget {
    constructor(target: Element, urlOrChannel: string | WebSocket, options?: { shared?: boolean });
    viewOnly: boolean;
    focusOnClick: boolean;
    scaleViewport: boolean;
    showDotCursor: boolean;
    background: string;
    disconnect(): void;
    /** Without `down` the key is pressed and released. */
    sendKey(keysym: number, code: string | null, down?: boolean): void;
  }
}
