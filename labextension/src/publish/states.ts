/** What a publishing is at a moment, what may happen to it, and what it may ask for. */

import { Failure } from '../failure';
import {
  Hello,
  KernelModel,
  Listing,
  Progress,
  Proposal,
  PublishRequest,
  Stage
} from '../kernel/shapes';
import { Model } from '../shapes';
import { Field, fieldFaults, Form, nameFault } from './form';
import { aliasFault, tagFault } from './labels';

export type Phase =
  'opening' | 'form' | 'waiting' | 'sending' | 'following' | 'ready' | 'failed' | 'stopped';

/** When to publish: as soon as the button is pressed, once the kernel is idle, or at an epoch's end. */
export type Timing = 'now' | 'idle' | 'epoch_end';

/** What is known of a name in the backend. */
export interface Lookup {
  name: string;
  /** The latest version; 0 for a new name; null while or because it is not known. */
  latest: number | null;
  /** What the name's aliases mean now; empty while or because that is not known. */
  aliases: readonly { alias: string; version: number }[];
  asking: boolean;
}

export interface PublishState {
  phase: Phase;
  hello: Hello | null;
  listing: Listing | null;
  /** Whether a cell runs in the kernel. */
  busy: boolean;
  form: Form;
  lookup: Lookup | null;
  /** Whether the kernel is working out the schema; why it could not. */
  proposing: boolean;
  proposalFailure: Failure | null;
  timing: Timing;
  publishId: string | null;
  progress: Progress | null;
  /** Whether the kernel has not told for a while how far it is. */
  silent: boolean;
  /** Whether it is being cancelled. */
  stopping: boolean;
  failure: Failure | null;
  /** Whether the form can be gone back to after the failure. */
  canGoBack: boolean;
  /** Whether no training of this kernel comes to an epoch's end that we hear of. */
  noEpochEnd: boolean;
  /** Counts questions, so that late answers to earlier ones are left out. */
  turn: number;
  misses: number;
}

export type Event =
  | { type: 'opened'; hello: Hello; listing: Listing }
  | { type: 'open_failed'; failure: Failure }
  | { type: 'listed'; listing: Listing }
  | { type: 'busy'; busy: boolean }
  | { type: 'voided'; failure: Failure }
  | { type: 'pick_model'; identity: string }
  | { type: 'pick_example'; example: string | null }
  | { type: 'type_name'; name: string }
  | { type: 'describe'; description: string }
  | { type: 'label'; change: { alias?: string; tags?: string } }
  | { type: 'edit_field'; side: 'inputs' | 'outputs'; index: number; change: Partial<Field> }
  | { type: 'name_outputs'; named: boolean }
  | { type: 'proposed'; turn: number; proposal: Proposal }
  | { type: 'proposal_failed'; turn: number; failure: Failure }
  | { type: 'looked_up'; name: string; latest: number | null; aliases: Lookup['aliases'] }
  | { type: 'submit'; timing: Timing }
  | { type: 'minted'; ticket: { ticket: string; url: string } }
  | { type: 'mint_failed'; failure: Failure }
  | { type: 'accepted'; publishId: string }
  | { type: 'publish_failed'; failure: Failure }
  | { type: 'progress'; progress: Progress }
  | { type: 'progress_failed'; failure: Failure }
  | { type: 'model'; model: Model }
  | { type: 'model_failed'; failure: Failure }
  | { type: 'cancel' }
  | { type: 'cancelled'; state: Stage }
  | { type: 'cancel_failed'; failure: Failure }
  | { type: 'back' }
  | { type: 'retry' };

export type Effect =
  | { do: 'open' }
  | { do: 'list' }
  | {
      do: 'propose';
      turn: number;
      of: { session: string; variable: string; identity: string; example?: string };
    }
  | { do: 'look_up'; name: string }
  | { do: 'mint'; name: string }
  | { do: 'publish'; request: PublishRequest }
  | { do: 'poll'; publishId: string; after: number }
  | { do: 'poll_model'; modelId: string; after: number }
  | { do: 'stop'; publishId: string };

export type Step = [PublishState, Effect[]];

/** A step that asks for nothing. */
export function stay(state: PublishState): Step {
  return [state, []];
}

export function failed(state: PublishState, failure: Failure, canGoBack: boolean): Step {
  return stay({ ...state, phase: 'failed', stopping: false, failure, canGoBack });
}

/** The model that is chosen. */
export function chosen(state: PublishState): KernelModel | null {
  const models = state.listing?.models ?? [];
  return models.find(model => model.identity === state.form.identity) ?? null;
}

/** The timings that make sense now, the best first; none where nothing can be published. */
export function timings(state: PublishState): Timing[] {
  const model = chosen(state);
  if (!model || (model.reason !== null && !model.training)) {
    return [];
  }
  if (model.training && !state.noEpochEnd) {
    return state.busy ? ['epoch_end', 'idle'] : ['epoch_end'];
  }
  return state.busy ? ['idle'] : ['now'];
}

/** Whether the form may be sent. */
export function sendable(state: PublishState): boolean {
  const { form } = state;
  return (
    state.phase === 'form' &&
    !state.proposing &&
    timings(state).length > 0 &&
    nameFault(form.name) === null &&
    aliasFault(form.alias) === null &&
    tagFault(form.tags) === null &&
    fieldFaults(form.inputs).size === 0 &&
    fieldFaults(form.outputs).size === 0
  );
}

/** Whether it goes on by itself when nobody looks. */
export function underWay(state: PublishState): boolean {
  return state.phase === 'waiting' || state.phase === 'sending' || state.phase === 'following';
}

export function over(state: PublishState): boolean {
  return state.phase === 'ready' || state.phase === 'failed' || state.phase === 'stopped';
}
