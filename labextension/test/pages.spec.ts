import { Page, Pages } from '../src/panel/pages';

interface Entry {
  id: string;
  moves?: boolean;
}

const entries = (...ids: string[]): Entry[] => ids.map(id => ({ id }));

function paged(book: { [cursor: string]: Page<Entry> }) {
  const asked: string[] = [];
  const pages = new Pages<Entry>(
    async cursor => {
      asked.push(cursor);
      return book[cursor];
    },
    entry => entry.id,
    entry => entry.moves === true
  );
  return { asked, pages, ids: () => pages.entries.map(entry => entry.id).join('') };
}

test('the first older page begins where the newest ends, and is asked for once', async () => {
  const { asked, pages, ids } = paged({ b: { entries: entries('c', 'd'), next: null } });
  pages.settle(entries('a', 'b'), 'b');
  expect(pages.more).toBe(true);
  await pages.next();
  expect([asked, ids(), pages.more]).toEqual([['b'], 'abcd', false]);
});

test('two presses at a time add one page', async () => {
  const { pages, ids } = paged({ b: { entries: entries('c'), next: 'c' } });
  pages.settle(entries('a', 'b'), 'b');
  await Promise.all([pages.next(), pages.next()]);
  expect(ids()).toBe('abc');
});

test('what newer entries push off the newest page stays, in its place', async () => {
  const { pages, ids } = paged({ b: { entries: entries('c', 'd'), next: null } });
  pages.settle(entries('a', 'b'), 'b');
  await pages.next();
  pages.settle(entries('x', 'a'), 'a');
  expect(ids()).toBe('xabcd');
  pages.settle(entries('y', 'z'), 'z');
  expect(ids()).toBe('yzxabcd');
});

test('what was deleted elsewhere is not taken for pushed off', async () => {
  const { pages, ids } = paged({ c: { entries: entries('d', 'e'), next: null } });
  pages.settle(entries('a', 'b', 'c'), 'c');
  await pages.next();
  pages.settle(entries('a', 'c', 'd'), 'd');
  expect(ids()).toBe('acde');
  pages.settle(entries('a', 'd', 'e'), 'e');
  expect(ids()).toBe('ade');
});

test('without older pages only the newest is shown, and its end moves with it', () => {
  const { pages, ids } = paged({});
  pages.settle(entries('a', 'b'), 'b');
  pages.settle(entries('x', 'a'), null);
  expect([ids(), pages.more]).toEqual(['xa', false]);
});

test('older pages in which something moves are brought up to date', async () => {
  const book = { b: { entries: [{ id: 'c', moves: true }], next: null } };
  const { asked, pages } = paged(book);
  pages.settle(entries('a', 'b'), 'b');
  expect(pages.moving).toBe(false);
  await pages.next();
  expect(pages.moving).toBe(true);
  book.b = { entries: [{ id: 'c', moves: false }], next: null };
  await pages.again();
  expect([asked, pages.moving]).toEqual([['b', 'b'], false]);
});

test('what was deleted here is gone at once', async () => {
  const { pages, ids } = paged({ b: { entries: entries('c'), next: null } });
  pages.settle(entries('a', 'b'), 'b');
  await pages.next();
  pages.forget('a');
  pages.forget('c');
  expect(ids()).toBe('b');
});
