/** What awaits a session that runs out of time or of use, in one sentence. Pure. */
import type { SessionInfo } from "../api/types";
import { timeOfDay } from "../view/stages";
import { t } from "../words/words";

/** Empty when the gateway gives no warning. */
export function expiryNote(info: SessionInfo): string {
  switch (info.warning) {
    case null:
      return "";
    case "ttl":
      return t("expiry.ttl", { when: at(info.endsAt) });
    case "idle":
      return t(`expiry.idle.${info.idleAction}`, { when: at(info.idleAt) });
  }
}

function at(time: number | null): string {
  return time === null ? t("expiry.soon") : t("expiry.at", { time: timeOfDay(time) });
}
