// All that is changed in a book and not rendered yet: what it would cost, and sending it.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { call } from './farm.js';
import { Trouble, number, span } from './parts.js';

const CALM_MS = 400; // without another change, until the cost is asked for

/** The name of a lexicon without its version. */
export const plain = (ref) => ref.split('@')[0];

/** The body of PATCH. `drafts`: sentence -> {text?, voice?}; `out`: chapters, or null; `lexicons`: to be before the others. */
function changeOf({ drafts, out, lexicons }, job) {
  const others = job.lexicons.filter((ref) => !(lexicons || []).some((each) => plain(each) === plain(ref)));
  const segments = [...drafts].map(([index, { text, voice }]) => (
    { index, ...(text !== undefined && { text }), ...(voice !== undefined && { voice }) }));
  return { ...(segments.length && { segments }), ...(out && { left_out: [...out] }), ...(lexicons && { lexicons: [...lexicons, ...others] }) };
}

/** `loose`: at the lower edge of the window, wherever the text is. `onSent` hears the job as it goes on; `onStale` is to load what somebody else has made of it. */
export function Draft({ here, job, changes, loose, onSent, onDrop, onStale }) {
  const [cost, setCost] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const body = JSON.stringify(changeOf(changes, job)), asked = useRef();
  const said = { json: JSON.parse(body), headers: { 'If-Match': `"${job.revision}"` } };
  useEffect(() => {
    const run = asked.current = {};
    setCost(null);
    setError(null);
    const timer = setTimeout(() => call('POST', `${here}/preview`, said).then(
      (told) => run === asked.current && setCost(told), (refusal) => run === asked.current && setError(refusal)), CALM_MS);
    return () => clearTimeout(timer);
  }, [body, job.revision]);
  const send = async () => {
    setBusy(true);
    try {
      onSent(await call('PATCH', here, said));
    } catch (refusal) {
      setError(refusal);
    }
    setBusy(false);
  };
  const stale = error && error.status === 412;
  return html`<section class=${`draft card ${loose ? 'loose' : ''}`} aria-label="Changes">
    <p role="status"><b>${inWords(changes)}.</b> ${cost ? costOf(cost) : !error && 'The cost is counted …'}</p>
    ${stale ? html`<p class="trouble" role="alert">Somebody else has changed this book meanwhile. Load it as it is now: your changes stay where the sentences are the same.</p>`
      : html`<${Trouble} of=${error} />`}
    ${cost && cost.changed.length > 0 && html`<details><summary>What will be said</summary>
      <ul>${cost.changed.slice(0, 20).map((row) => html`<li key=${row.index}><b>${row.character || row.voice}:</b> ${row.spoken || row.text}</li>`)}
      ${cost.rendered > 20 && html`<li class="quiet">and ${number(cost.rendered - 20)} more</li>`}</ul></details>`}
    <p class="row">${stale ? html`<button type="button" class="main" onClick=${onStale}>Load it</button>`
      : html`<button type="button" class="main" disabled=${busy || !cost} onClick=${send}>Render</button>`}
      <button type="button" onClick=${onDrop}>Drop the changes</button></p>
  </section>`;
}

function inWords({ drafts, out, lexicons }) {
  const count = drafts.size;
  const said = [count && `${number(count)} ${count === 1 ? 'sentence' : 'sentences'} changed`, out && 'other chapters', lexicons && `lexicon ${lexicons.join(', ')}`];
  const words = said.filter(Boolean).join(', ');
  return words[0].toUpperCase() + words.slice(1);
}

function costOf({ rendered, segments, audio_seconds: audio, render_seconds: work }) {
  if (!rendered) return `Nothing is rendered: the clips of all ${number(segments)} segments are there.`;
  const about = [audio != null && `${span(Math.max(1, audio))} of audio`, work != null && `${span(Math.max(1, work))} of work`].filter(Boolean);
  return `${number(rendered)} of ${number(segments)} segments will be rendered${about.length ? `, about ${about.join(' and ')}` : ''}.`;
}
