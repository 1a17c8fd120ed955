/** What a scoring is cut into, and how far each part is: all of a few, of many those in work and those that failed. */

import * as React from 'react';

import { Job } from '../shapes';
import { counted } from './amounts';
import { useAction, usePanel } from './context';
import { Notice, Table } from './parts';
import { active } from './progress';

interface Partition {
  /** Its place in the job; -1 fetches and cuts a file that lies elsewhere. */
  partition: number;
  state: 'queued' | 'claimed' | 'done' | 'failed';
  rows: number;
  rows_done: number;
  attempts: number;
  worker: string | null;
  error: string | null;
}

/** A job of no more partitions shows them all; no job shows more rows. */
const MOST = 20;

export function Partitions(props: { job: Job }): JSX.Element {
  const { backend, trans } = usePanel();
  const { job } = props;
  const { run, failure } = useAction();
  // Of a job that went well hardly anybody wants to know them.
  const [open, setOpen] = React.useState(active(job) || job.state === 'failed');
  const [found, setFound] = React.useState<Partition[] | null>(null);
  const { rows_done, partitions_done, partitions_total, attempts } = job.progress;
  const total = partitions_total ?? 0;
  const many = total > MOST;
  React.useEffect(() => {
    if (!open) {
      return undefined;
    }
    let left = false;
    void run(async () => {
      const path = `jobs/${encodeURIComponent(job.job_id)}/partitions?limit=${MOST}`;
      const answer = await backend.ask<{ partitions: Partition[] }>(
        'GET',
        many ? `${path}&state=claimed&state=failed` : path
      );
      if (!left) {
        setFound(answer.partitions);
      }
    });
    return () => {
      left = true;
    };
  }, [open, job.job_id, job.last_updated, job.state, many, rows_done, attempts]);
  const done = trans.__('%1 of %2 done', counted(partitions_done ?? 0), counted(total));
  return (
    <details
      className="tt-Fold"
      open={open}
      onToggle={event => setOpen((event.currentTarget as HTMLDetailsElement).open)}
    >
      <summary>{trans.__('Partitions: %1', done)}</summary>
      <Notice failure={failure} />
      {many && found && (
        <p className="tt-Hint">
          {found.length
            ? trans.__('In work or failed; the first %1 at most.', MOST)
            : trans.__('None is in work, and none has failed.')}
        </p>
      )}
      {!!found?.length && (
        <Table
          label={trans.__('Partitions of the job')}
          heads={[
            trans.__('Part'),
            trans.__('Rows'),
            trans.__('State'),
            trans.__('Attempts'),
            trans.__('Worker')
          ]}
        >
          {found.map(one => (
            <tr key={one.partition} className={one.state === 'failed' ? 'tt-mod-error' : undefined}>
              <td>{one.partition < 0 ? trans.__('fetching') : one.partition}</td>
              <td>{rowsOf(one)}</td>
              <td title={one.error ?? undefined}>{one.state}</td>
              <td>{one.attempts}</td>
              <td>{one.worker ?? ''}</td>
            </tr>
          ))}
        </Table>
      )}
    </details>
  );
}

function rowsOf(one: Partition): string {
  return one.state === 'done'
    ? counted(one.rows)
    : `${counted(one.rows_done)} / ${counted(one.rows)}`;
}
