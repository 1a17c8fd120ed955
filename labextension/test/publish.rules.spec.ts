import { Field, fieldFaults, schemaOf, withProposal, EMPTY } from '../src/publish/form';
import { aliasFault, tagFault, tagsTyped } from '../src/publish/labels';
import { categoriesTyped, ruleFault, rulesFor } from '../src/publish/rules';

const field = (more: Partial<Field>): Field => ({
  name: 'x',
  varType: 'FLOAT',
  rules: {},
  ...more
});

describe('a field of the schema', () => {
  it('keeps what the kernel said of it beyond its type', () => {
    const schema = {
      input_schema: {
        plan: { var_type: 'STRING', index: 1, categories: { tin: 4, gold: 7 }, unknown: 0 },
        age: { var_type: 'int', index: 0, min: 0, nullable: true, fill: 40 }
      }
    };
    const form = withProposal(EMPTY, { schema, signature: null, example_row: null });
    expect(schemaOf(form)).toEqual({
      input_schema: {
        age: { ...schema.input_schema.age, var_type: 'INT' },
        plan: schema.input_schema.plan
      }
    });
  });

  it('says what its rules lack', () => {
    const faults = fieldFaults([
      field({ name: 'a', varType: 'STRING' }),
      field({ name: 'b', rules: { min: 2, max: 1 } }),
      field({ name: 'c', rules: { nullable: true } }),
      field({ name: 'd', varType: 'BOOL', rules: { nullable: true, fill: false } }),
      field({ name: 'd' })
    ]);
    expect([...faults]).toEqual([
      [0, 'categories'],
      [1, 'range'],
      [2, 'fill'],
      [4, 'twice']
    ]);
  });

  it('takes no fill that it would not take as a value', () => {
    const categories = ['red', 'blue'];
    expect(ruleFault('STRING', { categories, nullable: true, fill: 'green' })).toBe('fill');
    expect(ruleFault('STRING', { categories, nullable: true, fill: 'blue' })).toBeNull();
    expect(ruleFault('INT', { nullable: true, fill: NaN })).toBe('fill');
    expect(ruleFault('FLOAT', { min: NaN })).toBe('range');
  });

  it('forgets rules that another type cannot have', () => {
    expect(rulesFor('BOOL', { min: 0, max: 1, nullable: true, fill: 1 })).toEqual({
      nullable: true
    });
    expect(rulesFor('STRING', { min: 0, nullable: false })).toEqual({});
    expect(rulesFor('FLOAT', { min: 0, fill: 3 })).toEqual({ min: 0 });
  });

  it('keeps the numbers of categories whose names stay', () => {
    expect(categoriesTyped('gold, tin,,gold', { tin: 4, gold: 7 })).toEqual({ gold: 7, tin: 4 });
    expect(categoriesTyped('gold, new', { gold: 7 })).toEqual(['gold', 'new']);
  });
});

describe('the labels of a version', () => {
  test.each([
    ['', null],
    ['production', null],
    ['v1.2', null],
    ['7', 'number'],
    ['latest', 'latest'],
    ['Prod', 'characters'],
    ['a'.repeat(64), 'characters']
  ])('the alias %j has the fault %j', (alias, fault) => {
    expect(aliasFault(alias)).toBe(fault);
  });

  it('has tags of keys and values', () => {
    expect(tagsTyped(' team = risk, note=a=b ,,')).toEqual({ team: 'risk', note: 'a=b' });
    expect(tagFault('')).toBeNull();
    expect(tagFault('risk')).toBe('form');
    expect(tagFault('=risk')).toBe('form');
    expect(tagFault(`k=${'v'.repeat(257)}`)).toBe('long');
    expect(tagFault(Array.from({ length: 51 }, (_, n) => `k${n}=`).join())).toBe('many');
  });
});
