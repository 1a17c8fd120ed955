/** What went wrong and what to do about it, whoever said so. */

/** One member of a problem's `errors` list (RFC 9457 with the backend's own members). */
export interface Fault {
  loc?: (string | number)[] | string;
  code?: string;
  message: string;
  expected?: unknown;
  got?: unknown;
  row?: number;
  /** What to do about this one. */
  remedy?: string | null;
}

/** A fault with a sentence for people, and where there is one, what to do. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly action: string = '',
    readonly status: number = 0,
    readonly faults: Fault[] = []
  ) {
    super(message);
    this.name = 'Failure';
  }
}

/** Any thrown value as something with a sentence. */
export function asFailure(error: unknown): Failure {
  return error instanceof Failure
    ? error
    : new Failure('unexpected', error instanceof Error ? error.message : String(error));
}

/** As much of an answer as tells who gave it. */
export interface Answered {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
}

/** The failure that an answer with an error status tells of. */
export function failureOf(answered: Answered, body: string): Failure {
  const { status } = answered;
  const problem = objectIn(body);
  if (status === 404 && problem === null && !answered.headers.get(VERSION_HEADER)) {
    // The extension answers all of its paths with JSON; for those that nobody claimed Jupyter shows a page.
    return new Failure(
      'extension_missing',
      'The TensorTrigger server extension is not loaded in this Jupyter server.',
      'Install tensortrigger-lab in the environment that runs Jupyter and restart it: ' +
        'jupyter server extension list shows whether it is enabled.',
      status
    );
  }
  const told = problem?.detail ?? problem?.message;
  return new Failure(
    typeof problem?.code === 'string' ? problem.code : `http_${status}`,
    typeof told === 'string' && told !== '' ? told : `The server answered with ${status}.`,
    ACTIONS[status] ?? '',
    status,
    Array.isArray(problem?.errors) ? (problem.errors as Fault[]) : []
  );
}

/** What every answer of the backend carries, through the proxy too. */
const VERSION_HEADER = 'x-tensortrigger-version';

function objectIn(body: string): { [member: string]: unknown } | null {
  try {
    const found: unknown = JSON.parse(body);
    return typeof found === 'object' && found !== null && !Array.isArray(found)
      ? (found as { [member: string]: unknown })
      : null;
  } catch {
    // Jupyter answers some errors with a page.
    return null;
  }
}

const ACTIONS: { [status: number]: string } = {
  401: 'Reload this page to log in to Jupyter again.',
  413: 'Ask the operator to raise the limit, or send less.',
  502: 'Set an API key that the backend knows: TensorTriggerApp.token_file.',
  503: 'It is tried again by itself; the log of the Jupyter server says more.'
};
