/** Who is told of what the viewer does: the page around its frame (embed/). */
import type { Role } from "../api/types";
import type { Content } from "../clipboard/content";
import type { State } from "../session/machine";
import type { Standing } from "../session/standing";

/** What the page shows. */
export interface View {
  readonly state: State;
  readonly role: Role | null;
  readonly standing: Standing;
  readonly readOnly: boolean;
  /** Taken off by the page around it, or by its person. */
  readonly off: boolean;
}

/** Who is told of it: the page around this one. */
export interface Audience {
  shown(view: View): void;
  /** Frames in the last second and round trip in ms; null for what the transport does not tell. */
  figures(fps: number | null, rttMs: number | null): void;
  /** What the guest copied last; said again with each change of the clipboard. */
  copied(content: Content | null): void;
}
