// Listening to a job while it is rendered: its playlist grows, and hls.js plays it, or a browser that can do so itself.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { leadsTo } from './farm.js';
import { Trouble } from './parts.js';

/** `job` is the URL of the job. `onHeard` hears the number of each segment as it begins; `seek.current` goes to one. */
export function Listen({ job, name, onHeard = () => {}, seek = {} }) {
  const audio = useRef();
  const [error, tell] = useState(null);
  useEffect(() => {
    let stop = () => {}, gone = false;
    play(audio.current, `${job}/stream.m3u8`, tell, onHeard).then((hls) => {
      stop = () => hls && hls.destroy();
      if (gone) stop();
      else if (hls) seek.current = (index) => goTo(hls, audio.current, index);
    }, tell);
    return () => { gone = true; stop(); seek.current = null; };
  }, [job]);
  return html`
    <audio class="player" controls ref=${audio} aria-label=${`${name}, as far as it is rendered`}></audio>
    <p class="quiet">As the voices spoke it, before loudness and room tone. It goes on as the rest is rendered.</p>
    <${Trouble} of=${error} />`;
}

/** Plays the list from its beginning, and returns its hls.js, or null. `tell` hears why it can't go on. */
async function play(audio, list, tell, onHeard) {
  const [address, { default: Hls }] = await Promise.all([leadsTo(list), import('./vendor/hls.js')]);
  if (!Hls.isSupported()) {
    audio.src = address;
    audio.play();
    return null;
  }
  const hls = new Hls({ enableWorker: false, startPosition: 0 }); // a worker would come from a blob, which no policy lets in
  hls.on(Hls.Events.ERROR, (event, { fatal, response, details }) => {
    if (fatal) tell(response && response.code ? `The farm answered ${response.code}: there is no more to hear.` : `It can't be played here: ${details}.`);
  });
  hls.on(Hls.Events.FRAG_CHANGED, (event, { frag }) => onHeard(segmentOf(frag)));
  hls.loadSource(address);
  hls.attachMedia(audio);
  audio.play().catch(() => {}); // a page that was left in between
  return hls;
}

/** The name of a fragment begins with the number of its segment. */
const segmentOf = (fragment) => parseInt(fragment.relurl.split('/').pop(), 10);

function goTo(hls, audio, index) {
  const fragments = hls.latestLevelDetails ? hls.latestLevelDetails.fragments : [];
  const found = fragments.find((fragment) => segmentOf(fragment) === index);
  if (!found) return false;
  audio.currentTime = found.start;
  audio.play();
  return true;
}
