/** One-time tickets: exchanged for a viewer token as soon as the page has one. */
import { ApiError, request, unreachable } from "./http";
import { isRecord } from "./types";

const AGAIN_MS = 1_000;

/**
 * The token that a ticket stands for. A gateway that does not answer is asked again: it did not take the ticket, and
 * when it does answer, it says whether the ticket has expired. Throws ApiError when the ticket is refused.
 */
export async function exchanged(ticket: string): Promise<string> {
  for (;;) {
    try {
      const answer: unknown = await (await request("/v1/tickets/exchange", ticket, { method: "POST" })).json();
      if (isRecord(answer) && typeof answer["token"] === "string") return answer["token"];
      throw new ApiError({ status: 401, kind: "bad-answer", detail: "The gateway's answer is no token.", hint: "Reload this page." });
    } catch (error) {
      if (!(error instanceof ApiError) || error.problem.kind !== unreachable().kind) throw error;
    }
    await new Promise((again) => setTimeout(again, AGAIN_MS));
  }
}
