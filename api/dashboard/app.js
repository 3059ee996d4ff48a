// The frame of all pages: sign-in, the way between pages (the part of the URL after #), and what is wrong with the farm.

import { html, render, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { call, get, live, useAnswer } from './farm.js';
import { Trouble } from './parts.js';
import { Overview } from './overview.js';
import { Jobs } from './jobs.js';
import { Job } from './job.js';
import { Batch } from './batch.js';
import { Batches } from './batches.js';
import { Book } from './book.js';
import { Submit } from './submit.js';
import { Voices } from './voices.js';

const PAGES = { '': Overview, jobs: Jobs, job: Job, book: Book, batches: Batches, batch: Batch, submit: Submit, voices: Voices };
const MENU = [['', 'Overview'], ['jobs', 'Jobs'], ['batches', 'Batches'], ['submit', 'Submit'], ['voices', 'Voices']];
const OPENED_FROM = { job: 'jobs', book: 'jobs', batch: 'batches' };
const PARTS = { redis: 'Redis', storage: 'The storage', workers: 'A worker' };

/** {page, id, filter} of `#/jobs?status=failed`. */
function here() {
  const [route, said = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [page, id] = route.split('/').map(decodeURIComponent);
  return { page, id, filter: Object.fromEntries(new URLSearchParams(said)) };
}

function App() {
  const [session, setSession] = useState(null);
  const [error, setError] = useState(null);
  const [at, setAt] = useState(here);
  useEffect(() => {
    const moved = () => setAt(here());
    const left = () => setSession({ signed_in: false });
    addEventListener('hashchange', moved);
    addEventListener('signed-out', left);
    get('v1/session').then(setSession, setError);
    return () => {
      removeEventListener('hashchange', moved);
      removeEventListener('signed-out', left);
    };
  }, []);
  useEffect(() => live(Boolean(session && session.signed_in)), [session]);
  useEffect(() => {
    document.title = `${(MENU.find(([page]) => page === at.page) || [0, at.id || 'TTS Farm'])[1]} · TTS Farm`;
    if (session) document.querySelector('main')?.focus({ preventScroll: true });
  }, [at.page, at.id]);
  if (error) return html`<main class="narrow"><h1>TTS Farm</h1><${Trouble} of=${error} /></main>`;
  if (!session) return html`<main class="narrow" aria-busy="true"><h1>TTS Farm</h1></main>`;
  if (!session.signed_in) return html`<${SignIn} onDone=${setSession} />`;
  const Page = PAGES[at.page] || Lost;
  const leave = () => call('DELETE', 'v1/session').finally(() => setSession({ signed_in: false }));
  return html`
    <a class="skip" href="#content" onClick=${skip}>To the content</a>
    <header>
      <a class="brand" href="#/">TTS Farm</a>
      <nav aria-label="Pages">${MENU.map(([page, title]) => html`
        <a href=${`#/${page}`} aria-current=${(OPENED_FROM[at.page] || at.page) === page ? 'page' : null}>${title}</a>`)}
        <a href="docs">API</a>
      </nav>
      ${session.expires_at && html`<span class="who">${session.tenant}
        <button type="button" class="plain" onClick=${leave}>Sign out</button></span>`}
    </header>
    <${Health} />
    <main id="content" tabindex="-1"><${Page} key=${`${at.page}/${at.id || ''}`} id=${at.id} filter=${at.filter} session=${session} /></main>`;
}

function skip(event) {
  event.preventDefault();
  document.querySelector('main').focus();
}

const Lost = () => html`<h1>There is no such page</h1><p><a href="#/">To the overview</a></p>`;

function Health() {
  const [ready, error] = useAnswer('readyz', 10);
  if (error) return html`<${Trouble} of=${error} />`;
  const bad = Object.entries(ready ? ready.checks : {}).filter(([, said]) => said !== 'ok');
  return bad.map(([part, said]) => html`
    <p class="trouble" role="alert"><b>${PARTS[part] || part}</b> ${said}</p>`);
}

function SignIn({ onDone }) {
  const [key, setKey] = useState('');
  const field = useRef();
  useEffect(() => field.current.focus(), []);
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    try {
      onDone(await call('POST', 'v1/session', { headers: { Authorization: `Bearer ${key.trim()}` } }));
    } catch (refusal) {
      setError(refusal);
    }
  };
  return html`
    <main class="narrow">
      <h1>TTS Farm</h1>
      <form onSubmit=${send}>
        <input class="hidden" autocomplete="username" value="TTS Farm" readonly tabindex="-1" aria-hidden="true" />
        <label>API key <input type="password" autocomplete="current-password" required value=${key} ref=${field}
          onInput=${(event) => setKey(event.target.value)} /></label>
        <${Trouble} of=${error} />
        <p><button class="main">Sign in</button></p>
      </form>
      <p class="quiet">A key is made with <code>farm keys create</code>. This browser keeps a session of 12 hours, not the key.</p>
    </main>`;
}

render(html`<${App} />`, document.getElementById('app'));
