import { cleanName, likelyExample, nameFault, outputWidth } from '../src/publish/form';
import { kernelModel, listing } from './publish.fixtures';

test.each([
  ['churn', null],
  ['a'.repeat(63), null],
  ['0.b_c-d', null],
  ['', 'empty'],
  ['Churn', 'characters'],
  ['my model', 'characters'],
  ['-a', 'start'],
  ['a'.repeat(64), 'long']
])('the name %j has the fault %j', (name, fault) => {
  expect(nameFault(name)).toBe(fault);
});

test.each(['My Model!', '  --Ünïcode 9 ', 'x'.repeat(99), 'A/B?c=d'])(
  'a name that can stand is made of %j',
  text => {
    expect(nameFault(cleanName(text))).toBeNull();
  }
);

test('an example is guessed only where its shape fits', () => {
  const { examples } = listing();
  expect(likelyExample(kernelModel(), examples)).toBe('frame');
  expect(likelyExample(kernelModel(), examples.slice(0, 2))).toBe('X');
  expect(likelyExample(kernelModel({ inputs: [] }), examples)).toBeNull();
  const wide = { name: 'x', dtype: 'float32', shape: [null, 7] };
  expect(likelyExample(kernelModel({ inputs: [wide] }), examples)).toBeNull();
});

test('outputs can be named only where they are one vector', () => {
  expect(outputWidth(kernelModel())).toBe(1);
  const image = { name: 'y', dtype: 'float32', shape: [null, 8, 8] };
  expect(outputWidth(kernelModel({ outputs: [image] }))).toBeNull();
});
