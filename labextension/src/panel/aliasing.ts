/** What the panel asks of the backend about aliases and receipts; a move names what it expects to replace. */

import { IBackend } from '../client';
import { Alias, AliasMove, Receipt } from '../shapes';

/** Entries of a history that are shown at once. */
const PAGE = 50;

export class Aliasing {
  constructor(private readonly backend: IBackend) {}

  /** Every alias of a name. */
  async all(name: string): Promise<Alias[]> {
    return (await this.backend.ask<{ aliases: Alias[] }>('GET', base(name))).aliases;
  }

  /**
   * Let an alias mean a version.
   * @param expected what it meant when somebody looked; null for nothing. Rejects with a 409 where it was moved since.
   */
  async move(
    name: string,
    alias: string,
    version: number,
    expected: number | null
  ): Promise<Alias> {
    const body = { version, expected_version: expected };
    return (await this.backend.ask<{ alias: Alias }>('PUT', one(name, alias), body)).alias;
  }

  async remove(name: string, alias: string): Promise<void> {
    await this.backend.ask('DELETE', one(name, alias));
  }

  /** Let an alias mean again what it meant before. */
  async rollback(name: string, alias: string, expected: number): Promise<Alias> {
    const body = { expected_version: expected };
    const path = `${one(name, alias)}/rollback`;
    return (await this.backend.ask<{ alias: Alias }>('POST', path, body)).alias;
  }

  /** The newest changes, newest first. */
  async history(name: string, alias: string): Promise<AliasMove[]> {
    const path = `${one(name, alias)}/history?limit=${PAGE}`;
    return (await this.backend.ask<{ history: AliasMove[] }>('GET', path)).history;
  }

  async receipt(modelId: string): Promise<Receipt> {
    const path = `models/${encodeURIComponent(modelId)}/receipt`;
    return (await this.backend.ask<{ receipt: Receipt }>('GET', path)).receipt;
  }
}

/** What an alias means, if anything. */
export function meaning(aliases: readonly Alias[], alias: string): number | null {
  return aliases.find(known => known.alias === alias)?.version ?? null;
}

function base(name: string): string {
  return `models/by-name/${encodeURIComponent(name)}/aliases`;
}

function one(name: string, alias: string): string {
  return `${base(name)}/${encodeURIComponent(alias)}`;
}
