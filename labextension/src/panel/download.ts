/** A job's results as a CSV file on the reader's disk. */

import { ServerConnection } from '@jupyterlab/services';

import { IBackend } from '../client';
import { failureOf } from '../failure';

/**
 * The route answers CSV only to who accepts it, which a plain link cannot say, so the answer is fetched. The browser
 * keeps a long answer on its disk, not in memory.
 */
export async function downloadResults(
  backend: IBackend,
  settings: ServerConnection.ISettings,
  jobId: string,
  name: string
): Promise<void> {
  const url = backend.downloadUrl(`jobs/${encodeURIComponent(jobId)}/results`);
  const response = await ServerConnection.makeRequest(
    url,
    { method: 'GET', headers: { Accept: 'text/csv' } },
    settings
  );
  if (!response.ok) {
    throw failureOf(response.status, await response.text());
  }
  const link = document.createElement('a');
  const place = URL.createObjectURL(await response.blob());
  link.href = place;
  link.download = name;
  link.click();
  // The download has its own hold on the data by then.
  window.setTimeout(() => URL.revokeObjectURL(place), 60_000);
}
