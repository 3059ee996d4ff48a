// The page of batches, and what a list of batches shows and can do.

import { html } from './vendor/preact-htm.js';
import { call, everyOne } from './farm.js';
import { canBeRetried } from './jobs.js';
import { Filter, List } from './list.js';
import { Bar, Left, Review, State, When, nameOf, number, path } from './parts.js';

const FIELDS = [['model', 'Model', ''], ['metadata', 'Metadata', 'book=emma, part=2']];

export const BATCHES = {
  one: 'batch', many: 'batches', path: 'v1/batches', object: 'batch', Cells,
  columns: ['Batch', 'Status', 'Progress', 'Jobs', 'Metadata', 'Made'],
  actions: {
    cancel: { title: 'Cancel', may: (batch) => !batch.ended_at, does: (batch) => call('POST', `v1/batches/${batch.id}/cancel`),
      words: 'Their jobs that have not ended are canceled. What was rendered stays for a retry.' },
    retry: { title: 'Retry', may: ({ counts }) => (counts.failed || 0) + (counts.canceled || 0) > 0, does: retry,
      words: 'Their failed and canceled jobs are taken up again. Only what is missing is rendered.' },
    delete: { title: 'Delete', may: () => true, does: (batch) => call('DELETE', `v1/batches/${batch.id}`), danger: true,
      words: 'Their jobs and their audio go with them, and do not come back.' },
  },
};

export const Batches = ({ filter }) => html`<h1>Batches</h1>
  <${Filter} page="batches" states=${['running', 'completed', 'canceled']} fields=${FIELDS} filter=${filter} />
  <${List} of=${BATCHES} filter=${filter} />`;

async function retry(batch) {
  for await (const job of everyOne('v1/jobs', { batch: batch.id })) {
    if (canBeRetried(job)) await call('POST', `v1/jobs/${job.id}/retry`);
  }
}

function Cells({ row: batch }) {
  const { progress } = batch;
  return html`<th scope="row" class="id"><a href=${path('batch', batch.id)}>${nameOf(batch)}</a></th>
    <td data-label="status"><${State} of=${batch.status} /></td>
    <td data-label="progress"><div><${Bar} percent=${progress.percent} label=${`progress of ${batch.id}`} /> <${Left} seconds=${batch.ended_at ? 0 : batch.eta_seconds} /><${Review} of=${batch} /></div></td>
    <td data-label="jobs"><div>${Object.entries(batch.counts).map(([state, count]) => html`
      <span key=${state} class="part">${number(count)} <${State} of=${state} /></span>`)}</div></td>
    <td data-label="metadata" class="meta">${Object.entries(batch.metadata).map(([name, value]) => html`<span key=${name}>${name}=${value} </span>`)}</td>
    <td data-label="made"><${When} at=${batch.created_at} /></td>`;
}
