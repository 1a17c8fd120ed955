/** The machine's states as sentences in the reader's language. */

import type { TranslationBundle } from '@jupyterlab/translation';

import { Check, KernelModel, Stage } from '../kernel/shapes';
import { BackendStatus, TensorSpec } from '../shapes';
import { Field, FieldFault, NameFault } from './form';
import { AliasFault, TagFault } from './labels';
import { categoryNames } from './rules';
import { Lookup, PublishState, Timing } from './states';

type Trans = TranslationBundle;

/** The stages in their order, as a list to tick off. */
export const STAGES: readonly Stage[] = [
  'saving',
  'uploading',
  'checking',
  'rebuilding',
  'verifying',
  'comparing'
];

export function stageTold(stage: Stage, trans: Trans): string {
  switch (stage) {
    case 'waiting_for_epoch':
      return trans.__('Waiting for the end of the epoch');
    case 'saving':
      return trans.__('Saving the model in the kernel');
    case 'uploading':
      return trans.__('Uploading it from the kernel to the backend');
    case 'checking':
      return trans.__('Checking that it holds nothing but a model');
    case 'rebuilding':
      return trans.__('Rebuilding it for serving');
    case 'verifying':
      return trans.__('Verifying that the rebuilt model answers alike');
    case 'comparing':
      return trans.__('Comparing the endpoint with model.predict');
    case 'ready':
      return trans.__('Ready');
    case 'refused':
      return trans.__('Refused');
    case 'failed':
      return trans.__('Failed');
    case 'cancelled':
      return trans.__('Cancelled');
  }
}

/** What goes on, in one line. */
export function stateTold(state: PublishState, trans: Trans): string {
  const { name } = state.form;
  switch (state.phase) {
    case 'opening':
      return state.busy
        ? trans.__('The kernel is busy. Its models are listed as soon as it answers…')
        : trans.__('Asking the kernel for its models…');
    case 'form':
      return '';
    case 'waiting':
      return trans.__('%1 is published when the kernel is idle.', name);
    case 'sending':
      return state.stopping ? trans.__('Cancelling…') : trans.__('Saving %1 in the kernel…', name);
    case 'following': {
      if (state.stopping) {
        return trans.__('Cancelling…');
      }
      const stage = stageTold(state.progress?.state ?? 'saving', trans);
      return state.silent
        ? trans.__('%1: the kernel is busy, so this is what it told last.', stage)
        : `${stage}…`;
    }
    case 'ready':
      return trans.__('%1 is ready.', versionTold(state, trans));
    case 'failed':
      return trans.__('%1 was not published.', name || trans.__('The model'));
    case 'stopped':
      return trans.__('Cancelled.');
  }
}

export function versionTold(state: PublishState, trans: Trans): string {
  const model = state.progress?.model;
  return model?.version
    ? trans.__('%1 version %2', model.name, model.version)
    : (model?.name ?? state.form.name);
}

export function timingTold(timing: Timing, trans: Trans): string {
  switch (timing) {
    case 'now':
      return trans.__('Publish');
    case 'idle':
      return trans.__('Publish when idle');
    case 'epoch_end':
      return trans.__('Publish at next epoch end');
  }
}

export function nameFaultTold(fault: NameFault, trans: Trans): string {
  switch (fault) {
    case 'empty':
      return trans.__('Give it a name: it becomes part of the URL.');
    case 'characters':
      return trans.__('Only a-z, 0-9, ".", "_" and "-" can stand in the URL.');
    case 'start':
      return trans.__('Begin it with a letter from a to z or a digit.');
    case 'long':
      return trans.__('At most 63 characters.');
  }
}

export function fieldFaultTold(fault: FieldFault, trans: Trans): string {
  switch (fault) {
    case 'empty':
      return trans.__('Each field needs a name.');
    case 'twice':
      return trans.__('Two fields have this name.');
    case 'categories':
      return trans.__('A text needs its categories: the model takes their numbers.');
    case 'range':
      return trans.__('The least value must not be above the largest.');
    case 'fill':
      return trans.__('Say what stands for a missing value.');
  }
}

