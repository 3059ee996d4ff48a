// What can be done to one sentence: hear it, other words, another voice, another take, and how a word of it is said.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { call, get } from './farm.js';
import { Trouble, number } from './parts.js';

const AS_IT_IS = '', AROUND = '*'; // choices of a voice; no name is written so

/**
 * `onHear` is null where there is nothing to hear. `draft` is what is changed so far: {text?, voice?, was}, and `onDraft`
 * hears another, or null. `onTake` makes another take; `onLexicon` hears the name of a new version of a lexicon.
 */
export function Sentence({ row, job, draft, voices, seeded, locked, onHear, onDraft, onTake, onLexicon, onClose }) {
  const own = draft || {}, text = own.text === undefined ? row.text : own.text;
  const field = useRef();
  const change = (said) => {
    const next = { ...own, ...said, was: row.text };
    if (next.text === row.text) delete next.text;
    if (next.voice === undefined) delete next.voice;
    onDraft('text' in next || 'voice' in next ? next : null);
  };
  const key = (event) => event.key === 'Escape' && onClose();
  const spoken = voices.find((voice) => voice.digest === row.voice);
  const who = row.character || (spoken ? spoken.name : row.voice);
  return html`<section class="card sentence-card" aria-label=${`Sentence ${row.index + 1}`} onKeyDown=${key}>
    <p class="row"><button type="button" class="main" disabled=${!onHear} onClick=${onHear}>Hear it</button>
      <span class="quiet">Sentence ${number(row.index + 1)}, ${who}${row.seed != null ? `, seed ${row.seed}` : ''}${row.spoken ? html`, said as <q>${row.spoken}</q>` : ''}</span>
      <button type="button" class="plain end" onClick=${onClose}>Close</button></p>
    ${(row.warnings || []).map((warning) => html`<p class="warning">${warning}</p>`)}
    ${row.error && html`<p class="why">${row.error}</p>`}
    ${!locked && html`
      <label>Words <textarea rows="3" ref=${field} value=${text} onInput=${(event) => change({ text: event.target.value })}></textarea></label>
      ${job.markup !== 'none' && html`<p class="quiet">This book is written in ${job.markup === 'ssml' ? 'SSML' : 'tags'}. New words take the place of the marks within the sentence, too.</p>`}
      <div class="fields">
        <label>Voice <select value=${own.voice === undefined ? AS_IT_IS : own.voice === null ? AROUND : own.voice}
          onChange=${({ target }) => change({ voice: target.value === AS_IT_IS ? undefined : target.value === AROUND ? null : target.value })}>
          <option value=${AS_IT_IS}>as it is (${who})</option><option value=${AROUND}>that of the text around it</option>
          ${voices.map((voice) => html`<option key=${voice.name} value=${voice.name}>${voice.name}</option>`)}</select></label>
        ${seeded && html`<${Take} row=${row} job=${job} onTake=${onTake} />`}
      </div>
      <p class="row"><button type="button" onClick=${() => change({ text: '' })} disabled=${text === ''}>Leave it out</button>
        <button type="button" disabled=${!draft} onClick=${() => onDraft(null)}>As it was</button></p>
      <${Word} job=${job} field=${field} onLexicon=${onLexicon} />`}
  </section>`;
}

/** The same words under another seed, which is made at once. */
function Take({ row, job, onTake }) {
  const next = (row.seed == null ? job.seed : row.seed) + 1;
  const [seed, setSeed] = useState('');
  return html`<label>Another take, by seed <input type="number" min="0" max="4294967295" placeholder=${next} value=${seed}
      onInput=${(event) => setSeed(event.target.value)} /></label>
    <button type="button" onClick=${() => onTake(row, seed === '' ? {} : { seed: Number(seed) })}>Say it again: renders 1 of ${number(job.progress.segments_total)}</button>`;
}

/** How a word is said, everywhere in the book. */
function Word({ job, field, onLexicon }) {
  const [said, say] = useState({ written: '', alias: '', name: '' });
  const [told, tell] = useState('');
  const [error, setError] = useState(null);
  const name = said.name || (job.lexicons.length ? job.lexicons[0].split('@')[0] : 'words');
  const open = (event) => {
    const chosen = event.target.open && field.current ? field.current.value.slice(field.current.selectionStart, field.current.selectionEnd).trim() : '';
    if (chosen) say((before) => ({ ...before, written: chosen }));
  };
  const add = async (event) => {
    event.preventDefault();
    try {
      const ref = await withWord(name, { written: said.written.trim(), alias: said.alias.trim() });
      setError(null);
      tell(`${ref} has it. No other job is changed.`);
      onLexicon(ref);
    } catch (refusal) {
      tell('');
      setError(refusal);
    }
  };
  const change = (field) => (event) => say({ ...said, [field]: event.target.value });
  return html`<details onToggle=${open}><summary>A word is said wrong</summary>
    <form onSubmit=${add}><div class="fields">
      <label>Word, as it is written <input required maxlength="60" value=${said.written} onInput=${change('written')} /></label>
      <label>Said as <input required maxlength="200" value=${said.alias} onInput=${change('alias')} /></label>
      <label>Lexicon <input maxlength="64" placeholder=${name} value=${said.name} onInput=${change('name')} /></label>
      </div><${Trouble} of=${error} />
      <p class="row"><button>Put it into the lexicon</button><span role="status" class="quiet">${told}</span></p></form></details>`;
}

/** Makes a version of the lexicon with the word in it, and returns its name. */
async function withWord(name, entry) {
  const there = (await get('v1/lexicons')).data.some((each) => each.name === name);
  const before = there ? (await get(`v1/lexicons/${encodeURIComponent(name)}`)).entries : [];
  const entries = [...before.filter((each) => each.written !== entry.written), entry].map((each) => (
    Object.fromEntries(Object.entries(each).filter(([, value]) => value != null))));
  return (await call('POST', 'v1/lexicons', { json: { name, entries } })).ref;
}
