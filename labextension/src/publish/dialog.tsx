/** The modal dialog around the view: its own buttons, its own order of focus. */

import { Dialog, ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IHealth } from '../health';
import { PublishFlow } from './flow';
import { PublishActions, PublishView } from './view';

const FOCUSABLE =
  'button:not([hidden]), input, select, textarea, a[href], [tabindex]:not([tabindex="-1"])';

/** Shows one flow; closing it leaves the flow as it is. */
export class PublishDialog extends Dialog<void> {
  constructor(
    flow: PublishFlow,
    health: IHealth,
    actions: Omit<PublishActions, 'close'>,
    notebook: string,
    trans: TranslationBundle
  ) {
    super({
      title: trans.__('Publish a model of %1', notebook),
      body: ReactWidget.create(
        <PublishView
          flow={flow}
          health={health}
          trans={trans}
          actions={{
            notebookOpen: () => actions.notebookOpen(),
            insertCell: source => actions.insertCell(source),
            openInPanel: modelId => actions.openInPanel(modelId),
            close: () => this.reject()
          }}
        />
      ),
      // The buttons change with the phase, which the dialog's own cannot.
      buttons: [],
      focusNodeSelector: '[data-tt-first]',
      hasClose: true
    });
    this.addClass('tt-PublishDialog');
  }

  protected _evtKeydown(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      event.stopPropagation();
      event.preventDefault();
      this.reject();
    } else if (event.key === 'Tab') {
      this.keepFocus(event);
    }
    // Everything else belongs to the fields and buttons themselves.
  }

  protected _evtFocus(event: FocusEvent): void {
    if (!this.node.contains(event.target as Node)) {
      event.stopPropagation();
      this.focusable()[0]?.focus();
    }
  }

  private keepFocus(event: KeyboardEvent): void {
    const all = this.focusable();
    const [first, last] = [all[0], all[all.length - 1]];
    const leaves = event.shiftKey
      ? document.activeElement === first || !all.includes(document.activeElement as HTMLElement)
      : document.activeElement === last;
    if (leaves && first && last) {
      event.preventDefault();
      (event.shiftKey ? last : first).focus();
    }
    event.stopPropagation();
  }

  private focusable(): HTMLElement[] {
    const found = this.node.querySelectorAll<HTMLElement>(FOCUSABLE);
    return Array.from(found).filter(
      element => element.offsetParent !== null && !element.hasAttribute('disabled')
    );
  }
}
