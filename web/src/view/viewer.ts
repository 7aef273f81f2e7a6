/** The viewer page's composition root: joins the machine, the transports, input and the view. */
import { claim, roleOf } from "../api/credentials";
import type { Role } from "../api/types";
import { InputHub } from "../input/hub";
import type { Sinks } from "../input/hub";
import { MessageSink, RfbKeySink } from "../input/sink";
import { panelOf } from "../session/describe";
import { isPainted, transportOf } from "../session/machine";
import type { State } from "../session/machine";
import { Runner } from "../session/runner";
import type { Access, Opener } from "../session/runner";
import { RtcTransport } from "../transport/rtc";
import { VncTransport } from "../transport/vnc";
import { CursorView } from "./cursor";
import { byId } from "./dom";
import { wireButtons } from "./buttons";
import { PanelView } from "./panel";
import { StatusBar } from "./status";

const TICK_MS = 100;
const FIGURES_MS = 1_000;

class Viewer {
  readonly #video = byId("video", HTMLVideoElement);
  readonly #vnc = byId("vnc", HTMLElement);
  readonly #field = byId("keys", HTMLTextAreaElement);
  readonly #input = new InputHub(this.#field, byId("stage", HTMLElement), this.#video);
  readonly #cursor = new CursorView(this.#video, () => ({ width: this.#video.videoWidth, height: this.#video.videoHeight }));
  readonly #panel = new PanelView(byId("panel", HTMLElement), (does) => {
    if (does === "list") location.assign("/");
    else this.#ask(does);
  });
  readonly #bar = new StatusBar(() => {
    this.#ask("again");
  });
  readonly #runner: Runner;
  /** What the token states, until the agent says what it grants. */
  #role: Role | null;
  #rttMs: number | null = null;
  #frames = 0;
  /** Where input would go, for each open attempt that takes it. */
  readonly #sinks = new Map<number, Sinks>();
  #routed: Sinks | null = null;

  constructor(private readonly access: Access) {
    this.#role = roleOf(access.token);
    this.#runner = new Runner(access, { webrtc: this.#openWebrtc, novnc: this.#openNovnc }, (state) => {
      this.#show(state);
    });
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

  start(): void {
    this.#runner.dispatch({ type: "visible", visible: document.visibilityState === "visible" });
    // performance.now() counts from the page's opening.
    this.#runner.dispatch({ type: "start", openedAt: 0 });
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
      if (event.persisted) dispatch({ type: "start", openedAt: performance.now() });
    });
  }

  #ask(type: "again" | "wake"): void {
    this.#runner.dispatch({ type });
    this.#input.focus();
  }

  readonly #openWebrtc: Opener = (attempt, dispatch) => {
    this.#frames = 0;
    this.#rttMs = null;
    if (!("RTCPeerConnection" in window)) {
      dispatch({ type: "closed", attempt, why: { kind: "unsupported" } });
      return { close: () => undefined };
    }
    const rtc = new RtcTransport(this.access, this.#video, {
      painted: () => {
        dispatch({ type: "painted", attempt });
      },
      progress: (sign) => {
        dispatch({ type: "progress", attempt, sign });
      },
      connection: (state) => {
        dispatch({ type: "connection", attempt, state });
      },
      closed: (why) => {
        dispatch({ type: "closed", attempt, why });
      },
      welcome: (controls, width, height) => {
        this.#role = controls ? "control" : "view";
        this.#input.size = { width, height };
        this.#cursor.reset(controls);
        const sink = new MessageSink(rtc.send);
        this.#sinks.set(attempt, { keys: sink, pointer: sink });
        this.#show(this.#runner.state);
      },
      size: (width, height) => {
        this.#input.size = { width, height };
      },
      cursor: (message) => {
        this.#cursor.show(message);
      },
      pointer: (x, y) => {
        this.#cursor.point({ x, y });
      },
      rtt: (ms) => {
        this.#rttMs = ms;
      },
    });
    return {
      close: () => {
        this.#unroute(attempt);
        rtc.close();
      },
    };
  };

  readonly #openNovnc: Opener = (attempt, dispatch) => {
    const vnc = new VncTransport(this.access, this.#vnc, {
      painted: () => {
        vnc.viewOnly = this.#role === "view";
        this.#sinks.set(attempt, { keys: new RfbKeySink(vnc.sendKey), pointer: null });
        dispatch({ type: "painted", attempt });
      },
      closed: (detail) => {
        dispatch({ type: "closed", attempt, why: { kind: "closed", detail } });
      },
    });
    return {
      close: () => {
        this.#unroute(attempt);
        vnc.close();
      },
    };
  };

  /** Input follows the picture: a transport that is only being tried gets none. */
  #route(state: State): void {
    const sinks = "attempt" in state.phase ? (this.#sinks.get(state.phase.attempt) ?? null) : null;
    if (sinks === this.#routed) return;
    this.#routed = sinks;
    this.#input.connect(sinks);
  }

  /** Before a transport closes: what is held must be released through it. */
  #unroute(attempt: number): void {
    const sinks = this.#sinks.get(attempt);
    this.#sinks.delete(attempt);
    if (sinks === undefined || sinks !== this.#routed) return;
    this.#routed = null;
    this.#input.connect(null);
  }

  #show(state: State): void {
    this.#route(state);
    const transport = transportOf(state.phase);
    const page = document.documentElement.dataset;
    page["transport"] = transport ?? "none";
    page["state"] = state.session?.state ?? "unknown";
    page["painted"] = String(isPainted(state.phase));
    page["role"] = this.#role ?? "unknown";
    this.#input.allowed = this.#role !== "view";
    this.#panel.show(panelOf(state));
    this.#bar.show(state, this.#role);
    document.title = state.session === null ? "Fenster" : `${state.session.id} · Fenster`;
  }

  readonly #tick = (): void => {
    const since = this.#runner.state.session?.createdAt ?? Number.NaN;
    const elapsed = (Date.now() - since) / 1000;
    // A clock that differs from the gateway's by more than a session's start would only mislead.
    if (elapsed >= 0 && elapsed < 3600) this.#panel.tick(elapsed);
  };

  readonly #figures = (): void => {
    const { phase } = this.#runner.state;
    if (phase.name !== "webrtc" || !phase.painted) return;
    const frames = this.#video.getVideoPlaybackQuality().totalVideoFrames;
    this.#bar.figures(Math.max(0, frames - this.#frames), this.#rttMs);
    this.#frames = frames;
  };
}

const id = decodeURIComponent(/^\/s\/([^/]+)/.exec(location.pathname)?.[1] ?? "");
// A link pasted over this one changes only the fragment.
window.addEventListener("hashchange", () => {
  location.reload();
});
new Viewer({ id, token: claim("token", `fenster.token.${id}`) }).start();
