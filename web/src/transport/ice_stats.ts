/** What getStats() says of the way that ICE has taken. Pure. */
import type { Path } from "../session/rungs";

/** The members used of W3C webrtc-stats, which browsers fill unevenly. */
interface Stat {
  readonly id: string;
  readonly type: string;
  readonly selectedCandidatePairId?: string;
  readonly localCandidateId?: string;
  readonly bytesReceived?: number;
  readonly responsesReceived?: number;
  readonly nominated?: boolean;
  /** Firefox. */
  readonly selected?: boolean;
  readonly state?: string;
  readonly protocol?: string;
}

export interface IceFacts {
  /** Of the pair that carries the picture; null while none does. */
  readonly path: Path | null;
  /** By that pair; by all of them while none is chosen. */
  readonly bytesReceived: number;
  /** By which kinds the other side has answered a check. */
  readonly udp: boolean;
  readonly tcp: boolean;
}

export function iceFacts(stats: Iterable<Stat>): IceFacts {
  const all = [...stats];
  const byId = new Map(all.map((stat) => [stat.id, stat]));
  const pairs = all.filter((stat) => stat.type === "candidate-pair");
  const chosen = all.find((stat) => stat.type === "transport" && stat.selectedCandidatePairId !== undefined)?.selectedCandidatePairId;
  const pair =
    pairs.find(({ id }) => id === chosen) ??
    pairs.find(({ selected }) => selected === true) ??
    pairs.find(({ nominated, state }) => nominated === true && state === "succeeded");
  const protocolOf = (of: Stat): Path | null => {
    const protocol = byId.get(of.localCandidateId ?? "")?.protocol?.toLowerCase();
    return protocol === "udp" || protocol === "tcp" ? protocol : null;
  };
  const answered = (protocol: Path): boolean => pairs.some((one) => (one.responsesReceived ?? 0) > 0 && protocolOf(one) === protocol);
  return {
    path: pair === undefined ? null : protocolOf(pair),
    bytesReceived: (pair === undefined ? pairs : [pair]).reduce((sum, one) => sum + (one.bytesReceived ?? 0), 0),
    udp: answered("udp"),
    tcp: answered("tcp"),
  };
}

/** Of a live connection. */
export async function readIce(pc: RTCPeerConnection): Promise<IceFacts> {
  const stats: Stat[] = [];
  (await pc.getStats()).forEach((stat: Stat) => stats.push(stat));
  return iceFacts(stats);
}
