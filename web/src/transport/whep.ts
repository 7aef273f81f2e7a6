/** WHEP (draft-ietf-wish-whep): an offer for an answer, and the resource that ends the peer. */
import { request } from "../api/http";
import type { Access } from "../session/runner";

export interface WhepAnswer {
  readonly sdp: string;
  /** The peer's own URL; null when the gateway named none. */
  readonly location: string | null;
}

/** Throws ApiError; AbortError when `signal` fires. */
export async function postOffer(url: string, access: Access, sdp: string, signal: AbortSignal): Promise<WhepAnswer> {
  const response = await request(url, access.token, {
    method: "POST",
    viewer: access.viewer,
    body: sdp,
    headers: { "Content-Type": "application/sdp", Accept: "application/sdp" },
    signal,
  });
  const location = response.headers.get("Location");
  return {
    sdp: await response.text(),
    location: location === null ? null : new URL(location, response.url).href,
  };
}

/** Tell the gateway that the peer is gone. It would notice by itself, later: a failure does not matter. */
export function deletePeer(location: string, token: string): void {
  request(location, token, { method: "DELETE", keepalive: true }).catch(() => undefined);
}

/**
 * Codecs in the order to offer them: H.264 packetization-mode 1 (constrained baseline first, the agent's own
 * output), VP8, then the repair formats. Pure.
 */
export function preferred<C extends { readonly mimeType: string; readonly sdpFmtpLine?: string | undefined }>(
  codecs: readonly C[],
): C[] {
  const ranked = codecs.map((codec) => ({ codec, rank: rank(codec) })).filter(({ rank }) => rank !== null);
  return ranked.sort((one, other) => (one.rank ?? 0) - (other.rank ?? 0)).map(({ codec }) => codec);
}

/** Whether an answer lets the agent send H.264 with a colour for every pixel (High 4:4:4 Predictive). Pure. */
export function hasFullChroma(answer: string): boolean {
  return /^a=fmtp:\d+ .*profile-level-id=f4/im.test(answer);
}

function rank(codec: { readonly mimeType: string; readonly sdpFmtpLine?: string | undefined }): number | null {
  const fmtp = codec.sdpFmtpLine ?? "";
  switch (codec.mimeType.toLowerCase()) {
    case "video/h264":
      if (!/packetization-mode=1\b/.test(fmtp)) return null;
      return /profile-level-id=42e0/i.test(fmtp) ? 0 : 1;
    case "video/vp8":
      return 2;
    case "video/rtx":
    case "video/red":
    case "video/ulpfec":
      return 3;
    default:
      return null;
  }
}
