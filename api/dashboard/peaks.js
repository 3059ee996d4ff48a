// How loud a recording is along its length: from its manifest, or decoded here where an older farm made it.

const HEAD = 8191; // the last of the bytes in which a manifest has its waveform: it stands before the chapters
const LONGEST = 1800; // seconds that a browser decodes without being felt; longer audio is a plain line
const HZ = 8000; // enough for peaks
const BUCKETS = 1200;

/** {from, peaks}: the loudest sample of each stretch, 0 to 1. Null where there is none to be had. */
export async function peaksOf(job, seconds) {
  const told = await fromManifest(`${job}/manifest`).catch(() => null);
  if (told) return { from: 'manifest', peaks: told };
  return seconds <= LONGEST ? { from: 'audio', peaks: await fromAudio(`${job}/audio`) } : null;
}

async function fromManifest(url) {
  const answer = await fetch(url, { credentials: 'same-origin', headers: { Range: `bytes=0-${HEAD}` } });
  const found = answer.ok && (await answer.text()).match(/"waveform":\s*(\{[^{}]*\})/);
  if (!found) return null;
  const pairs = Int8Array.from(atob(JSON.parse(found[1]).data), (letter) => letter.charCodeAt(0));
  return Float32Array.from({ length: pairs.length / 2 }, (_, at) => Math.max(-pairs[2 * at], pairs[2 * at + 1]) / 128);
}

async function fromAudio(url) {
  const answer = await fetch(url, { credentials: 'same-origin' });
  if (!answer.ok) throw new Error(answer.statusText);
  const sound = await new OfflineAudioContext(1, 1, HZ).decodeAudioData(await answer.arrayBuffer());
  const samples = sound.getChannelData(0), count = Math.min(BUCKETS, samples.length);
  return Float32Array.from({ length: count }, (_, at) => loudest(samples, at / count, (at + 1) / count));
}

/** The largest magnitude between two shares of the values. */
export function loudest(values, from, to) {
  const end = Math.max(Math.floor(from * values.length) + 1, Math.floor(to * values.length));
  let most = 0;
  for (let at = Math.floor(from * values.length); at < end; at++) most = Math.max(most, Math.abs(values[at]));
  return most;
}
