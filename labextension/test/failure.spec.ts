import { asFailure, Failure, failureOf } from '../src/failure';

const answered = (status: number, version?: string) => ({
  status,
  headers: {
    get: (name: string) => (name === 'x-tensortrigger-version' ? (version ?? null) : null)
  }
});

test('a page in place of an answer means that nobody claimed the path: the extension is missing', () => {
  const failure = failureOf(answered(404), '<!DOCTYPE html><html>404 : Not Found</html>');
  expect(failure.code).toBe('extension_missing');
  expect(failure.action).toContain('jupyter server extension list');
});

test.each(['', 'Not Found', '{"http_code": 404}', '[]'])(
  'a 404 of the backend without a detail is no missing extension: %j',
  body => {
    const failure = failureOf(answered(404, '0.1.0'), body);
    expect([failure.code, failure.status]).toEqual(['http_404', 404]);
    expect(failure.message).toBe('The server answered with 404.');
  }
);

test('a 404 in JSON comes from a route that exists, whoever answers there', () => {
  expect(failureOf(answered(404), '{"message": "No such contents"}').message).toBe(
    'No such contents'
  );
});

test('a problem is told in its own words, with its faults and their remedies', () => {
  const problem = {
    code: 'backend_fault',
    detail: 'The CSV does not fit.',
    errors: [{ message: 'Lambda', remedy: 'Use a layer.' }]
  };
  const failure = failureOf(answered(503), JSON.stringify(problem));
  expect([failure.code, failure.message, failure.faults[0].remedy]).toEqual([
    'backend_fault',
    'The CSV does not fit.',
    'Use a layer.'
  ]);
  expect(failure.action).not.toBe('');
});

test('whatever is thrown has a sentence', () => {
  const failure = new Failure('x', 'known');
  expect(asFailure(failure)).toBe(failure);
  expect(asFailure(new TypeError('oops')).message).toBe('oops');
  expect(asFailure('plain').message).toBe('plain');
});
