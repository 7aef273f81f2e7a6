/** The WebRTC transport: one video and one sound to receive, four data channels, an offer sent at once. */
import { stereo } from "../audio/sdp";
import type { SoundLine } from "../audio/sound";
import type { CrispLine } from "../view/crisp";
import { problemOf } from "../api/http";
import { sessionUrl } from "../api/watch";
import { decode, encode, Malformed } from "../protocol/codec";
import { VERSION } from "../protocol/messages.gen";
import type { Channel, Cursor, FrameTimes, Message } from "../protocol/messages.gen";
import type { Path, Way } from "../session/rungs";
import type { Access, Link, Reports } from "../session/runner";
import { readIce } from "./ice_stats";
import { Liveness } from "./liveness";
import type { Pane, Screen } from "./screen";
import { deletePeer, hasFullChroma, postOffer, preferred } from "./whep";

export interface RtcEvents extends Reports {
  /** The agent's answer to Hello: this viewer's role and the display in px. */
  welcome(controls: boolean, width: number, height: number): void;
  size(width: number, height: number): void;
  /** Whether this page's input counts now; also said when anything else about control has changed. */
  control(controls: boolean): void;
  /** The last of this page's keys that counted, by any of its connections. */
  taken(seq: number): void;
  /** The pointer's shape. */
  cursor(message: Cursor): void;
  /** Where another moves the pointer, as fractions of the display. */
  pointer(x: number, y: number): void;
  /** Whether the picture has a colour for every pixel. */
  crisp(on: boolean): void;
  rtt(ms: number): void;
  /** How a frame came to be; only after {@link RtcTransport.wantTimes}. */
  times(message: FrameTimes): void;
}

const CHANNELS: Readonly<Record<Channel, RTCDataChannelInit>> = {
  input: { ordered: true },
  pointer: { ordered: false, maxRetransmits: 0 },
  control: { ordered: true },
  clipboard: { ordered: true },
};
/**
 * Most that may wait in a channel, in bytes; what comes on top is dropped. Moves: only the newest counts.
 * Input: the link is stuck, and keys typed blind would all fire later; the agent's lease frees what is held.
 */
const MAX_WAITING: Readonly<Record<Channel, number>> = {
  pointer: 512,
  input: 64 * 1024,
  control: 16 * 1024,
  // Its own line keeps it far below (clipboard/channel.ts).
  clipboard: 64 * 1024,
};
/** The answers are the round trip's measure, and what there is to hear of a desktop that stands still. */
const PING_MS = 500;
/** Two pings and more: a connection from which not a packet has come for so long is interrupted, in ms. */
const SILENT_MS = 1_200;
/** So is one that brings packets and no answer, in ms: what is sent does not arrive. Resent ones are late, not lost. */
const UNANSWERED_MS = 4_000;
const CHECK_MS = 200;
/** Without a message for so long the packets are counted, in ms. */
const COUNT_AFTER_MS = 600;
const PATH_MS = 2_000;
/** An offer that is not wanted any more is still heard out, so that its peer can be ended; at most this long, in ms. */
const OFFER_MS = 25_000;

