// One batch: its progress, its jobs, its webhooks.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { call, useAnswer, useCalmly, useEvents } from './farm.js';
import { Ask, Bar, Deleted, Left, Review, State, Trouble, When, clock, number } from './parts.js';
import { Deliveries } from './deliveries.js';
import { JOBS } from './jobs.js';
import { List } from './list.js';

export function Batch({ id }) {
  const here = `v1/batches/${encodeURIComponent(id)}`;
  const [batch, error, reload] = useAnswer(here);
  const [fresh, setFresh] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const [asked, ask] = useState(null);
  const [gone, setGone] = useState(false);
  const soon = useCalmly(() => gone || reload(), 1000);
  useEvents((kind, data) => {
    if (data.status === 'deleted' && data.id === id) setGone(true);
    else if (kind === 'progress' && data.id === id) setFresh(data);
    else if (kind !== 'progress' && (!data.id || data.id === id || data.batch_id === id)) soon();
  });
  useEffect(() => setFresh(null), [batch]);
  if (gone) return html`<${Deleted} title="Batch" back="#/batches" />`;
  if (!batch) return html`<h1>Batch</h1><${Trouble} of=${error} />`;
  const { progress, counts } = fresh || batch;
  const ended = counts.succeeded + (counts.failed || 0) + (counts.canceled || 0) || 0;
  const answer = (yes) => {
    ask(null);
    if (!yes) return;
    setRefusal(null);
    if (asked === 'cancel') call('POST', `${here}/cancel`).then(reload, setRefusal);
    else call('DELETE', here).then(() => { location.hash = '#/batches'; }, setRefusal);
  };
  return html`
    <p class="crumbs"><a href="#/batches">Batches</a></p>
    <h1>Batch <${State} of=${batch.status} /></h1>
    <p class="quiet id">${batch.id}</p>
    <${Trouble} of=${refusal || error} />
    <p><${Bar} percent=${progress.percent} /> ${number(batch.total)} jobs, ${number(progress.segments_done)} of ${number(progress.segments_total)} segments, ${clock(progress.audio_seconds)} of audio, made <${When} at=${batch.created_at} />. <${Left} seconds=${batch.ended_at ? 0 : batch.eta_seconds} /><${Review} of=${fresh || batch} /></p>
    <p class="counts">${Object.entries(counts).map(([state, count]) => html`
      <a key=${state} href=${`#/jobs?batch=${id}&status=${state}`}><b>${number(count)}</b> <${State} of=${state} /></a>`)}</p>
    ${Object.keys(batch.metadata).length > 0 && html`<dl>${Object.entries(batch.metadata).map(([name, value]) => html`
      <div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`}
    <p class="row">
      ${batch.ended_at && counts.succeeded > 0 && html`<a class="button" href=${`${here}/archive.zip${counts.succeeded < batch.total ? '?partial=true' : ''}`} download>${counts.succeeded < batch.total ? `Download ${number(counts.succeeded)} of ${number(batch.total)} as ZIP` : 'Download all as ZIP'}</a>`}
      ${!batch.ended_at && html`<button type="button" onClick=${() => ask('cancel')}>Cancel the batch</button>`}
      <button type="button" onClick=${() => ask('delete')}>Delete the batch</button>
    </p>
    ${asked && html`<${Ask} yes=${asked === 'cancel' ? 'Cancel it' : `Delete ${number(batch.total)}`} danger=${asked === 'delete'} onAnswer=${answer}>
      <p><b>${asked === 'cancel' ? `Cancel the ${number(batch.total - ended)} jobs that have not ended?` : `Delete the batch and its ${number(batch.total)} jobs?`}</b></p>
      <p>${asked === 'cancel' ? 'What was rendered stays for a retry.' : 'Their audio goes with them, and does not come back.'}</p></${Ask}>`}
    <h2>Its jobs</h2>
    <${List} of=${JOBS} filter=${{ batch: id }} />
    <${Deliveries} owner=${here} />`;
}
