import { afterEach, expect, it, vi } from "vitest";
import { Runner } from "../src/session/runner";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A gateway with one session in `states.now`; what it was asked is in `asked`. */
function stubGateway(states: { now: string }, resumed: () => Response): { asked: string[] } {
  const asked: string[] = [];
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const call = `${init.method ?? "GET"} ${url}`;
    asked.push(call);
    if (call.endsWith("/resume")) return Promise.resolve(resumed());
    // A stream that says nothing until it is given up.
    if (url.endsWith("/events")) return Promise.resolve(new Response(new ReadableStream()));
    return Promise.resolve(Response.json({ id: "s1", state: states.now }));
  });
  return { asked };
}

function run(opened: string[]): Runner {
  const opener = (name: string) => () => {
    opened.push(name);
    return { show: () => undefined, close: () => undefined };
  };
  const runner = new Runner({ id: "s1", token: "t", viewer: "a".repeat(32) }, { webrtc: opener("webrtc"), novnc: opener("novnc") }, () => undefined);
  runner.dispatch({ type: "start", openedAt: 0 });
  return runner;
}

it("resumes a suspended session, and opens the picture once it is ready", async () => {
  const states = { now: "suspended" };
  const { asked } = stubGateway(states, () => {
    states.now = "ready";
    return Response.json({ id: "s1", state: "resuming" }, { status: 202 });
  });
  const opened: string[] = [];
  const runner = run(opened);
  await vi.waitFor(() => {
    expect(opened).toEqual(["webrtc"]);
  });
  expect(asked.filter((call) => call.startsWith("POST"))).toEqual(["POST /v1/sessions/s1/resume"]);
  runner.dispatch({ type: "leave" });
});

it("tells the machine why the session could not be resumed", async () => {
  stubGateway({ now: "suspended" }, () =>
    Response.json({ type: "urn:fenster:capacity", detail: "no room", hint: "end another" }, { status: 503 }),
  );
  const runner = run([]);
  await vi.waitFor(() => {
    expect(runner.state.wake).toEqual({
      name: "refused",
      problem: { status: 503, kind: "capacity", detail: "no room", hint: "end another" },
    });
  });
  runner.dispatch({ type: "leave" });
});
