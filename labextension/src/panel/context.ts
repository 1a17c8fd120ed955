/** What the panel's views share, and how they notice that something changed. */

import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { ISignal } from '@lumino/signaling';
import * as React from 'react';

import { IActivity } from '../activity';
import { IBackend } from '../client';
import { Failure, asFailure } from '../failure';
import { IHealth } from '../health';
import { Catalogue } from './catalogue';
import { History } from './older';
import { FollowerPool } from './pool';
import { PanelState } from './state';

export interface PanelContext {
  backend: IBackend;
  health: IHealth;
  activity: IActivity;
  commands: CommandRegistry;
  state: PanelState;
  catalogue: Catalogue;
  history: History;
  pool: FollowerPool;
  trans: TranslationBundle;
  /** Emits when colours may have changed. */
  themed: ISignal<unknown, void>;
}

export const Panel = React.createContext<PanelContext | null>(null);

export function usePanel(): PanelContext {
  const context = React.useContext(Panel);
  if (!context) {
    throw new Error('This view stands outside of the panel.');
  }
  return context;
}

/** Render again whenever the signal emits. */
export function useChanged(signal: ISignal<unknown, unknown>): void {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = () => again();
    signal.connect(slot);
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}

/** What failures of a whole connection are called. */
const AWAY = ['backend_away', 'jupyter_away', 'extension_missing'];

/** Run something that may fail, with its failure kept for showing and one run at a time. */
export function useAction(): {
  busy: boolean;
  failure: Failure | null;
  run: (work: () => Promise<void>) => Promise<void>;
  clear: () => void;
} {
  const [busy, setBusy] = React.useState(false);
  const [failure, setFailure] = React.useState<Failure | null>(null);
  const { health } = usePanel();
  const mounted = React.useRef(true);
  React.useEffect(() => {
    mounted.current = true;
    return () => {
      mounted.current = false;
    };
  }, []);
  const run = React.useCallback(
    async (work: () => Promise<void>) => {
      setBusy(true);
      setFailure(null);
      try {
        await work();
      } catch (error) {
        const fault = asFailure(error);
        if (AWAY.includes(fault.code)) {
          // The banner says so at once, for all of the panel.
          void health.refresh();
        }
        if (mounted.current) {
          setFailure(fault);
        }
      } finally {
        if (mounted.current) {
          setBusy(false);
        }
      }
    },
    [health]
  );
  const clear = React.useCallback(() => setFailure(null), []);
  return { busy, failure, run, clear };
}
