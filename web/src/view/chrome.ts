/** What stands around and over the picture: the bar that hides itself, its menu, the picture's size, the figures. */
import type { InputHub } from "../input/hub";
import type { FrameTimes } from "../protocol/messages.gen";
import { warningOf } from "../session/describe";
import { exitTrouble } from "../session/exit";
import { isPainted, transportOf } from "../session/machine";
import type { State } from "../session/machine";
import type { Standing } from "../session/standing";
import { whyNotWebrtc } from "../session/why";
import type { RtcTransport } from "../transport/rtc";
import { Bar } from "./bar";
import type { CursorView } from "./cursor";
import { Menu } from "./menu";
import { ScaleView } from "./scale";
import { saveScreenshot } from "./screenshot";
import { SidePanel } from "./side";
import { Stats } from "./stats";

export class Chrome {
  readonly #bar: Bar;
  readonly #scale: ScaleView;
  readonly #stats = new Stats();
  readonly #menu: Menu;
  #state: State | null = null;
  #id = "";

  /** `scaled`: {@link fits} has changed, for who draws a picture of its own. */
  constructor(
    stage: HTMLElement,
    video: HTMLVideoElement,
    vnc: HTMLElement,
    input: InputHub,
    cursor: CursorView,
    scaled: () => void,
  ) {
    const focus = (): void => {
      input.focus();
    };
    this.#bar = new Bar(stage, focus);
    this.#scale = new ScaleView(stage, video, scaled);
    this.#menu = new Menu(input, this.#scale, this.#stats, {
      screenshot: () => {
        if (this.#state !== null) saveScreenshot(this.#id, video, vnc, transportOf(this.#state.phase));
      },
      focus,
    });
    SidePanel.anyOpen = (open) => {
      this.#bar.hold("panel", open);
    };
    input.pointer.roams = (place) => {
      cursor.roam(place);
      if (place !== null) this.#scale.reveal(place);
    };
  }

  /** Is the picture fitted into the window? */
  get fits(): boolean {
    return this.#scale.scale === "fit";
  }

  show(state: State, standing: Standing, id: string): void {
    this.#state = state;
    this.#id = id;
    const painted = isPainted(state.phase);
    this.#menu.show(painted, standing.who === "me", transportOf(state.phase) === "webrtc");
    this.#bar.hold("no-picture", !painted);
    this.#bar.announce(painted ? `${standing.text} ${warningOf(state)}`.trim() : "");
  }

  /** The agent's word on a frame. */
  readonly times = (message: FrameTimes): void => {
    this.#stats.times(message);
  };

  /** Once a second; `rtc` is the connection of the state's attempt, if it is one. */
  async figures(state: State, rttMs: number | null, rtc: RtcTransport | null | undefined): Promise<void> {
    const transport = isPainted(state.phase) ? transportOf(state.phase) : null;
    const direct = transport === "webrtc";
    await this.#stats.tick({
      transport,
      why: state.why === null ? "" : whyNotWebrtc(state.why),
      rttMs: direct ? rttMs : null,
      exit: exitTrouble(state.session?.egress ?? null),
      rtc: direct ? (rtc ?? null) : null,
    });
  }
}
