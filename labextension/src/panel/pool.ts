/** The runs that are followed: those chosen, and only while somebody looks. */

import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IBackend } from '../client';
import { RunFollower } from './follow';

export class FollowerPool implements IDisposable {
  constructor(private readonly backend: IBackend) {}

  /** Emits when any of the followed runs has something new. */
  get changed(): ISignal<this, void> {
    return this.change;
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  get(runId: string): RunFollower | undefined {
    return this.followers.get(runId);
  }

  /** Follow exactly these; `looking` says whether their sockets are to be open. */
  follow(runIds: readonly string[], looking: boolean): void {
    for (const [runId, follower] of this.followers) {
      if (!runIds.includes(runId)) {
        follower.dispose();
        this.followers.delete(runId);
      }
    }
    for (const runId of runIds) {
      let follower = this.followers.get(runId);
      if (!follower) {
        follower = new RunFollower(this.backend, runId);
        follower.changed.connect(() => this.change.emit());
        this.followers.set(runId, follower);
      }
      if (looking) {
        follower.start();
      } else {
        follower.stop();
      }
    }
  }

  /** The backend is back: do not wait any longer. */
  hurry(): void {
    for (const follower of this.followers.values()) {
      follower.hurry();
    }
  }

  dispose(): void {
    if (!this.disposed) {
      this.disposed = true;
      this.follow([], false);
      Signal.clearData(this);
    }
  }

  private readonly followers = new Map<string, RunFollower>();
  private readonly change = new Signal<this, void>(this);
  private disposed = false;
}
