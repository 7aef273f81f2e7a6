import { afterEach, describe, expect, it, vi } from "vitest";
import { dice, World } from "./takeover_agent";
import { Page } from "./takeover_page";
import type { Pace } from "./takeover_page";

afterEach(() => {
  vi.restoreAllMocks();
});

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const KEY_MS = 50;
const SCHEDULES = 500;
/** How busy both ends are: on a busy one the picture comes before the channels, and words cross each other. */
const BRISK: Pace = { message: 8, call: 10, stage: 60 };
const BUSY: Pace = { message: 60, call: 150, stage: 400 };

/** Somebody types from 3 s to 9 s, while UDP fails and returns. What was typed, what arrived, how many keys stayed down. */
function typed(seed: number, pace: Pace): { typed: string; arrived: string; held: number; downs: string } {
  const random = dice(seed);
  const world = new World(random);
  vi.spyOn(performance, "now").mockImplementation(() => world.now);
  const page = new Page(world, pace);
  let text = "";
  for (let at = 3_000; at < 9_000; at += KEY_MS) {
    const letter = LETTERS[(at / KEY_MS) % LETTERS.length] ?? "";
    world.after(at, () => {
      text += letter;
      page.hub.key(letter, true);
    });
    world.after(at + world.between(1, KEY_MS - 1), () => {
      page.hub.key(letter, false);
    });
  }
  let downs = "";
  for (let at = world.between(3_000, 4_000); at < 9_000; ) {
    const until = at + world.between(100, 4_000);
    world.after(at, () => {
      page.udp = false;
    });
    world.after(until, () => {
      page.udp = true;
    });
    downs += `${String(at)}-${String(until)} `;
    at = until + world.between(500, 5_000);
  }
  world.runUntil(30_000);
  return { typed: text, arrived: page.agent.text, held: page.agent.held.size, downs };
}

describe("who types while the network changes", () => {
  it.each([["brisk", BRISK], ["busy", BUSY]])("loses not a key and says none twice: %s", { timeout: 60_000 }, (_, pace) => {
    const wrong: unknown[] = [];
    for (let seed = 1; seed <= SCHEDULES; seed += 1) {
      const one = typed(seed, pace);
      if (one.arrived !== one.typed || one.held > 0) wrong.push({ seed, ...one });
    }
    expect(wrong.length, JSON.stringify(wrong.slice(0, 3), null, 1)).toBe(0);
  });
});
