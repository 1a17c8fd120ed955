import { doubled, fieldsOf, fitting, missing, shared, suggested } from '../src/csv/mapping';
import { nameOf, tell } from '../src/csv/telling';
import { Score } from '../src/shapes';
import { words } from './words';

describe('the columns of a CSV', () => {
  it('match by their exact name before anything else', () => {
    expect(suggested(['Age', 'age'], ['age', 'Age'])).toEqual({ Age: 'Age', age: 'age' });
  });

  it('match but for case, spaces and marks', () => {
    expect(
      suggested(['monthly_charges', 'tenure'], ['Monthly Charges', ' TENURE ', 'city'])
    ).toEqual({ monthly_charges: 'Monthly Charges', tenure: ' TENURE ' });
  });

  it('are not guessed where two are alike', () => {
    expect(suggested(['age'], ['AGE', 'Age'])).toEqual({ age: '' });
  });

  it('are not chosen where the header holds their name twice', () => {
    expect(suggested(['age'], ['age', 'age'])).toEqual({ age: '' });
  });

  it('are not given to a second field by guessing', () => {
    expect(suggested(['age', 'Age'], ['age'])).toEqual({ age: 'age', Age: '' });
  });

  it('are named where they are missing, shared or doubled', () => {
    const fields = ['a', 'b', 'c'];
    const mapping = { a: 'x', b: 'x', c: '' };
    expect(missing(fields, mapping)).toEqual(['c']);
    expect(shared(fields, mapping)).toEqual(['x']);
    expect(doubled(['x', 'y', 'x', 'x'])).toEqual(['x']);
  });

  it('are asked for in the order of the vector, and not for a model of tensors', () => {
    const input_schema = {
      b: { var_type: 'FLOAT', index: 1 },
      a: { var_type: 'FLOAT', index: 0 }
    };
    expect(fieldsOf({ model_schema: { input_schema } })).toEqual(['a', 'b']);
    expect(fieldsOf({ model_schema: null })).toBeNull();
  });
});

describe('the model that a file suggests', () => {
  const taking = (...names: string[]) => ({
    model_schema: {
      input_schema: Object.fromEntries(
        names.map((name, index) => [name, { var_type: 'FLOAT', index }])
      )
    }
  });
  const tensors = { model_schema: null };

  it('is the newest whose every field has a column', () => {
    const fits = taking('age');
    expect(fitting([tensors, taking('height'), fits], ['Age'])).toBe(fits);
  });

  it('is the newest that takes columns where none fits, and any where there is no other', () => {
    const first = taking('height');
    expect(fitting([tensors, first, taking('width')], ['Age'])).toBe(first);
    expect(fitting([tensors], ['Age'])).toBe(tensors);
    expect(fitting([], ['Age'])).toBeUndefined();
  });
});

describe('the notification of a scoring', () => {
  const score: Score = {
    score_id: 's',
    state: 'scoring',
    path: 'data/customers.csv',
    output_path: null,
    model: 'churn/3',
    job_id: 'j',
    rows_done: 25,
    rows_total: 100,
    rows_rejected: 0,
    error: null
  };

  it('tells how far it is', () => {
    expect(tell(score, words)).toEqual({
      type: 'in-progress',
      message: 'Scoring customers.csv with churn/3: 25 of 100 rows.',
      progress: 0.25,
      done: false
    });
  });

  it('names the result, and warns of rejected rows', () => {
    const done: Score = {
      ...score,
      state: 'succeeded',
      rows_done: 100,
      output_path: 'data/customers.scored.csv'
    };
    expect(tell(done, words)).toMatchObject({
      type: 'success',
      message: 'customers.scored.csv is written: 100 rows scored.',
      done: true
    });
    const told = tell({ ...done, rows_rejected: 2 }, words);
    expect(told.type).toBe('warning');
    expect(told.message).toContain('2 of 100 rows could not be scored');
  });

  it('gives the reason of a failure', () => {
    expect(tell({ ...score, state: 'failed', error: 'The disk is full.' }, words)).toMatchObject({
      type: 'error',
      message: 'Scoring customers.csv failed: The disk is full.',
      done: true
    });
  });

  it('is never done while it is under way', () => {
    for (const state of ['reading', 'uploading', 'scoring', 'writing'] as const) {
      expect(tell({ ...score, state }, words).done).toBe(false);
    }
  });

  it('knows a file by the last part of its path', () => {
    expect(nameOf('a/b/c.csv')).toBe('c.csv');
    expect(nameOf('c.csv')).toBe('c.csv');
  });
});
