// The chapters of a job: where to read, and which of them are spoken.

import { html } from './vendor/preact-htm.js';
import { clock, number } from './parts.js';

const WIDE = '(min-width: 64rem)'; // as style.css has it

/** `out` is the set of chapters that are to be left out; `onOut` hears another. */
export function Contents({ chapters, at, out, locked, onOpen, onOut }) {
  const spoken = chapters.length - out.size;
  const check = (chapter) => {
    const next = new Set(out);
    if (!next.delete(chapter.number)) next.add(chapter.number);
    onOut(next);
  };
  return html`<details class="contents" open=${matchMedia(WIDE).matches}>
    <summary>Chapters <span class="quiet">${spoken === chapters.length ? number(spoken) : `${number(spoken)} of ${number(chapters.length)}`}</span></summary>
    <ol>${chapters.map((chapter) => html`<li key=${chapter.number}>
      <input type="checkbox" aria-label=${`speak ${nameOf(chapter)}`} checked=${!out.has(chapter.number)}
        disabled=${locked || (spoken === 1 && !out.has(chapter.number))} onChange=${() => check(chapter)} />
      <button type="button" class="plain" disabled=${chapter.index == null} aria-current=${at === chapter.index && at != null ? 'true' : null}
        onClick=${() => onOpen(chapter)}>${nameOf(chapter)}</button>
      <span class="quiet">${chapter.left_out ? 'left out' : [chapter.segments != null && `${number(chapter.segments)} ${chapter.segments === 1 ? 'sentence' : 'sentences'}`,
        chapter.duration_ms != null && clock(chapter.duration_ms / 1000)].filter(Boolean).join(', ')}</span></li>`)}</ol>
  </details>`;
}

export const nameOf = (chapter) => chapter.title || `Chapter ${chapter.number + 1}`;
