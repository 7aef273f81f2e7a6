/** The one edit to an offer that no API has: sound in stereo. Pure. */

/**
 * The offer with `stereo=1` for Opus (RFC 7587 6.1), without which Chromium decodes it to one channel. An offer
 * that says something about stereo is left as it is.
 */
export function stereo(sdp: string): string {
  const opus = new Set([...sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000\/2\r?$/gim)].map((match) => match[1]));
  return sdp.replace(/^a=fmtp:(\d+) ([^\r\n]*)/gm, (line, type: string, parameters: string) =>
    opus.has(type) && !/\bstereo=/.test(parameters) ? `${line};stereo=1` : line,
  );
}
