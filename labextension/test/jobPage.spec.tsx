import { Signal } from '@lumino/signaling';
import * as React from 'react';
import { act } from 'react';
import { createRoot, Root } from 'react-dom/client';

import { Failure } from '../src/failure';
import { Panel, PanelContext } from '../src/panel/context';
import { JobPage } from '../src/panel/jobPage';
import { Job } from '../src/shapes';
import { words } from './words';

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
    answer = () => ({});
    host = document.body.appendChild(document.createElement('div'));
    root = createRoot(host);
  });
  afterEach(() => {
    act(() => root.unmount());
    host.remove();
  });

  const show = (of: Job, usable = true) => {
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
      state: {},
      trans: words
    } as unknown as PanelContext;
    act(() =>
      root.render(
        <Panel.Provider value={context}>
          <JobPage jobId="j1" known={of} />
        </Panel.Provider>
      )
    );
  };
  test('tells what happened once somebody opens the log, and goes on where it left', async () => {
    answer = path =>
      path.includes('after=0')
        ? { log: [line(1, 'Queued.'), line(4, 'The lease was lost.', 2)], next_after: null }
        : { log: [line(9, 'Succeeded.')], next_after: null };
    show(job('running'));
    expect(asked).toEqual([]);
    const log = host.querySelector('details')!;
    await act(async () => {
      log.open = true;
      log.dispatchEvent(new Event('toggle'));
    });
    expect(log.textContent).toContain('The lease was lost.');
    show({ ...job('succeeded'), last_updated: 'later' });
    await act(async () => undefined);
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
    show(job('failed'));
    expect(host.textContent).toContain('The disk is full.');
    await press('Retry');
    expect([asked, refreshed]).toEqual([['POST jobs/j1/retry'], 1]);
  });

  it('says why a retry was refused', async () => {
    refusal = new Failure('backend_fault', 'Invalid job state.', '', 409);
    show(job('failed'));
    await press('Retry');
    expect(host.querySelector('[role="alert"]')?.textContent).toContain('Invalid job state.');
  });

  it('offers no retry where there is none to be had', () => {
    for (const other of [
      job('running'),
      job('succeeded'),
      job('cancelled'),
      job('failed', 'train')
    ]) {
      show(other);
      expect(button('Retry')).toBeUndefined();
    }
  });

  it('asks nothing while the backend is away, and its button says so', async () => {
    show(job('failed'), false);
    await press('Retry');
    expect(asked).toEqual([]);
    expect(button('Retry')?.getAttribute('aria-label')).toContain('The backend is away.');
  });
});
