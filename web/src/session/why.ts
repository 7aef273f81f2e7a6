/** Reasons in one sentence each. Pure. */
import type { Problem } from "../api/types";

/** Why a transport is not, or no longer, in use. */
export type Why =
  /** Nothing was painted within the limit. */
  | { readonly kind: "no-picture" }
  /** ICE found no way to the gateway. */
  | { readonly kind: "unconnected" }
  /** It was connected, and the connection broke. */
  | { readonly kind: "lost" }
  /** The gateway answered the offer with a problem. */
  | { readonly kind: "refused"; readonly problem: Problem }
  /** This browser has no WebRTC. */
  | { readonly kind: "unsupported" }
  /** The agent speaks another version of the protocol. */
  | { readonly kind: "version" }
  /** The other side ended it. */
  | { readonly kind: "closed"; readonly detail: string };

/** Why WebRTC is not in use. */
export function whyNotWebrtc(why: Why): string {
  switch (why.kind) {
    case "no-picture":
      return "WebRTC brought no picture in time; UDP to the gateway may be blocked.";
    case "unconnected":
      return "WebRTC found no path to the gateway; UDP may be blocked on this network.";
    case "lost":
      return "The WebRTC connection was interrupted, and has not come back yet.";
    case "refused":
      return `The gateway could not set up WebRTC: ${sentence(why.problem.detail)}`;
    case "unsupported":
      return "This browser does not offer WebRTC.";
    case "version":
      return "This page and the desktop's agent speak different versions; reload the page.";
    case "closed":
      return "The desktop's agent ended the WebRTC connection.";
  }
}

/** `text` as a sentence of its own. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** Each part that is not empty as a sentence of its own. */
export function sentences(...parts: readonly string[]): string {
  return parts
    .filter((part) => part.trim() !== "")
    .map(sentence)
    .join(" ");
}
