import { execFileSync } from 'child_process';

import { Failure } from '../src/failure';
import { expression, literal } from '../src/kernel/expression';
import { MIME, ReplyContent, resultOf } from '../src/kernel/reply';

function failureOf(content: ReplyContent): Failure {
  try {
    resultOf(content);
  } catch (error) {
    return error as Failure;
  }
  throw new Error('It did not fail.');
}

function slot(tt: unknown): ReplyContent {
  return { status: 'ok', user_expressions: { tt } };
}

function answer(bundle: unknown): ReplyContent {
  return slot({ status: 'ok', data: { [MIME]: bundle } });
}

test('a result comes out as it was put in', () => {
  expect(resultOf(answer({ v: 1, ok: true, result: { a: 1 } }))).toEqual({ a: 1 });
});

test.each([
  ['ModuleNotFoundError', "No module named 'tensortrigger_lab'", 'package_missing'],
  ['ModuleNotFoundError', "No module named 'tensortrigger_lab.kernel'", 'package_old'],
  ['ModuleNotFoundError', "No module named 'httpx'", 'package_broken'],
  ['ImportError', "cannot import name 'call' from 'x'", 'package_old'],
  ['KeyboardInterrupt', '', 'interrupted'],
  ['SystemError', 'odd', 'bridge_broken']
])('%s (%s) becomes %s', (ename, evalue, code) => {
  const failure = failureOf(slot({ status: 'error', ename, evalue }));
  expect(failure.code).toBe(code);
  expect(failure.action).not.toBe('');
});

test('a missing package says which cell to run', () => {
  const evalue = "No module named 'tensortrigger_lab'";
  const failure = failureOf(slot({ status: 'error', ename: 'ModuleNotFoundError', evalue }));
  expect(failure.action).toContain('%pip install tensortrigger-lab');
});

test('a domain fault keeps its code, message, action, status and faults', () => {
  const error = {
    code: 'refused',
    message: 'No.',
    action: 'Do this.',
    status: 422,
    faults: [{ message: 'one', remedy: 'two' }]
  };
  const failure = failureOf(answer({ v: 1, ok: false, error }));
  expect([failure.code, failure.message, failure.action, failure.status]).toEqual([
    'refused',
    'No.',
    'Do this.',
    422
  ]);
  expect(failure.faults[0]).toMatchObject({ message: 'one', remedy: 'two' });
});

test.each([401, 413, 500, 503])('status %i of the backend has something to do about it', status => {
  const error = { code: 'x', message: 'No.', action: null, status };
  expect(failureOf(answer({ v: 1, ok: false, error })).action).not.toBe('');
});

test('another version of the bridge is told, not guessed at', () => {
  expect(failureOf(answer({ v: 2, ok: true, result: {} })).code).toBe('version_skew');
});

test('a kernel that ignores user expressions, an abort and an error are each told', () => {
  expect(failureOf({ status: 'ok' }).code).toBe('no_expressions');
  expect(failureOf({ status: 'aborted' }).code).toBe('aborted');
  expect(failureOf({ status: 'error', ename: 'X', evalue: 'y' }).code).toBe('kernel_error');
});

test('the expression is one line, and Python reads from it what was put in', () => {
  const params = { name: 'it\'s "quoted"\\ \n\t \u2028 é 😀', list: [1, null, true] };
  const code = expression('publish', params);
  expect(code).not.toMatch(/[\n\u2028\u2029]/);
  const program = `import ast,sys; print(ascii(ast.literal_eval(sys.stdin.read())))`;
  const text = JSON.stringify(params);
  const read = execFileSync('python3', ['-c', program], { input: literal(text) }).toString();
  const expected = execFileSync(
    'python3',
    ['-c', 'import sys; print(ascii(sys.stdin.buffer.read().decode()))'],
    {
      input: text
    }
  ).toString();
  expect(read).toBe(expected);
});
