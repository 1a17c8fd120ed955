import { Signal } from '@lumino/signaling';
import * as React from 'react';
import { act } from 'react';
import { createRoot, Root } from 'react-dom/client';

import { Failure } from '../src/failure';
import { Panel, PanelContext } from '../src/panel/context';
import { JobPage } from '../src/panel/jobPage';
import { Job } from '../src/shapes';
import { words } from './words';

const showDialog = jest.fn();
jest.mock('@jupyterlab/apputils', () => ({
  Dialog: { cancelButton: (button: object) => button, warnButton: (button: object) => button },
  showDialog: (options: object) => showDialog(options)
}));

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;

const job = (state: Job['state'], kind: Job['kind'] = 'score'): Job => ({
  job_id: 'j1',
  kind,
  model_id: 'm',
  model_name: 'churn',
  model_version: 2,
  state,
  error: state === 'failed' ? 'The disk is full.' : null,
  created: '',
  last_updated: '',
  started: null,
  finished: null,
  progress: {
    rows_done: 1,
    rows_total: 2,
    rows_rejected: 0,
    rows_per_second: null,
    seconds_left: null
  }
});

describe('the page of a job', () => {
  let root: Root;
  let host: HTMLElement;
  let asked: string[];
  let refreshed: number;
  let refusal: Failure | null;
  let answer: (path: string) => unknown;
  let gone: string[];
  let shown: string | null;
  const line = (number: number, message: string, partition: number | null = null) => ({
    number,
    at: '2026-01-02T03:04:05.678Z',
    level: 'info',
    message,
    partition
  });
  const source = {};
  const changed = new Signal<object, void>(source);

  beforeEach(() => {
    asked = [];
    refreshed = 0;
    refusal = null;
    answer = path => (path.includes('/partitions') ? { partitions: [] } : {});
    gone = [];
    shown = 'j1';
    showDialog.mockReset();
    host = document.body.appendChild(document.createElement('div'));
    root = createRoot(host);
  });
  afterEach(() => {
    act(() => root.unmount());
    host.remove();
  });

  const show = async (of: Job, usable = true) => {
    const context = {
      activity: { changed, refresh: async () => void refreshed++ },
      backend: {
        ask: async (method: string, path: string) => {
          asked.push(`${method} ${path}`);
          if (refusal) {
            throw refusal;
          }
          return answer(path);
        }
      },
      health: { changed, usable, trouble: usable ? '' : 'The backend is away.' },
      history: { jobs: { forget: (id: string) => gone.push(id) } },
      state: { showJob: (id: string | null) => (shown = id) },
      trans: words
    } as unknown as PanelContext;
    await act(async () =>
      root.render(
        <Panel.Provider value={context}>
          <JobPage jobId="j1" known={of} />
        </Panel.Provider>
      )
    );
  };
  /** What was asked besides the partitions, which an open page keeps fresh. */
  const others = () => asked.filter(one => !one.includes('/partitions'));

  test('tells what happened once somebody opens the log, and goes on where it left', async () => {
    answer = path =>
      path.includes('after=0')
        ? { log: [line(1, 'Queued.'), line(4, 'The lease was lost.', 2)], next_after: null }
        : { log: [line(9, 'Succeeded.')], next_after: null };
    await show(job('cancelled'));
    expect(asked).toEqual([]);
    const log = [...host.querySelectorAll('details')].find(one =>
      one.textContent?.startsWith('What happened')
    )!;
    await act(async () => {
      log.open = true;
      log.dispatchEvent(new Event('toggle'));
    });
    expect(log.textContent).toContain('The lease was lost.');
    await show({ ...job('succeeded'), last_updated: 'later' });
    expect(asked.filter(one => one.includes('log'))).toEqual([
      'GET jobs/j1/log?limit=200&after=0',
      'GET jobs/j1/log?limit=200&after=4'
    ]);
    expect(log.querySelectorAll('tbody tr')).toHaveLength(3);
  });

  const button = (label: string) =>
    [...host.querySelectorAll('button')].find(one => one.textContent === label);
  const press = async (label: string) => {
    await act(async () => button(label)?.click());
  };

  it('tries a failed scoring again, and looks at once how that goes', async () => {
    await show(job('failed'));
    expect(host.textContent).toContain('The disk is full.');
    await press('Retry');
    expect([others(), refreshed]).toEqual([['POST jobs/j1/retry'], 1]);
  });

  it('says why a retry was refused', async () => {
    refusal = new Failure('backend_fault', 'Invalid job state.', '', 409);
    await show(job('failed'));
    await press('Retry');
    expect(host.querySelector('[role="alert"]')?.textContent).toContain('Invalid job state.');
  });

  it('offers no retry where there is none to be had', async () => {
    for (const other of [
      job('running'),
      job('succeeded'),
      job('cancelled'),
      job('failed', 'train')
    ]) {
      await show(other);
      expect(button('Retry')).toBeUndefined();
    }
  });

  it('asks nothing while the backend is away, and its button says so', async () => {
    await show(job('failed'), false);
    await press('Retry');
    await press('Delete…');
    expect(others()).toEqual([]);
    expect(showDialog).not.toHaveBeenCalled();
    for (const label of ['Retry', 'Delete…']) {
      expect(button(label)?.getAttribute('aria-label')).toContain('The backend is away.');
    }
  });

  const part = (partition: number, state: string, more: object = {}) => ({
    partition,
    state,
    rows: 1000,
    rows_done: state === 'done' ? 1000 : 0,
    attempts: 1,
    worker: 'here-1',
    error: null,
    ...more
  });
  const cut = (of: Job, done: number, total: number): Job => ({
    ...of,
    last_updated: String(done),
    progress: { ...of.progress, partitions_done: done, partitions_total: total }
  });
  const fold = () => host.querySelector<HTMLDetailsElement>('details')!;
  const cells = () =>
    [...fold().querySelectorAll('tbody tr')].map(row =>
      [...row.querySelectorAll('td')].map(cell => cell.textContent)
    );

  it('shows how far each partition is while the job runs, and asks again when it has moved', async () => {
    let partitions = [
      part(0, 'done'),
      part(1, 'claimed', { rows_done: 400, attempts: 2 }),
      part(2, 'queued', { worker: null, attempts: 0 })
    ];
    answer = () => ({ partitions });
    await show(cut(job('running'), 1, 3));
    expect(fold().open).toBe(true);
    expect(fold().querySelector('summary')?.textContent).toBe('Partitions: 1 of 3 done');
    expect(fold().querySelector('[role="region"]')?.getAttribute('aria-label')).toBe(
      'Partitions of the job'
    );
    expect(cells()).toEqual([
      ['0', '1,000', 'done', '1', 'here-1'],
      ['1', '400 / 1,000', 'claimed', '2', 'here-1'],
      ['2', '0 / 1,000', 'queued', '0', '']
    ]);
    partitions = [part(0, 'done'), part(1, 'done'), part(2, 'claimed')];
    await show(cut(job('running'), 2, 3));
    expect(cells().map(row => row[2])).toEqual(['done', 'done', 'claimed']);
    expect(asked).toEqual(Array(2).fill('GET jobs/j1/partitions?limit=20'));
    await show(cut(job('running'), 2, 3));
    expect(asked).toHaveLength(2);
  });

  it('shows of a thousand partitions only those in work and those that failed', async () => {
    answer = () => ({
      partitions: [part(7, 'failed', { error: 'No disk.' }), part(12, 'claimed')]
    });
    await show(cut(job('running'), 11, 1000));
    expect(asked).toEqual(['GET jobs/j1/partitions?limit=20&state=claimed&state=failed']);
    expect(fold().textContent).toContain('Partitions: 11 of 1,000 done');
    expect(fold().textContent).toContain('In work or failed; the first 20 at most.');
    expect(cells().map(row => row[0])).toEqual(['7', '12']);
    answer = () => ({ partitions: [] });
    await show(cut(job('queued'), 12, 1000));
    expect(fold().textContent).toContain('None is in work, and none has failed.');
    expect(fold().querySelector('table')).toBeNull();
  });

  it('names the partition that fetches rows from elsewhere', async () => {
    answer = () => ({ partitions: [part(-1, 'claimed')] });
    await show(cut(job('running'), 0, 1));
    expect(cells()[0][0]).toBe('fetching');
  });

  it('asks for the partitions of a job that succeeded only once somebody opens them', async () => {
    answer = () => ({ partitions: [part(0, 'done')] });
    await show(cut(job('succeeded'), 1, 1));
    expect([fold().open, asked]).toEqual([false, []]);
    await act(async () => {
      fold().open = true;
      fold().dispatchEvent(new Event('toggle'));
    });
    expect(cells()).toHaveLength(1);
  });

  it('shows no partitions of a training, which has none to speak of', async () => {
    await show(job('running', 'train'));
    expect(host.textContent).not.toContain('Partitions');
  });

  it('says how fast a running job is and how long it still takes', async () => {
    const progress = { ...job('running').progress, rows_per_second: 1234, seconds_left: 200 };
    await show({ ...job('running'), progress });
    expect(host.textContent).toContain('1 of 2 rows · 1,234 rows/s · 3 min 20 s left');
  });

  it('deletes an ended job once the question is answered with yes, and goes back to the list', async () => {
    await show(job('succeeded'));
    showDialog.mockResolvedValue({ button: { accept: false } });
    await press('Delete…');
    expect([asked, shown]).toEqual([[], 'j1']);
    expect(showDialog.mock.lastCall[0]).toMatchObject({
      title: 'Delete the job on churn/2?',
      defaultButton: 0
    });
    expect(showDialog.mock.lastCall[0].body).toContain('results');
    showDialog.mockResolvedValue({ button: { accept: true } });
    await press('Delete…');
    expect([asked, shown, gone, refreshed]).toEqual([['DELETE jobs/j1'], null, ['j1'], 1]);
  });

  it('stays and says why where a job could not be deleted', async () => {
    refusal = new Failure('backend_fault', 'It was begun again.', '', 409);
    showDialog.mockResolvedValue({ button: { accept: true } });
    await show(job('cancelled'));
    await press('Delete…');
    expect(host.querySelector('[role="alert"]')?.textContent).toContain('It was begun again.');
    expect([shown, gone]).toEqual(['j1', []]);
  });

  it('says what a deleted training leaves, and deletes nothing that still runs', async () => {
    showDialog.mockResolvedValue({ button: { accept: false } });
    await show(job('failed', 'train'));
    await press('Delete…');
    expect(showDialog.mock.lastCall[0].body).toContain('The version that it made stays');
    for (const open of [job('queued'), job('running'), job('running', 'train')]) {
      await show(open);
      expect(button('Delete…')).toBeUndefined();
    }
  });
});
