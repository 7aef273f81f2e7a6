/** The viewer page's composition root: joins the machine, the transports, input and the view. */
import "../words/start";
import { roleOf } from "../api/credentials";
import { nameOf } from "../api/viewer_id";
import type { Problem, Role } from "../api/types";
import { Sound } from "../audio/sound";
import type { SoundLine } from "../audio/sound";
import { ChannelLine } from "../clipboard/channel";
import { HttpLine } from "../clipboard/http_line";
import { ClipboardHub } from "../clipboard/hub";
import { ClipboardPanel } from "../clipboard/panel";
import { FilesPanel } from "../files/panel";
import { InputHub } from "../input/hub";
import type { KeyOp } from "../input/keyboard";
import { MessageSink, RfbKeySink } from "../input/sink";
import { disconnected, panelOf } from "../session/describe";
import { isPainted, pathOf, transportOf } from "../session/machine";
import type { State } from "../session/machine";
import { followNetwork } from "../session/network";
import { reports, Runner } from "../session/runner";
import type { Access, Opener } from "../session/runner";
import { standingOf } from "../session/standing";
import { RtcTransport } from "../transport/rtc";
import { Screen } from "../transport/screen";
import { VncTransport } from "../transport/vnc";
import type { Audience } from "./audience";
import { Chrome } from "./chrome";
import { Crisp } from "./crisp";
import { CursorFeed, CursorView } from "./cursor";
import { byId } from "./dom";
import { wireButtons } from "./buttons";
import { ConnectionPanel } from "./connection";
import { ControlView } from "./control";
import { PanelView } from "./panel";
import { HANDOVER_MS, Routing } from "./routing";
import { StatusBar } from "./status";

const TICK_MS = 100;
const FIGURES_MS = 1_000;

