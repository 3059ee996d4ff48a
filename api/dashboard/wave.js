// The waveform of a job, drawn on a canvas; a click or the arrow keys move the player.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { clock } from './parts.js';
import { loudest, peaksOf } from './peaks.js';

const BAR = 3; // CSS pixels from one bar to the next

/** `job` is the URL of the job. */
export function Wave({ job, seconds, audio }) {
  const canvas = useRef();
  const [told, tell] = useState(null); // {from, peaks}
  const peaks = told && told.peaks;
  const [now, setNow] = useState(0);
  useEffect(() => {
    let gone = false;
    tell(null);
    peaksOf(job, seconds).then((found) => gone || tell(found), () => {});
    return () => { gone = true; };
  }, [job, seconds]);
  useEffect(() => {
    const element = audio.current;
    if (!element) return undefined;
    const moved = () => setNow(element.currentTime);
    const free = () => setNow(element.currentTime);
    element.addEventListener('timeupdate', moved);
    element.addEventListener('seeking', free);
    return () => {
      element.removeEventListener('timeupdate', moved);
      element.removeEventListener('seeking', free);
    };
  }, [audio.current]);
  useEffect(() => {
    const paint = () => draw(canvas.current, peaks, seconds ? now / seconds : 0);
    paint();
    const fit = new ResizeObserver(paint);
    fit.observe(canvas.current);
    return () => fit.disconnect();
  }, [peaks, now, seconds]);
  const seek = (to) => {
    delete audio.current.dataset.until;
    audio.current.currentTime = Math.min(seconds, Math.max(0, to));
  };
  const click = (event) => {
    const box = canvas.current.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * seconds);
  };
  const key = (event) => {
    const step = { ArrowLeft: -5, ArrowRight: 5, PageDown: -30, PageUp: 30, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    seek(audio.current.currentTime + step);
  };
  return html`<canvas class="wave" ref=${canvas} role="slider" tabindex="0" aria-label="position" aria-valuemin="0"
    aria-valuemax=${Math.round(seconds)} aria-valuenow=${Math.round(now)} aria-valuetext=${`${clock(now)} of ${clock(seconds)}`}
    data-peaks=${peaks ? peaks.length : 0} data-from=${told && told.from} onClick=${click} onKeyDown=${key}></canvas>`;
}

function draw(canvas, peaks, heard) {
  const ratio = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas), before = style.getPropertyValue('--accent'), after = style.getPropertyValue('--wave');
  const most = peaks ? Math.max(0.01, loudest(peaks, 0, 1)) : 1;
  for (let x = 0; x < width; x += BAR) {
    const share = x / width, peak = peaks ? loudest(peaks, share, Math.min(1, (x + BAR) / width)) / most : 0.04;
    const tall = Math.max(1.5, peak * (height - 6));
    pen.fillStyle = share <= heard ? before : after;
    pen.fillRect(x, (height - tall) / 2, 2, tall);
  }
}
