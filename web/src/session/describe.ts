/** What the person is told, for every state of the machine. Pure. */
import type { Problem, SessionInfo } from "../api/types";
import { stagesOf } from "../view/stages";
import type { Stage } from "../view/stages";
import { expiryNote } from "./expiry";
import { isPainted, pathOf, transportOf } from "./machine";
import type { State } from "./machine";
import { isUnderWay } from "./wake";
import { sentence, sentences, whyNotWebrtc } from "./why";
import { t } from "../words/words";

export type Action = { readonly label: string; readonly does: "again" | "wake" | "list" };

/** The panel over the picture; none while a picture is shown. */
export interface Panel {
  readonly tone: "busy" | "calm" | "bad";
  readonly title: string;
  readonly text: string;
  readonly stages: readonly Stage[];
  readonly action: Action | null;
}

const again = (): Action => ({ label: t("panel.again"), does: "again" });
const list = (): Action => ({ label: t("panel.list"), does: "list" });
/** While the person, or the page around this one, wants no picture. */
export const disconnected = (): Panel =>
  panel("calm", t("panel.disconnected"), t("panel.disconnected.text"), [], { label: t("panel.connect"), does: "again" });

/** @param verdict of the network's test (verdict.ts), for where the picture does not come back by itself. */
export function panelOf(state: State, verdict = ""): Panel | null {
  const { phase, session } = state;
  if (phase.name === "blocked") return blocked(phase.problem);
  if (session === null) return unknown(state);
  switch (session.state) {
    case "creating":
    case "booting":
    case "restoring":
    case "assigning":
      return panel("busy", t("panel.starting"), watchTrouble(state), hasBeenReady(session) ? [] : stagesOf(session), null);
    case "suspending":
      return panel("busy", t("panel.suspending"), watchTrouble(state), [], null);
    case "suspended":
      return asleep(state, session);
    case "resuming":
      return panel("busy", t("panel.waking"), watchTrouble(state), [], null);
    case "stopping":
      return panel("calm", t("panel.stopping"), "", [], null);
    case "stopped":
      return panel("calm", t("panel.stopped"), t("panel.stopped.text"), [], list());
    case "failed": {
      const error = session.error;
      const text = error === null ? t("panel.failed.unknown") : sentences(error.message, error.hint);
      return panel("bad", t("panel.failed"), text, [], list());
    }
    case "ready":
      if (state.gap?.stale === true) return interrupted(state, verdict);
      return isPainted(phase) ? null : connecting(state, stagesOf(session), verdict);
  }
}

/** What disturbs the transport or awaits the session, in one sentence; empty when all is well. */
export function warningOf(state: State): string {
  const { phase, session } = state;
  if (state.gap !== null) return t("note.interrupted");
  if (isPainted(phase) && state.watch.problem !== null) return watchTrouble(state);
  return session?.state === "ready" ? expiryNote(session) : "";
}

/** One sentence for the status bar: what is to be known; else why this transport. */
export function noteOf(state: State): string {
  const { phase, session } = state;
  const warning = warningOf(state);
  if (warning !== "") return warning;
  if (session !== null && session.notice !== "") return session.notice;
  switch (transportOf(phase)) {
    case "webrtc":
      if (!isPainted(phase)) return t("note.connecting");
      return pathOf(phase) === "tcp" ? t("note.tcp") : t("note.webrtc");
    case "novnc":
      return state.why === null ? "" : whyNotWebrtc(state.why);
    case null:
      return "";
  }
}

function panel(tone: Panel["tone"], title: string, text: string, stages: readonly Stage[], action: Action | null): Panel {
  return { tone, title, text, stages, action };
}

/** Woken or rebooted, then: its stages and their times are those of its first start. */
function hasBeenReady({ timings }: SessionInfo): boolean {
  return timings.some(([stage]) => stage === "ready");
}

function asleep(state: State, { error }: SessionInfo): Panel {
  const { wake } = state;
  if (isUnderWay(wake)) return panel("busy", t("panel.waking"), watchTrouble(state), [], null);
  if (wake.name === "refused") return unwoken(wake.problem.detail, wake.problem.hint);
  // The call was taken, and came to nothing.
  if (error !== null) return unwoken(error.message, error.hint);
  const text = sentences(t("panel.asleep.text"), watchTrouble(state));
  return panel("calm", t("panel.asleep"), text, [], { label: t("panel.wake"), does: "wake" });
}

function unwoken(what: string, hint: string): Panel {
  return panel("bad", t("panel.unwoken"), sentences(what, hint), [], { label: t("panel.again"), does: "wake" });
}

/** Over a picture from which nothing has come for a while. */
function interrupted(state: State, verdict: string): Panel {
  const { problem } = state.watch;
  const what = problem === null ? t("panel.interrupted.silent") : problem.detail;
  const more = problem === null ? verdict : problem.hint;
  return panel("busy", t("panel.interrupted"), sentences(what, t("panel.interrupted.now"), more), [], again());
}

function connecting(state: State, stages: readonly Stage[], verdict: string): Panel {
  const { phase, why } = state;
  if (phase.name === "retry") {
    const { problem } = state.watch;
    const what = problem === null ? t("panel.interrupted.novnc") : problem.detail;
    const text = sentences(what, t("panel.interrupted.next"), problem === null ? verdict : problem.hint);
    return panel("busy", t("panel.interrupted"), text, [], again());
  }
  if (phase.name === "novnc") {
    const text = state.failures > 0 ? t("panel.reconnecting.novnc") : why === null ? "" : t("panel.using.novnc", { why: whyNotWebrtc(why) });
    return panel("busy", t("panel.connecting"), text, [], null);
  }
  return panel("busy", t("panel.connecting"), "", [...stages, { label: t("now.webrtc"), seconds: null }], null);
}

function unknown(state: State): Panel {
  const problem = state.watch.problem;
  if (problem === null) return panel("busy", t("panel.asking"), "", [], null);
  return panel("bad", t("panel.unreachable"), sentences(watchTrouble(state), problem.hint), [], again());
}

function watchTrouble(state: State): string {
  const problem = state.watch.problem;
  if (problem === null) return "";
  return `${sentence(problem.detail)}${state.watch.retryAt === null ? "" : ` ${t("trouble.retrying")}`}`;
}

function blocked(problem: Problem): Panel {
  if (problem.status === 404) {
    return panel("bad", t("panel.unknown"), t("panel.unknown.text"), [], list());
  }
  return panel("bad", t("panel.refused"), sentences(problem.detail, problem.hint), [], list());
}