export class Viewer {
  readonly #video = byId("video", HTMLVideoElement);
  readonly #screen = new Screen(this.#video);
  readonly #vnc = byId("vnc", HTMLElement);
  readonly #field = byId("keys", HTMLTextAreaElement);
  readonly #clipboard: ClipboardHub = new ClipboardHub(this.#field, {
    changed: () => {
      this.#clipboardPanel.show();
      this.audience?.copied(this.#clipboard.guest);
    },
  });
  readonly #input = new InputHub(this.#field, byId("stage", HTMLElement), this.#video, this.#clipboard.passes);
  readonly #clipboardPanel = new ClipboardPanel(this.#clipboard);
  readonly #files: FilesPanel;
  readonly #cursor = new CursorView(this.#video, () => ({ width: this.#video.videoWidth, height: this.#video.videoHeight }));
  readonly #vncCursor = new CursorView(this.#vnc, () => this.#vnc.querySelector("canvas") ?? { width: 0, height: 0 });
  readonly #panel = new PanelView(byId("panel", HTMLElement), (does) => {
    if (does === "list") location.assign("/");
    else this.#ask(does);
  });
  readonly #bar = new StatusBar(() => {
    this.#ask("again");
  });
  readonly #chrome = new Chrome(byId("stage", HTMLElement), this.#video, this.#vnc, this.#input, this.#cursor, () => {
    if (this.#vncLink !== null) this.#vncLink.fits = this.#chrome.fits;
  });
  readonly #connection: ConnectionPanel;
  readonly #control: ControlView;
  readonly #runner: Runner;
  /** What the token states, until the agent says what it grants. */
  #role: Role | null;
  #rttMs: number | null = null;
  #frames = 0;
  readonly #lines = new Map<number, SoundLine | null>();
  readonly #sound: Sound;
  readonly #crisp: Crisp;
  readonly #routing = new Routing(this.#input, this.#clipboard);
  /** Of noVNC: told by the session what may be copied, where the agent tells the others. */
  readonly #httpLines = new Set<HttpLine>();
  #vncLink: VncTransport | null = null;
  #off = false;
  #readOnly = false;
  #settling: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly access: Access,
    private readonly audience: Audience | null = null,
  ) {
    this.#role = roleOf(access.token);
    const [button, audio] = [byId("sound", HTMLButtonElement), byId("listen", HTMLAudioElement)];
    this.#sound = new Sound(button, audio, `fenster.sound.${access.id}`);
    this.#crisp = new Crisp(byId("crisp", HTMLButtonElement), `fenster.crisp.${access.id}`);
    this.#connection = new ConnectionPanel(access);
    this.#files = new FilesPanel(access, byId("stage", HTMLElement));
    this.#control = new ControlView(access, byId("stage", HTMLElement), () => {
      this.#runner.dispatch({ type: "news" });
    });
    this.#runner = new Runner(access, { webrtc: this.#openWebrtc, novnc: this.#openNovnc }, (state) => {
      this.#show(state);
    });
    this.#routing.unheard.onChange = () => {
      document.documentElement.dataset["keys"] = this.#routing.unheard.size === 0 ? "heard" : "waiting";
    };
    this.#video.addEventListener("resize", () => {
      this.#input.picture = { width: this.#video.videoWidth, height: this.#video.videoHeight };
    });
    wireButtons(this.#field, () => {
      this.#input.focus();
    });
    this.#followPage();
    setInterval(this.#tick, TICK_MS);
    setInterval(this.#figures, FIGURES_MS);
  }

  /** Begin, or begin again; `openedAt` in ms since the page was opened. */
  start(openedAt = 0): void {
    this.#off = false;
    this.#role = roleOf(this.access.token);
    this.#runner.dispatch({ type: "visible", visible: document.visibilityState === "visible" });
    this.#runner.dispatch({ type: "start", openedAt });
    this.#connection.start();
  }

  /** There is no credential to begin with. */
  refuse(problem: Problem): void {
    this.#runner.dispatch({ type: "watch-ended", problem });
  }

  /** Take the picture away until {@link start}. */
  leave(): void {
    this.#off = true;
    this.#runner.dispatch({ type: "leave" });
  }

  get readOnly(): boolean {
    return this.#readOnly;
  }

  /** This page's input does not count, though it may. */
  set readOnly(readOnly: boolean) {
    this.#readOnly = readOnly;
    this.#routing.readOnly = readOnly;
    this.#show(this.#runner.state);
  }

  get clipboard(): ClipboardHub {
    return this.#clipboard;
  }

  /** The element with the picture; null while there is none. */
  get picture(): HTMLVideoElement | HTMLCanvasElement | null {
    const { phase } = this.#runner.state;
    if (!isPainted(phase)) return null;
    return transportOf(phase) === "webrtc" ? this.#video : this.#vnc.querySelector("canvas");
  }

  /** Press keys for the page around this one. False when this page's input does not count. */
  press(ops: readonly KeyOp[]): boolean {
    return this.#routing.press(ops);
  }

  /** The gateway was told something, so the session is another now. */
  hearNews(): void {
    this.#runner.dispatch({ type: "news" });
  }

  #followPage(): void {
    const { dispatch } = this.#runner;
    document.addEventListener("visibilitychange", () => {
      dispatch({ type: "visible", visible: document.visibilityState === "visible" });
    });
    window.addEventListener("pagehide", () => {
      dispatch({ type: "leave" });
    });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted && !this.#off) dispatch({ type: "start", openedAt: performance.now() });
    });
    followNetwork(() => {
      this.#connection.forget();
      dispatch({ type: "network" });
    });
  }

  #ask(type: "again" | "wake"): void {
    if (this.#off) this.start(performance.now());
    else this.#runner.dispatch({ type });
    this.#input.focus();
  }

  readonly #openWebrtc: Opener = (attempt, dispatch, way) => {
    if (!("RTCPeerConnection" in window)) {
      dispatch({ type: "closed", attempt, why: { kind: "unsupported" } });
      return { show: () => undefined, close: () => undefined };
    }
    const isFront = (): boolean => "attempt" in this.#runner.state.phase && this.#runner.state.phase.attempt === attempt;
    const cursor = new CursorFeed(this.#cursor, isFront);
    const rtc = new RtcTransport(this.access, this.#screen, way, {
      ...reports(attempt, dispatch),
      welcome: (controls, width, height) => {
        this.#role = controls ? "control" : "view";
        this.#input.size = { width, height };
        cursor.welcome(controls);
        this.#lines.set(attempt, rtc.sound);
        this.#crisp.connect(controls ? rtc.crisp : null);
        this.#routing.open(attempt, { keys: this.#clipboard.gate(sink), pointer: sink, speaker: sink, clipboard: line, rtc });
        this.#show(this.#runner.state);
      },
      size: (width, height) => {
        this.#input.size = { width, height };
      },
      control: (controls) => {
        sink.counts = controls;
        this.#hearControl(attempt, controls);
      },
      taken: (seq) => {
        this.#routing.unheard.taken(seq);
      },
      cursor: (message) => {
        cursor.take(message);
      },
      pointer: (x, y) => {
        cursor.point({ x, y });
      },
      crisp: (on) => {
        this.#crisp.hear(on);
      },
      rtt: (ms) => {
        if (isFront()) this.#rttMs = ms;
      },
      times: this.#chrome.times,
    });
    const sink = new MessageSink(rtc.send, this.#routing.unheard);
    const line = new ChannelLine(rtc.clipboard);
    return {
      show: () => {
        rtc.show();
        cursor.show();
      },
      close: () => {
        this.#lines.delete(attempt);
        this.#closeRoute(attempt);
        line.close();
        rtc.close();
        this.#crisp.disconnect(rtc.crisp);
      },
    };
  };

  readonly #openNovnc: Opener = (attempt, dispatch) => {
    this.#vncCursor.reset(false);
    const vnc = new VncTransport(this.access, this.#vnc, this.#screen, {
      ...reports(attempt, dispatch),
      painted: () => {
        const speaker = new RfbKeySink(vnc.sendKey, this.#routing.unheard);
        this.#routing.open(attempt, { keys: this.#clipboard.gate(speaker), pointer: null, speaker, clipboard: line, rtc: null });
        dispatch({ type: "painted", attempt });
      },
      control: (controls) => {
        this.#hearControl(attempt, controls);
      },
      cursor: (shape) => {
        this.#vncCursor.wear(shape);
      },
      pointer: (place) => {
        this.#vncCursor.point(place);
      },
    });
    const line = new HttpLine(this.access);
    this.#httpLines.add(line);
    return {
      show: () => {
        this.#vncLink = vnc;
        vnc.fits = this.#chrome.fits;
        vnc.show();
      },
      close: () => {
        this.#lines.delete(attempt);
        this.#closeRoute(attempt);
        this.#httpLines.delete(line);
        line.close();
        vnc.close();
        if (this.#vncLink === vnc) this.#vncLink = null;
      },
    };
  };

  #hearControl(attempt: number, controls: boolean): void {
    this.#routing.hear(attempt, controls, performance.now());
    this.#settleLater();
    this.#runner.dispatch({ type: "news" });
  }

  #closeRoute(attempt: number): void {
    this.#routing.close(attempt, performance.now());
    this.#settleLater();
  }

  /** Who controls may look otherwise once no other connection can be about to take over. */
  #settleLater(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#show(this.#runner.state);
    }, HANDOVER_MS + TICK_MS);
  }

  /** The sound follows the picture too. */
  #listen(state: State): void {
    const { phase } = state;
    const line = "attempt" in phase ? this.#lines.get(phase.attempt) : undefined;
    this.#sound.connect(isPainted(phase) ? transportOf(phase) : null, line);
  }

  #show(state: State): void {
    this.#routing.follow(state);
    const transport = transportOf(state.phase);
    const page = document.documentElement.dataset;
    page["transport"] = transport ?? "none";
    page["state"] = state.session?.state ?? "unknown";
    page["path"] = pathOf(state.phase) ?? "none";
    page["picture"] = !isPainted(state.phase) ? "none" : state.gap === null ? "live" : "frozen";
    page["painted"] = String(isPainted(state.phase));
    page["role"] = this.#role ?? "unknown";
    if (state.phase.name === "waiting" || state.phase.name === "blocked") this.#screen.clear();
    this.#listen(state);
    this.#showControl(state);
    this.#connection.show(state);
    const panel = this.#off ? disconnected() : panelOf(state, this.#connection.verdict);
    // Where to go from here is the affair of the page around this one.
    const bare = this.audience !== null && panel?.action?.does === "list";
    this.#panel.show(bare ? { ...panel, action: null } : panel);
    this.#bar.show(state, this.#role);
    document.title = state.session === null ? "Fenster" : `${state.session.id} · Fenster`;
  }

  /** What the session lets this viewer carry: the clipboard is the controller's, files are the role's. */
  #share(state: State, controls: boolean): void {
    const clipboard = controls ? (state.session?.clipboard ?? "off") : "off";
    const ways = { toGuest: clipboard === "to_guest" || clipboard === "both", toViewer: clipboard === "to_viewer" || clipboard === "both" };
    for (const line of this.#httpLines) line.ways = ways;
    this.#files.allow(this.#role === "control" && !this.#readOnly && state.session?.state === "ready" ? state.session.files : "off");
  }

  #showControl(state: State): void {
    const standing = standingOf(this.#role, nameOf(this.access.viewer), state.session?.control ?? null, this.#routing.live(state, performance.now()));
    const controls = standing.who === "me" && !this.#readOnly;
    document.documentElement.dataset["control"] = standing.who;
    // Off, what is held is released first, which must still go out.
    this.#input.allowed = controls;
    if (this.#readOnly || standing.who === "other") this.#routing.unheard.forget();
    if (this.#vncLink !== null) this.#vncLink.viewOnly = !controls;
    if (controls) this.#routing.sayAgain();
    this.#cursor.controls = this.#vncCursor.controls = controls;
    this.#control.show(standing, isPainted(state.phase), this.#readOnly);
    this.#chrome.show(state, standing, this.access.id);
    this.#share(state, controls);
    this.audience?.shown({ state, role: this.#role, standing, readOnly: this.#readOnly, off: this.#off });
  }

  readonly #tick = (): void => {
    const since = this.#runner.state.session?.createdAt ?? Number.NaN;
    const elapsed = (Date.now() - since) / 1000;
    // A clock that differs from the gateway's by more than a session's start would only mislead.
    if (elapsed >= 0 && elapsed < 3600) this.#panel.tick(elapsed);
  };

  readonly #figures = (): void => {
    const { phase } = this.#runner.state;
    void this.#chrome.figures(this.#runner.state, this.#rttMs, "attempt" in phase ? this.#routing.get(phase.attempt)?.rtc : null);
    if (phase.name !== "webrtc" || !phase.painted) {
      if (isPainted(phase)) this.audience?.figures(null, null);
      return;
    }
    const frames = this.#video.getVideoPlaybackQuality().totalVideoFrames;
    const fps = Math.max(0, frames - this.#frames);
    this.#bar.figures(fps, this.#rttMs);
    this.audience?.figures(fps, this.#rttMs);
    this.#frames = frames;
  };
}
