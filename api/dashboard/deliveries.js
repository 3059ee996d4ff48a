// The webhooks of a job or a batch: what was sent, what came of it, and sending it again.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { call, useAnswer, useCalmly, useEvents } from './farm.js';
import { Trouble, When } from './parts.js';

const CALM = 15; // seconds between two looks

const isDueSoon = (delivery) => delivery.next_attempt_at && new Date(delivery.next_attempt_at) - Date.now() < 60000;

export function Deliveries({ owner }) {
  const [pace, setPace] = useState(CALM);
  const [page, error, reload] = useAnswer(`${owner}/deliveries`, pace);
  useEffect(() => setPace(page && page.data.some(isDueSoon) ? 2 : CALM), [page]);
  const [said, say] = useState(null);
  const soon = useCalmly(reload, 3000);
  useEvents((kind, data) => kind === 'status' && data.status !== 'deleted' && owner.endsWith(data.id) && soon());
  if (!page || !page.data.length) return html`<${Trouble} of=${error} />`;
  const again = (delivery) => call('POST', `${owner}/deliveries/${encodeURIComponent(delivery.id)}/redeliver`)
    .then(() => { say(null); setTimeout(reload, 1000); }, say);
  return html`<section aria-labelledby="deliveries"><h2 id="deliveries">Webhooks</h2>
    <${Trouble} of=${said} />
    <table class="cards"><thead><tr><th>Event</th><th>To</th><th>Status</th><th>Attempts</th><th>Latest</th><th><span class="hidden">Action</span></th></tr></thead>
    <tbody>${page.data.map((each) => {
      const last = each.attempts[each.attempts.length - 1];
      return html`<tr key=${each.id}><th scope="row">${each.event}</th><td data-label="to" class="id">${each.url}</td>
        <td data-label="status"><span class=${`state ${each.status}`}>${each.status}</span></td>
        <td data-label="attempts">${each.attempts.length}</td>
        <td data-label="latest">${last ? html`<span>${last.status_code || last.error}, <${When} at=${last.at} /></span>` : '–'}</td>
        <td><button type="button" onClick=${() => again(each)}>Send again</button></td></tr>`;
    })}</tbody></table></section>`;
}
