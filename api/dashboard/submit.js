// New work: one text, several files, or lines of JSON; with the curl command that does the same.

import { html, useState } from './vendor/preact-htm.js';
import { call, pairs, useAll, useAnswer } from './farm.js';
import { Trouble, path, quoted } from './parts.js';

const KINDS = { text: 'A text', files: 'Files', lines: 'JSON Lines' };
const FORMATS = ['mp3', 'wav', 'flac', 'opus'];
const EMPTY = { input: '', custom_id: '', model: '', voice: '', language: '', format: 'mp3', speed: '1', priority: '', metadata: '' };

export function Submit() {
  const [kind, setKind] = useState('text');
  const [said, say] = useState(EMPTY);
  const [files, setFiles] = useState([]); // {name, text}
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const [models] = useAnswer('v1/models');
  const [voices] = useAll('v1/voices');
  const change = (name) => (event) => say({ ...said, [name]: event.target.value });
  const request = requestOf(kind, said, files);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      const made = await call('POST', request.path, request);
      location.hash = path(kind === 'text' ? 'job' : 'batch', made.id);
    } catch (refusal) {
      setError(refusal);
      setBusy(false);
    }
  };
  const choose = async (event) => setFiles(await Promise.all([...event.target.files].map(async (file) => ({ name: file.name, text: await file.text() }))));
  const fitting = (voices || []).filter((voice) => !said.model || voice.models.includes(said.model));
  return html`
    <h1>Submit</h1>
    <form onSubmit=${send} class="card" aria-label="Submit">
      <fieldset class="tabs"><legend class="hidden">What to submit</legend>${Object.entries(KINDS).map(([each, title]) => html`
        <label key=${each}><input type="radio" name="kind" checked=${kind === each} onChange=${() => { setKind(each); setFiles([]); }} />${title}</label>`)}</fieldset>
      ${kind === 'text' && html`
        <label>Title <input maxlength="200" value=${said.custom_id} onInput=${change('custom_id')} /></label>
        <label>Text <textarea rows="8" required value=${said.input} onInput=${change('input')}></textarea></label>`}
      ${kind === 'files' && html`<label>Text files, a job each <input key="files" type="file" accept=".txt,.md,text/*" multiple required onChange=${choose} /></label>`}
      ${kind === 'lines' && html`<label>A file with one job a line <input key="lines" type="file" accept=".jsonl,.ndjson,.json" required onChange=${choose} /></label>`}
      <div class="fields">
        <label>Model <select value=${said.model} onChange=${change('model')}><option value="">the farm's default</option>
          ${(models ? models.data : []).map((model) => html`<option key=${model.name} value=${model.name}>${model.name}</option>`)}</select></label>
        <label>Voice <input list="voices" value=${said.voice} placeholder="the language's own" onInput=${change('voice')} />
          <datalist id="voices">${fitting.map((voice) => html`<option key=${voice.name} value=${voice.name}>${voice.language || 'uploaded'}</option>`)}</datalist></label>
        <label>Language <input value=${said.language} placeholder="en" onInput=${change('language')} /></label>
        <label>Format <select onChange=${change('format')}>${FORMATS.map((each) => html`<option key=${each} value=${each} selected=${each === said.format}>${each}</option>`)}</select></label>
        <label>Speed <input type="number" min="0.5" max="2" step="0.05" value=${said.speed} onInput=${change('speed')} /></label>
        <label>Priority <select value=${said.priority} onChange=${change('priority')}><option value="">normal</option><option value="interactive">interactive</option><option value="bulk">bulk</option></select></label>
        <label>Metadata <input value=${said.metadata} placeholder="book=emma, part=2" onInput=${change('metadata')} /></label>
      </div>
      <${Trouble} of=${error} />
      <p><button class="main" disabled=${busy}>Submit</button></p>
    </form>
    <h2 id="curl">The same with curl</h2>
    <pre class="curl" tabindex="0" aria-labelledby="curl">${curl(request, files)}</pre>`;
}

/** {path, json} or {path, body, headers}: what the form will send. */
function requestOf(kind, said, files) {
  const options = {
    ...Object.fromEntries(['model', 'voice', 'language', 'priority'].filter((name) => said[name]).map((name) => [name, said[name]])),
    ...(said.speed && said.speed !== '1' && { speed: Number(said.speed) }),
    ...(said.format !== 'mp3' && { output: { format: said.format } }),
    ...(pairs(said.metadata).length && { metadata: Object.fromEntries(pairs(said.metadata)) }),
  };
  if (kind === 'text') return { path: 'v1/jobs', json: { input: said.input, ...(said.custom_id && { custom_id: said.custom_id }), ...options } };
  if (kind === 'files') return { path: 'v1/batches', json: { jobs: files.map(({ name, text }) => ({ custom_id: name, input: text })), defaults: options } };
  const defaults = Object.keys(options).length ? `?defaults=${encodeURIComponent(JSON.stringify(options))}` : '';
  return { path: `v1/batches${defaults}`, body: files.map(({ text }) => text).join('\n'), headers: { 'Content-Type': 'application/jsonl' } };
}

function curl(request, files) {
  const url = new URL(request.path, document.baseURI).href;
  const key = '-H "Authorization: Bearer $FARM_API_KEY"';
  if (request.json) return `curl ${quoted(url)} \\\n  ${key} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(request.json, null, 1))}`;
  return `curl ${quoted(url)} \\\n  ${key} \\\n  -H 'Content-Type: application/jsonl' \\\n  --data-binary @${quoted(files.length ? files[0].name : 'jobs.jsonl')}`;
}
