import { bodyOfFields, bodyOfJson, curlOf, formOf, outputRows } from '../src/panel/form';
import { words } from './words';

const vector = {
  model_schema: {
    input_schema: {
      charges: { var_type: 'FLOAT', index: 1 },
      tenure: { var_type: 'int', index: 0 }
    }
  }
};

describe('the form of a model', () => {
  it('has a field for each number, in the order of the vector, whole ones marked', () => {
    expect(formOf(vector)).toEqual({
      kind: 'fields',
      fields: [
        { name: 'tenure', kind: 'integer', nullable: false, options: [] },
        { name: 'charges', kind: 'number', nullable: false, options: [] }
      ]
    });
  });

  it('is JSON with the batch axis for a tensor, one row of zeros as the example', () => {
    const signature = {
      inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2, 1] }],
      outputs: []
    };
    expect(formOf({ model_schema: null, signature })).toEqual({
      kind: 'json',
      member: 'inputs',
      example: '[[[0],[0]]]'
    });
  });

  it('names each tensor where there are several, and leaves a large one empty', () => {
    const signature = {
      inputs: [
        { name: 'image', dtype: 'float32', shape: [null, 224, 224, 3] },
        { name: 'text', dtype: 'string', shape: [null, 1] }
      ],
      outputs: []
    };
    const form = formOf({ model_schema: null, signature });
    expect(form.kind === 'json' && JSON.parse(form.example)).toEqual({ image: [], text: [['']] });
  });

  it('is JSON where there are too many numbers to type', () => {
    const input_schema = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`x${index}`, { var_type: 'FLOAT', index }])
    );
    expect(formOf({ model_schema: { input_schema } })).toMatchObject({ member: 'input_vector' });
  });
});

describe('the request of a form', () => {
  const form = formOf(vector);
  const fields = form.kind === 'fields' ? form.fields : [];

  it('holds the numbers by name', () => {
    expect(bodyOfFields(fields, { tenure: ' 12 ', charges: '1e-3' }, words)).toEqual({
      ok: true,
      body: { input_vector: { tenure: 12, charges: 0.001 } }
    });
  });

  it('names every field that is empty, no number, or not whole', () => {
    expect(bodyOfFields(fields, { tenure: '1.5' }, words)).toEqual({
      ok: false,
      wrong: { tenure: 'This takes a whole number.', charges: 'Type a number.' }
    });
    expect(bodyOfFields(fields, { tenure: '1', charges: 'x' }, words)).toMatchObject({
      wrong: { charges: 'This is no number.' }
    });
  });

  it('takes truths, categories and missing values as the schema says', () => {
    const told = formOf({
      model_schema: {
        input_schema: {
          member: { var_type: 'bool', index: 0 },
          plan: { var_type: 'STRING', index: 1, categories: { gold: 2, tin: 1 } },
          city: { var_type: 'STRING', index: 2, categories: ['Bern'], unknown: 0 },
          age: { var_type: 'INT', index: 3, nullable: true, fill: 40 }
        }
      }
    });
    const all = told.kind === 'fields' ? told.fields : [];
    expect(all.map(field => field.options)).toEqual([['true', 'false'], ['gold', 'tin'], [], []]);
    expect(bodyOfFields(all, { member: 'false', plan: 'tin', city: 'Ulm' }, words)).toEqual({
      ok: true,
      body: { input_vector: { member: false, plan: 'tin', city: 'Ulm', age: null } }
    });
    expect(bodyOfFields(all, {}, words)).toMatchObject({ wrong: { plan: 'Choose one.' } });
  });

  it('says what is wrong with a JSON text', () => {
    expect(bodyOfJson('inputs', '[[1]]', words)).toEqual({ ok: true, body: { inputs: [[1]] } });
    expect(bodyOfJson('inputs', '[[1', words)).toMatchObject({ ok: false });
  });

  it('makes a curl line that a shell reads as it was meant', () => {
    const line = curlOf('http://h:1', { model: "o'brien" }, true);
    expect(line).toContain(`-d '{"model":"o'\\''brien"}'`);
    expect(line).toContain('run -H "Authorization: Bearer $TENSORTRIGGER_API_KEY" -H');
    expect(curlOf('http://h:1', {}, false)).toContain(
      'run ${TENSORTRIGGER_API_KEY:+-H "Authorization: Bearer $TENSORTRIGGER_API_KEY"} -H'
    );
  });
});

describe('an answer', () => {
  it('is rows of names and numbers where it is short', () => {
    expect(outputRows([0.5, [1]])).toEqual([
      { name: '0', value: 0.5 },
      { name: '1', value: 1 }
    ]);
    expect(outputRows({ churn: 0.2 })).toEqual([{ name: 'churn', value: 0.2 }]);
  });

  it('stays as it is where it is deep or long', () => {
    expect(outputRows([[1, 2]])).toBeNull();
    expect(outputRows(Array.from({ length: 101 }, () => 1))).toBeNull();
  });
});
