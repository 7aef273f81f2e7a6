/**
 * A test of what gets through, beside the connection and never before it.
 *
 * What costs nothing is tried when the page opens: a WebSocket that ends at once, and what the browser decodes. A path
 * that a picture takes is known to work. The others are tried when somebody asks: each by a peer of its own that ends
 * once it has a path, one after the other, so that a test takes one of the session's few places.
 */
import { sessionUrl } from "../api/watch";
import type { Path } from "../session/rungs";
import type { Access } from "../session/runner";
import { NOTHING_FOUND } from "../session/verdict";
import type { Findings, Result } from "../session/verdict";
import { deletePeer, postOffer, preferred } from "./whep";

/** The gateway's word for a socket that is only tried (gateway/routes/vnc.py). */
const TEST_PROTOCOL = "fenster.test";
const SOCKET_MS = 5_000;
const OFFER_MS = 15_000;
/** From the answer to a path. */
const PATH_MS = 4_000;

export class SelfTest {
  #found: Findings;
  #running = false;

  constructor(
    private readonly access: Access,
    private readonly changed: () => void,
  ) {
    const webrtc = "RTCPeerConnection" in window;
    this.#found = { ...NOTHING_FOUND, webrtc, decoder: webrtc ? decoder() : undefined };
  }

  get found(): Findings {
    return this.#found;
  }

  get running(): boolean {
    return this.#running;
  }

  /** A picture comes by this path. */
  saw(path: Path | null): void {
    if (path !== null && this.#found[path] !== "works") this.#learn({ [path]: "works" });
  }

  /** The network may be another. */
  forget(): void {
    this.#learn({ udp: "unknown", tcp: "unknown", ws: "unknown" });
  }

  async trySocket(): Promise<void> {
    this.#learn({ ws: await socketOpens(this.access) });
  }

  /** Everything anew. Does nothing while it runs. */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.changed();
    try {
      await this.trySocket();
      if (!this.#found.webrtc) return;
      for (const path of ["udp", "tcp"] as const) this.#learn({ [path]: await pathWorks(this.access, path) });
    } finally {
      this.#running = false;
      this.changed();
    }
  }

  #learn(more: Partial<Findings>): void {
    this.#found = { ...this.#found, ...more };
    this.changed();
  }
}

function decoder(): Findings["decoder"] {
  const kinds = (RTCRtpReceiver.getCapabilities("video")?.codecs ?? []).map(({ mimeType }) => mimeType.toLowerCase());
  if (kinds.includes("video/h264")) return "H.264";
  return kinds.includes("video/vp8") ? "VP8" : null;
}

async function socketOpens(access: Access): Promise<Result> {
  const url = new URL(`${sessionUrl(access.id)}/vnc`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, [TEST_PROTOCOL, `fenster.token.${access.token}`]);
  const result = await new Promise<Result>((found) => {
    socket.addEventListener("open", () => {
      found("works");
    });
    socket.addEventListener("error", () => {
      found("fails");
    });
    setTimeout(found, SOCKET_MS, "fails");
  });
  socket.close();
  return result;
}

/** Unknown when the gateway takes no further peer: that says nothing of the network. */
async function pathWorks(access: Access, path: "udp" | "tcp"): Promise<Result> {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  let location: string | null = null;
  try {
    const video = pc.addTransceiver("video", { direction: "recvonly" });
    const codecs = preferred(RTCRtpReceiver.getCapabilities("video")?.codecs ?? []);
    if (codecs.length > 0 && "setCodecPreferences" in video) video.setCodecPreferences(codecs);
    await pc.setLocalDescription(await pc.createOffer());
    const url = `${sessionUrl(access.id)}/whep?transport=${path}`;
    const answer = await postOffer(url, access, pc.localDescription?.sdp ?? "", AbortSignal.timeout(OFFER_MS));
    ({ location } = answer);
    // The gateway has no such path to offer.
    if (!answer.sdp.includes("a=candidate:")) return "fails";
    const reached = new Promise<Result>((found) => {
      pc.addEventListener("iceconnectionstatechange", () => {
        if (pc.iceConnectionState === "connected") found("works");
        if (pc.iceConnectionState === "failed") found("fails");
      });
      setTimeout(found, PATH_MS, "fails");
    });
    await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    return await reached;
  } catch (error) {
    console.warn(`the test by ${path} could not be made`, error);
    return "unknown";
  } finally {
    pc.close();
    if (location !== null) deletePeer(location, access.token);
  }
}
