/** One run followed over a WebSocket: its points as they come, through every break of the line. */

import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IBackend } from '../client';
import { Failure, asFailure } from '../failure';
import { Run, RunFrame } from '../shapes';
import { RunPoints } from './curves';
import { Beginning, longRun } from './longRun';
import { BACKEND_AWAY, KEY_REFUSED, NO_SUCH_RUN, Order, Phase, RunStream } from './stream';

export class RunFollower implements IDisposable {
  constructor(
    private readonly backend: IBackend,
    readonly runId: string
  ) {}

  readonly points = new RunPoints();

  get run(): Run | null {
    return this.stream.run;
  }

  get phase(): Phase {
    return this.stream.phase;
  }

  get changed(): ISignal<this, void> {
    return this.change;
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  /** Open the socket, unless it is open or nothing more can come. */
  start(): void {
    if (this.disposed || this.socket || this.beginning || this.stream.ended) {
      return;
    }
    this.forgetTimer();
    if (this.begun) {
      this.open();
    } else {
      void this.begin((this.beginning = {}));
    }
  }

  /** Of a very long run only its epochs and its latest points are asked for. Never rejects. */
  private async begin(mine: object): Promise<void> {
    let first: Beginning | null;
    try {
      first = await longRun(this.backend, this.runId);
    } catch (error) {
      if (this.beginning === mine) {
        this.beginning = null;
        this.obey(this.stream.closed(codeOf(asFailure(error))));
        this.change.emit();
      }
      return;
    }
    // A `stop` may have overtaken it, and another `start`.
    if (this.beginning === mine) {
      this.beginning = null;
      this.begun = true;
      if (first) {
        this.points.skipped = first.until;
        this.points.add(first.epochs);
        this.stream.skip(first.until);
      }
      this.open();
    }
  }

  private open(): void {
    const path = `runs/${encodeURIComponent(this.runId)}/socket?since=${this.stream.since}`;
    const socket = this.backend.socket(path);
    this.socket = socket;
    socket.onopen = () => {
      this.stream.opened();
      this.change.emit();
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      const { points, order } = this.stream.frame(JSON.parse(event.data) as RunFrame);
      this.points.add(points);
      this.obey(order);
      this.change.emit();
    };
    socket.onclose = (event: CloseEvent) => {
      this.socket = null;
      this.obey(this.stream.closed(event.code));
      this.change.emit();
    };
  }

  /** Close the socket while nobody looks; `start` goes on from the last point. */
  stop(): void {
    this.forgetTimer();
    this.beginning = null;
    this.leave();
    this.stream.paused();
  }

  /** Try now what would be tried later: the backend is back. */
  hurry(): void {
    if (this.timer !== null) {
      this.start();
    }
  }

  dispose(): void {
    if (!this.disposed) {
      this.stop();
      this.disposed = true;
      Signal.clearData(this);
    }
  }

  private obey(order: Order): void {
    if (order.kind === 'connect') {
      this.forgetTimer();
      this.timer = window.setTimeout(() => {
        this.timer = null;
        this.start();
      }, order.after);
    } else if (order.kind === 'reopen') {
      this.leave();
      this.start();
    }
  }

  private leave(): void {
    const socket = this.socket;
    if (socket) {
      this.socket = null;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  private forgetTimer(): void {
    if (this.timer !== null) {
      window.clearTimeout(this.timer);
      this.timer = null;
    }
  }

  private readonly stream = new RunStream();
  private readonly change = new Signal<this, void>(this);
  private socket: WebSocket | null = null;
  private beginning: object | null = null;
  private begun = false;
  private timer: number | null = null;
  private disposed = false;
}

/** The close code with which the socket would have told the same. */
function codeOf(failure: Failure): number {
  if (failure.status === 404 && failure.code !== 'extension_missing') {
    return NO_SUCH_RUN;
  }
  return failure.code === 'backend_refused_key' ? KEY_REFUSED : BACKEND_AWAY;
}
