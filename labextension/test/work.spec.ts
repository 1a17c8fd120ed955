import { IActivity } from '../src/activity';
import { Job, Run } from '../src/shapes';
import { countsOf, nameOf, shareOf, workOf } from '../src/work';

const trans = {
  __: (text: string, ...values: unknown[]) => `${text} ${values.join(' ')}`
} as never;

function job(more: Partial<Job>): Job {
  const progress = { rows_done: 25, rows_total: 100, rows_rejected: 0 };
  return { job_id: 'j', kind: 'score', model_id: 'm', state: 'running', progress, ...more } as Job;
}

function run(more: Partial<Run>): Run {
  return { run_id: 'r', name: 'mine', job_id: null, epoch: 3, epochs: 4, ...more } as Run;
}

function activity(activeJobs: Job[], activeRuns: Run[]): IActivity {
  return { activeJobs, activeRuns } as unknown as IActivity;
}

test('a training in the backend is listed once, as the job that can be stopped', () => {
  const work = workOf(
    activity([job({ job_id: 'j', kind: 'train' })], [run({ run_id: 'j', job_id: 'j' })])
  );
  expect(work.map(each => each.kind)).toEqual(['job']);
  expect(countsOf(work)).toEqual({ trainings: 1, scorings: 0 });
});

test('a run whose job is not on the first page is not lost', () => {
  expect(workOf(activity([], [run({ job_id: 'old' })]))).toHaveLength(1);
});

test('how far it is: rows for a scoring, epochs for a training, nothing where nothing is known', () => {
  expect(shareOf({ kind: 'job', job: job({}) })).toBe(0.25);
  expect(shareOf({ kind: 'run', run: run({}) })).toBe(0.75);
  expect(shareOf({ kind: 'run', run: run({ epochs: null }) })).toBeNull();
  const none = job({ progress: { rows_done: 0, rows_total: 0 } as never });
  expect(shareOf({ kind: 'job', job: none })).toBeNull();
});

test('a job is told by its model where the backend names it, else by the id', () => {
  const named = job({ model_name: 'churn', model_version: 2 });
  expect(nameOf({ kind: 'job', job: named }, trans)).toBe('Scoring with %1 churn/2');
  expect(nameOf({ kind: 'job', job: job({}) }, trans)).toBe('Scoring with %1 m');
});
