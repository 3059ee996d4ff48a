// One job: its progress, its sound, its sentences, its webhooks.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { call, get, useAnswer, useCalmly, useEvents } from './farm.js';
import { Ask, Bar, Deleted, Left, Review, State, Trouble, When, bytes, clock, nameOf, number, path } from './parts.js';
import { Chapters } from './chapters.js';
import { Deliveries } from './deliveries.js';
import { playOnly, useFollow } from './follow.js';
import { canBeRetried } from './jobs.js';
import { Listen } from './listen.js';
import { Wave } from './wave.js';

const OPEN = new Set(['queued', 'running', 'assembling']);
const AT_ONCE = 200; // segments

export function Job({ id }) {
  const [job, error, reload] = useAnswer(`v1/jobs/${encodeURIComponent(id)}`);
  const [models] = useAnswer('v1/models');
  const [fresh, setFresh] = useState(null); // the latest progress
  const [refusal, setRefusal] = useState(null);
  const [asked, ask] = useState(false);
  const [listens, listen] = useState(false);
  const audio = useRef();
  const [gone, setGone] = useState(false);
  const soon = useCalmly(() => gone || reload(), 1000);
  useEvents((kind, data) => {
    if (data.status === 'deleted' && data.id === id) setGone(true);
    else if (kind === 'progress' && data.id === id) setFresh(data.progress);
    else if (kind !== 'progress' && (!data.id || data.id === id)) soon();
  });
  useEffect(() => setFresh(null), [job]);
  if (gone) return html`<${Deleted} title="Job" back="#/jobs" />`;
  if (!job) return html`<h1>Job</h1><${Trouble} of=${error} />`;
  const act = (method, to) => call(method, to).then(reload, setRefusal);
  const here = `v1/jobs/${job.id}`, progress = fresh || job.progress, { result } = job;
  const seeded = Boolean(models && models.data.some((model) => model.name === job.model && model.parameters.includes('seed')));
  const remove = (yes) => {
    ask(false);
    if (yes) call('DELETE', here).then(() => { location.hash = '#/jobs'; }, setRefusal);
  };
  return html`
    <p class="crumbs"><a href="#/jobs">Jobs</a>${job.batch_id && html` / <a href=${path('batch', job.batch_id)}>${job.batch_id}</a>`}</p>
    <h1>${nameOf(job)} <${State} of=${job.status} /></h1>
    <${Trouble} of=${refusal || error} />
    ${job.error && html`<div class="trouble" role="alert"><p>${job.error.message}</p>
      ${job.error.text && html`<p>In ${job.error.chapter_title || `chapter ${job.error.chapter + 1}`}: <q>${job.error.text}</q></p>`}</div>`}
    ${OPEN.has(job.status) && html`<p><${Bar} percent=${progress.percent} /> ${number(progress.segments_done)} of ${number(progress.segments_total)} segments, ${clock(progress.audio_seconds)} of audio. <${Left} seconds=${job.eta_seconds} /></p>`}
    ${listens && html`<${Listen} job=${here} name=${nameOf(job)} />`}
    ${result && html`<${Wave} job=${here} seconds=${result.duration_seconds} audio=${audio} />
      <audio class="player" controls preload="metadata" src=${`${here}/audio`} ref=${audio} aria-label=${`audio of ${nameOf(job)}`}></audio>`}
    <p class="row">
      ${OPEN.has(job.status) && progress.segments_done > 0 && !listens && html`<button type="button" class="main" onClick=${() => listen(true)}>Listen now</button>`}
      ${OPEN.has(job.status) && html`<button type="button" onClick=${() => act('POST', `${here}/cancel`)}>Cancel</button>`}
      ${canBeRetried({ ...job, progress }) && html`<button type="button" class="main" onClick=${() => act('POST', `${here}/retry`)}>Retry</button>`}
      ${result && html`<a class="button" href=${`${here}/audio`} download>Download ${result.format}, ${bytes(result.bytes)}</a>
        <a class="button" href=${`${here}/archive.zip`} download>All as ZIP</a>
        <a class="button" href=${`${here}/manifest`} download>Manifest</a>
        ${Object.keys(result.subtitles).map((kind) => html`<a key=${kind} class="button" href=${`${here}/subtitles.${kind}`} download>${kind}</a>`)}`}
      ${progress.segments_total > 0 && html`<a class="button" href=${path('book', job.id)}>Read and edit</a>`}
      <button type="button" onClick=${() => ask(true)}>Delete</button>
    </p>
    ${asked && html`<${Ask} yes="Delete 1" danger onAnswer=${remove}><p><b>Delete this job?</b></p>
      <p>Its audio goes with it, and does not come back.</p></${Ask}>`}
    <${Facts} job=${job} />
    ${result && result.chapters_url && html`<${Chapters} owner=${here} />`}
    <${Segments} job=${job} audio=${audio} seeded=${seeded} />
    <${Deliveries} owner=${here} />`;
}

