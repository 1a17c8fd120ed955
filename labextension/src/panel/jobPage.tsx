/** One job in full: its facts, and what can be done with it. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import { Job } from '../shapes';
import { bytes, moment } from './amounts';
import { useAction, useChanged, usePanel } from './context';
import { downloadResults } from './download';
import { JobLog } from './jobLog';
import { Bar, Button, Facts, Notice } from './parts';
import { Partitions } from './partitions';
import { active, modelOf, pace, share } from './progress';
import { Rejects } from './rejects';

type Run = (work: () => Promise<void>) => Promise<void>;

interface IJobAction {
  label: string;
  full: string;
  onClick: () => void;
  reason?: string;
}

/** What can be done with a job just now, the most wanted first. */
export function useJobActions(job: Job, run: Run): IJobAction[] {
  const { activity, backend, health, state, trans } = usePanel();
  const reason = health.usable ? undefined : health.trouble;
  const name = modelOf(job);
  const post = (verb: 'cancel' | 'retry') => () =>
    void run(async () => {
      await backend.ask('POST', `jobs/${encodeURIComponent(job.job_id)}/${verb}`);
      await activity.refresh();
    });
  const actions: IJobAction[] = [];
  if (active(job)) {
    actions.push({
      label: trans.__('Cancel'),
      full: trans.__('Cancel the job on %1', name),
      reason,
      onClick: post('cancel')
    });
  } else if (job.kind !== 'train' && job.state === 'succeeded') {
    actions.push({
      label: trans.__('Download'),
      full: trans.__('Download the results of %1 as CSV', name),
      reason,
      onClick: () =>
        void run(() =>
          downloadResults(
            backend,
            job.job_id,
            `${name.replace('/', '-')}-${job.job_id.slice(0, 8)}.csv`
          )
        )
    });
  } else if (job.kind !== 'train' && job.state === 'failed') {
    actions.push({
      label: trans.__('Retry'),
      full: trans.__('Try the job on %1 again', name),
      reason,
      onClick: post('retry')
    });
  }
  if (job.kind === 'train') {
    const curves = {
      label: trans.__('Curves'),
      full: trans.__('Show the curves of the training of %1', name),
      onClick: () => state.open('training', job.run_id ?? job.job_id)
    };
    actions.push(curves);
  }
  return actions;
}

export function JobPage(props: { jobId: string; known: Job | null }): JSX.Element {
  const { activity, backend, health, state, trans } = usePanel();
  useChanged(activity.changed);
  useChanged(health.changed);
  const { run, failure, clear } = useAction();
  const [asked, setAsked] = React.useState<Job | null>(null);
  const job = props.known ?? asked;
  const listed = props.known !== null;
  const moving = asked !== null && active(asked);
  React.useEffect(() => {
    if (listed) {
      return undefined;
    }
    const path = `jobs/${encodeURIComponent(props.jobId)}`;
    const ask = async () => setAsked((await backend.ask<{ job: Job }>('GET', path)).job);
    void run(ask);
    const timer = moving ? window.setInterval(() => void run(ask), 3000) : undefined;
    return () => window.clearInterval(timer);
  }, [props.jobId, listed, moving]);

  return (
    <div className="tt-Page">
      <button className="tt-Link" onClick={() => state.showJob(null)}>
        ‹ {trans.__('All jobs')}
      </button>
      <Notice failure={failure} onClose={clear} />
      {job && (
        <div className={health.usable ? '' : 'tt-mod-stale'}>
          <Whole job={job} run={run} />
          {job.kind !== 'train' && job.progress.rows_rejected > 0 && <Rejects job={job} />}
          {job.kind !== 'train' && <Partitions job={job} />}
          <JobLog job={job} />
        </div>
      )}
    </div>
  );
}

function Whole(props: { job: Job; run: Run }): JSX.Element {
  const { state, trans } = usePanel();
  const { job } = props;
  const actions = useJobActions(job, props.run);
  const kind = job.kind === 'train' ? trans.__('Training') : trans.__('Scoring');
  const result = job.result;
  const size = (job as Job & { upload_size?: number }).upload_size;
  return (
    <>
      <h3>
        {kind} {modelOf(job)}
      </h3>
      <Bar label={trans.__('Progress')} share={share(job)} state={job.state} />
      <p>{pace(job, trans)}</p>
      {job.error && <div className="tt-Notice">{job.error}</div>}
      <Facts
        facts={[
          [trans.__('State'), job.state],
          [
            trans.__('Model'),
            <button className="tt-Link" onClick={() => state.open('models', job.model_id)}>
              {modelOf(job)}
            </button>
          ],
          [
            trans.__('Made'),
            result && (
              <button className="tt-Link" onClick={() => state.open('models', result.model_id)}>
                {`${result.name}/${result.version}`}
              </button>
            )
          ],
          [trans.__('Upload'), size ? bytes(size) : null],
          [trans.__('Created'), moment(job.created)],
          [trans.__('Finished'), moment(job.finished)],
          [trans.__('Id'), <code>{job.job_id}</code>]
        ]}
      />
      <div className="tt-Actions">
        {actions.map(action => (
          <Button key={action.label} {...action} />
        ))}
        {!active(job) && <DeleteJob job={job} run={props.run} />}
      </div>
    </>
  );
}

/** Offered on the page only: in the list, one row beside the other, the wrong job is soon hit. */
function DeleteJob(props: { job: Job; run: Run }): JSX.Element {
  const { activity, backend, health, history, state, trans } = usePanel();
  const { job, run } = props;
  const name = modelOf(job);
  const remove = async () => {
    const answer = await showDialog({
      title: trans.__('Delete the job on %1?', name),
      body:
        job.kind === 'train'
          ? trans.__('The version that it made stays, and so do its curves.')
          : trans.__(
              'Its upload, results and log are removed from the backend for good. Files that were written stay.'
            ),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Keep it') }),
        Dialog.warnButton({ label: trans.__('Delete the job') })
      ],
      defaultButton: 0
    });
    if (answer.button.accept) {
      await run(async () => {
        await backend.ask('DELETE', `jobs/${encodeURIComponent(job.job_id)}`);
        state.showJob(null);
        history.jobs.forget(job.job_id);
        await activity.refresh();
      });
    }
  };
  return (
    <Button
      label={trans.__('Delete…')}
      full={trans.__('Delete the job on %1', name)}
      kind="danger"
      reason={health.usable ? undefined : health.trouble}
      onClick={() => void remove()}
    />
  );
}
