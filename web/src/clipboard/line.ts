/** The way of a clipboard to the guest and back: one interface for both transports. */
import type { Content, Ways } from "./content";

export interface LineEvents {
  /** A program of the guest has copied this. */
  copied(content: Content): void;
  /** Which ways may be copied now. */
  ways(ways: Ways): void;
}

export interface ClipboardLine {
  /** Have the guest's programs paste this; resolves when they can (true), or will not be able to. Never rejects. */
  send(content: Content): Promise<boolean>;
  /** Who hears of it from now on, at once of the ways; null for nobody. */
  listen(events: LineEvents | null): void;
  close(): void;
}
