/** What the page around the frame is told, made of what the viewer shows. Pure. */
import type { DesktopEvent } from "../../packages/client/src/protocol.js";
import { isRefusal } from "../session/watching";
import { isPainted, transportOf } from "../session/machine";
import { sentences } from "../session/why";
import type { View } from "../view/audience";

const ENDED: DesktopEvent = { type: "closed", reason: "stopped", detail: "The desktop has ended." };

/** Everything there is to tell, at most one event of a type. */
export function report(view: View): DesktopEvent[] {
  const { state, standing } = view;
  const { session, phase } = state;
  const events: (DesktopEvent | null)[] = [
    { type: "state", state: session?.state ?? "unknown", notice: session?.notice ?? "" },
    { type: "transport", transport: transportOf(phase) ?? "none", painted: isPainted(phase) },
    {
      type: "control",
      // Who is alone with a gateway that was not heard yet only seems to control.
      controller: session === null ? "unknown" : standing.who,
      role: view.role ?? "unknown",
      readOnly: view.readOnly,
      requests: standing.who === "me" ? (session?.control?.requests.length ?? 0) : 0,
    },
    closing(view),
    closed(view),
  ];
  return events.filter((event) => event !== null);
}

/** What is new. A `closing` that is no longer so is told too; `closed` ends with the events that follow it. */
export function changes(before: readonly DesktopEvent[], after: readonly DesktopEvent[]): DesktopEvent[] {
  const news = after.filter((event) => !before.some((old) => JSON.stringify(old) === JSON.stringify(event)));
  const dropped = before.find((event) => event.type === "closing");
  if (dropped?.type === "closing" && dropped.deadline !== null && !after.some((event) => event.type === "closing")) {
    news.push({ ...dropped, deadline: null });
  }
  return news;
}

function closing({ state: { session } }: View): DesktopEvent | null {
  if (session?.state !== "ready" || session.warning === null) return null;
  const { warning } = session;
  const [deadline, action] = warning === "ttl" ? [session.endsAt, "stop" as const] : [session.idleAt, session.idleAction];
  return deadline === null ? null : { type: "closing", deadline, reason: warning, action };
}

function closed({ state, off }: View): DesktopEvent | null {
  const { phase, session } = state;
  if (off) return { type: "closed", reason: "disconnected", detail: "Disconnected." };
  if (phase.name === "blocked") {
    const { problem } = phase;
    // One that was there and is not any more; the gateway forgets what has ended.
    if (problem.status === 404 && session !== null) return ENDED;
    const reason = problem.status === 404 ? "not-found" : isRefusal(problem) ? "unauthorized" : "unreachable";
    return { type: "closed", reason, detail: sentences(problem.detail, problem.hint) };
  }
  if (session?.state === "stopped") return ENDED;
  if (session?.state !== "failed") return null;
  const detail = session.error === null ? "The desktop failed." : sentences(session.error.message, session.error.hint);
  return { type: "closed", reason: "failed", detail };
}
