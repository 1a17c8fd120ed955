/** A job's results as a CSV file on the reader's disk. */

import { IBackend } from '../client';

/** The route answers CSV only to who accepts it, which a plain link cannot say, so the answer is fetched. */
export async function downloadResults(
  backend: IBackend,
  jobId: string,
  name: string
): Promise<void> {
  const path = `jobs/${encodeURIComponent(jobId)}/results`;
  const place = URL.createObjectURL(await backend.file(path, 'text/csv'));
  const link = document.createElement('a');
  link.href = place;
  link.download = name;
  link.click();
  // The download has its own hold on the data by then.
  window.setTimeout(() => URL.revokeObjectURL(place), 60_000);
}
