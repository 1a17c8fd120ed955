import { offered } from '../src/csv/mapping';
import { IBackend } from '../src/client';
import { Aliasing, meaning } from '../src/panel/aliasing';
import { moveTold } from '../src/panel/history';
import { Pages } from '../src/panel/pages';
import { words } from './words';

jest.mock('../src/panel/context', () => ({}));
jest.mock('../src/panel/parts', () => ({}));

const alias = {
  alias: 'production',
  name: 'churn',
  version: 3,
  model_id: 'm',
  moved: '',
  moved_by: ''
};

function asked(): { aliasing: Aliasing; questions: unknown[][] } {
  const questions: unknown[][] = [];
  const ask = (...question: unknown[]) => {
    questions.push(question);
    return Promise.resolve({ alias, aliases: [alias], history: [], receipt: {} });
  };
  return { aliasing: new Aliasing({ ask } as unknown as IBackend), questions };
}

describe('an alias', () => {
  it('is moved only from where it was seen', async () => {
    const { aliasing, questions } = asked();
    await aliasing.move('churn', 'production', 4, 3);
    await aliasing.move('churn', 'new', 4, null);
    await aliasing.rollback('churn', 'production', 4);
    const base = 'models/by-name/churn/aliases';
    expect(questions).toEqual([
      ['PUT', `${base}/production`, { version: 4, expected_version: 3 }],
      ['PUT', `${base}/new`, { version: 4, expected_version: null }],
      ['POST', `${base}/production/rollback`, { expected_version: 4 }]
    ]);
  });

  it('means what the list says, or nothing', () => {
    expect(meaning([alias], 'production')).toBe(3);
    expect(meaning([alias], 'candidate')).toBeNull();
  });

  it('has a history that reads as sentences', () => {
    const move = { version: 4, model_id: 'm', previous_version: 3, moved: '', moved_by: 'ada' };
    const told = (more: object) => moveTold({ ...move, action: 'moved', ...more }, words);
    expect(told({})).toBe('moved from 3 to 4');
    expect(told({ previous_version: null })).toBe('given to 4');
    expect(told({ action: 'rolled_back' })).toBe('rolled back from 3 to 4');
    expect(told({ action: 'published' })).toBe('published as 4');
    expect(told({ action: 'removed', version: null })).toBe('removed from 3');
  });

  it('is offered beside its version where a model is chosen', () => {
    const model = { model_id: 'm', name: 'churn', version: 3, aliases: ['production'] };
    expect(offered([model]).map(one => one.reference)).toEqual(['churn/3', 'churn@production']);
  });
});

test('a version that came anew takes its old place in the list', async () => {
  const pages = new Pages<{ id: string; at: number }>(
    () => Promise.resolve({ entries: [{ id: 'b', at: 1 }], next: null }),
    entry => entry.id
  );
  pages.settle([{ id: 'a', at: 1 }], 'more');
  await pages.next();
  pages.replace({ id: 'b', at: 2 });
  pages.replace({ id: 'unknown', at: 9 });
  expect(pages.entries).toEqual([
    { id: 'a', at: 1 },
    { id: 'b', at: 2 }
  ]);
});
