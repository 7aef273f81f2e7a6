/** What a test of the network has found, in one sentence. Pure. */
import type { Path } from "./rungs";

export type Result = "works" | "fails" | "unknown";

export interface Findings extends Readonly<Record<Path, Result>> {
  /** Has this browser WebRTC at all? */
  readonly webrtc: boolean;
  /** The best that it decodes; null for neither, undefined for not asked yet. */
  readonly decoder: "H.264" | "VP8" | null | undefined;
}

export const NOTHING_FOUND: Findings = { udp: "unknown", tcp: "unknown", ws: "unknown", webrtc: true, decoder: undefined };

export function verdictOf(found: Findings): string {
  const { udp, tcp, ws } = found;
  if (!found.webrtc) return "This browser has no WebRTC, so the picture comes by noVNC, which is slower.";
  if (found.decoder === null) return "This browser decodes neither H.264 nor VP8, so the picture comes by noVNC, which is slower.";
  if (udp === "works") {
    if (ws === "fails") return "Video comes the fastest way, by UDP; WebSockets do not get through, so noVNC could not stand in for it.";
    if (found.decoder === "VP8") return "Video comes the fastest way, by UDP, as VP8, since this browser does not decode H.264.";
    return "Video comes the fastest way, by UDP.";
  }
  if (udp === "unknown" && tcp === "unknown") return ws === "fails" ? "WebSockets do not get through; UDP and TCP were not tried yet." : "UDP and TCP were not tried yet.";
  if (tcp === "works") {
    return udp === "fails"
      ? "This network lets no UDP through, so video comes by TCP, which a bad connection delays more."
      : "Video comes by TCP; UDP was not tried yet.";
  }
  if (udp === "fails" && tcp === "fails") {
    return ws === "fails"
      ? "The gateway answers, but neither video nor noVNC gets through; a proxy or firewall keeps them back."
      : "This network lets no video through, neither by UDP nor by TCP, so the picture comes by noVNC, which is slower.";
  }
  return udp === "fails" ? "This network lets no UDP through; TCP was not tried yet." : "TCP does not get through; UDP was not tried yet.";
}
