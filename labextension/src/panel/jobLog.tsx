/** What happened to a job: its log, asked for when somebody opens it, and again whenever the job has moved. */

import * as React from 'react';

import { Job } from '../shapes';
import { moment } from './amounts';
import { useAction, usePanel } from './context';
import { Notice, Table } from './parts';

interface LogLine {
  number: number;
  at: string;
  level: 'info' | 'warning' | 'error';
  message: string;
  partition: number | null;
}

interface LogPage {
  log: LogLine[];
  next_after: number | null;
}

const PAGE = 200;

export function JobLog(props: { job: Job }): JSX.Element {
  const { backend, trans } = usePanel();
  const { run, failure } = useAction();
  const [open, setOpen] = React.useState(false);
  const [lines, setLines] = React.useState<LogLine[]>([]);
  const { job_id, last_updated, state } = props.job;
  React.useEffect(() => {
    if (!open) {
      return;
    }
    let left = false;
    void run(async () => {
      let after: number | null = lines.length ? lines[lines.length - 1].number : 0;
      const found: LogLine[] = [];
      while (after !== null && !left) {
        const path = `jobs/${encodeURIComponent(job_id)}/log?limit=${PAGE}&after=${after}`;
        const page: LogPage = await backend.ask<LogPage>('GET', path);
        found.push(...page.log);
        after = page.next_after;
      }
      if (!left && found.length) {
        setLines(before => [...before, ...found.filter(line => !known(before, line))]);
      }
    });
    return () => {
      left = true;
    };
  }, [open, job_id, last_updated, state]);
  return (
    <details
      className="tt-Fold"
      onToggle={event => setOpen((event.currentTarget as HTMLDetailsElement).open)}
    >
      <summary>{trans.__('What happened')}</summary>
      <Notice failure={failure} />
      <Table
        label={trans.__('Log of the job')}
        heads={[trans.__('When'), trans.__('Part'), trans.__('What')]}
      >
        {lines.map(line => (
          <tr key={line.number} className={`tt-mod-${line.level}`}>
            <td title={line.at}>{moment(line.at)}</td>
            <td>{line.partition ?? ''}</td>
            <td>{line.message}</td>
          </tr>
        ))}
      </Table>
    </details>
  );
}

function known(lines: LogLine[], line: LogLine): boolean {
  return lines.length > 0 && line.number <= lines[lines.length - 1].number;
}
