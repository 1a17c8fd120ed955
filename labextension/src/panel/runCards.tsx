/** What can be done with the chosen runs: stop one, open what it made, delete it; and why one says nothing. */

import { Dialog, showDialog } from '@jupyterlab/apputils';
import * as React from 'react';

import { Job, Run } from '../shapes';
import { useAction, useChanged, usePanel } from './context';
import { colourOf } from './palette';
import { Button, Notice } from './parts';
import { LETTERS } from './training';

export function RunCards(props: {
  runIds: readonly string[];
  listed: readonly Run[];
}): JSX.Element {
  const { run, failure, clear } = useAction();
  return (
    <>
      <Notice failure={failure} onClose={clear} />
      <div className="tt-Cards">
        {props.runIds.map((runId, place) => (
          <Card
            key={runId}
            runId={runId}
            place={place}
            listed={props.listed.find(one => one.run_id === runId)}
            act={run}
          />
        ))}
      </div>
    </>
  );
}

function Card(props: {
  runId: string;
  place: number;
  listed?: Run;
  act: (work: () => Promise<void>) => Promise<void>;
}): JSX.Element {
  const { activity, backend, health, history, pool, state, trans } = usePanel();
  useChanged(health.changed);
  const { act, place, runId } = props;
  const follower = pool.get(runId);
  const run = newer(follower?.run ?? null, props.listed);
  const job = useJob(run);
  const reason = health.usable ? undefined : health.trouble;
  if (!run) {
    return (
      <div className="tt-Card">
        {phaseText(follower?.phase, trans) || trans.__('Asking for this training…')}
      </div>
    );
  }
  const cancel = () =>
    void act(async () => {
      await backend.ask('POST', `jobs/${encodeURIComponent(run.job_id ?? '')}/cancel`);
      await activity.refresh();
    });
  const remove = async () => {
    const answer = await showDialog({
      title: trans.__('Delete the curves of “%1”?', run.name),
      body: trans.__('The model that was trained stays as it is.'),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Keep them') }),
        Dialog.warnButton({ label: trans.__('Delete the curves') })
      ],
      defaultButton: 0
    });
    if (answer.button.accept) {
      await act(async () => {
        await backend.ask('DELETE', `runs/${encodeURIComponent(runId)}`);
        history.runs.forget(runId);
        state.chooseRuns(state.runIds.filter(id => id !== runId));
        await activity.refresh();
      });
    }
  };
  const made = job?.result;
  return (
    <div className="tt-Card">
      <span className="tt-Letter" style={{ color: colourOf(place) }}>
        {LETTERS[place]}
      </span>
      <span className="tt-Card-text">
        <b>{run.name}</b> {sayState(run, trans)}
        {run.error && <span className="tt-Wrong"> {run.error}</span>}
        {made && (
          <>
            {' '}
            {trans.__('It made version')}{' '}
            <button className="tt-Link" onClick={() => state.open('models', made.model_id)}>
              {`${made.name}/${made.version}`}
            </button>
          </>
        )}
        <span className="tt-Row-note"> {phaseText(follower?.phase, trans)}</span>
      </span>
      {run.state === 'running' && run.source === 'backend' && run.job_id && (
        <Button
          label={trans.__('Stop')}
          full={trans.__('Stop the training “%1”', run.name)}
          reason={reason}
          onClick={cancel}
        />
      )}
      {run.state !== 'running' && (
        <Button
          label={trans.__('Delete…')}
          full={trans.__('Delete the curves of “%1”', run.name)}
          reason={reason}
          onClick={() => void remove()}
        />
      )}
    </div>
  );
}

/** The job of a training in the backend: from the list, else asked for once it has ended. */
function useJob(run: Run | undefined): Job | null {
  const { activity, backend } = usePanel();
  useChanged(activity.changed);
  const [asked, setAsked] = React.useState<Job | null>(null);
  const jobId = run?.job_id ?? null;
  const listed = activity.jobs.find(job => job.job_id === jobId);
  const ended = run !== undefined && run.state !== 'running';
  const wanted = jobId !== null && ended && !listed?.result;
  React.useEffect(() => {
    if (wanted && jobId) {
      backend
        .ask<{ job: Job }>('GET', `jobs/${encodeURIComponent(jobId)}`)
        .then(answer => setAsked(answer.job))
        // The job may have been deleted; the run then stands alone.
        .catch(() => setAsked(null));
    }
  }, [wanted, jobId]);
  return asked?.job_id === jobId ? asked : (listed ?? null);
}

/** Of two sights of one run, the later. */
export function newer(a: Run | null, b: Run | undefined): Run | undefined {
  if (!a || !b) {
    return a ?? b;
  }
  return b.last_updated > a.last_updated ? b : a;
}

type Trans = ReturnType<typeof usePanel>['trans'];

function sayState(run: Run, trans: Trans): string {
  switch (run.state) {
    case 'running':
      return run.epoch !== null && run.epochs
        ? trans.__('runs: epoch %1 of %2.', run.epoch, run.epochs)
        : trans.__('runs.');
    case 'succeeded':
      return trans.__('has finished.');
    case 'failed':
      return trans.__('failed.');
    case 'cancelled':
      return trans.__('was stopped.');
    default:
      return trans.__('has said nothing for a minute: its kernel may be gone.');
  }
}

function phaseText(phase: string | undefined, trans: Trans): string {
  switch (phase) {
    case 'waiting':
      return trans.__('The line is broken; it is tried again by itself.');
    case 'gone':
      return trans.__('This training is not there any more.');
    case 'refused':
      return trans.__('The backend refuses the key of this Jupyter server.');
    default:
      return '';
  }
}
