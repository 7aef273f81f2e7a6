/**
 * Joins the browser's clipboard and the guest's.
 *
 * To the guest: what a paste event brings, when the person presses a paste shortcut (works in every browser, and needs no
 * permission); and what the clipboard holds when the page gets the focus, where the browser lets it look. To the browser:
 * at once while the page has the focus, else with the next gesture. Content that both have already goes nowhere.
 */
import type { KeySink } from "../input/sink";
import { bytesOf, NO_WAY, same, tooLarge } from "./content";
import type { Content, Ways } from "./content";
import { atMost, KeyGate } from "./gate";
import type { ClipboardLine, LineEvents } from "./line";
import * as local from "./local";
import { isPaste } from "./paste_keys";
import { t } from "../words/words";

/**
 * How long Ctrl+V waits for its content to be in the guest, in ms: longer for more, since a key that comes first pastes
 * what was there before; but at no speed above that of a bad line, and never so long that the keyboard seems dead.
 */
const PASTE_LIMIT_MS = 1_500;
const MAX_PASTE_LIMIT_MS = 8_000;
const SLOWEST_BYTES_PER_MS = 150;
/** A paste event follows its key at once, or never. */
const PASTE_EVENT_MS = 150;

export interface HubEvents {
  /** Something to show: the guest's content, what it cannot do, or new ways. */
  changed(): void;
}

export class ClipboardHub implements LineEvents {
  /** What the guest copied last, for the panel. */
  guest: Content | null = null;
  /** A sentence on why something was not copied; empty when all is well. */
  trouble = "";
  #ways: Ways = NO_WAY;
  #line: ClipboardLine | null = null;
  #gate: KeyGate | null = null;
  /** What both have: the last that went either way. */
  #shared: Content | null = null;
  /** The guest's, which the browser has not taken yet. */
  #pending: Content | null = null;
  /** Did the page have the focus when it came? Then only a gesture is missing. */
  #pendingSeen = false;
  #pasted: ((content: Content | null) => void) | null = null;

  constructor(
    field: HTMLTextAreaElement,
    private readonly events: HubEvents,
  ) {
    field.addEventListener("paste", this.#paste);
    window.addEventListener("focus", this.#look);
    window.addEventListener("blur", this.#left);
    document.addEventListener("visibilitychange", this.#look);
    for (const gesture of ["pointerdown", "keydown"]) window.addEventListener(gesture, this.#gesture, { capture: true });
    // Before the keyboard's own listener, which sends the key.
    field.addEventListener("keydown", this.#key, { capture: true });
  }

  get allowed(): Ways {
    return this.#ways;
  }

  /** Has the browser not taken what the guest copied? */
  get waiting(): boolean {
    return this.#pending !== null;
  }

  /** Keys go through this, to come after what they paste. */
  gate(sink: KeySink): KeySink {
    return new KeyGate(sink);
  }

  connect(line: ClipboardLine | null, keys: KeySink | null): void {
    this.#line?.listen(null);
    this.#line = line;
    const gate = keys instanceof KeyGate ? keys : null;
    // What it keeps back is said before the next connection asks what is left to say; what it waits for is lost.
    if (gate !== this.#gate) this.#gate?.flush();
    this.#gate = gate;
    this.#ways = NO_WAY;
    if (line === null) this.events.changed();
    else line.listen(this);
  }

  /** Must the browser act on this key, so that a paste event follows? */
  readonly passes = (event: KeyboardEvent): boolean => this.#ways.toGuest && isPaste(event);

  // From the line.

  copied(content: Content): void {
    this.guest = this.#shared = content;
    this.#pending = content;
    this.#pendingSeen = document.hasFocus();
    this.trouble = "";
    void this.#deliver();
  }

  ways(ways: Ways): void {
    this.#ways = ways;
    if (!ways.toViewer) this.guest = this.#pending = null;
    this.events.changed();
    this.#look();
  }

  // From the person.

  /** Send this, as the panel does. Whether the guest has it. */
  async send(content: Content): Promise<boolean> {
    if (this.#line === null || !this.#ways.toGuest) return false;
    if (same(content, this.#shared) || (await local.samePicture(content, this.#shared))) return true;
    this.#shared = content;
    this.#pending = null;
    this.trouble = tooLarge(content) ?? "";
    const taken = this.trouble === "" && (await this.#line.send(content));
    if (!taken && same(this.#shared, content)) this.#shared = null;
    if (!taken && this.trouble === "") this.trouble = t("clipboard.untaken");
    this.events.changed();
    return taken;
  }

  readonly #key = (event: KeyboardEvent): void => {
    if (event.repeat || this.#gate === null || !this.passes(event)) return;
    const pasted = new Promise<Content | null>((done) => {
      this.#pasted = done;
      setTimeout(() => {
        done(null);
      }, PASTE_EVENT_MS);
    });
    this.#gate.hold(this.#afterPaste(pasted));
  };

  async #afterPaste(pasted: Promise<Content | null>): Promise<void> {
    const looking = async (): Promise<Content | null> => (await pasted) ?? ((await local.mayRead()) ? local.read() : null);
    const content = await atMost(looking(), PASTE_LIMIT_MS);
    // What the guest copied and the browser has not taken yet is newer than what the browser has.
    if (content !== null && this.#pending === null) await atMost(this.send(content), pasteLimit(content));
  }

  readonly #paste = (event: ClipboardEvent): void => {
    const pasted = this.#pasted;
    this.#pasted = null;
    // One that no shortcut brought (a menu, an on-screen keyboard) is typed, as any other text in the field.
    if (pasted === null || !this.#ways.toGuest) return;
    event.preventDefault();
    void local.fromPaste(event.clipboardData).then(pasted, () => {
      pasted(null);
    });
  };

  readonly #look = (): void => {
    if (document.visibilityState !== "visible" || !document.hasFocus()) return;
    if (this.#pending !== null) {
      void this.#deliver();
      return;
    }
    if (!this.#ways.toGuest) return;
    void local.mayRead().then(async (may) => {
      const content = may ? await local.read() : null;
      // What the guest copied meanwhile is newer.
      if (content !== null && this.#pending === null) await this.send(content);
    });
  };

  /** Whatever is copied elsewhere from now on is newer than what waits for a gesture here. */
  readonly #left = (): void => {
    if (this.#pending === null || !this.#pendingSeen) return;
    this.#pending = this.#shared = null;
    this.events.changed();
  };

  readonly #gesture = (): void => {
    if (this.#pending !== null) void this.#deliver();
  };

  async #deliver(): Promise<void> {
    const content = this.#pending;
    if (content === null) return;
    // Nothing is awaited before: Safari counts only what happens in the gesture itself.
    const written = await local.write(content);
    if (written && this.#pending === content) this.#pending = null;
    this.events.changed();
  }
}

function pasteLimit(content: Content): number {
  return Math.min(PASTE_LIMIT_MS + bytesOf(content).length / SLOWEST_BYTES_PER_MS, MAX_PASTE_LIMIT_MS);
}
