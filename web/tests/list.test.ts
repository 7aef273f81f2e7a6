import { afterEach, describe, expect, it, vi } from "vitest";
import { STATES } from "../src/api/types";
import { isOffered, isSettled } from "../src/list/actions";
import { Gateway } from "../src/list/gateway";
import { facts } from "../src/list/row";
import { STATE_LABELS } from "../src/view/stages";
import { info } from "./bench";

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("what a row offers", () => {
  it("opens whatever lives, a suspended one too, which wakes it", () => {
    const live = STATES.filter((state) => isOffered("open", state));
    expect(live).toEqual(["creating", "booting", "restoring", "assigning", "ready", "suspending", "suspended", "resuming"]);
    expect(live.every((state) => isOffered("share", state) && isOffered("destroy", state))).toBe(true);
  });

  it("suspends and forks only what is ready", () => {
    expect(STATES.filter((state) => isOffered("suspend", state))).toEqual(["ready"]);
    expect(STATES.filter((state) => isOffered("fork", state))).toEqual(["ready"]);
  });

  it("removes a failed one, and leaves alone what is over", () => {
    expect(isOffered("destroy", "failed")).toBe(true);
    expect(isOffered("open", "failed")).toBe(false);
    expect(isOffered("destroy", "stopped")).toBe(false);
  });

  it("has a label for every state, and asks more often while one passes", () => {
    expect(STATES.map((state) => STATE_LABELS[state])).not.toContain(undefined);
    expect(STATES.filter(isSettled)).toEqual(["ready", "suspended", "stopped", "failed"]);
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

  it("throws the gateway's problem", async () => {
    const refused = answer(409, { type: "urn:fenster:conflict", detail: "it is not ready" }).suspend("s1");
    await expect(refused).rejects.toMatchObject({ problem: { status: 409, detail: "it is not ready" } });
  });
});
