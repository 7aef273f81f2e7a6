/** Reasons in one sentence each. Pure. */
import type { Problem } from "../api/types";
import { t } from "../words/words";

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
      return t("why.no-picture");
    case "unconnected":
      return t("why.unconnected");
    case "lost":
      return t("why.lost");
    case "refused":
      return t("why.refused", { detail: sentence(why.problem.detail) });
    case "unsupported":
      return t("why.unsupported");
    case "version":
      return t("why.version");
    case "closed":
      return t("why.closed");
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
