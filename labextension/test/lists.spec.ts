import { bytes, duration, plain } from '../src/panel/amounts';
import {
  aliasesOf,
  found,
  grouped,
  labelsOf,
  merged,
  ModelDetails,
  receiptTold,
  repairsTold,
  tagsTold
} from '../src/panel/groups';
import { pace, share } from '../src/panel/progress';
import { isTab, MOST_RUNS, PanelState } from '../src/panel/state';
import { visible } from '../src/panel/windowing';
import { Job } from '../src/shapes';
import { words } from './words';

const model = (name: string, version: number, more: Partial<ModelDetails> = {}): ModelDetails => ({
  model_id: `${name}-${version}`,
  model_name: name,
  model_description: '',
  name,
  version,
  state: 'ready',
  size: 1,
  created: '',
  model_schema: null,
  ...more
});

describe('the list of models', () => {
  it('groups versions by name, newest first', () => {
    const groups = grouped([model('b', 1), model('a', 1), model('a', 10), model('a', 9)]);
    expect(groups.map(group => group.name)).toEqual(['b', 'a']);
    expect(groups[1].versions.map(one => one.version)).toEqual([10, 9, 1]);
  });

  it('finds a model by every word, wherever it stands', () => {
    const all = [
      model('churn', 3, { model_description: 'Leaves soon?', aliases: ['production'] }),
      model('images', 1)
    ];
    expect(found(all, 'LEAVES churn')).toHaveLength(1);
    expect(found(all, 'production')).toHaveLength(1);
    expect(found(all, 'churn images')).toHaveLength(0);
    expect(found(all, '  ')).toHaveLength(2);
  });

  it('lays newer answers over older ones', () => {
    const fresh = [{ id: 'a', at: 2 }];
    const older = [
      { id: 'a', at: 1 },
      { id: 'b', at: 1 }
    ];
    expect(merged(fresh, older, one => one.id)).toEqual([
      { id: 'a', at: 2 },
      { id: 'b', at: 1 }
    ]);
  });
});

describe('what else a version may carry', () => {
  const labelled = model('churn', 3, { aliases: ['production'], tags: { team: 'risk' } });

  it('is found by its aliases and tags', () => {
    const all = [labelled, model('churn', 2)];
    for (const search of ['@production', 'churn@production', 'team=risk', 'team:risk']) {
      expect(found(all, search)).toEqual([labelled]);
    }
    expect(labelsOf(all)).toEqual(['@production', 'team=risk']);
    expect([aliasesOf(labelled), aliasesOf({})]).toEqual([['production'], []]);
    expect(tagsTold(labelled)).toBe('team=risk');
  });

  it('is proven by the notebook or by the backend itself', () => {
    const note = { sha256: 'a', max_deviation: 1.2e-7 };
    expect(receiptTold({ ...note, source: 'client' }, words)).toContain('notebook’s own outputs');
    expect(receiptTold({ ...note, source: 'forge' }, words)).toContain('1.200e-7');
  });

  it('tells what was mended, and where', () => {
    const repairs = [
      { path: 'config.layers[0]', message: 'lr became learning_rate' },
      { path: '', message: 'all' }
    ];
    expect(repairsTold({ repairs })).toEqual(['config.layers[0]: lr became learning_rate', 'all']);
    expect(repairsTold(null)).toEqual([]);
  });
});

describe('the visible part of a list', () => {
  it('makes the rows in view and a few around them', () => {
    expect(visible(1000, 5000, 400, 50, 2)).toEqual({
      start: 98,
      end: 110,
      above: 4900,
      below: 44500
    });
  });

  it('fills the same height wherever it is scrolled to', () => {
    for (const scroll of [0, 333, 49_600, 90_000]) {
      const slice = visible(1000, scroll, 400, 50);
      expect(slice.above + slice.below + (slice.end - slice.start) * 50).toBe(50_000);
      expect(slice.end - slice.start).toBeLessThan(30);
    }
  });

  it('is empty for an empty list', () => {
    expect(visible(0, 0, 400, 50)).toEqual({ start: 0, end: 0, above: 0, below: 0 });
  });
});

describe('a job', () => {
  const job = (
    kind: Job['kind'],
    state: Job['state'],
    progress: Partial<Job['progress']>
  ): Job => ({
    job_id: 'j',
    kind,
    model_id: 'm',
    state,
    error: null,
    created: '',
    last_updated: '',
    started: null,
    finished: null,
    progress: {
      rows_done: 0,
      rows_total: 0,
      rows_rejected: 0,
      rows_per_second: null,
      seconds_left: null,
      ...progress
    }
  });

  it('is as far as its rows, a training as far as its epochs', () => {
    expect(share(job('score', 'running', { rows_done: 5, rows_total: 20 }))).toBe(0.25);
    expect(share(job('train', 'running', { epochs_done: 1, epochs_total: 2 }))).toBe(0.5);
    expect(share(job('score', 'queued', {}))).toBeNull();
    expect(share(job('score', 'succeeded', {}))).toBe(1);
  });

  it('says its speed and what is left only while it runs', () => {
    const progress = { rows_done: 5, rows_total: 20, rows_per_second: 7, seconds_left: 90 };
    expect(pace(job('score', 'running', progress), words)).toBe(
      '5 of 20 rows · 7 rows/s · 1 min 30 s left'
    );
    expect(pace(job('score', 'succeeded', { ...progress, rows_rejected: 2 }), words)).toBe(
      '5 rows · 2 rejected'
    );
  });
});

describe('what is open', () => {
  it('goes to a tab and to what an id names there', () => {
    const state = new PanelState();
    let heard = 0;
    state.changed.connect(() => heard++);
    state.open('training', 'r1');
    expect([state.tab, state.runIds, heard]).toEqual(['training', ['r1'], 1]);
    state.open('models', 'm1');
    expect([state.tab, state.modelId, state.runIds]).toEqual(['models', 'm1', ['r1']]);
  });

  it('compares no more runs than can be told apart', () => {
    const state = new PanelState();
    state.chooseRuns(Array.from({ length: 20 }, (_, index) => String(index)));
    expect(state.runIds).toHaveLength(MOST_RUNS);
  });

  it('knows its tabs', () => {
    expect([isTab('jobs'), isTab('other'), isTab(undefined)]).toEqual([true, false, false]);
  });
});

describe('amounts', () => {
  it('are short, and honest about nothing', () => {
    expect([0.123456789, 0, 1e-7, 12345678, null, NaN].map(plain)).toEqual([
      '0.12346',
      '0',
      '1.000e-7',
      '1.235e+7',
      '-',
      '-'
    ]);
    expect([0, 999, 123456, 5.5e9].map(bytes)).toEqual(['0 B', '999 B', '123 kB', '5.5 GB']);
    expect([5, 60, 125, 3600, 5400].map(duration)).toEqual([
      '5 s',
      '1 min',
      '2 min 5 s',
      '1 h',
      '1 h 30 min'
    ]);
  });
});
