/**
 * This page's id among those who watch a desktop (the gateway's control.py): 128 random bits that only it and the
 * gateway know. It outlives a reload, so that a reload keeps control.
 *
 * A tab that is duplicated copies the storage. So the id is there only while no page of the tab lives: taken out at the
 * start, put back when the page goes.
 */
import { tab } from "./storage";

const BYTES = 16;
const SHAPE = /^[0-9a-f]{32}$/;
const NAME_CHARS = 8;

/** What others are told of an id. Pure. */
export function nameOf(id: string): string {
  return id.slice(0, NAME_CHARS);
}

/** The id of the page that this tab showed before, or a new one. */
export function claimViewerId(slot: string): string {
  const id = taken(slot) ?? drawn();
  window.addEventListener("pagehide", () => {
    tab.set(slot, id);
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) tab.remove(slot);
  });
  return id;
}

function taken(slot: string): string | null {
  const kept = tab.get(slot);
  tab.remove(slot);
  return kept !== null && SHAPE.test(kept) ? kept : null;
}

function drawn(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(BYTES)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
