// The chapters of a job as files of their own.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { get } from './farm.js';
import { Trouble, bytes, clock } from './parts.js';

const AT_ONCE = 200;

export function Chapters({ owner }) {
  const [rows, setRows] = useState([]);
  const [next, setNext] = useState(null);
  const [error, setError] = useState(null);
  const load = (after) => get(`${owner}/chapters?limit=${AT_ONCE}${after ? `&after=${after}` : ''}`).then((page) => {
    setRows((before) => after ? [...before, ...page.data] : page.data);
    setNext(page.next_cursor);
  }, setError);
  useEffect(() => { load(null); }, [owner]);
  return html`<section aria-labelledby="chapters"><h2 id="chapters">Chapters</h2>
    <${Trouble} of=${error} />
    <ol class="segments">${rows.map((row) => html`<li key=${row.index}>
      <a href=${`${owner}/chapters/${row.index}/audio`} download>${row.name}</a>
      <span class="quiet notes">${[clock(row.duration_seconds), bytes(row.bytes), row.passed === true && 'passes the preset'].filter(Boolean).join(' · ')}</span>
      ${row.passed === false && html`<span class="warning">does not pass the preset; the manifest says why</span>`}</li>`)}</ol>
    ${next && html`<p><button type="button" onClick=${() => load(next)}>Show more</button></p>`}</section>`;
}
