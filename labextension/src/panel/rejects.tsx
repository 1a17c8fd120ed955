/** The rows of a scoring that could not be scored, a page at a time. */

import * as React from 'react';

import { Job } from '../shapes';
import { useAction, usePanel } from './context';
import { Button, Notice, Table } from './parts';

interface Reject {
  row: number;
  line: number | null;
  field: string | null;
  code: string;
  message: string;
}

export function Rejects(props: { job: Job }): JSX.Element {
  const { backend, trans } = usePanel();
  const { run, busy, failure } = useAction();
  const [rows, setRows] = React.useState<Reject[]>([]);
  const [cursor, setCursor] = React.useState<string | null>(null);
  const more = (from: string | null) =>
    run(async () => {
      const tail = from ? `&cursor=${encodeURIComponent(from)}` : '';
      const answer = await backend.ask<{ rejects: Reject[]; next_cursor: string | null }>(
        'GET',
        `jobs/${encodeURIComponent(props.job.job_id)}/rejects?limit=50${tail}`
      );
      setRows(before => (from ? [...before, ...answer.rejects] : answer.rejects));
      setCursor(answer.next_cursor);
    });
  React.useEffect(() => {
    void more(null);
  }, [props.job.job_id]);
  return (
    <>
      <h4>{trans.__('Rows that could not be scored')}</h4>
      <Notice failure={failure} />
      <Table
        label={trans.__('Rejected rows')}
        heads={[trans.__('Line'), trans.__('Field'), trans.__('Reason')]}
      >
        {rows.map((reject, index) => (
          <tr key={index}>
            <td>{reject.line ?? trans.__('row %1', reject.row)}</td>
            <td>{reject.field ?? ''}</td>
            <td>{reject.message}</td>
          </tr>
        ))}
      </Table>
      {cursor && (
        <Button
          label={busy ? trans.__('Asking…') : trans.__('Show more')}
          full={trans.__('Show more rejected rows')}
          onClick={() => void more(cursor)}
        />
      )}
    </>
  );
}
