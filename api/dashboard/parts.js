// What several pages show: states, bars, times, messages, dialogs.

import { html, useEffect, useRef } from './vendor/preact-htm.js';

export const ENDED = new Set(['succeeded', 'failed', 'canceled', 'expired', 'completed']);
export const STATES = ['queued', 'running', 'assembling', 'succeeded', 'failed', 'canceled', 'expired'];

export const State = ({ of }) => html`<span class=${`state ${of}`}>${of}</span>`;

/** How many segments of a job or batch somebody should listen to, as far as its clips are made. */
export const Review = ({ of }) => {
  const count = of.result ? of.result.needs_review : of.progress.needs_review;
  return count > 0 && html` <span class="warning">${number(count)} to listen to</span>`;
};

export const Bar = ({ percent, label = 'progress' }) => html`
  <progress max="100" value=${percent} aria-label=${label}>${Math.round(percent)} %</progress>`;

/** An error in words, where there is one. */
export const Trouble = ({ of }) => of && html`<p class="trouble" role="alert">${of.message || String(of)}</p>`;

export const When = ({ at }) => at
  ? html`<time datetime=${at} title=${new Date(at).toLocaleString()}>${ago(at)}</time>`
  : html`<span class="quiet">–</span>`;

/** In place of what was deleted while somebody looked at it. */
export const Deleted = ({ title, back }) => html`<h1>${title} <${State} of="deleted" /></h1><p><a href=${back}>To the others</a></p>`;

/** How long something still takes, where that is known and can be felt. */
export const Left = ({ seconds }) => seconds >= 1 && html`<span class="left">about ${span(seconds)} left</span>`;

/** The name that a person gave, else the id. */
export const nameOf = (job) => job.custom_id || job.id;

export const path = (...parts) => `#/${parts.map(encodeURIComponent).join('/')}`;

export function ago(at) {
  const seconds = (Date.now() - new Date(at)) / 1000;
  if (seconds < 10) return 'just now';
  return `${span(seconds)} ago`;
}

/** A length of time in words: 42 s, 3 min, 2 h, 4 d. */
export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** 1:02:03.4 as players show it. */
export function clock(seconds, digits = 0) {
  const whole = Math.max(0, seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

export const number = (value) => Number(value).toLocaleString('en');

export function bytes(count) {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (count < 1000 || unit === 'GB') return `${count < 10 && unit !== 'B' ? count.toFixed(1) : Math.round(count)} ${unit}`;
    count /= 1000;
  }
  return '';
}

/** A modal question. `onAnswer(true | false)`; Escape says no. */
export function Ask({ children, yes, danger, onAnswer }) {
  const dialog = useRef();
  useEffect(() => dialog.current.showModal(), []);
  return html`
    <dialog ref=${dialog} onCancel=${(event) => { event.preventDefault(); onAnswer(false); }}>
      ${children}
      <p class="row end">
        <button type="button" onClick=${() => onAnswer(false)}>Leave it</button>
        <button type="button" class=${danger ? 'danger' : 'main'} onClick=${() => onAnswer(true)}>${yes}</button>
      </p>
    </dialog>`;
}

/** Shell quoting of one word. */
export const quoted = (word) => `'${word.replaceAll("'", "'\\''")}'`;
