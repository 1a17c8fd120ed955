/** The tab of jobs: scorings and trainings with their progress, and one of them in full. */

import * as React from 'react';

import { Job } from '../shapes';
import { useAction, useChanged, usePanel } from './context';
import { JobPage, useJobActions } from './jobPage';
import { usePages } from './older';
import { Bar, Button, Empty, LongList, Notice } from './parts';
import { modelOf, pace, share } from './progress';

const ROW = 76;
const idOf = (job: Job) => job.job_id;

export function Jobs(): JSX.Element {
  const { activity, health, history, state, trans } = usePanel();
  useChanged(state.changed);
  useChanged(activity.changed);
  useChanged(health.changed);
  const action = useAction();
  const scrolled = React.useRef(0);
  const { entries, more, busy, failure } = usePages(history.jobs);

  if (state.jobId !== null) {
    const known = entries.find(job => job.job_id === state.jobId) ?? null;
    return <JobPage key={state.jobId} jobId={state.jobId} known={known} />;
  }
  if (activity.loaded && entries.length === 0) {
    return (
      <Empty title={trans.__('No jobs yet')}>
        <p>
          {trans.__(
            'Right-click a CSV file in the file browser and choose “Score with Model…”, or score it from a notebook cell:'
          )}
        </p>
        <pre>{'import tensortrigger_lab as tt\ntt.score("churn", "customers.csv")'}</pre>
        <p>{trans.__('Trainings that run in the backend are listed here too.')}</p>
      </Empty>
    );
  }
  return (
    <>
      <Notice
        failure={action.failure ?? failure}
        onClose={action.failure ? action.clear : undefined}
      />
      {!activity.loaded && health.usable && !activity.failure && (
        <p className="tt-Hint">{trans.__('Asking for the jobs…')}</p>
      )}
      <LongList
        label={trans.__('Jobs')}
        entries={entries}
        row={ROW}
        memory={scrolled}
        stale={!health.usable}
        idOf={idOf}
        render={job => <JobRow job={job} run={action.run} />}
        foot={
          <div className="tt-Foot">
            {(more || busy) && (
              <Button
                label={busy ? trans.__('Asking…') : trans.__('Show older jobs')}
                onClick={() => more?.()}
              />
            )}
          </div>
        }
      />
    </>
  );
}

const JobRow = React.memo(function JobRow(props: {
  job: Job;
  run: (work: () => Promise<void>) => Promise<void>;
}): JSX.Element {
  const { state, trans } = usePanel();
  const { job, run } = props;
  const actions = useJobActions(job, run);
  const name = modelOf(job);
  const kind = job.kind === 'train' ? trans.__('Training') : trans.__('Scoring');
  return (
    <div className="tt-Job">
      <div className="tt-Row">
        <button
          className="tt-Row-main"
          data-main
          aria-label={`${kind} ${name}, ${job.state}, ${pace(job, trans)}`}
          onClick={() => state.showJob(job.job_id)}
        >
          <span className="tt-Row-title">{name}</span>
          <span className="tt-Row-note">{kind}</span>
        </button>
        <span className={`tt-State tt-mod-${job.state}`}>{job.state}</span>
      </div>
      <Bar label={trans.__('Progress of %1 %2', kind, name)} share={share(job)} state={job.state} />
      <div className="tt-Row">
        <span className="tt-Row-note" title={job.error ?? pace(job, trans)}>
          {job.error ?? pace(job, trans, true)}
        </span>
        {actions.slice(0, 1).map(action => (
          <Button key={action.label} {...action} />
        ))}
      </div>
    </div>
  );
});