export function aliasFaultTold(fault: AliasFault, trans: Trans): string {
  switch (fault) {
    case 'characters':
      return trans.__('At most 63 of a-z, 0-9, ".", "_" and "-" can stand in an alias.');
    case 'number':
      return trans.__('A number names a version; an alias needs a letter.');
    case 'latest':
      return trans.__('“latest” always means the newest version.');
  }
}

export function tagFaultTold(fault: TagFault, trans: Trans): string {
  switch (fault) {
    case 'form':
      return trans.__('Type them as key=value, with commas between.');
    case 'many':
      return trans.__('At most 50 tags.');
    case 'long':
      return trans.__('At most 64 characters for a key and 256 for its value.');
  }
}

/** What an alias will do. */
export function aliasTold(alias: string, lookup: Lookup | null, trans: Trans): string {
  if (alias === '') {
    return trans.__('A name such as production that shall mean this version. It may be left out.');
  }
  const now = lookup?.aliases.find(known => known.alias === alias);
  return now
    ? trans.__('It means version %1 now, and this one as soon as it is ready.', now.version)
    : trans.__('A new alias: programs can call %1.', `${lookup?.name ?? ''}@${alias}`);
}

export function lookupTold(lookup: Lookup, trans: Trans): string {
  if (lookup.asking) {
    return trans.__('Looking whether the name is taken…');
  }
  if (lookup.latest === null) {
    return trans.__('The backend could not be asked whether the name is taken.');
  }
  return lookup.latest === 0
    ? trans.__('A new name: this will be version 1.')
    : trans.__('%1 exists: this will be version %2.', lookup.name, lookup.latest + 1);
}

export function destinationTold(status: BackendStatus | null, trans: Trans): string {
  if (!status) {
    return '';
  }
  if (!status.url) {
    return trans.__('no backend');
  }
  return status.embedded
    ? trans.__('the backend of this Jupyter server (%1)', status.url)
    : status.url;
}

/** A model in one line, to tell it from the others. */
export function modelTold(model: KernelModel, trans: Trans): string {
  const kind = `${model.variable}: ${model.class_name}`;
  return model.built && model.parameters > 0
    ? trans.__('%1, %2 parameters', kind, model.parameters.toLocaleString())
    : kind;
}

export function shapeTold(shape: readonly (number | null)[]): string {
  return `(${shape.map(size => (size === null || size < 0 ? 'any' : size)).join(', ')})`;
}

export function tensorTold(tensor: TensorSpec): string {
  return `${tensor.name} ${shapeTold(tensor.shape)} ${tensor.dtype}`;
}

/** The comparison with `model.predict` in one sentence. */
export function checkTold(check: Check, trans: Trans): string {
  if (check.matched === null) {
    return trans.__(
      'Not compared with model.predict: %1',
      check.reason ?? trans.__('no example was given.')
    );
  }
  const deviation =
    check.largest_deviation === null
      ? trans.__('not finite')
      : check.largest_deviation.toExponential(0);
  return check.matched
    ? trans.__(
        'It answers %1 example rows as in the notebook; largest deviation %2.',
        check.rows,
        deviation
      )
    : trans.__(
        'It does NOT answer as in the notebook: over %1 example rows the largest deviation is %2.',
        check.rows,
        deviation
      );
}

/** The rules of a field in a few signs. */
export function rulesTold(field: Field, trans: Trans): string {
  const { min, max, allowed, nullable, fill } = field.rules;
  const names = categoryNames(field.rules.categories);
  const parts: string[] = [];
  if (min !== undefined || max !== undefined) {
    parts.push(`${min ?? ''}…${max ?? ''}`);
  }
  if (allowed?.length) {
    parts.push(trans.__('one of %1', allowed.length));
  }
  if (names.length > 0) {
    parts.push(names.length <= 3 ? names.join(', ') : trans.__('%1 categories', names.length));
  }
  if (nullable) {
    parts.push(trans.__('missing: %1', String(fill ?? '?')));
  }
  return parts.join('; ') || trans.__('any');
}
