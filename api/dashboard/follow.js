// Which sentence is heard, by its place in the audio; and one sentence heard alone.

import { useEffect, useRef } from './vendor/preact-htm.js';

/** Plays one sentence, and stops at its end. */
export function playOnly(audio, row) {
  if (!audio) return;
  audio.dataset.until = (row.offset_ms + row.duration_ms) / 1000;
  audio.currentTime = row.offset_ms / 1000;
  audio.play();
}

/** Tells (row or null, milliseconds) while the audio plays, and ends the sentence that was asked for alone. */
export function useFollow(audio, rows, tell) {
  const current = useRef();
  current.current = tell;
  useEffect(() => {
    const element = audio.current;
    if (!element || !rows.length) return undefined;
    let frame = 0;
    const look = () => {
      const now = element.currentTime, until = Number(element.dataset.until || Infinity);
      if (now >= until) {
        delete element.dataset.until;
        element.pause();
      }
      const row = rows.findLast((each) => each.offset_ms != null && each.offset_ms / 1000 <= now + 0.01);
      current.current(element.paused || !row ? null : row, 1000 * now);
      frame = element.paused ? 0 : requestAnimationFrame(look);
    };
    const begin = () => { frame = frame || requestAnimationFrame(look); };
    element.addEventListener('play', begin);
    if (!element.paused) begin();
    return () => {
      element.removeEventListener('play', begin);
      cancelAnimationFrame(frame);
    };
  }, [audio.current, rows]);
}
