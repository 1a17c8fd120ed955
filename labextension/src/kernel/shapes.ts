/** What the kernel bridge answers, method by method. */

import { Model, ModelSchema, TensorSpec } from '../shapes';

export interface Hello {
  version: string;
  session: string;
  url: string | null;
  has_key: boolean;
  keras: boolean;
  training: boolean;
  /** What to update where the kernel's package and the backend do not fit; null where they do. */
  skew?: string | null;
}

export interface KernelModel {
  variable: string;
  identity: string;
  class_name: string;
  title: string;
  inputs: TensorSpec[];
  outputs: TensorSpec[];
  parameters: number;
  built: boolean;
  compiled: boolean;
  training: boolean;
  /** Why it cannot be published just now; null where it can. */
  reason: string | null;
  suggested_name: string;
}

export interface ExampleVariable {
  variable: string;
  kind: 'DataFrame' | 'array' | 'Series' | 'list';
  shape: number[];
  columns: string[] | null;
}

export interface Listing {
  session: string;
  models: KernelModel[];
  examples: ExampleVariable[];
  complete: boolean;
}

export interface Proposal {
  schema: ModelSchema | null;
  signature: { inputs: TensorSpec[]; outputs: TensorSpec[] } | null;
  example_row: { [name: string]: unknown } | null;
}

/** `now`: while the kernel has nothing else to do; `epoch_end`: by the callback of a fit that runs. */
export type When = 'now' | 'epoch_end';

export interface PublishRequest {
  session: string;
  variable: string;
  identity: string;
  name: string;
  description?: string;
  schema?: ModelSchema;
  example?: string;
  alias?: string;
  tags?: { [key: string]: string };
  ticket?: string;
  url?: string;
  when: When;
}

export type Stage =
  | 'waiting_for_epoch'
  | 'saving'
  | 'uploading'
  | 'checking'
  | 'rebuilding'
  | 'verifying'
  | 'comparing'
  | 'ready'
  | 'refused'
  | 'failed'
  | 'cancelled';

/** How the endpoint's answers compare with the notebook's. */
export interface Check {
  matched: boolean | null;
  largest_deviation: number | null;
  rows: number;
  reason: string | null;
}

export interface KernelFault {
  code: string;
  message: string;
  action: string | null;
  faults?: unknown[];
  status?: number;
}

export interface Progress {
  state: Stage;
  model: Model | null;
  check: Check | null;
  curl: string | null;
  cell: string | null;
  error: KernelFault | null;
  command: string | null;
  /** What else is worth knowing, as the names that were kept from the version before. */
  remark?: string | null;
  /** Bytes of a large file that have arrived. */
  uploaded?: { done: number; total: number } | null;
  seconds: number;
}
