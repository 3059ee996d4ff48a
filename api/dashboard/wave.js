// The waveform of a job, drawn on a canvas; a click or the arrow keys move the player.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { clock } from './parts.js';

const LONGEST = 1800; // seconds that a browser decodes without being felt; longer audio is a plain line
const HZ = 8000; // enough for peaks
const BUCKETS = 1200;

export function Wave({ src, seconds, audio }) {
  const canvas = useRef();
  const [peaks, setPeaks] = useState(null);
  const [now, setNow] = useState(0);
  useEffect(() => {
    let gone = false;
    setPeaks(null);
    if (seconds <= LONGEST) decode(src).then((found) => gone || setPeaks(found), () => {});
    return () => { gone = true; };
  }, [src, seconds]);
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
    data-peaks=${peaks ? peaks.length : 0} onClick=${click} onKeyDown=${key}></canvas>`;
}

/** The loudest sample of each bucket, 0 to 1. */
async function decode(src) {
  const answer = await fetch(src, { credentials: 'same-origin' });
  if (!answer.ok) throw new Error(answer.statusText);
  const sound = await new OfflineAudioContext(1, 1, HZ).decodeAudioData(await answer.arrayBuffer());
  const samples = sound.getChannelData(0), peaks = new Float32Array(Math.min(BUCKETS, samples.length));
  for (let bucket = 0; bucket < peaks.length; bucket++) {
    const end = Math.floor(((bucket + 1) * samples.length) / peaks.length);
    let most = 0;
    for (let at = Math.floor((bucket * samples.length) / peaks.length); at < end; at++) most = Math.max(most, Math.abs(samples[at]));
    peaks[bucket] = most;
  }
  return peaks;
}

function draw(canvas, peaks, heard) {
  const ratio = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext('2d');
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas), before = style.getPropertyValue('--accent'), after = style.getPropertyValue('--wave');
  const loudest = peaks ? Math.max(0.01, ...peaks) : 1;
  for (let x = 0; x < width; x += 3) {
    const share = x / width, peak = peaks ? peaks[Math.floor(share * peaks.length)] / loudest : 0.04;
    const tall = Math.max(1.5, peak * (height - 6));
    pen.fillStyle = share <= heard ? before : after;
    pen.fillRect(x, (height - tall) / 2, 2, tall);
  }
}
