// Some hundred sentences of a chapter as text: a book of any length is shown, and followed, a sheet at a time.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { get } from './farm.js';
import { Trouble, number } from './parts.js';

export const LENGTH = 300; // sentences

/** {chapter, first, count, last}: the sheet that holds a sentence. */
export function sheetWith(chapters, index) {
  const spoken = chapters.filter((chapter) => chapter.index != null && chapter.segments);
  const chapter = spoken.findLast((each) => each.first_segment <= index) || spoken[0];
  if (!chapter) return null;
  const first = chapter.first_segment + LENGTH * Math.max(0, Math.floor((index - chapter.first_segment) / LENGTH));
  return { chapter, first, count: Math.min(LENGTH, chapter.first_segment + chapter.segments - first) };
}

/** The number of a sentence near a place in the audio: its chapter is known, the rest is found by halving that. */
export async function sentenceAt(job, chapters, ms) {
  const chapter = chapters.findLast((each) => each.offset_ms != null && each.offset_ms <= ms) || chapters.find((each) => each.index != null);
  let low = chapter.first_segment, high = low + chapter.segments;
  while (high - low > LENGTH / 2) {
    const middle = Math.floor((low + high) / 2);
    const row = await sentence(job, middle);
    if (row && row.offset_ms != null && row.offset_ms <= ms) low = middle;
    else high = middle;
  }
  return low;
}

export async function sentence(job, index) {
  const page = await get(`${job}/segments?limit=1${index ? `&after=${index - 1}` : ''}`);
  return page.data[0];
}

/** The rows of a sheet, and the place where the next one begins: [rows, until, error]. `version` changes with them. */
export function useSheet(job, sheet, version) {
  const [held, hold] = useState({ rows: [], until: Infinity });
  const [error, setError] = useState(null);
  const asked = sheet && `${job}/segments?limit=${sheet.count + 1}${sheet.first ? `&after=${sheet.first - 1}` : ''}`;
  const current = useRef();
  current.current = `${asked} ${version}`;
  useEffect(() => {
    if (!asked) return;
    const run = current.current;
    get(asked).then(({ data }) => {
      if (run !== current.current) return;
      const after = data[sheet.count];
      hold({ rows: data.slice(0, sheet.count), until: after && after.offset_ms != null ? after.offset_ms : Infinity });
      setError(null);
    }, (refusal) => run === current.current && setError(refusal));
  }, [asked, version]);
  return [held.rows, held.until, error];
}

/** `panel` stands behind the paragraph of the chosen sentence. */
export function Sheet({ sheet, rows, heard, chosen, drafts, follows, onChoose, onTurn, panel, error }) {
  const box = useRef();
  const [focus, setFocus] = useState(null); // of the sentences, one can be reached by Tab; the arrows go on from there
  useEffect(() => {
    const now = follows && heard != null && box.current && box.current.querySelector('.now');
    if (now) now.scrollIntoView({ block: 'nearest' });
  }, [heard, follows, rows]);
  const indexOf = (event) => {
    const found = event.target.closest('.said');
    return found && Number(found.dataset.index);
  };
  const key = (event) => {
    const index = indexOf(event);
    if (index == null) return;
    const every = [...box.current.querySelectorAll('.said')], at = every.findIndex((each) => Number(each.dataset.index) === index);
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: every.length - 1 }[event.key];
    if (event.key === 'Enter' || event.key === ' ') onChoose(rows.find((row) => row.index === index));
    else if (to === undefined) return;
    else if (every[to]) every[to].focus();
    event.preventDefault();
  };
  const click = (event) => {
    const index = indexOf(event);
    if (index != null && !String(getSelection())) onChoose(rows.find((row) => row.index === index));
  };
  const reachable = rows.some((row) => row.index === focus) ? focus : rows.length ? rows[0].index : null;
  const behind = chosen && paragraphs(rows).find((paragraph) => paragraph.some((row) => row.index === chosen.index));
  return html`<div class="sheet" ref=${box} onClick=${click} onKeyDown=${key} onFocusIn=${(event) => indexOf(event) != null && setFocus(indexOf(event))}>
    <${Trouble} of=${error} />
    ${paragraphs(rows).map((paragraph) => html`<p key=${paragraph[0].index}>${paragraph.map((row) => html`<${Said} key=${row.index} row=${row}
      now=${row.index === heard} chosen=${Boolean(chosen && chosen.index === row.index)} draft=${drafts.get(row.index)} tab=${row.index === reachable ? 0 : -1} />`)}</p>
      ${paragraph[0] === (behind && behind[0]) && panel}`)}
    ${chosen && !behind && panel}
    ${sheet.chapter.segments > LENGTH && html`<${Turn} sheet=${sheet} onTurn=${onTurn} />`}
  </div>`;
}

function Said({ row, now, chosen, draft, tab }) {
  const gone = draft && draft.text === '';
  const classes = ['said', now && 'now', chosen && 'chosen', draft && 'changed', gone && 'gone', row.needs_review && 'odd', row.error && 'lost'];
  return html`<span role="button" tabindex=${tab} data-index=${row.index} class=${classes.filter(Boolean).join(' ')}
    aria-current=${now ? 'true' : null} aria-expanded=${chosen ? 'true' : 'false'}>${draft && draft.text ? draft.text : row.text}</span> `;
}

function Turn({ sheet, onTurn }) {
  const { chapter, first, count } = sheet, at = first - chapter.first_segment;
  return html`<p class="row"><button type="button" disabled=${!at} onClick=${() => onTurn(first - LENGTH)}>Back</button>
    <span class="quiet">${number(at + 1)} to ${number(at + count)} of ${number(chapter.segments)}</span>
    <button type="button" disabled=${at + count >= chapter.segments} onClick=${() => onTurn(first + LENGTH)}>On</button></p>`;
}

/** Rows that stand together in the text: a line end is between paragraphs, and a blank between sentences. */
function paragraphs(rows) {
  const found = [];
  rows.forEach((row, place) => {
    if (!place || row.start - rows[place - 1].end > 1) found.push([]);
    found[found.length - 1].push(row);
  });
  return found;
}
