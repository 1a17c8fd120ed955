/** What went wrong and what to do about it, whoever said so. */

/** One member of a problem's `errors` list (RFC 9457 with the backend's own members). */
export interface Fault {
  loc?: (string | number)[] | string;
  code?: string;
  message: string;
  expected?: unknown;
  got?: unknown;
  row?: number;
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

/** The failure that an answer with an error status tells of. */
export function failureOf(status: number, body: string): Failure {
  let problem: any = null;
  try {
    problem = JSON.parse(body);
  } catch {
    // Jupyter answers some errors with a page.
  }
  const faults: Fault[] = Array.isArray(problem?.errors) ? problem.errors : [];
  if (status === 404 && typeof problem?.detail !== 'string') {
    return new Failure(
      'extension_missing',
      'The TensorTrigger server extension is not loaded in this Jupyter server.',
      'Install tensortrigger-lab in the environment that runs Jupyter and restart it: ' +
        'jupyter server extension list shows whether it is enabled.',
      status
    );
  }
  const detail = problem?.detail ?? problem?.message ?? `The server answered with ${status}.`;
  return new Failure(
    typeof problem?.code === 'string' ? problem.code : `http_${status}`,
    String(detail),
    ACTIONS[status] ?? '',
    status,
    faults
  );
}

const ACTIONS: { [status: number]: string } = {
  401: 'Reload this page to log in to Jupyter again.',
  413: 'Ask the operator to raise the limit, or send less.',
  502: 'Set an API key that the backend knows: TensorTriggerApp.token_file.',
  503: 'It is tried again by itself; the log of the Jupyter server says more.'
};
