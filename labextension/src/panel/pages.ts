/** A list of which the newest page is kept fresh by others, and older pages come on demand and stay. */

import { ISignal, Signal } from '@lumino/signaling';

import { merged } from './groups';

/** One page, newest first, and where the one after it begins. */
export interface Page<T> {
  entries: T[];
  next: string | null;
}

export class Pages<T> {
  /**
   * @param ask gives the page that begins at a cursor.
   * @param moves whether an entry can still change by itself.
   */
  constructor(
    private readonly ask: (cursor: string) => Promise<Page<T>>,
    private readonly idOf: (entry: T) => string,
    private readonly moves: (entry: T) => boolean = () => false
  ) {}

  /** All that is here, newest first. */
  entries: readonly T[] = [];

  get changed(): ISignal<this, void> {
    return this.change;
  }

  /** Whether there is an older page than those that are here. */
  get more(): boolean {
    return this.cursor !== null;
  }

  /** Whether something on an older page can still change: those pages are then to be asked for again. */
  get moving(): boolean {
    return this.older.some(this.moves);
  }

  /** The newest page came anew. What it pushed out goes on to the older ones, where any were asked for. */
  settle(newest: readonly T[], next: string | null): void {
    if (newest === this.newest) {
      return;
    }
    if (this.begins.length > 0) {
      this.older = merged(next === null ? [] : this.pushedOut(newest), this.older, this.idOf);
    } else {
      this.cursor = next;
    }
    this.newest = newest;
    this.join();
  }

  /** Ask for the next older page. Rejects as the question does. */
  async next(): Promise<void> {
    const from = this.cursor;
    if (from === null) {
      return;
    }
    const { entries, next } = await this.ask(from);
    if (from !== this.cursor) {
      return; // asked twice at a time
    }
    this.begins.push(from);
    this.cursor = next;
    this.older = merged(this.older, entries, this.idOf);
    this.join();
  }

  /** Ask for the older pages once more. Rejects as the question does. */
  async again(): Promise<void> {
    const pages = await Promise.all(this.begins.map(from => this.ask(from)));
    const entries = pages.flatMap(page => page.entries);
    const now = new Map(entries.map(entry => [this.idOf(entry), entry]));
    this.older = this.older.map(entry => now.get(this.idOf(entry)) ?? entry);
    this.join();
  }

  /** One entry came anew, wherever it stands. */
  replace(entry: T): void {
    const swapped = (entries: readonly T[]) =>
      entries.map(old => (this.idOf(old) === this.idOf(entry) ? entry : old));
    this.newest = swapped(this.newest);
    this.older = swapped(this.older);
    this.join();
  }

  /** Leave out what was deleted. */
  forget(id: string): void {
    const others = (entry: T) => this.idOf(entry) !== id;
    this.newest = this.newest.filter(others);
    this.older = this.older.filter(others);
    this.join();
  }

  /**
   * The end of the newest page before this one: at most as many as came in above, and only behind all that is still
   * on it. What else is missing was deleted.
   */
  private pushedOut(newest: readonly T[]): readonly T[] {
    const before = new Set(this.newest.map(this.idOf));
    const here = new Set(newest.map(this.idOf));
    const first = newest.findIndex(entry => before.has(this.idOf(entry)));
    const arrived = first < 0 ? newest.length : first;
    let end = this.newest.length;
    while (end > 0 && !here.has(this.idOf(this.newest[end - 1]))) {
      end -= 1;
    }
    return this.newest.slice(end, end + arrived);
  }

  private join(): void {
    this.entries = merged(this.newest, this.older, this.idOf);
    this.change.emit();
  }

  private readonly change = new Signal<this, void>(this);
  private newest: readonly T[] = [];
  private older: T[] = [];
  /** Where each older page began. */
  private readonly begins: string[] = [];
  private cursor: string | null = null;
}
