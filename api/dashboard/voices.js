// Voices: those built into models, and recordings that were uploaded.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { call, useAll } from './farm.js';
import { Ask, Trouble, When } from './parts.js';

export function Voices() {
  const [every, error, reload] = useAll('v1/voices');
  const [wanted, want] = useState('');
  const [gone, drop] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const voices = (every || []).filter((voice) => `${voice.name} ${voice.language || ''}`.toLowerCase().includes(wanted.toLowerCase()));
  const own = voices.filter((voice) => voice.kind === 'uploaded'), builtin = voices.filter((voice) => voice.kind === 'builtin');
  const answer = (yes) => {
    const name = gone;
    drop(null);
    if (yes) call('DELETE', `v1/voices/${encodeURIComponent(name)}`).then(reload, setRefusal);
  };
  return html`
    <h1>Voices</h1>
    <${Trouble} of=${error || refusal} />
    <${Upload} onDone=${reload} />
    <h2>Yours</h2>
    ${!own.length && html`<p class="quiet">None yet.</p>`}
    <ul class="voices">${own.map((voice) => html`<li key=${voice.name}><b>${voice.name}</b>
      <span class="quiet"> ${voice.seconds} s, <${When} at=${voice.created_at} />${voice.models.length ? `, for ${voice.models.join(', ')}` : ', and no model here clones voices'}</span>
      ${voice.notes.map((note) => html`<div class="warning">${note}</div>`)}
      <button type="button" class="plain" aria-label=${`Delete ${voice.name}`} onClick=${() => drop(voice.name)}>Delete</button>
      <audio class="player" controls preload="none" src=${`v1/voices/${encodeURIComponent(voice.name)}/audio`} aria-label=${`the voice ${voice.name}`}></audio></li>`)}</ul>
    <h2>Built in</h2>
    <label class="find">Find <input type="search" value=${wanted} onInput=${(event) => want(event.target.value)} placeholder="en-gb" /></label>
    <ul class="voices names">${builtin.map((voice) => html`<li key=${voice.name}><b>${voice.name}</b> <span class="quiet">${voice.language}, ${voice.models.join(', ')}</span></li>`)}</ul>
    ${gone && html`<${Ask} yes="Delete it" danger onAnswer=${answer}><p><b>Delete the voice ${gone}?</b></p>
      <p>Open jobs that still need it fail.</p></${Ask}>`}`;
}

function Upload({ onDone }) {
  const [file, setFile] = useState(null);
  const [heard, setHeard] = useState(null); // a URL of the chosen file
  const [error, setError] = useState(null);
  const [said, say] = useState('');
  useEffect(() => {
    if (!file) return undefined;
    const url = URL.createObjectURL(file);
    setHeard(url);
    return () => URL.revokeObjectURL(url);
  }, [file]);
  const send = async (event) => {
    event.preventDefault();
    const form = event.target, body = new FormData(form);
    try {
      const voice = await call('POST', 'v1/voices', { body });
      say(`${voice.name} is ready, ${voice.seconds} s long.`);
      setError(null);
      onDone();
    } catch (refusal) {
      say('');
      setError(refusal);
    }
  };
  return html`<form class="card" onSubmit=${send} aria-label="Upload a voice">
    <h2>Upload a voice</h2>
    <div class="fields">
      <label>Name <input name="name" required maxlength="64" /></label>
      <label>Recording <input name="audio" type="file" accept="audio/*" required onChange=${(event) => setFile(event.target.files[0] || null)} /></label>
      <label>Who agreed to be imitated <input name="consent" required maxlength="500" placeholder="name of the speaker" /></label>
    </div>
    ${file && heard && html`<audio class="player" controls src=${heard} aria-label="the chosen recording"></audio>`}
    <${Trouble} of=${error} />
    <p class="row"><button class="main">Upload</button><span role="status" class="quiet">${said}</span></p>
    <p class="quiet">1 to 60 s, better 5 to 15 s, of one person speaking: WAV, FLAC, MP3 or Ogg.</p>
  </form>`;
}
