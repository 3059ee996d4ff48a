// The page of jobs, and what a list of jobs shows and can do.

import { html } from './vendor/preact-htm.js';
import { call } from './farm.js';
import { Filter, List } from './list.js';
import { Bar, Review, STATES, State, When, clock, nameOf, number, path } from './parts.js';

const FIELDS = [['custom_id', 'Title', 'a part of it'], ['model', 'Model', ''], ['voice', 'Voice', ''], ['batch', 'Batch', 'batch_…'],
  ['metadata', 'Metadata', 'book=emma, part=2']];
const OPEN = new Set(['queued', 'running', 'assembling']);

export const canBeRetried = (job) => ['failed', 'canceled'].includes(job.status)
  || (job.status === 'succeeded' && job.progress.segments_failed > 0);

export const JOBS = {
  one: 'job', many: 'jobs', path: 'v1/jobs', object: 'job', Cells,
  columns: ['Job', 'Status', 'Progress', 'Model, voice', 'Metadata', 'Made'],
  actions: {
    cancel: { title: 'Cancel', may: (job) => OPEN.has(job.status), does: (job) => call('POST', `v1/jobs/${job.id}/cancel`),
      words: 'What was rendered stays for a retry.' },
    retry: { title: 'Retry', may: canBeRetried, does: (job) => call('POST', `v1/jobs/${job.id}/retry`),
      words: 'Only what is missing is rendered.' },
    delete: { title: 'Delete', may: () => true, does: (job) => call('DELETE', `v1/jobs/${job.id}`), danger: true,
      words: 'Their audio goes with them, and does not come back.' },
  },
};

export const Jobs = ({ filter }) => html`<h1>Jobs</h1>
  <${Filter} page="jobs" states=${STATES} fields=${FIELDS} filter=${filter} /><${List} of=${JOBS} filter=${filter} />`;

function Cells({ row: job }) {
  const { progress, result } = job;
  return html`<th scope="row"><a href=${path('job', job.id)}>${nameOf(job)}</a>
      ${job.error && html`<div class="why">${job.error.message}</div>`}</th>
    <td data-label="status"><${State} of=${job.status} /></td>
    <td data-label="progress">${OPEN.has(job.status)
      ? html`<div><${Bar} percent=${progress.percent} label=${`progress of ${nameOf(job)}`} /> <span class="left">${number(progress.segments_done)} / ${number(progress.segments_total)}</span></div>`
      : result ? clock(result.duration_seconds) : html`<span class="quiet">–</span>`}<${Review} of=${job} /></td>
    <td data-label="model, voice">${job.model}${job.voice && html`, ${job.voice}`}</td>
    <td data-label="metadata" class="meta">${Object.entries(job.metadata).map(([name, value]) => html`<span key=${name}>${name}=${value} </span>`)}</td>
    <td data-label="made"><${When} at=${job.created_at} /></td>`;
}
