/** Copying a text, also where the page may not use the clipboard itself. */

/** To the clipboard; where the page may not (plain HTTP), by way of a selection. */
export function copy(text: string): void {
  const bySelection = () => {
    const box = document.createElement('textarea');
    const focused = document.activeElement as HTMLElement | null;
    box.value = text;
    box.setAttribute('aria-hidden', 'true');
    box.className = 'tt-Publish-clipboard';
    // Inside of the dialog, which keeps the focus to itself.
    (document.querySelector('.tt-PublishDialog') ?? document.body).appendChild(box);
    box.select();
    document.execCommand('copy');
    box.remove();
    focused?.focus();
  };
  if (navigator.clipboard) {
    navigator.clipboard.writeText(text).catch(bySelection);
  } else {
    bySelection();
  }
}
