/** The JSON that the routes speak, as the backend and the server extension document it. */

export interface BackendStatus {
  embedded: boolean;
  running: boolean;
  ready: boolean;
  url: string | null;
  restarts: number;
  pid?: number;
  error?: string;
  version?: string | null;
  extension_version?: string;
}

export interface FieldEntry {
  var_type: string;
  index: number;
  min?: number;
  max?: number;
  allowed?: number[];
  nullable?: boolean;
  /** What stands for a missing value. */
  fill?: number | boolean | string;
  /** Of a text: each category's place is its number, or each has one of its own. */
  categories?: string[] | { [name: string]: number };
  /** The number of any text that is no category. */
  unknown?: number;
}

export interface ModelSchema {
  input_schema: { [name: string]: FieldEntry };
  output_schema?: { [name: string]: FieldEntry } | null;
}

export interface TensorSpec {
  name: string;
  dtype: string;
  shape: (number | null)[];
}

export interface Model {
  model_id: string;
  model_name: string;
  model_description: string;
  name: string;
  version: number | null;
  state: string;
  engine?: string | null;
  size: number;
  created: string;
  model_schema: ModelSchema | null;
  signature?: { inputs: TensorSpec[]; outputs: TensorSpec[] } | null;
  /** Names that point at this version. */
  aliases?: readonly string[];
  tags?: { readonly [key: string]: string };
  metrics?: { readonly [name: string]: number };
  author?: string | null;
  notebook?: string | null;
  git_commit?: string | null;
  /** The proof that it answers as the model did, in short. */
  receipt?: ReceiptNote | null;
  /** What was changed in the file so that it loads. */
  repairs?: readonly Repair[];
  /** What was looked at before it was accepted, a sentence each. */
  checks?: readonly string[];
  parent?: { model_id: string; version: number; job_id: string } | null;
}

export interface Repair {
  path: string;
  message: string;
}

/** `client`: the notebook's own outputs were reproduced; `forge`: those of a sample asked of the original. */
export interface ReceiptNote {
  sha256: string;
  source: 'client' | 'forge';
  max_deviation: number | null;
}

export interface Receipt extends ReceiptNote {
  model_id: string;
  rows: number;
  inputs_sha256: string;
  outputs_sha256: string;
  atol: number;
  rtol: number;
  engine: string;
  engine_version: string;
  versions: { [name: string]: string };
  client_versions: { [name: string]: string };
  repairs: Repair[];
  created: string;
  /** The first is that of publishing. */
  checks: {
    engine_version: string;
    checked: string;
    max_deviation: number | null;
    passed: boolean;
  }[];
}

export interface Alias {
  alias: string;
  name: string;
  version: number;
  model_id: string;
  moved: string;
  moved_by: string | null;
}

/** One change of an alias; `version` is null where it was removed. */
export interface AliasMove {
  version: number | null;
  model_id: string | null;
  previous_version: number | null;
  action: 'published' | 'moved' | 'rolled_back' | 'removed';
  moved: string;
  moved_by: string | null;
}

export interface Job {
  job_id: string;
  kind: 'score' | 'train';
  model_id: string;
  model_name?: string;
  model_version?: number;
  state: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  error: string | null;
  created: string;
  last_updated: string;
  started: string | null;
  finished: string | null;
  progress: {
    rows_done: number;
    rows_total: number;
    rows_rejected: number;
    rows_per_second: number | null;
    seconds_left: number | null;
    partitions_done?: number;
    partitions_total?: number;
    /** How often a worker took up a partition. */
    attempts?: number;
    epochs_done?: number;
    epochs_total?: number;
  };
  run_id?: string;
  result?: { model_id: string; name: string; version: number } | null;
}

export interface Run {
  run_id: string;
  name: string;
  model: string | null;
  model_id: string | null;
  job_id: string | null;
  source: 'notebook' | 'backend';
  state: 'running' | 'succeeded' | 'failed' | 'cancelled' | 'lost';
  error: string | null;
  epochs: number | null;
  steps_per_epoch: number | null;
  epoch: number | null;
  step: number | null;
  metrics: { [name: string]: number | null };
  metric_names: string[];
  points: number;
  last_seq: number;
  created: string;
  last_updated: string;
  finished: string | null;
}

export interface Point {
  seq: number;
  kind: 'batch' | 'epoch';
  step: number;
  epoch: number;
  t: number;
  metrics: { [name: string]: number | null };
}

export interface RunFrame {
  run?: Run;
  points: Point[];
  last_seq: number;
}

export interface Score {
  score_id: string;
  state: 'reading' | 'uploading' | 'scoring' | 'writing' | 'succeeded' | 'failed' | 'cancelled';
  path: string;
  output_path: string | null;
  model: string;
  job_id: string | null;
  rows_done: number;
  rows_total: number;
  rows_rejected: number;
  error: string | null;
}

export interface CsvPreview {
  columns: string[];
  rows: string[][];
  delimiter: string;
  size: number;
}
