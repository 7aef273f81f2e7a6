import { describe, expect, it } from "vitest";
import { parseSession } from "../src/api/types";
import type { ControlInfo } from "../src/api/types";
import { standingOf } from "../src/session/standing";

const ME = "aaaaaaaa";
const ANN = { name: ME, number: 1, role: "control" } as const;
const BEN = { name: "bbbbbbbb", number: 2, role: "control" } as const;
const EVE = { name: "eeeeeeee", number: 3, role: "view" } as const;

function control(more: Partial<ControlInfo>): ControlInfo {
  return { controller: ME, requests: [], viewers: [ANN], ...more };
}

describe("standingOf", () => {
  it("says nothing to one who is alone", () => {
    expect(standingOf("control", ME, control({}), true)).toEqual({ who: "me", text: "", deed: null, ask: null });
  });

  it("offers to give control up only where another could take it", () => {
    expect(standingOf("control", ME, control({ viewers: [ANN, EVE] }), true)).toMatchObject({ text: "You control", deed: null });
    expect(standingOf("control", ME, control({ viewers: [ANN, BEN] }), true).deed?.wish).toBe("release");
  });

  it("asks the one who controls, naming who asks", () => {
    const info = control({ viewers: [ANN, BEN], requests: ["bbbbbbbb"] });
    expect(standingOf("control", ME, info, true).ask).toEqual({ name: "bbbbbbbb", text: "Viewer 2 asks for control" });
  });

  it.each([
    ["another controls", "bbbbbbbb", [], "Viewer 2 controls", "Ask for control"],
    ["nobody does", null, [], "Nobody controls", "Take control"],
    ["another, who is away", "cccccccc", [], "Another viewer controls", "Ask for control"],
    ["it has asked", "bbbbbbbb", [ME], "Viewer 2 controls; you asked for control", undefined],
  ])("a watcher: %s", (_, controller, requests, text, label) => {
    const standing = standingOf("control", ME, control({ controller, requests, viewers: [ANN, BEN] }), false);
    expect(standing.who).toBe(controller === null ? "nobody" : "other");
    expect(standing.text).toBe(text);
    expect(standing.deed?.label).toBe(label);
    expect(standing.ask).toBeNull();
  });

  it("a view token controls nothing, whatever is said, and cannot ask", () => {
    for (const live of [true, false, null]) {
      const standing = standingOf("view", ME, control({ viewers: [ANN, BEN] }), live);
      expect(standing.who).not.toBe("me");
      expect(standing.deed).toBeNull();
    }
  });

  it("believes the transport before the gateway's older word", () => {
    expect(standingOf("control", ME, control({}), false).who).toBe("other");
    expect(standingOf("control", ME, control({ controller: "bbbbbbbb" }), true).who).toBe("me");
    expect(standingOf("control", ME, control({}), null).who).toBe("me");
  });

  it("an older gateway lets everybody with the role", () => {
    expect(standingOf("control", ME, null, null).who).toBe("me");
    expect(standingOf(null, ME, null, null).who).toBe("me");
    expect(standingOf("view", ME, null, null).who).toBe("unknown");
  });
});

describe("control in the gateway's JSON", () => {
  it("is read, and what is not there is not made up", () => {
    const told = { controller: ME, requests: ["bbbbbbbb", 7], viewers: [{ ...BEN, transport: "novnc" }, "x"] };
    expect(parseSession({ id: "s", state: "ready", control: told })?.control).toEqual({
      controller: ME,
      requests: ["bbbbbbbb"],
      viewers: [BEN],
    });
    expect(parseSession({ id: "s", state: "ready" })?.control).toBeNull();
    expect(parseSession({ id: "s", state: "ready", control: {} })?.control).toEqual({ controller: null, requests: [], viewers: [] });
  });
});
