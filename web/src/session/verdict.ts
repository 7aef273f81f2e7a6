/** What a test of the network has found, in one sentence. Pure. */
import { t } from "../words/words";
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
  if (!found.webrtc) return t("verdict.no-webrtc");
  if (found.decoder === null) return t("verdict.no-decoder");
  if (udp === "works") {
    if (ws === "fails") return t("verdict.udp.no-ws");
    if (found.decoder === "VP8") return t("verdict.udp.vp8");
    return t("verdict.udp");
  }
  if (udp === "unknown" && tcp === "unknown") return ws === "fails" ? t("verdict.untried.no-ws") : t("verdict.untried");
  if (tcp === "works") {
    return udp === "fails"
      ? t("verdict.tcp")
      : t("verdict.tcp.no-test");
  }
  if (udp === "fails" && tcp === "fails") {
    return ws === "fails"
      ? t("verdict.nothing")
      : t("verdict.novnc");
  }
  return udp === "fails" ? t("verdict.no-udp") : t("verdict.no-tcp");
}
