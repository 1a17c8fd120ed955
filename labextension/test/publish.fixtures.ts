/** Models, listings and progress as a kernel would tell them. */

import { Failure } from '../src/failure';
import { Hello, KernelModel, Listing, Progress, Stage } from '../src/kernel/shapes';
import { begin, step } from '../src/publish/machine';
import { Effect, Event, PublishState } from '../src/publish/states';

export const HELLO: Hello = {
  version: '0.1.0',
  session: 's1',
  url: null,
  has_key: false,
  keras: true,
  training: false
};

export function kernelModel(more: Partial<KernelModel> = {}): KernelModel {
  return {
    variable: 'model',
    identity: '1',
    class_name: 'Sequential',
    title: 'churn',
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 2] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [null, 1] }],
    parameters: 33,
    built: true,
    compiled: true,
    training: false,
    reason: null,
    suggested_name: 'churn',
    ...more
  };
}

export function listing(...models: KernelModel[]): Listing {
  return {
    session: 's1',
    models,
    examples: [
      { variable: 'y', kind: 'array', shape: [9], columns: null },
      { variable: 'X', kind: 'array', shape: [9, 2], columns: null },
      { variable: 'frame', kind: 'DataFrame', shape: [9, 2], columns: ['age', 'sum'] }
    ],
    complete: true
  };
}

export function progress(state: Stage, more: Partial<Progress> = {}): Progress {
  return {
    state,
    model: null,
    check: null,
    curl: null,
    cell: null,
    error: null,
    command: null,
    seconds: 1,
    ...more
  };
}

export const PROPOSAL = {
  schema: {
    input_schema: {
      sum: { var_type: 'FLOAT', index: 1 },
      age: { var_type: 'INT', index: 0 }
    }
  },
  signature: null,
  example_row: { age: 41, sum: 2.5 }
};

export const RESTARTED = new Failure('kernel_restarted', 'The kernel was restarted.');

/** Play events from the beginning: the state at the end, and what the last event asked for. */
export function play(busy: boolean, ...events: Event[]): [PublishState, Effect[]] {
  return events.reduce<[PublishState, Effect[]]>(
    ([state], event) => step(state, event),
    begin(busy)
  );
}

/** The events up to a form that may be sent. */
export function filled(model = kernelModel(), hello: Partial<Hello> = {}): Event[] {
  return [
    { type: 'opened', hello: { ...HELLO, ...hello }, listing: listing(model) },
    { type: 'proposed', turn: 1, proposal: PROPOSAL },
    { type: 'looked_up', name: 'churn', latest: 3, aliases: [] }
  ];
}

/** The events up to a publishing that the kernel has taken on. */
export function takenOn(): Event[] {
  return [
    ...filled(),
    { type: 'submit', timing: 'now' },
    { type: 'minted', ticket: { ticket: 't', url: 'http://b' } },
    { type: 'accepted', publishId: 'p' }
  ];
}
