import { afterEach, describe, expect, it, vi } from "vitest";
import { STATES } from "../src/api/types";
import { isOffered, isSettled } from "../src/list/actions";
import type { ActionName } from "../src/list/actions";
import { Gateway } from "../src/list/gateway";
import { factsOf } from "../src/list/host";
import { parseHost } from "../src/list/host_info";
import { facts } from "../src/list/row";
import { FAILED_MS, FRESH_MS, Turns } from "../src/list/turns";
import { stateLabel } from "../src/view/stages";
import { info } from "./bench";

afterEach(() => {
  vi.unstubAllGlobals();
});

const offering = (action: ActionName, endsAt: number | null = null) =>
  STATES.filter((state) => isOffered(action, { state, endsAt }));

describe("what a row offers", () => {
  it("opens whatever lives, a suspended one too, which wakes it", () => {
    const live = offering("open");
    expect(live).toEqual(["creating", "booting", "restoring", "assigning", "ready", "suspending", "suspended", "resuming"]);
    expect(offering("shareView")).toEqual(live);
    expect(offering("destroy")).toEqual([...live, "failed"]);
  });

  it("suspends, forks and keeps only what is ready, and resumes what sleeps", () => {
    for (const action of ["suspend", "fork", "save"] as const) expect(offering(action)).toEqual(["ready"]);
    expect(offering("resume")).toEqual(["suspended"]);
  });

  it("extends only what ends", () => {
    for (const action of ["extend", "unlimit"] as const) {
      expect(offering(action)).toEqual([]);
      expect(offering(action, 1000)).toEqual(["ready", "suspended"]);
    }
  });

  it("has a label for every state, and asks more often while one passes", () => {
    expect(new Set(STATES.map(stateLabel)).size).toBeGreaterThan(8);
    expect(STATES.filter(isSettled)).toEqual(["ready", "suspended", "stopped", "failed"]);
  });
});

describe("turns", () => {
  it("fetch the oldest picture of those that are seen, and each only when it is due", () => {
    const turns = new Turns();
    expect(turns.next([], 0)).toBeNull();
    expect(turns.next(["a", "b"], 0)).toBe("a");
    turns.done("a", true, 10);
    expect(turns.next(["a", "b"], 10)).toBe("b");
    turns.done("b", true, 20);
    expect(turns.next(["a", "b"], 20)).toBeNull();
    expect(turns.next(["a", "b"], 10 + FRESH_MS)).toBe("a");
    expect(turns.next(["a", "b"], 9_000_000)).toBe("a");
  });

  it("wait longer for a desktop that gave none", () => {
    const turns = new Turns();
    turns.done("a", false, 0);
    expect(turns.next(["a"], FRESH_MS)).toBeNull();
    expect(turns.next(["a"], FAILED_MS)).toBe("a");
  });

  it("forget what is out of sight: back, it is due at once", () => {
    const turns = new Turns();
    turns.done("a", true, 0);
    expect(turns.next([], 1)).toBeNull();
    expect(turns.next(["a"], 2)).toBe("a");
  });
});

describe("the host", () => {
  const host = {
    accelerator: "tcg", why: "no /dev/kvm", isolated: false, sessions: 2, max_sessions: 16, free_memory_mib: 12_288,
    free_disk_mib: 5120, parked: 1, problem: null,
  };

  it("says how full it is, and what drives it", () => {
    const info = parseHost(host);
    expect(info?.egress).toBeNull();
    expect(info === null ? [] : factsOf(info).map(([, value]) => value)).toEqual(["2 of 16", "12\u00a0GiB", "5.0\u00a0GiB", "1", "TCG"]);
  });

  it("says why nothing can start", () => {
    expect(parseHost({ ...host, problem: { kind: "image", message: "no image", hint: "fenster build" } })).toMatchObject({
      problem: "no image",
      hint: "fenster build",
    });
    expect(parseHost([])).toBeNull();
  });

  it("shows the exits that the gateway names", () => {
    expect(parseHost({ ...host, egress: { decodo: "ok", spare: "down", odd: {} } })?.egress).toEqual([["decodo", "ok"], ["spare", "down"]]);
  });
});

describe("facts", () => {
  it("tell how long it has, while it lives", () => {
    const ready = { ...info("ready"), endsAt: 3_600_000 };
    expect(facts(ready, 240_000)).toContain("ends in 56\u00a0min");
    expect(facts({ ...ready, state: "failed" }, 240_000)).not.toContain("ends in");
    expect(facts(info("ready"), 240_000)).not.toContain("ends in");
  });
});

describe("Gateway", () => {
  const calls: { url: string; method: string | undefined; key: string | undefined }[] = [];

  function answer(status: number, body: unknown): Gateway {
    calls.length = 0;
    vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
      calls.push({ url, method: init.method, key: (init.headers as Record<string, string>)["Authorization"] });
      return Promise.resolve(Response.json(body, { status }));
    });
    return new Gateway("fenster_k");
  }

  it("suspends", async () => {
    await answer(202, { id: "s1", state: "suspending" }).suspend("s1");
    expect(calls).toEqual([{ url: "/v1/sessions/s1/suspend", method: "POST", key: "Bearer fenster_k" }]);
  });

  it("forks, and gives the new session's page", async () => {
    const created = await answer(201, { id: "s2", state: "restoring", viewer_url: "/s/s2#token=t" }).fork("s1");
    expect(calls).toEqual([{ url: "/v1/sessions/s1/fork", method: "POST", key: "Bearer fenster_k" }]);
    expect(created).toMatchObject({ session: { id: "s2", state: "restoring" }, viewerUrl: "/s/s2#token=t" });
  });

  it("gives it more time, or all of it, and says when it ends", async () => {
    const ends = "2026-11-29T16:00:00Z";
    expect(await answer(200, { id: "s1", state: "ready", ends_at: ends }).live("s1", 3600)).toBe(Date.parse(ends));
    expect(await answer(200, { id: "s1", state: "ready", ends_at: null }).live("s1", null)).toBeNull();
    expect(calls).toEqual([{ url: "/v1/sessions/s1", method: "PATCH", key: "Bearer fenster_k" }]);
  });

  it("throws the gateway's problem", async () => {
    const refused = answer(409, { type: "urn:fenster:conflict", detail: "it is not ready" }).suspend("s1");
    await expect(refused).rejects.toMatchObject({ problem: { status: 409, detail: "it is not ready" } });
  });
});