export class RtcTransport implements Link {
  readonly #pc: RTCPeerConnection;
  readonly #sound: RTCRtpTransceiver;
  readonly #channels: Readonly<Record<Channel, RTCDataChannel>>;
  readonly #packets = new Liveness(SILENT_MS, CHECK_MS);
  readonly #answers = new Liveness(UNANSWERED_MS, CHECK_MS);
  #silent = false;
  #pane: Pane | null = null;
  #checking: ReturnType<typeof setInterval> | undefined;
  #path: Path | null = null;
  #pathAt = 0;
  #received = 0;
  #location: string | null = null;
  #pinging: ReturnType<typeof setInterval> | undefined;
  #forgetPainted: () => void = () => undefined;
  #open = true;
  #fullChroma = false;
  readonly #crisp: CrispLine = {
    ask: (on) => {
      this.#say({ type: "Crisp", on });
    },
  };
  /** Messages of the agent that were none. */
  malformed = 0;
  /** Messages not sent because their channel was full or not open. */
  dropped = 0;

  constructor(
    private readonly access: Access,
    private readonly screen: Screen,
    private readonly way: Way,
    private readonly events: RtcEvents,
  ) {
    this.#pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#receiveVideo();
    this.#sound = this.#receiveSound();
    this.#channels = {
      input: this.#channel("input"),
      pointer: this.#channel("pointer"),
      control: this.#channel("control"),
      clipboard: this.#channel("clipboard"),
    };
    this.#channels.control.addEventListener("open", this.#greet);
    this.#channels.control.addEventListener("message", this.#hear);
    // The agent's farewell; without it only ICE's silence tells, seconds later.
    this.#channels.control.addEventListener("close", () => {
      if (this.#open) this.events.connection("closed");
    });
    this.#pc.addEventListener("connectionstatechange", () => {
      if (!this.#open) return;
      if (this.#pc.connectionState === "connected") this.#follow();
      this.events.connection(this.#pc.connectionState);
    });
    this.#pc.addEventListener("iceconnectionstatechange", () => {
      if (this.#open && this.#pc.iceConnectionState === "connected") this.events.progress("reached");
    });
    this.#negotiate().catch((error: unknown) => {
      if (this.#open) this.events.closed({ kind: "refused", problem: problemOf(error) });
    });
  }

  /** For clipboard/channel.ts. */
  get clipboard(): RTCDataChannel {
    return this.#channels.clipboard;
  }

  readonly send = (channel: Channel, data: Uint8Array<ArrayBuffer>): void => {
    const target = this.#channels[channel];
    if (target.readyState !== "open" || target.bufferedAmount > MAX_WAITING[channel]) {
      this.dropped += 1;
      return;
    }
    target.send(data);
  };

  /** Null when the agent sends no sound. From the agent's welcome on. */
  get sound(): SoundLine | null {
    if (this.#sound.currentDirection !== "recvonly") return null;
    return {
      track: this.#sound.receiver.track,
      ask: (on) => {
        this.#say({ type: "Audio", on });
      },
    };
  }

  show(): void {
    this.#pane?.show();
  }

  /** What the connection is made of now, for the self-test. */
  get peer(): RTCPeerConnection {
    return this.#pc;
  }

  /** What the browser knows of the connection. */
  stats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  /** Have the agent say how each frame came to be, or no longer. */
  wantTimes(on: boolean): void {
    this.#say({ type: "WantTimes", on, stamp: stampNow() });
  }

  /** Null when agent and browser have no 4:4:4 in common. From the agent's welcome on. */
  get crisp(): CrispLine | null {
    return this.#fullChroma ? this.#crisp : null;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#pinging);
    clearInterval(this.#checking);
    this.#forgetPainted();
    this.#pane?.release();
    this.#pc.close();
    if (this.#location !== null) deletePeer(this.#location, this.access.token);
  }

  #channel(name: Channel): RTCDataChannel {
    const channel = this.#pc.createDataChannel(name, CHANNELS[name]);
    channel.binaryType = "arraybuffer";
    return channel;
  }

  #receiveVideo(): void {
    const transceiver = this.#pc.addTransceiver("video", { direction: "recvonly" });
    const codecs = preferred(RTCRtpReceiver.getCapabilities("video")?.codecs ?? []);
    if (codecs.length > 0 && "setCodecPreferences" in transceiver) transceiver.setCodecPreferences(codecs);
    // Show each frame as soon as it is there. Chromium obeys the playout-delay header extension instead.
    const receiver: RTCRtpReceiver & { jitterBufferTarget?: number | null; playoutDelayHint?: number | null } =
      transceiver.receiver;
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
    this.#pane = this.screen.pane(new MediaStream([receiver.track]));
    this.#forgetPainted = this.#pane.onPainted(() => {
      if (this.#open) this.events.painted();
    });
  }

  /** From the first offer on, so that turning the sound on negotiates nothing. */
  #receiveSound(): RTCRtpTransceiver {
    const transceiver = this.#pc.addTransceiver("audio", { direction: "recvonly" });
    const codecs = RTCRtpReceiver.getCapabilities("audio")?.codecs ?? [];
    const opus = codecs.filter((codec) => codec.mimeType.toLowerCase() === "audio/opus");
    if (opus.length > 0 && "setCodecPreferences" in transceiver) transceiver.setCodecPreferences(opus);
    return transceiver;
  }

  async #negotiate(): Promise<void> {
    const offer = await this.#pc.createOffer();
    try {
      await this.#pc.setLocalDescription({ type: "offer", sdp: stereo(offer.sdp ?? "") });
    } catch (error) {
      // A browser that takes no edited offer plays one channel.
      console.warn("the browser refused stereo", error);
      await this.#pc.setLocalDescription(offer);
    }
    // At once, without candidates: the gateway would drop them (DESIGN 5).
    const sdp = this.#pc.localDescription?.sdp ?? "";
    const url = `${sessionUrl(this.access.id)}/whep${this.way === "webrtc-udp" ? "?transport=udp" : ""}`;
    const answer = await postOffer(url, this.access, sdp, AbortSignal.timeout(OFFER_MS));
    if (!this.#open) {
      if (answer.location !== null) deletePeer(answer.location, this.access.token);
      return;
    }
    this.#location = answer.location;
    this.events.progress("answered");
    this.#fullChroma = hasFullChroma(answer.sdp);
    await this.#pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  }

  readonly #greet = (): void => {
    this.#say({ type: "Hello", version: VERSION });
    this.#ping();
    this.#pinging = setInterval(this.#ping, PING_MS);
  };

  readonly #ping = (): void => {
    this.#say({ type: "Ping", stamp: stampNow() });
  };

  /** From the connection on: which way it took, and whether anything comes. */
  #follow(): void {
    clearInterval(this.#checking);
    const check = (): void => {
      this.#check().catch((error: unknown) => {
        console.warn("the connection could not be looked at", error);
      });
    };
    this.#checking = setInterval(check, CHECK_MS);
    this.#pathAt = 0;
    check();
  }

  async #check(): Promise<void> {
    const now = performance.now();
    const quiet = this.#packets.silentMs >= COUNT_AFTER_MS;
    if (quiet || now >= this.#pathAt) {
      this.#pathAt = now + (this.#path === null ? 0 : PATH_MS);
      const { path, bytesReceived } = await readIce(this.#pc);
      if (!this.#open) return;
      if (path !== null && path !== this.#path) {
        this.#path = path;
        this.events.path(path);
      }
      if (bytesReceived !== this.#received) this.#packets.heard();
      this.#received = bytesReceived;
    }
    this.#packets.check(now);
    this.#answers.check(now);
    const silent = this.#packets.silent || this.#answers.silent;
    if (silent === this.#silent) return;
    this.#silent = silent;
    if (silent) this.events.silent();
    else this.events.heard();
  }

  #say(message: Message): void {
    this.send("control", encode(message));
  }

  readonly #hear = (event: MessageEvent<unknown>): void => {
    if (!this.#open || !(event.data instanceof ArrayBuffer)) return;
    this.#packets.heard();
    this.#answers.heard();
    let message: Message;
    try {
      message = decode(new Uint8Array(event.data), "control", "to-viewer");
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.malformed += 1;
      return;
    }
    switch (message.type) {
      case "Welcome":
        if (message.version !== VERSION) this.events.closed({ kind: "version" });
        else this.events.welcome(message.controls, message.width, message.height);
        break;
      case "Size":
        this.events.size(message.width, message.height);
        break;
      case "Control":
        this.events.control(message.controls);
        break;
      case "Taken":
        this.events.taken(message.seq);
        break;
      case "Cursor":
        this.events.cursor(message);
        break;
      case "Pointer":
        this.events.pointer(message.x, message.y);
        break;
      case "IsCrisp":
        this.events.crisp(message.on);
        break;
      case "Pong":
        this.events.rtt((stampNow() - message.stamp) >>> 0);
        break;
      case "FrameTimes":
        this.events.times(message);
        break;
      case "Instant":
        // For those who join the guest's clock with theirs.
        break;
      default:
        // The codec lets no other type through in this direction.
        this.malformed += 1;
    }
  };
}

/** Milliseconds as a u32 that wraps. */
function stampNow(): number {
  return Math.round(performance.now()) >>> 0;
}