function Facts({ job }) {
  const { progress, result } = job;
  const rows = [['Id', job.id], ['Model', job.model], ['Voice', job.voice], ['Language', job.language], ['Priority', job.priority],
    ['Seed', job.seed], ['Characters', number(job.characters)],
    ['Segments', html`${number(progress.segments_total)}, ${number(progress.cached)} from the cache${progress.segments_failed ? `, ${number(progress.segments_failed)} failed` : ''}<${Review} of=${job} />`],
    ['Length', result && clock(result.duration_seconds, 1)], ['Loudness', result && result.loudness_lufs != null && `${result.loudness_lufs.toFixed(1)} LUFS`],
    ['Made', html`<${When} at=${job.created_at} />`], ['Ended', job.ended_at && html`<${When} at=${job.ended_at} />`],
    ...Object.entries(job.metadata)];
  return html`<dl>${rows.filter(([, said]) => said || said === 0).map(([name, said]) => html`<div><dt>${name}</dt><dd>${said}</dd></div>`)}</dl>`;
}

function Segments({ job, audio, seeded }) {
  const [rows, setRows] = useState([]);
  const [next, setNext] = useState(null);
  const [error, setError] = useState(null);
  const [playing, setPlaying] = useState(null);
  const load = async (after) => {
    try {
      const page = await get(`v1/jobs/${job.id}/segments?limit=${AT_ONCE}${after ? `&after=${after}` : ''}`);
      setRows((before) => after ? [...before, ...page.data] : page.data);
      setNext(page.next_cursor);
    } catch (refusal) {
      if (refusal.status !== 409) setError(refusal);
    }
  };
  useEffect(() => {
    if (job.progress.segments_total) load(null);
  }, [job.status, job.progress.segments_total > 0]);
  useFollow(audio, rows, (row) => setPlaying(row && row.index));
  if (!rows.length) return html`<${Trouble} of=${error} />`;
  return html`<section aria-labelledby="sentences"><h2 id="sentences">Sentences</h2>
    <ol class="segments">${rows.map((row) => html`<${Sentence} key=${row.index} row=${row} job=${job.id} audio=${audio} now=${playing === row.index}
      seed=${seeded ? job.seed : null} />`)}</ol>
    ${next && html`<p><button type="button" onClick=${() => load(next)}>Show more</button></p>`}</section>`;
}

function Sentence({ row, job, audio, now, seed }) {
  const sounds = row.duration_ms != null && row.offset_ms != null;
  const notes = [sounds && clock(row.offset_ms / 1000, 1), row.voice, seed != null && `seed ${seed}`,
    row.needs_review && 'needs review', row.attempts > 1 && `${row.attempts} attempts`, row.cached && 'from the cache'].filter(Boolean);
  const warnings = row.warnings || [];
  return html`<li class=${now ? 'now' : ''}>
    <button type="button" class="sentence" disabled=${!sounds} aria-current=${now ? 'true' : null}
      title=${sounds ? 'play this sentence' : null} onClick=${() => playOnly(audio.current, row)}>${row.text}</button>
    <span class="quiet notes">${notes.join(' · ')}</span>
    ${warnings.map((warning) => html`<span class="warning">${warning}</span>`)}
    ${row.error && html`<span class="why">${row.error}</span>`}
    <a class="notes" href=${`${path('book', job)}?at=${row.index}`} aria-label=${`Edit sentence ${row.index + 1}`}>Edit</a></li>`;
}
